"""CLIP against hand-worked numbers, numpy, torch's own attention and the official count."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from minidalle import DATA, weights
from minidalle.clip import (
    CLIP,
    Attention,
    contrastive_loss,
    end_positions,
    features,
    quick_gelu,
    rerank,
    zero_shot,
)
from minidalle.config import CLIPConfig

# V = 20: start-of-text is 20, pads are 21 + position, so `end` is 21.
SMALL = CLIPConfig(
    embed=16,
    image_size=16,
    patch=8,
    vision_width=32,
    vision_depth=2,
    vision_heads=4,
    vocab_size=29,
    end=21,
    text_len=8,
    text_width=32,
    text_depth=2,
    text_heads=4,
)


def frame(*ids):
    """Caption ids → start-of-text, ids, and the pad of every position left; (8,)."""
    return torch.tensor([20, *ids] + list(range(21 + 1 + len(ids), 29)))


@pytest.fixture
def clip():
    torch.manual_seed(0)
    return CLIP(SMALL)


@pytest.fixture
def images():
    return torch.rand(7, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def text():
    rows = [(1, 2, 3), (4,), (5, 6, 7, 8, 9, 1, 2), (1, 2, 4), (), (3, 3), (9, 8, 7)]
    return torch.stack([frame(*row) for row in rows])


def test_quick_gelu_is_its_formula():
    x = torch.linspace(-5, 5, 101)
    assert torch.allclose(quick_gelu(x), x / (1 + torch.exp(-1.702 * x)), atol=1e-6)
    assert quick_gelu(torch.tensor(1.0)).item() == pytest.approx(0.8458, abs=1e-4)


def test_loss_of_two_pairs_by_hand():
    rows = (math.log(1 + math.exp(-2)) + math.log(2)) / 2
    columns = math.log(1 + math.exp(-1))
    loss = contrastive_loss(torch.tensor([[2.0, 0.0], [1.0, 1.0]])).item()
    assert loss == pytest.approx((rows + columns) / 2) == pytest.approx(0.3616, abs=1e-4)


def test_a_picture_without_a_caption_is_a_negative():
    """Rows as above; each column has one more negative, 1 below its partner."""
    rows = (math.log(1 + math.exp(-2)) + math.log(2)) / 2
    columns = math.log(1 + 2 * math.exp(-1))
    loss = contrastive_loss(torch.tensor([[2.0, 0.0], [1.0, 1.0], [1.0, 0.0]])).item()
    assert loss == pytest.approx((rows + columns) / 2)


def test_loss_and_parts_equal_numpy(clip, images, text):
    loss, parts = clip(images, text)
    unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)  # noqa: E731
    picture = unit(clip.encode_image(images).detach().double().numpy())
    caption = unit(clip.encode_text(text).detach().double().numpy())
    logits = picture @ caption.T / 0.07  # the temperature at the start
    rows = np.log(np.exp(logits).sum(1)) - np.diag(logits)
    columns = np.log(np.exp(logits).sum(0)) - np.diag(logits)
    assert loss.item() == pytest.approx((rows.mean() + columns.mean()) / 2, rel=1e-4)
    assert parts["image_to_text"] == pytest.approx(np.mean(logits.argmax(1) == np.arange(7)))
    assert parts["text_to_image"] == pytest.approx(np.mean(logits.argmax(0) == np.arange(7)))
    assert parts["scale"].item() == pytest.approx(1 / 0.07)
    assert not any(part.requires_grad for part in parts.values())


def test_loss_ignores_the_order_of_the_batch(clip, images, text):
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    assert torch.allclose(clip(images, text)[0], clip(images[order], text[order])[0], atol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
def test_attention_equals_torch(causal):
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(32, 4, batch_first=True)
    nn.init.normal_(theirs.in_proj_bias)
    ours = Attention(32, 4, causal)
    ours.load_state_dict(theirs.state_dict())  # same names, same shapes
    x = torch.randn(3, 6, 32)
    mask = torch.ones(6, 6, dtype=torch.bool).triu(1) if causal else None  # True hides a key
    assert torch.allclose(ours(x), theirs(x, x, x, attn_mask=mask)[0], atol=1e-5)


def test_where_a_caption_ends():
    ours = torch.stack([frame(1, 2), frame(), frame(1, 2, 3, 4, 5, 6, 7)])
    assert end_positions(ours, 21).tolist() == [3, 1, 7]  # the last frame is full
    theirs = torch.tensor([[49406, 320, 1125, 49407, 0, 0], [49406, 320, 1, 2, 3, 49407]])
    assert end_positions(theirs, 49407).tolist() == theirs.argmax(1).tolist() == [3, 5]


def test_nothing_after_the_end_counts(clip):
    text = frame(1, 2)[None]
    other = text.clone()
    other[0, 4:] = torch.tensor([5, 28, 0, 21])
    before = clip.encode_text(text)
    assert torch.equal(before, clip.encode_text(other))
    assert torch.allclose(before, clip.encode_text(text[:, :4]), atol=1e-6)
    assert torch.equal(text[0], frame(1, 2))  # the caller's tensor is as it was
    changed = frame(1, 3)[None]
    assert not torch.allclose(before, clip.encode_text(changed), atol=1e-3)


def test_no_position_sees_the_future(clip):
    x = torch.randn(1, 8, 32, requires_grad=True)
    y = clip.transformer(x)
    for t in range(8):
        (grad,) = torch.autograd.grad(y[0, t].sum(), x, retain_graph=True)
        seen = grad[0].abs().sum(1) > 0
        assert seen.tolist() == [s <= t for s in range(8)]


def test_every_weight_and_every_pixel_counts(clip, images, text):
    images.requires_grad_()
    clip(images, text)[0].backward()
    assert (images.grad != 0).all()
    for name, weight in clip.named_parameters():
        assert weight.grad.abs().sum() > 0, name
    used = clip.token_embedding.weight.grad.abs().sum(1) > 0
    expected = {
        i
        for row in text.tolist()
        for i in row[: 1 + next((p for p, token in enumerate(row) if token >= 21), 7)]
    }
    assert set(used.nonzero().flatten().tolist()) == expected


def test_scale_is_clamped_and_can_come_back(clip, images, text):
    nn.init.constant_(clip.logit_scale, 7.0)
    loss, parts = clip(images, text)
    assert parts["scale"].item() == pytest.approx(100, rel=1e-5)
    assert clip.logit_scale.item() == pytest.approx(math.log(100))
    loss.backward()
    assert clip.logit_scale.grad.item() != 0


def test_init_follows_width_and_depth():
    torch.manual_seed(0)
    clip = CLIP(replace(SMALL, text_width=256, text_depth=3))
    for block in clip.transformer.resblocks:
        assert block.attn.in_proj_weight.std().item() == pytest.approx(256**-0.5, rel=0.02)
        assert block.mlp["c_fc"].weight.std().item() == pytest.approx(512**-0.5, rel=0.02)
        out = 256**-0.5 * 6**-0.5
        assert block.attn.out_proj.weight.std().item() == pytest.approx(out, rel=0.02)
        assert block.mlp["c_proj"].weight.std().item() == pytest.approx(out, rel=0.02)


def test_vit_b_32_has_the_official_count_and_names():
    with torch.device("meta"):
        clip = CLIP(CLIPConfig())
    assert sum(weight.numel() for weight in clip.parameters()) == 151_277_313
    shapes = {name: tuple(weight.shape) for name, weight in clip.state_dict().items()}
    assert len(shapes) == 302
    assert shapes["visual.conv1.weight"] == (768, 3, 32, 32)
    assert shapes["visual.positional_embedding"] == (50, 768)
    assert shapes["visual.proj"] == (768, 512)
    assert shapes["visual.transformer.resblocks.11.attn.in_proj_weight"] == (2304, 768)
    assert shapes["transformer.resblocks.0.mlp.c_fc.weight"] == (2048, 512)
    assert shapes["text_projection"] == (512, 512)
    assert shapes["logit_scale"] == ()


@pytest.mark.parametrize("chunk", [1, 3, 7, 256])
def test_rerank_in_chunks_equals_all_at_once(clip, images, text, chunk):
    picture = nn.functional.normalize(clip.encode_image(images), dim=1)
    caption = nn.functional.normalize(clip.encode_text(text[:1]), dim=1)
    cosines = (picture @ caption.T)[:, 0]
    indices, scores = rerank(clip, text[0], images, keep=4, chunk=chunk)
    assert indices.tolist() == cosines.topk(4).indices.tolist()
    assert torch.allclose(scores, cosines.topk(4).values, atol=1e-6)
    assert not scores.requires_grad
    assert torch.equal(rerank(clip, text[:1], images, 4, chunk)[0], indices)  # (1, T) too


@pytest.mark.parametrize("preset", ["tiny", "small", "dalle2"])
def test_a_score_does_not_depend_on_how_many_others_there_are(preset):
    """To the last bit, or ranks could change: matrix products of other sizes round otherwise."""
    clip = weights.load(DATA / preset / "clip.safetensors", CLIP)
    c = clip.config
    torch.manual_seed(0)
    images, text = torch.rand(70, 3, c.image_size, c.image_size), torch.full((c.text_len,), c.end)

    def scores(count: int) -> Tensor:
        order, found = rerank(clip, text, images[:count], count)
        return torch.empty(count).scatter(0, order, found)

    whole = scores(70)
    for count in (1, 2, 7, 31, 32, 33, 64):
        assert scores(count).equal(whole[:count]), count


def test_rerank_leaves_equal_pictures_in_order(clip, images, text):
    same = images[:1].expand(6, -1, -1, -1)
    assert rerank(clip, text[0], same, keep=6, chunk=1)[0].tolist() == [0, 1, 2, 3, 4, 5]


def test_memory_of_rerank_is_bounded_by_the_chunk(clip, images, text):
    sizes = []
    hook = clip.visual.register_forward_hook(lambda _, inputs, output: sizes.append(len(output)))
    rerank(clip, text[0], images, keep=1, chunk=3)
    hook.remove()
    assert sizes == [3, 3, 3]  # always as many, for the same rounding


def test_zero_shot_is_the_softmax_of_scaled_cosines(clip, images, text):
    probabilities = zero_shot(clip, images, text[:3], chunk=2)
    assert probabilities.shape == (7, 3)
    assert torch.allclose(probabilities.sum(1), torch.ones(7))
    cosines = features(clip.encode_image, images) @ features(clip.encode_text, text[:3]).T
    assert torch.allclose(probabilities, (cosines / 0.07).softmax(1), atol=1e-5)


@pytest.mark.parametrize(
    "bad, words",
    [
        (torch.zeros(2, 3, 32, 32), r"in \[0, 1\], got torch.float32 \(2, 3, 32, 32\)"),
        (torch.zeros(2, 4, 16, 16), r"got torch.float32 \(2, 4, 16, 16\)"),
        (torch.zeros(3, 16, 16), r"got torch.float32 \(3, 16, 16\)"),
        (torch.zeros(0, 3, 16, 16), r"got torch.float32 \(0, 3, 16, 16\)"),
        (torch.zeros(2, 3, 16, 16, dtype=torch.uint8), "got torch.uint8"),
        (torch.linspace(-1, 1, 768).view(1, 3, 16, 16), "got values from -1 to 1"),
        (torch.full((1, 3, 16, 16), torch.nan), "got values from nan to nan"),
    ],
)
def test_bad_pictures_get_one_sentence(clip, bad, words):
    with pytest.raises(ValueError, match=r"expected pictures \(B, 3, 16, 16\).*" + words):
        clip.encode_image(bad)


@pytest.mark.parametrize(
    "bad, words",
    [
        (torch.zeros(1, 9, dtype=torch.long), r"got torch.int64 \(1, 9\)"),
        (torch.zeros(8, dtype=torch.long), r"got torch.int64 \(8,\)"),
        (torch.zeros(1, 8), "got torch.float32"),
        (torch.full((1, 8), 29), "got values from 29 to 29"),
        (torch.full((1, 8), -1), "got values from -1 to -1"),
    ],
)
def test_bad_ids_get_one_sentence(clip, bad, words):
    with pytest.raises(ValueError, match=r"expected ids \(B, T ≤ 8\) from 0 to 28, " + words):
        clip.encode_text(bad)


def test_bad_calls_get_one_sentence(clip, images, text):
    with pytest.raises(ValueError, match="expected a picture for each of 7 captions, got 6"):
        clip(images[:6], text)
    for keep in (0, 8):
        with pytest.raises(ValueError, match=f"between 1 and 7 pictures, got {keep}"):
            rerank(clip, text[0], images, keep)
    with pytest.raises(ValueError, match=r"ids of one caption, \(T,\), got \(7, 8\)"):
        rerank(clip, text, images, 1)
    with pytest.raises(ValueError, match="patches of 5 do not tile 16 pixels"):
        CLIP(replace(SMALL, patch=5))
    with pytest.raises(ValueError, match="width 32 is not a multiple of the 5 heads"):
        CLIP(replace(SMALL, text_heads=5))


@pytest.mark.slow
def test_eight_colours_are_learnt_in_a_hundred_steps(clip):
    corners = torch.tensor([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)]).float()
    images = corners[:, :, None, None].expand(8, 3, 16, 16)
    text = torch.stack([frame(1 + i, 9 + i) for i in range(8)])
    optimiser = torch.optim.AdamW(clip.parameters(), lr=1e-3)
    first = clip(images, text)[0].item()
    for _ in range(100):
        loss, parts = clip(images, text)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert first > 1.5 and loss.item() < 0.05
    assert parts["image_to_text"] == parts["text_to_image"] == 1
    assert zero_shot(clip, images, text).argmax(1).tolist() == list(range(8))
