"""Sampling against the slow way: no cache, a full forward pass for every code."""

import pytest
import torch
from toys import NULL_TEXT, K, N, T, positions_sent, small_dalle, two_captions

from minidalle.sampling import Cache, choose, complete, sample, uniforms


@pytest.fixture(scope="module")
def model():
    return small_dalle()


@pytest.fixture
def text():
    return two_captions()


# ---- the cache --------------------------------------------------------------------------


@pytest.mark.parametrize("first", [1, 7, 16])
@pytest.mark.parametrize("attention", ["sparse", "dense"])
def test_cached_equals_uncached_at_every_position(attention, first, text):
    """The first few positions at once, the others one by one."""
    model, codes = small_dalle(attention), torch.randint(K, (4, N))
    wanted = model.hidden(text.repeat_interleave(2, 0), codes)[:, T:]
    cache, inputs = Cache(model, text, 2), model.embed_image(codes)
    found = [cache.append(inputs[:, :first])]
    found += [cache.append(inputs[:, p : p + 1]) for p in range(first, N)]
    for p, here in enumerate(model.norm(torch.cat(found, 1)).unbind(1)):
        assert torch.allclose(here, wanted[:, p], atol=1e-4), f"position {p}"


def test_every_position_goes_through_once(model, text):
    """Text and image positions once for each picture, and once more without the caption."""
    once = 2 * 5 * (T + N)
    assert positions_sent(model, lambda: sample(model, text, 5)) == once
    codes = torch.zeros(10, N, dtype=torch.long)
    assert positions_sent(model, lambda: complete(model, text, codes, (2, 1))) == once
    guided = lambda: sample(model, text, 5, guidance=3.0, null_text=NULL_TEXT)  # noqa: E731
    assert positions_sent(model, guided) == 2 * once


# ---- guidance ---------------------------------------------------------------------------


def greedy_without_cache(model, text, guidance):
    """The likeliest code at each place, from two whole forward passes per code."""
    codes, null_text = torch.zeros(len(text), 0, dtype=torch.long), NULL_TEXT.expand(len(text), -1)
    for _ in range(N):
        told, untold = (model.logits(t, codes)[1][:, -1] for t in (text, null_text))
        best = (untold + guidance * (told - untold)).argmax(-1)
        codes = torch.cat([codes, best[:, None]], 1)
    return codes


@pytest.mark.parametrize("guidance", [0.0, 1.0, 3.0])
def test_guidance_equals_two_forward_passes(model, text, guidance):
    drawn = sample(model, text, temperature=0, guidance=guidance, null_text=NULL_TEXT)
    assert drawn.equal(greedy_without_cache(model, text, guidance))


def test_guidance_matters_after_the_first_code_and_leaves_its_inputs_alone(model, text):
    said, null_text = text.clone(), NULL_TEXT.clone()
    codes = torch.randint(K, (2, N))
    given = codes.clone()
    # The first row of the grid is kept, so every difference lies after the first code.
    plain = complete(model, text, codes, (1, 0))
    guided = complete(model, text, codes, (1, 0), guidance=40.0, null_text=null_text)
    changed = (plain != guided).any(0)
    assert changed[4:].any() and changed[-4:].any()
    assert text.equal(said) and null_text.equal(NULL_TEXT) and codes.equal(given)


def test_guidance_towards_the_same_caption_changes_nothing(model):
    empty = NULL_TEXT[None]
    guided = sample(model, empty, num_samples=3, guidance=5.0, null_text=NULL_TEXT)
    assert guided.equal(sample(model, empty, num_samples=3))


# ---- choosing a code --------------------------------------------------------------------


def test_choose_by_hand():
    logits = torch.tensor([0.2, 0.5, 0.3]).log().expand(4, -1)
    u = torch.tensor([0.1, 0.49, 0.6, 0.9])  # laid end to end, the codes begin at 0, 0.2, 0.7
    assert choose(logits, u).tolist() == [0, 1, 1, 2]
    assert choose(logits, u, top_k=1).tolist() == [1, 1, 1, 1]
    assert choose(logits, u, top_k=2).tolist() == [1, 1, 1, 2]  # 2 begins at 0.5 / 0.8 = 0.625
    assert choose(logits, u, temperature=0).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(
    "top_p, kept",
    [
        (0.45, {1}),
        (0.55, {1, 2}),
        (0.75, {1, 2}),
        (0.85, {0, 1, 2}),
        (0.99, {0, 1, 2, 3}),
        (1, {0, 1, 2, 3}),
    ],
)
def test_top_p_keeps_the_smallest_set_that_reaches_p(top_p, kept):
    logits = torch.tensor([0.15, 0.5, 0.3, 0.05]).log().expand(1000, -1)
    u = torch.arange(1000, dtype=torch.float64) / 1000
    assert set(choose(logits, u, top_p=top_p).tolist()) == kept


