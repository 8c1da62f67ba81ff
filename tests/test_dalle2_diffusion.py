"""The equations of diffusion: worked by hand, as properties, and against diffusers."""

import math

import pytest
import torch
from toys import difference

from minidalle.dalle2 import diffusion
from minidalle.dalle2.diffusion import KINDS

T = 1000
ALPHA_BARS = diffusion.cosine_alpha_bars(T)


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 4, 4, 4, generator=generator, dtype=torch.float64)  # x₀ and ε


# ---- the schedule -----------------------------------------------------------------------


def test_cosine_schedule():
    f = [math.cos((t / 4 + 0.008) / 1.008 * math.pi / 2) ** 2 for t in range(5)]
    wanted = [f[t] / f[0] for t in (1, 2, 3)]
    four = diffusion.cosine_alpha_bars(4)
    assert torch.allclose(four[:3], torch.tensor(wanted, dtype=torch.float64), atol=1e-12)
    assert four[3] == pytest.approx(four[2] * 0.001)  # β would be 1
    assert ALPHA_BARS[0] > 0.9999 and ALPHA_BARS[-1] < 1e-8 and (ALPHA_BARS.diff() < 0).all()


def test_schedule_of_diffusers(evidence):
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.UnCLIPScheduler().alphas_cumprod
    assert torch.allclose(ALPHA_BARS.float(), theirs, rtol=1e-4, atol=1e-7)
    worst = difference(ALPHA_BARS.float(), theirs)
    evidence("cosine schedule, ᾱ", "diffusers 0.42.1, UnCLIPScheduler", len(theirs), worst)


def test_times_are_those_of_unclip():
    diffusers = pytest.importorskip("diffusers")
    for steps in (2, 7, 25, 64):
        theirs = diffusers.UnCLIPScheduler()
        theirs.set_timesteps(steps)
        assert diffusion.times_of(steps) == theirs.timesteps.tolist()
    assert diffusion.times_of(1) == [999]
    with pytest.raises(ValueError, match="expected 1 to 1000 steps, got 0"):
        diffusion.times_of(0)


# ---- predictions ------------------------------------------------------------------------


def test_by_hand():
    x0, eps = torch.tensor([1.0]), torch.tensor([-1.0])
    x = diffusion.q_sample(x0, eps, 0.64)  # 0.8 · 1 + 0.6 · -1
    assert x.item() == pytest.approx(0.2)
    assert diffusion.target("v", x0, eps, 0.64).item() == pytest.approx(-1.4)


@pytest.mark.parametrize("kind", KINDS)
def test_each_prediction_gives_picture_and_noise(kind, pair):
    x0, eps = pair
    alpha_bar = ALPHA_BARS[[10, 500, 900]].view(3, 1, 1, 1)[:, None]
    x = diffusion.q_sample(x0, eps, alpha_bar)
    predicted = diffusion.target(kind, x0, eps, alpha_bar)
    assert torch.allclose(diffusion.to_x0(kind, predicted, x, alpha_bar), x0.expand_as(x))
    assert torch.allclose(diffusion.to_eps(kind, predicted, x, alpha_bar), eps.expand_as(x))


def test_guidance_of_1_is_none_and_of_2_goes_as_far_again():
    unconditional, conditional = torch.tensor([1.0]), torch.tensor([3.0])
    assert diffusion.guided(conditional, unconditional, 1) == 3
    assert diffusion.guided(conditional, unconditional, 2) == 5


# ---- steps ------------------------------------------------------------------------------


def test_a_step_of_eta_1_is_a_draw_from_the_posterior(pair):
    x0, eps = pair
    alpha_bar, before = 0.3, 0.7
    x = diffusion.q_sample(x0, eps, alpha_bar)
    mean, variance = diffusion.posterior(x0, x, alpha_bar, before)
    noise = torch.ones_like(x)
    step = diffusion.ddim_step(x, eps, alpha_bar, before, 1.0, noise)
    assert torch.allclose(step, mean + variance**0.5)


def test_the_posterior_inverts_the_way_to_noise():
    """x₀ → x_s → x_t and x₀ → x_t → x_s are the same joint distribution of two Gaussians."""
    s, t = 0.7, 0.3
    covariance = torch.tensor([[1 - s, (t / s) ** 0.5 * (1 - s)], [0, 1 - t]])
    slope = covariance[0, 1] / covariance[1, 1]  # of x_s on x_t, given x₀ = 0
    mean, variance = diffusion.posterior(torch.tensor(0.0), torch.tensor(1.0), t, s)
    assert mean == pytest.approx(slope.item())
    assert variance == pytest.approx((covariance[0, 0] - slope**2 * covariance[1, 1]).item())


