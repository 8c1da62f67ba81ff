"""Upsamplers and edits: with networks whose right answer is known."""

import pytest
import torch

from minidalle.dalle2 import decoder as decoder_module
from minidalle.dalle2 import diffusion, edit, upsample
from minidalle.dalle2.config import DecoderConfig, TextConfig, UNetConfig, UpsamplerConfig
from minidalle.dalle2.decoder import Decoder
from minidalle.dalle2.upsample import Upsampler

UNET = UNetConfig(8, 0, 1, (8, 16), 1, (4,), 8, 4, context=12)


def generators(n, seed=0):
    return [torch.Generator().manual_seed(seed + i) for i in range(n)]


@pytest.fixture(scope="module")
def decoder():
    torch.manual_seed(0)
    model = Decoder(DecoderConfig(UNET, TextConfig(27, 20, 6, 16, 1, 2), 8, 2, times=1000))
    for parameter in model.parameters():
        if parameter.abs().max() == 0:
            torch.nn.init.normal_(parameter, std=0.1)
    return model.requires_grad_(False)


TOLD = torch.zeros(2, 8), torch.tensor([[1, 2, 20, 21, 22, 23]] * 2)


@pytest.fixture
def plain(monkeypatch):
    """The exact network for pictures of one grey each, drawn from N(0, 0.4²)."""

    def noise_in(decoder, embedding, text, guidance=1.0):
        def predict(x, t):
            alpha_bar = float(decoder.alpha_bars[t])
            a, b = diffusion.roots(alpha_bar)
            n = x[0].numel()
            mean = x.mean((1, 2, 3), keepdim=True)
            grey = a * mean / (a * a + b * b / n / 0.4**2)
            return diffusion.to_eps("x0", grey.expand_as(x), x, alpha_bar)

        return predict

    for module in (edit, decoder_module):
        monkeypatch.setattr(module, "noise_in", noise_in)


# ---- edits ------------------------------------------------------------------------------


@pytest.mark.parametrize("mask_share", [0.25, 0.75])
def test_the_new_part_agrees_with_the_rest(decoder, plain, mask_share):
    pictures = torch.tensor([0.25, 0.7]).view(2, 1, 1, 1).expand(2, 3, 8, 8).contiguous()
    mask = torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    mask[:, :, : int(8 * mask_share)] = True
    drawn = edit.redraw(decoder, pictures, mask, *TOLD, generators(2), 50, resamples=8)
    assert torch.equal(drawn[:, :, -2:], pictures[:, :, -2:])  # what was kept, to the bit
    assert torch.allclose(drawn, pictures, atol=0.05)


def test_a_picture_survives_inversion(decoder, plain):
    pictures = torch.tensor([0.25, 0.7]).view(2, 1, 1, 1).expand(2, 3, 8, 8).contiguous()
    noise = edit.inverted(decoder, pictures, *TOLD, steps=200)
    back = decoder_module.drawn_from(decoder, noise, *TOLD, steps=200)
    assert torch.allclose(back, pictures, atol=0.01)
    other = decoder_module.drawn_from(decoder, noise, *TOLD, generators(2), steps=20, eta=1.0)
    assert (other - pictures).abs().mean() > 0.05


def test_variations_and_ways_begin_and_end_at_their_pictures(decoder, plain, monkeypatch):
    monkeypatch.setattr(edit.meaning, "look", lambda clip, pictures: torch.randn(len(pictures), 8))
    pictures = torch.tensor([0.6, 0.8]).view(2, 1, 1, 1).expand(2, 3, 8, 8).contiguous()
    way = edit.between(None, decoder, *pictures, count=3, steps=500)
    assert torch.allclose(way[::2], pictures, atol=0.01)
    assert way[1].mean().item() == pytest.approx(0.7, abs=0.02) and way[1].std() < 0.01
    same = edit.variations(None, decoder, pictures[0], generators(2), eta=0.0, steps=500)
    assert torch.allclose(same, pictures[:1].expand(2, -1, -1, -1), atol=0.01)