def test_a_tiny_temperature_equals_temperature_0():
    logits = torch.tensor([[3.0, -2.0, 3.5]])
    assert choose(logits, torch.tensor([0.5]), 1e-310).tolist() == [2]


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_codes_are_as_frequent_as_softmax_says(temperature):
    logits, n = torch.randn(8), 20_000
    u = torch.rand(n, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    counts = choose(logits.expand(n, -1), u, temperature).bincount(minlength=8)
    expected = n * (logits / temperature).softmax(-1)
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < 24.3  # 7 degrees of freedom, p = 0.001


def test_top_k_counts_image_codes(model, text):
    greedy = sample(model, text, temperature=0)
    assert sample(model, text, top_k=1).equal(greedy)
    assert sample(model, text, top_k=K).equal(sample(model, text))
    assert not sample(model, text, top_k=3).equal(sample(model, text))


# ---- seeds ------------------------------------------------------------------------------


def test_candidate_i_is_the_same_in_any_batch(model, text):
    caption = text[:1]
    eight = sample(model, caption, num_samples=8, seed=3)
    assert sample(model, caption, num_samples=1, seed=3).equal(eight[:1])
    assert sample(model, caption, num_samples=3, seed=3).equal(eight[:3])
    assert sample(model, caption, num_samples=3, seed=3, first=5).equal(eight[5:])
    assert len(set(map(tuple, eight.tolist()))) == 8


def test_seeds_differ_and_repeat(model, text):
    first, again, other = (sample(model, text, num_samples=2, seed=seed) for seed in (1, 1, 2))
    assert first.equal(again)
    assert (first != other).any(1).all()
    assert not uniforms(1, 0, 2, N).equal(uniforms(2, 0, 2, N))


def test_the_models_own_pictures_can_be_trained_on(text):
    model = small_dalle().requires_grad_(True)
    loss, _ = model(text, sample(model, text))
    loss.backward()


# ---- completion -------------------------------------------------------------------------


@pytest.mark.parametrize("box", [(0, 0), (2, 0), (0, 3), (1, 2), (3, 3)])
def test_complete_changes_only_what_lies_in_the_box(model, text, box):
    codes = torch.randint(K, (6, N))
    drawn = complete(model, text, codes, box, seed=5)
    changed = (drawn != codes).any(0).view(4, 4)
    inside = torch.zeros(4, 4, dtype=torch.bool)
    inside[box[0] :, box[1] :] = True
    assert not changed[~inside].any()
    assert changed[inside].float().mean() > 0.7


def test_complete_sees_what_is_kept_below_left_of_the_box(model, text):
    codes = torch.zeros(2, N, dtype=torch.long)
    other = codes.clone()
    other[:, 12] = 5  # the bottom left corner comes before the last three codes only
    drawn, redrawn = (complete(model, text, c, (0, 1), temperature=0) for c in (codes, other))
    assert drawn[:, :12].equal(redrawn[:, :12])
    logits = model.logits(text, redrawn)[1]
    assert redrawn[:, 13:].equal(logits.argmax(-1)[:, 13:])


@pytest.mark.parametrize("how, sentence", [
    ({"box": (4, 0)}, "box must begin inside the 4×4 grid"),
    ({"box": (0, -1)}, "box must begin inside the 4×4 grid"),
    ({"temperature": -1}, "temperature must be 0 or more"),
    ({"temperature": float("nan")}, "temperature must be 0 or more"),
    ({"top_k": 0}, "top-k must be from 1 to 12 image codes"),
    ({"top_k": 13}, "top-k must be from 1 to 12 image codes"),
    ({"top_p": 0}, "top-p must be over 0"),
    ({"guidance": 1e39}, "guidance must be from 0 to 1e\\+06"),
    ({"guidance": float("nan")}, "guidance must be from 0"),
    ({"guidance": 2.0}, "guidance needs `null_text`"),
])  # fmt: skip
def test_bad_arguments(model, text, how, sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        complete(model, text, torch.zeros(2, N, dtype=torch.long), **how)
    assert "\n" not in str(error.value)


def test_codes_of_the_wrong_shape(model, text):
    for shape in [(3, N), (2, N - 1)]:
        with pytest.raises(ValueError, match="expected codes"):
            complete(model, text, torch.zeros(shape, dtype=torch.long))