def test_the_last_step_gives_the_picture(pair):
    x0, eps = pair
    for eta in (0.0, 1.0):
        x = diffusion.q_sample(x0, eps, ALPHA_BARS[0])
        step = diffusion.ddim_step(x, eps, ALPHA_BARS[0], 1.0, eta, torch.randn_like(x))
        assert torch.allclose(step, x0)


@pytest.mark.parametrize("kind", ["epsilon", "sample", "v_prediction"])
def test_steps_of_ddpm(kind, pair, evidence):
    diffusers = pytest.importorskip("diffusers")
    how = {"beta_schedule": "squaredcos_cap_v2", "timestep_spacing": "linspace"}
    theirs = diffusers.DDPMScheduler(T, prediction_type=kind, clip_sample=False, **how)
    theirs.set_timesteps(20)
    x, predicted = (value.float() for value in pair)
    ours = {"epsilon": "eps", "sample": "x0", "v_prediction": "v"}[kind]
    times, found = diffusion.times_of(20), []
    for t, later in ((times[3], times[4]), (times[15], times[16])):
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(t))
        wanted = theirs.step(predicted, t, x, torch.Generator().manual_seed(t)).prev_sample
        a, b = (float(ALPHA_BARS[i]) for i in (t, later))
        mean, variance = diffusion.posterior(diffusion.to_x0(ours, predicted, x, a), x, a, b)
        found.append(difference(mean + variance**0.5 * noise, wanted))
    assert max(found) < 1e-4
    what = f"a step of DDPM, {ours} predicted"
    evidence(what, "diffusers 0.42.1, DDPMScheduler", len(found), max(found))


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_steps_of_ddim(eta, pair, evidence):
    diffusers = pytest.importorskip("diffusers")
    how = {"beta_schedule": "squaredcos_cap_v2", "timestep_spacing": "trailing"}
    theirs = diffusers.DDIMScheduler(T, clip_sample=False, set_alpha_to_one=True, **how)
    theirs.set_timesteps(20)
    x, eps = (value.float() for value in pair)
    noise, found = torch.randn(x.shape, generator=torch.Generator().manual_seed(1)), []
    for t in (949, 499):  # and 50 times earlier, which is `before` in diffusers as well
        wanted = theirs.step(eps, t, x, eta, variance_noise=noise).prev_sample
        a, b = (float(ALPHA_BARS[i]) for i in (t, t - 50))
        found.append(difference(diffusion.ddim_step(x, eps, a, b, eta, noise), wanted))
    assert max(found) < 1e-4
    what = f"a step of DDIM, η = {eta:g}"
    evidence(what, "diffusers 0.42.1, DDIMScheduler", len(found), max(found))


def test_backwards_as_in_diffusers(pair, evidence):
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DDIMInverseScheduler(
        T, beta_schedule="squaredcos_cap_v2", clip_sample=False, timestep_spacing="trailing"
    )
    theirs.set_timesteps(20)
    (x, eps), found = (value.float() for value in pair), []
    for t in (499, 899):  # diffusers names the time where a step ends; it began 50 times before
        wanted = theirs.step(eps, t, x).prev_sample
        a, b = (float(ALPHA_BARS[i]) for i in (t - 50, t))
        found.append(difference(diffusion.ddim_step(x, eps, a, b), wanted))
    assert max(found) < 1e-4
    evidence("DDIM, inverted", "diffusers 0.42.1, DDIMInverseScheduler", len(found), max(found))


def test_renoising_as_in_repaint(pair, evidence):
    """RePaint undoes a step by β of one time; over many times the shares multiply."""
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.RePaintScheduler(T, beta_schedule="squaredcos_cap_v2", clip_sample=False)
    theirs.set_timesteps(T)
    x = pair[0].float()
    wanted = theirs.undo_step(x, 500, torch.Generator().manual_seed(0))
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    # Its β of time 500 leads from ᾱ of 499 to ᾱ of 500.
    ours = diffusion.renoise(x, noise, float(ALPHA_BARS[499]), float(ALPHA_BARS[500]))
    worst = difference(ours, wanted)
    assert worst < 1e-5
    evidence("noise put back", "diffusers 0.42.1, RePaintScheduler", 1, worst)


