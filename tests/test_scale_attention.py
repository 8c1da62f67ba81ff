"""Leaving out what a mask hides changes nothing."""

import pytest
import torch

from minidalle.masks import mask_of
from minidalle.scale import attention as module
from minidalle.scale.attention import Pattern, attend, factored
from minidalle.transformer import attention

SIZES = [(5, 4, 4, 3), (3, 2, 5, 5), (7, 6, 3, 1), (2, 1, 4, 3)]  # T, h, w, kernel


@pytest.mark.parametrize("kind", ["row", "column", "convolutional", "causal"])
@pytest.mark.parametrize("at_a_time", [1, 400, 2**21])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_it_is_attention_with_the_mask(kind, size, at_a_time, monkeypatch):
    monkeypatch.setattr(module, "AT_A_TIME", at_a_time)
    T, h, w, kernel = size
    chance = torch.Generator().manual_seed(0)
    q, k, v = (
        torch.randn(2, 3, T + h * w, 8, generator=chance, dtype=torch.float64, requires_grad=True)
        for _ in "qkv"
    )
    wanted = attention(q, k, v, mask_of(kind, T, h, w, kernel))
    found = factored(q, k, v, Pattern(kind, T, w, kernel))
    assert torch.allclose(found, wanted, atol=1e-12)
    gradients = [
        torch.autograd.grad(result.square().sum(), (q, k, v)) for result in (wanted, found)
    ]
    assert all(torch.allclose(a, b, atol=1e-11) for a, b in zip(*gradients))


@pytest.mark.parametrize("side, cut", [(8, False), (12, True)])
def test_only_large_pictures_are_cut(side, cut, monkeypatch):
    calls = []
    monkeypatch.setattr(module, "factored", lambda *asked: calls.append(asked) or factored(*asked))
    q, k, v = torch.randn(3, 1, 2, 4 + side**2, 8, generator=torch.Generator().manual_seed(0))
    mask = mask_of("row", 4, side, side, 3)
    found = attend(q, k, v, mask, Pattern("row", 4, side, 3))
    assert bool(calls) == cut and torch.allclose(found, attention(q, k, v, mask), atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_result_has_the_precision_of_its_inputs(dtype):
    q, k, v = torch.randn(3, 1, 2, 4 + 12**2, 8, dtype=torch.float64)
    mask, pattern = mask_of("row", 4, 12, 12, 3), Pattern("row", 4, 12, 3)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        found = attend(q.to(dtype), k.to(dtype), v.to(dtype), mask, pattern)
    error = (found.double() - attention(q, k, v, mask)).abs().max()
    assert found.dtype == dtype and error < 16 * torch.finfo(dtype).eps


def test_masks_cached_in_inference_can_be_used_in_training():
    q, k, v = torch.randn(3, 1, 2, 4 + 6 * 5, 8, requires_grad=True)
    pattern = Pattern("row", 4, 5, 3)
    module.hidden_in_windows.cache_clear()
    with torch.inference_mode():
        factored(q, k, v, pattern)
    factored(q, k, v, pattern).sum().backward()
