"""The single stream: who depends on whom, by gradients, and the loss, by hand."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minidalle.config import DALLEConfig, TrainConfig
from minidalle.masks import row_mask
from minidalle.optimizers import make_optimizers
from minidalle.transformer import DALLE, attention, attention_weights

# V = 10, start-of-text is 10, pads are 10 + 1 + position; layers: row, column, convolutional.
SMALL = DALLEConfig(
    vocab_size=10, text_len=5, codebook_size=7, grid=4, width=16, depth=3, heads=2, kernel=3
)
T, N = 5, 16
S = T + N


@pytest.fixture(params=["sparse", "dense"])
def model(request):
    model = DALLE(replace(SMALL, attention=request.param))
    for parameter in model.parameters():  # far from the init, so that nothing is nearly zero
        nn.init.normal_(parameter, std=0.4)
    return model


@pytest.fixture
def tokens():
    """Three framed captions, of 3, 1 and 0 words, and their codes."""
    text = torch.tensor([[10, 1, 2, 3, 15], [10, 4, 13, 14, 15], [10, 12, 13, 14, 15]])
    return text, torch.randint(7, (3, N))


def depends(x, y):
    """Which positions of y (1, S, D) have a gradient at which of x (1, S, D): bool (S, S)."""
    direction = torch.randn(y.shape[2])
    return torch.stack(
        [
            torch.autograd.grad((y[0, i] * direction).sum(), x, retain_graph=True)[0][0]
            .abs()
            .sum(1)
            > 0
            for i in range(y.shape[1])
        ]
    )


def test_a_layer_depends_on_exactly_what_its_mask_shows(model):
    for layer, block in enumerate(model.blocks):
        x = torch.randn(1, S, 16, requires_grad=True)
        assert depends(x, block(x, model.mask(layer))).equal(model.mask(layer)), model.kinds[layer]


def test_no_position_depends_on_the_future_through_all_layers(model, tokens):
    text, image = tokens
    seen = []
    model.blocks[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    y = model.hidden(text[:1], image[:1])
    reach = depends(seen[0], y)
    assert not reach.triu(1).any()
    assert reach[T:, :T].all(), "an image position does not know all the text"
    assert not reach[:T, T:].any(), "text knows the picture"


def test_logits_change_only_after_the_token_that_changed(model, tokens):
    text, image = (part[:1] for part in tokens)
    words, codes = model.logits(text, image)
    for j in range(T):  # token j is the input of position j, which predicts token j + 1
        other = text.clone()
        other[0, j] = (text[0, j] + 1) % SMALL.text_vocab_size
        new_words, new_codes = model.logits(other, image)
        changed = (new_words != words).any(-1)[0].tolist()
        assert changed == [i >= j for i in range(T - 1)]
        assert (new_codes != codes).any(-1).all()
    for j in range(N):  # code j is the input of image position j + 1, which predicts code j + 1
        other = image.clone()
        other[0, j] = (image[0, j] + 1) % 7
        new_words, new_codes = model.logits(text, other)
        assert new_words.equal(words)
        assert new_codes[:, : j + 1].equal(codes[:, : j + 1])
        assert j == N - 1 or not new_codes[:, j + 1].equal(codes[:, j + 1])


def test_readable_attention_equals_the_fast_kernel():
    q, k, v = torch.randn(3, 2, 4, S, 8)
    mask = row_mask(T, 4, 4)
    mixed, weights = attention(q, k, v, mask), attention_weights(q, k, mask)
    assert torch.allclose(mixed, F.scaled_dot_product_attention(q, k, v, attn_mask=mask), atol=1e-6)
    assert torch.allclose(weights.sum(-1), torch.ones(2, 4, S)) and not weights[..., ~mask].any()


def test_loss_is_an_eighth_text_and_seven_eighths_image(model, tokens):
    text, image = tokens
    loss, parts = model(text, image)
    words, codes = (part.double().log_softmax(-1) for part in model.logits(text, image))
    text_loss = -sum(words[b, t, text[b, t + 1]] for b in range(3) for t in range(T - 1)) / (3 * 4)
    image_loss = -sum(codes[b, n, image[b, n]] for b in range(3) for n in range(N)) / (3 * N)
    assert parts["text"].item() == pytest.approx(text_loss.item(), rel=1e-5)
    assert parts["image"].item() == pytest.approx(image_loss.item(), rel=1e-5)
    assert loss.item() == pytest.approx((text_loss / 8 + 7 / 8 * image_loss).item(), rel=1e-5)


def test_pads_are_learned_as_inputs_and_as_targets(model, tokens):
    text, image = (part[2:] for part in tokens)  # the empty caption: start, then only pads
    loss, parts = model(text, image)
    loss.backward()
    assert parts["text"] > 0
    assert model.text_embedding.weight.grad[12:16].abs().sum(1).all(), "a pad has no gradient"
    assert model.text_head.weight.grad[12:16].abs().sum(1).all(), "a pad is never predicted"


def test_two_heads_and_no_joint_vocabulary(model, tokens):
    words, codes = model.logits(*tokens)
    assert words.shape == (3, T - 1, 10 + 1 + T)
    assert codes.shape == (3, N, 7)


def test_a_part_of_the_picture_gives_the_logits_of_that_part(model, tokens):
    text, image = tokens
    assert torch.allclose(
        model.logits(text, image[:, :6])[1], model.logits(text, image)[1][:, :7], atol=1e-5
    )


def test_text_of_the_wrong_length():
    with pytest.raises(ValueError, match="expected 5 text tokens, got 4"):
        DALLE(SMALL).embed_text(torch.zeros(1, 4, dtype=torch.long))


def test_twelve_billion_parameters():
    """Counted by hand, and from a model that has shapes but no memory."""
    D, V, K = 3968, 16384 + 1 + 256, 8192
    block = 3 * D * D + 3 * D + D * D + D + 8 * D * D + 5 * D + 4 * D
    embeddings = (V + 256 + K + 32 + 32 + 1) * D
    total = 64 * block + embeddings + 2 * D + (D + 1) * (V + K)
    with torch.device("meta"):
        paper = DALLE(DALLEConfig())
    assert sum(p.numel() for p in paper.parameters()) == total == 12_293_860_993


def test_init_and_weight_decay_follow_the_table():
    model = DALLE(DALLEConfig(100, 8, 64, 4, width=64, depth=2, heads=2, kernel=3))
    [adamw] = make_optimizers(model, TrainConfig(10, 1, lr=1e-3, weight_decay=0.1))
    groups = adamw.param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    for name, parameter in model.named_parameters():
        is_linear = name.endswith("weight") and "norm" not in name
        is_linear &= not name.startswith(
            ("text_embedding", "text_position", "code", "row", "column")
        )
        assert decay[id(parameter)] == (0.1 if is_linear else 0), name
        if name.endswith("bias"):
            assert not parameter.any(), name
        elif "norm" in name:
            assert (parameter == 1).all(), name
        else:
            last = name.endswith(("out.weight", "down.weight"))
            std = 1 / math.sqrt(64) / (math.sqrt(4) if last else 1)
            assert parameter.std().item() == pytest.approx(
                std, rel=0.3 if "start" in name else 0.15
            ), name
