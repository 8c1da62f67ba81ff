"""What a student's own package must do, whatever its names: see adapters.py."""

import math
from itertools import product

import adapters
import pytest
import torch
import torch.nn.functional as F

GENERATOR = torch.Generator()


def randn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=GENERATOR.manual_seed(sum(shape)))


# ---- a1 ---------------------------------------------------------------------------------


@pytest.mark.a1
def test_an_encoding_is_reversible_and_short():
    texts = ["a red star above a blue star", "a blue circle", "two red circles"] * 5
    encode, decode = adapters.train_bpe(texts, 300)
    for text in [*texts, "naïve 🐙", "", "  two  spaces "]:
        assert decode(encode(text)) == text
        assert all(0 <= token < 300 for token in encode(text))
    assert len(encode(texts[0])) < len(texts[0]) / 3


# ---- a2 ---------------------------------------------------------------------------------


@pytest.mark.a2
@pytest.mark.parametrize("mu, ln_b", [(0.0, 0.0), (1.5, -1.0), (-2.0, 0.5)])
def test_a_density_integrates_to_one(mu, ln_b):
    x = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    density = adapters.logit_laplace(x, torch.tensor(mu).double(), torch.tensor(ln_b).double())
    assert density.exp().mean() == pytest.approx(1, abs=2e-3)


@pytest.mark.a2
def test_the_divergence_of_a_batch_of_copies_is_that_of_one():
    logits = randn(1, 5, 2, 3)
    shares = logits.softmax(1).movedim(1, -1).reshape(-1, 5)  # of the codes, a row for each place
    expected = sum(math.log(5) + float((p * p.log()).sum()) for p in shares)
    divergence = adapters.kl_from_uniform(logits.repeat(4, 1, 1, 1))
    assert torch.allclose(divergence, torch.full((4,), expected), atol=1e-4)


@pytest.mark.a2
def test_a_soft_choice_sharpens_towards_the_noisy_maximum():
    logits, noise = randn(2, 5, 2, 3), randn(2, 5, 3, 2).reshape(2, 5, 2, 3)
    for temperature in (2.0, 0.5, 0.01):
        soft = adapters.gumbel_softmax(logits, temperature, noise)
        assert torch.allclose(soft.sum(1), torch.ones(2, 2, 3), atol=1e-5)
        assert torch.equal(soft.argmax(1), (logits + noise).argmax(1))
    assert soft.amax(1).min() > 0.99


# ---- a3 ---------------------------------------------------------------------------------


def sees(kind: str, query: tuple[int, int], key: tuple[int, int], width: int, kernel: int):
    """Paper, figure 11: does a code at (row, column) see an earlier one, or itself?

    None where it depends on whether the kernel wraps round at the edges, which the paper leaves
    open.
    """
    back = (query[0] - key[0]) * width + query[1] - key[1]
    if back < 0:
        return False
    if kind == "row":
        return back <= width
    if kind == "column":
        return query[1] == key[1]
    near = (kernel - 1) // 2
    inside = query[0] - key[0] <= near and abs(query[1] - key[1]) <= near
    wrapped = {r * width + c for r in range(near + 1) for c in range(-near, near + 1)}
    return True if inside else None if back in wrapped else False


@pytest.mark.a3
@pytest.mark.parametrize("kind", ["row", "column", "convolutional"])
def test_who_sees_whom(kind):
    T, height, width, kernel = 3, 4, 5, 5
    mask, cells = adapters.mask(kind, T, height, width, kernel), list(product(range(4), range(5)))
    assert mask.shape == (T + 20, T + 20) and mask.dtype == torch.bool
    assert torch.equal(mask[:T, :T], torch.ones(T, T).tril().bool()) and not mask[:T, T:].any()
    assert mask[T:, :T].all()
    for (i, query), (j, key) in product(enumerate(cells), repeat=2):
        right = sees(kind, query, key, width, kernel)
        assert right is None or mask[T + i, T + j] == right, (query, key)


@pytest.mark.a3
def test_attention():
    q, k, v = randn(3, 2, 3, 6, 4)
    mask = torch.ones(6, 6).tril().bool()
    right = F.scaled_dot_product_attention(q, k, v, mask)
    assert torch.allclose(adapters.attention(q, k, v, mask), right, atol=1e-5)


# ---- a4 ---------------------------------------------------------------------------------


@pytest.fixture
def built():
    torch.manual_seed(0)
    text = torch.randint(1, 20, (4, 5), generator=GENERATOR.manual_seed(1))
    return adapters.model(20, 5, 11, 3, 32, 2), text, torch.randint(11, (4, 9), generator=GENERATOR)


@pytest.mark.a4
def test_a_new_model_knows_nothing(built):
    model, text, image = built
    loss = model(text, image)[0].item()
    assert math.log(11) * 0.9 < loss < math.log(20) * 1.1


