"""Leaving out what a mask hides changes nothing."""

import pytest
import torch

from minidalle import factored as module
from minidalle.factored import factored
from minidalle.masks import mask_of
from minidalle.transformer import attention

SIZES = [(5, 4, 4, 3), (3, 2, 5, 5), (7, 6, 3, 1), (2, 1, 4, 3)]  # T, h, w, kernel


@pytest.mark.parametrize("kind", ["row", "column", "convolutional", "causal"])
@pytest.mark.parametrize("small", [0, 128])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_it_is_attention_with_the_mask(kind, size, small, monkeypatch):
    monkeypatch.setattr(module, "SMALL", small)
    T, h, w, kernel = size
    chance = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, T + h * w, 8, generator=chance, dtype=torch.float64, requires_grad=True) for _ in "qkv")
    wanted, _ = attention(q, k, v, mask_of(kind, T, h, w, kernel))
    found = factored(q, k, v, kind, T, w, kernel)
    assert torch.allclose(found, wanted, atol=1e-12)
    slopes = [torch.autograd.grad(result.square().sum(), (q, k, v)) for result in (wanted, found)]
    assert all(torch.allclose(a, b, atol=1e-11) for a, b in zip(*slopes))
