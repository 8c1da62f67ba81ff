"""The dVAE against torch.distributions, numerical integrals and the paper's counts."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import distributions as D

from minidalle.config import DVAEConfig
from minidalle.dvae import (
    DVAE,
    codebook_use,
    gumbel_noise,
    gumbel_softmax,
    kl_from_uniform,
    logit_laplace,
    map_pixels,
    mean_distance,
    unmap_pixels,
)
from minidalle.training import half_cosine

PAPER = DVAEConfig(image_size=16, codebook_size=10, width=8, groups=2, blocks=1, code_width=6)
PATCH = DVAEConfig(image_size=16, codebook_size=10, width=8, blocks=1, code_width=6, patch=2)


@pytest.fixture(params=[PAPER, PATCH], ids=["paper", "patch"])
def dvae(request):
    return DVAE(request.param)


@pytest.fixture
def images():
    return torch.rand(3, 3, 16, 16)


# ---- pixels -----------------------------------------------------------------------------


def test_pixels_there_and_back():
    x = torch.linspace(0, 1, 256)
    assert map_pixels(x)[[0, -1]].tolist() == pytest.approx([0.1, 0.9])
    assert torch.allclose(unmap_pixels(map_pixels(x)), x, atol=1e-6)
    assert unmap_pixels(torch.tensor([0.0, 0.05, 0.95, 1.0])).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("mu, ln_b", [(0.0, 0.0), (1.5, -1.0), (-2.0, 0.3)])
def test_logit_laplace_is_a_density(mu, ln_b):
    x = torch.linspace(0, 1, 200_001, dtype=torch.float64)[1:-1]
    mu, ln_b = torch.tensor(mu).double(), torch.tensor(ln_b).double()
    ln_f = logit_laplace(x, mu, ln_b)
    # Over 0 to 1 it integrates to 1; for b ≥ 1 the tails hold a little more than the grid sees.
    assert torch.trapezoid(ln_f.exp(), x).item() == pytest.approx(1, abs=1e-3)
    laplace = D.Laplace(mu, ln_b.exp())
    oracle = D.TransformedDistribution(laplace, D.SigmoidTransform()).log_prob(x)
    assert torch.allclose(ln_f, oracle, atol=1e-8)


# ---- choosing softly --------------------------------------------------------------------


def test_kl_equals_torch_distributions():
    logits = 3 * torch.randn(2, 10, 4, 4, dtype=torch.float64)
    q = D.Categorical(logits=logits.movedim(1, -1))
    uniform = D.Categorical(logits=torch.zeros(2, 4, 4, 10, dtype=torch.float64))
    assert torch.allclose(kl_from_uniform(logits), D.kl_divergence(q, uniform))


def test_kl_ranges_from_0_to_ln_k():
    flat, certain = torch.zeros(1, 10, 1, 1), torch.zeros(1, 10, 1, 1)
    certain[0, 3] = 100
    assert kl_from_uniform(flat).item() == pytest.approx(0, abs=1e-6)
    assert kl_from_uniform(certain).item() == pytest.approx(math.log(10))


def test_kl_does_not_grow_with_the_batch(dvae, images):
    one = dvae(images[:1], 1.0, 1.0)[1]["kl"]
    copies = dvae(images[:1].repeat(8, 1, 1, 1), 1.0, 1.0)[1]["kl"]
    assert copies.item() == pytest.approx(one.item(), rel=1e-4)


def test_gumbel_argmax_is_as_frequent_as_softmax_says():
    n, logits = 20_000, torch.randn(8)
    soft = gumbel_softmax(logits.expand(n, -1), 1.0, torch.Generator().manual_seed(1))
    assert torch.allclose(soft.sum(1), torch.ones(n))
    counts, expected = soft.argmax(1).bincount(minlength=8), n * logits.softmax(-1)
    assert ((counts - expected) ** 2 / expected).sum() < 24.3  # 7 degrees of freedom, p = 0.001


def test_gumbel_hardens_as_the_temperature_falls():
    logits = torch.zeros(2000, 8)
    largest = [
        gumbel_softmax(logits, tau, torch.Generator().manual_seed(1)).amax(1).mean().item()
        for tau in (10.0, 1.0, 0.1, 0.01)
    ]
    assert largest == sorted(largest)
    assert largest[0] < 0.2 and largest[-1] > 0.98


def test_given_noise_makes_the_loss_repeatable(dvae, images):
    shape = dvae.logits(images).shape
    noises = [gumbel_noise(shape, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    losses = [dvae(images, 0.5, 1.0, noise)[0].item() for noise in noises]
    assert losses[0] == losses[1] != losses[2]


# ---- the network ------------------------------------------------------------------------


def test_decode_paints_from_0_to_1_what_the_soft_path_paints_of_one_hot_codes(dvae, images):
    with torch.no_grad():
        dvae.decoder[
            -2 if dvae.config.patch else -1
        ].weight *= 30  # far beyond the range, so that clamping shows
    codes = dvae.encode(images)
    assert codes.shape == (3, 8, 8) and codes.dtype == torch.int64
    painted = dvae.decode(codes)
    assert painted.shape == images.shape
    assert painted.min() == 0 and painted.max() == 1
    one_hot = F.one_hot(codes, 10).movedim(-1, 1).float()
    mu, _ = dvae.decoder(dvae.codebook(one_hot)).chunk(2, dim=1)
    assert torch.allclose(painted, unmap_pixels(torch.sigmoid(mu)), atol=1e-4)


def test_encode_takes_the_likeliest_code(dvae, images):
    assert dvae.encode(images).equal(dvae.logits(images).argmax(1))


def test_loss_is_reconstruction_and_weighted_kl(dvae, images):
    """64 places and 3·16·16 colour values: β weighs the mean KL by 64 / 768 = 1/12."""
    loss, parts = dvae(images, 1.0, 6.6)
    together = parts["reconstruction"] + 6.6 / 12 * parts["kl"]
    assert loss.item() == pytest.approx(together.item(), rel=1e-5)
    assert parts["kl"].item() == pytest.approx(kl_from_uniform(dvae.logits(images)).mean().item())
    assert parts["counts"].equal(dvae.encode(images).flatten().bincount(minlength=10).float())


def test_at_temperature_0_only_the_decoder_learns(dvae, images):
    loss, parts = dvae(images, 0, 1.0)
    loss.backward()
    assert all(p.grad is None for p in dvae.encoder.parameters())
    assert any(p.grad.abs().sum() > 0 for p in dvae.decoder.parameters())
    vectors = dvae.vectors(dvae.encode(images))
    mu, ln_b = dvae.decoder(vectors).chunk(2, dim=1)
    blur = 1.0 if dvae.config.patch else 0.0
    wanted = -logit_laplace(map_pixels(images), mu, ln_b, blur).mean()
    assert parts["reconstruction"].item() == pytest.approx(wanted.item(), rel=1e-5)


def test_the_mean_probability_of_each_code(dvae, images):
    _, parts = dvae(images, 1.0, 1.0)
    wanted = dvae.logits(images).softmax(1).mean((0, 2, 3))
    assert torch.allclose(parts["probabilities"], wanted, atol=1e-6)
    assert parts["probabilities"].requires_grad


def test_blur_equals_the_mean_over_noise():
    d, n = torch.tensor([-3.0, -0.2, 0.0, 0.5, 4.0]).double(), torch.linspace(-8, 8, 4001).double()
    weight = D.Normal(0.0, 1.0).log_prob(n).exp()
    for noise in (0.3, 1.0):
        mean = torch.trapezoid((d[:, None] + noise * n).abs() * weight, n)
        assert torch.allclose(mean_distance(d, noise), mean, atol=1e-5)
    assert mean_distance(d, 0.0).equal(d.abs())


def test_the_patch_encoder_chooses_the_nearest_code(images):
    model = DVAE(PATCH)
    x = model.encoder(map_pixels(images)).flatten(2).transpose(1, 2)  # (B, h·w, code width)
    codes = model.codebook.weight[:, :, 0, 0].T
    assert model.encode(images).flatten(1).equal(torch.cdist(x, codes[None]).argmin(-1))


def test_a_code_sees_little_but_its_own_patch():
    """The 7×7 convolution looks three pixels around the middle, and no block looks farther."""
    model = DVAE(
        DVAEConfig(image_size=32, codebook_size=10, width=8, blocks=2, code_width=6, patch=4)
    )
    images = torch.rand(1, 3, 32, 32, requires_grad=True)
    model.logits(images)[0, :, 4, 4].sum().backward()
    rows, columns = images.grad[0].abs().sum(0).nonzero().T
    assert (
        [int(rows.min()), int(rows.max())] == [int(columns.min()), int(columns.max())] == [13, 19]
    )


def test_codebook_and_encoder_learn_through_the_soft_choice(dvae, images):
    dvae(images, 1.0, 1.0)[0].backward()
    for name, parameter in dvae.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_codebook_use_by_hand():
    assert codebook_use(torch.tensor([1, 1, 1, 1])) == (4, 0)
    assert codebook_use(torch.tensor([9, 0, 0, 0])) == (1, 3)


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 3, 16, 8), (1, 1, 16, 16), (1, 3, 32, 32)])
def test_pictures_of_the_wrong_shape(dvae, shape):
    with pytest.raises(ValueError, match=r"expected pictures \(B, 3, 16, 16\)"):
        dvae.encode(torch.rand(shape))


def test_parameters_of_the_paper():
    with torch.device("meta"):
        paper = DVAE(DVAEConfig())
        codes = paper.logits(torch.rand(1, 3, 256, 256))
    count = {
        name: sum(p.numel() for p in part.parameters()) for name, part in paper.named_children()
    }
    assert count["encoder"] == 53_786_240
    assert count["codebook"] + count["decoder"] == 43_829_766
    assert codes.shape == (1, 8192, 32, 32)
    assert paper.encoder[1].gain == 1 / 64


def test_paper_init_keeps_the_scale():
    layer = DVAE(DVAEConfig(16, 10, 64, groups=2, blocks=1)).encoder[1].path[1]
    assert layer.weight.std().item() == pytest.approx(1 / math.sqrt(64 * 9), rel=0.1)
    assert not layer.bias.any()


# ---- schedules --------------------------------------------------------------------------


def test_half_cosine_is_halfway_at_half_time():
    """τ from 1 to 1/16: 0.531 in the middle (a quarter of a cosine would give 0.725)."""
    tau = [half_cosine(1, 1 / 16, t) for t in (0, 0.5, 1, 2)]
    assert tau == pytest.approx([1, 0.53125, 1 / 16, 1 / 16])
    assert half_cosine(0, 6.6, 0.5) == pytest.approx(3.3)


def test_schedules_depend_on_nothing_but_the_time():
    times = [i / 20 for i in range(21)]
    forwards = [half_cosine(1, 1 / 16, t) for t in times]
    backwards = [half_cosine(1, 1 / 16, t) for t in reversed(times)]
    assert forwards == backwards[::-1] == sorted(forwards, reverse=True)