def test_renoising_keeps_the_variance_of_the_time():
    """In DALLE2-pytorch the noise is 14 to 25 times too small."""
    s, t = 0.8, 0.5
    kept = diffusion.renoise(torch.tensor(1.0), torch.tensor(0.0), s, t)
    noise = diffusion.renoise(torch.tensor(0.0), torch.tensor(1.0), s, t)
    assert kept**2 * (1 - s) + noise**2 == pytest.approx(1 - t)
    assert kept**2 * s == pytest.approx(t)


# ---- whole ways -------------------------------------------------------------------------


def gaussian(mean: float, deviation: float):
    """The exact network for pictures drawn from N(mean, deviation²): E[ε | x_t]."""

    def predict(x, t):
        a, b = diffusion.roots(float(ALPHA_BARS[t]))
        return b * (x - a * mean) / (a * a * deviation**2 + b * b)

    return predict


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_a_drawing_has_the_distribution_of_the_data(eta):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(20_000, generator=generator, dtype=torch.float64)

    def noise():
        return torch.randn(x.shape, generator=generator, dtype=torch.float64)

    *_, (_, _, drawn) = diffusion.denoise(
        gaussian(2, 0.5), x, diffusion.times_of(200), ALPHA_BARS, eta, noise
    )
    assert drawn.mean() == pytest.approx(2, abs=0.02)
    assert drawn.std() == pytest.approx(0.5, abs=0.02)


def test_a_picture_survives_the_way_to_noise_and_back():
    x0, times = torch.linspace(0, 4, 9, dtype=torch.float64), diffusion.times_of(300)
    predict = gaussian(2, 0.5)
    *_, (_, noisy) = diffusion.invert(predict, x0, times, ALPHA_BARS)
    assert noisy.mean() == pytest.approx(0, abs=0.01)
    assert torch.allclose(noisy, (x0 - 2) / 0.5, atol=0.1)  # what a Gaussian becomes
    *_, (_, _, back) = diffusion.denoise(predict, noisy, times, ALPHA_BARS)
    assert torch.allclose(back, x0, atol=0.05)


def test_values_that_no_picture_has_are_cut_off():
    x = torch.full((4,), 9.0)
    for _, x0, _ in diffusion.denoise(gaussian(5, 1), x, [500, 0], ALPHA_BARS, largest=1.0):
        assert x0.max() <= 1


# ---- learned variance -------------------------------------------------------------------


def test_learned_variance_lies_between_its_bounds():
    alpha_bar, before = 0.3, 0.7
    _, small = diffusion.posterior(torch.tensor(0.0), torch.tensor(0.0), alpha_bar, before)
    bounds = diffusion.log_variance(torch.tensor([-1.0, 1.0]), alpha_bar, before).exp()
    assert bounds.tolist() == pytest.approx([small, 1 - 0.3 / 0.7])


@pytest.mark.parametrize("kind", KINDS)
def test_the_variance_is_taught_by_the_mean_of_its_own_kind(kind, pair):
    """In DALLE2-pytorch the mean is computed as if ε were predicted, whatever is."""
    x0, eps = pair
    alpha_bar, before = 0.3, 0.7
    x = diffusion.q_sample(x0, eps, alpha_bar)
    right = diffusion.target(kind, x0, eps, alpha_bar).clone().requires_grad_()
    fraction = torch.full_like(x, -1.0, requires_grad=True)
    kl = diffusion.step_kl(kind, right, fraction, x0, x, alpha_bar, before)
    assert torch.allclose(kl, torch.zeros_like(kl), atol=1e-9)  # the posterior itself
    diffusion.step_kl(kind, right, fraction + 1, x0, x, alpha_bar, before).sum().backward()
    assert right.grad is None and (fraction.grad > 0).all()


def test_kl_of_two_gaussians():
    p = torch.distributions.Normal(torch.tensor(0.0), 1.0)
    alpha_bar, before, x, x0 = 0.3, 0.7, torch.tensor([0.4]), torch.tensor([1.0])
    believed, fraction = torch.tensor([0.2]), torch.tensor([0.5])
    mean, variance = diffusion.posterior(x0, x, alpha_bar, before)
    ours, _ = diffusion.posterior(believed, x, alpha_bar, before)
    deviation = (diffusion.log_variance(fraction, alpha_bar, before) / 2).exp()
    q, p = (
        torch.distributions.Normal(mean, variance**0.5),
        torch.distributions.Normal(ours, deviation),
    )
    wanted = torch.distributions.kl_divergence(q, p)
    kl = diffusion.step_kl("x0", believed, fraction, x0, x, alpha_bar, before)
    assert torch.allclose(kl, wanted, rtol=1e-4)