@pytest.mark.a4
def test_no_code_sees_itself_or_what_follows(built):
    model, text, image = built
    logits = model.logits(text, image)[1]
    for n in range(9):
        changed = image.clone()
        changed[:, n] = (changed[:, n] + 1) % 11
        other = model.logits(text, changed)[1]
        assert torch.allclose(other[:, : n + 1], logits[:, : n + 1], atol=1e-5)
    other = model.logits(text.roll(1, 0), image)[1]
    assert not torch.allclose(other[:, 0], logits[:, 0], atol=1e-5), "the text is not seen"


@pytest.mark.a4
def test_it_learns_a_batch_by_heart(built):
    model, text, image = built
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(150):
        loss = model(text, image)[0]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    codes = model.logits(text, image)[1].argmax(-1)
    assert (codes == image).float().mean() > 0.95


# ---- a5 ---------------------------------------------------------------------------------


@pytest.mark.a5
def test_a_code_is_the_first_whose_cumulative_share_exceeds_u():
    logits = torch.tensor([[0.5, 0.3, 0.2]]).log()

    def chosen(u: float, **how) -> int:
        return int(adapters.choose(logits, torch.tensor([u]), **how))

    assert [chosen(u) for u in (0.1, 0.49, 0.51, 0.79, 0.81)] == [0, 0, 1, 1, 2]
    assert chosen(0.99, top_k=1) == 0 and chosen(0.61, top_k=2) == 0 and chosen(0.63, top_k=2) == 1
    assert chosen(0.99, top_p=0.5) == 0 and chosen(0.99, top_p=0.6) == 1
    assert chosen(0.99, temperature=0.01) == 0
    warm = torch.tensor([0.5, 0.3, 0.2]) ** 0.5  # temperature 2
    assert chosen(float(warm[0] / warm.sum()) + 1e-3, temperature=2.0) == 1


# ---- a6 ---------------------------------------------------------------------------------


@pytest.mark.a6
def test_the_contrastive_loss_goes_both_ways():
    pictures, captions, scale = randn(4, 8), randn(8, 4).T, torch.tensor(5.0)
    cosines = F.cosine_similarity(pictures[:, None], captions[None], dim=-1) * scale
    ways = [-(cosines.diag() - cosines.logsumexp(way)).mean() for way in (0, 1)]
    loss = adapters.contrastive_loss(pictures, captions, scale)
    assert float(loss) == pytest.approx(float(sum(ways)) / 2, abs=1e-5)
    assert float(adapters.contrastive_loss(3 * pictures, captions, scale)) == pytest.approx(
        float(loss), abs=1e-5
    )


# ---- a7 ---------------------------------------------------------------------------------


@pytest.mark.a7
def test_a_schedule_destroys_evenly_and_leaves_something():
    bars = torch.as_tensor(adapters.alpha_bars(1000)).double()
    assert bars.shape == (1000,) and (bars.diff() < 0).all()
    assert bars[0] > 0.9999 and 0 < bars[-1] < 1e-5
    assert float(bars[499]) == pytest.approx(math.cos(0.508 / 1.008 * math.pi / 2) ** 2, abs=1e-3)


@pytest.mark.a7
@pytest.mark.parametrize("alpha_bar", [0.1, 0.64, 0.98])
def test_each_prediction_is_a_picture_and_noise(alpha_bar):
    x0, eps = randn(2, 3, 4), randn(3, 2, 4).reshape(2, 3, 4)
    a, b = math.sqrt(alpha_bar), math.sqrt(1 - alpha_bar)
    x = a * x0 + b * eps
    for kind, predicted in (("eps", eps), ("x0", x0), ("v", a * eps - b * x0)):
        picture, noise = adapters.to_x0_and_eps(kind, predicted, x, alpha_bar)
        assert torch.allclose(picture, x0, atol=1e-4) and torch.allclose(noise, eps, atol=1e-4)


@pytest.mark.a7
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_a_step_has_the_variance_of_the_time_where_it_ends(eta):
    x0, eps, fresh = torch.eye(3)[:, None]
    t, s = 0.36, 0.84
    stepped = adapters.ddim_step(0.6 * x0 + 0.8 * eps, eps, t, s, eta, fresh)
    picture, old, new = stepped[0].tolist()
    assert picture == pytest.approx(math.sqrt(s)) and old**2 + new**2 == pytest.approx(1 - s)
    assert new == pytest.approx(eta * math.sqrt((1 - s) / (1 - t) * (1 - t / s)), abs=1e-6)
    last = adapters.ddim_step(0.6 * x0 + 0.8 * eps, eps, t, 1.0, eta, fresh)
    assert torch.allclose(last, x0, atol=1e-6)


@pytest.mark.a7
def test_noise_put_back_makes_the_noise_of_the_later_time():
    x0, eps, fresh = torch.eye(3)[:, None]
    s, t = 0.84, 0.36
    again = adapters.renoise(math.sqrt(s) * x0 + math.sqrt(1 - s) * eps, fresh, s, t)
    picture, old, new = again[0].tolist()
    assert picture == pytest.approx(math.sqrt(t)) and old**2 + new**2 == pytest.approx(1 - t)