def test_slerp_keeps_the_length_and_divides_the_angle():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.nn.functional.normalize(torch.randn(2, 5, 16, generator=generator), dim=-1)
    for share in (0.0, 0.3, 1.0):
        c = edit.slerp(a, b, share)
        assert torch.allclose(c.norm(dim=-1), torch.ones(5), atol=1e-5)
        wanted = share * edit.angle_between(a, b)
        assert torch.allclose(edit.angle_between(a, c), wanted, atol=0.1)


def test_a_text_diff_turns_towards_what_was_added():
    generator = torch.Generator().manual_seed(0)
    image, before, after = torch.nn.functional.normalize(
        torch.randn(3, 4, 16, generator=generator), dim=-1
    )
    turned = edit.text_diff(image, before, after, 0.3)
    assert ((turned - image) @ (after - before).T).diagonal().min() > 0
    assert torch.allclose(edit.text_diff(image, before, after, 0.0), image, atol=1e-5)


# ---- upsamplers -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def upsampler():
    torch.manual_seed(0)
    config = UpsamplerConfig(UNetConfig(16, 3, 2, (8, 16), 1, (), 8, 4), factor=2, crop=8)
    return Upsampler(config).requires_grad_(False)


def test_a_large_picture_does_not_depend_on_its_neighbours(upsampler):
    small = torch.rand(2, 3, 8, 8)
    both = upsample.upsample(upsampler, small, generators(2), steps=3)
    one = upsample.upsample(upsampler, small[1:], generators(1, seed=1), steps=3)
    assert both.shape == (2, 3, 16, 16) and torch.allclose(both[1:], one, atol=1e-5)


def test_the_exact_upsampler_draws_the_enlarged_picture(upsampler, monkeypatch):
    """A network that believes the picture it is given draws it, whatever the noise."""
    monkeypatch.setattr(type(upsampler.unet), "forward", lambda self, x, t, given: 0 * given)
    small = torch.rand(2, 3, 8, 8)
    drawn = upsample.upsample(upsampler, small, generators(2), steps=5, eta=1.0)
    assert torch.allclose(drawn, upsample.enlarged(small, 2), atol=1e-5)


def test_a_blur_keeps_the_mean_and_has_its_deviation():
    dot = torch.zeros(2, 3, 15, 15)
    dot[:, :, 7, 7] = 1
    soft = upsample.blurred(dot, torch.tensor([0.0, 0.7]))
    assert torch.equal(soft[0], dot[0])
    assert soft[1].sum() == pytest.approx(3, abs=1e-5)
    across = torch.arange(15.0) - 7
    variance = (soft[1, 0].sum(0) * across**2).sum()
    assert variance == pytest.approx(0.7**2, rel=0.05)


@pytest.mark.parametrize("kind", ["blur", "bsr"])
def test_corruptions_are_slight_and_repeatable(kind):
    small = torch.rand(16, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    spoilt = upsample.corrupted(small, kind, generators(16))
    some = upsample.corrupted(small[4:8], kind, generators(4, seed=4))
    assert torch.allclose(spoilt[4:8], some) and 0.005 < (spoilt - small).abs().mean() < 0.15
    assert spoilt.min() >= 0 and spoilt.max() <= 1


def test_published_sizes_of_the_upsamplers():
    """The paper's table 3 gives 700 M and 300 M."""
    last = UNetConfig(1024, 3, 1, (192, 192, 384, 384, 768, 768), 2, ())
    with torch.device("meta"):
        models = Upsampler(UpsamplerConfig()), Upsampler(UpsamplerConfig(last, 4, "bsr", 256))
    millions = [sum(p.numel() for p in model.parameters()) / 1e6 for model in models]
    assert millions == [pytest.approx(700, rel=0.06), pytest.approx(300, rel=0.07)]
