"""The VQGAN: its quantiser by hand, its loss, and the same numbers as the originals'."""

from dataclasses import replace

import pytest
import torch
from toys import difference

from minidalle.dalle_mini.config import PRESETS, VQGANConfig
from minidalle.dalle_mini.discriminator import (
    Discriminator,
    adaptive_weight,
    adversarial_losses,
)
from minidalle.dalle_mini.perceptual import perceptual_distance
from minidalle.dalle_mini.vqgan import VQGAN, distances, straight_through
from minidalle.pipeline import load_pretrained

TINY = PRESETS["tiny"].vqgan


def pictures(count: int = 2, size: int = TINY.image_size) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model() -> VQGAN:
    torch.manual_seed(0)
    return VQGAN(TINY)


# ---- choosing a code --------------------------------------------------------------------


def test_distances_by_hand():
    codebook = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    x = torch.tensor([3.0, 0.0]).view(1, 2, 1, 1)
    assert distances(x, codebook).flatten().tolist() == [9, 16]


def test_the_nearest_code_is_chosen(model):
    x = model.encoder_blocks(pictures())
    places = x.permute(0, 2, 3, 1).flatten(0, 2)
    nearest = torch.cdist(places, model.codebook.weight).argmin(1)
    assert torch.equal(model.encode(pictures()).flatten(), nearest)


def test_the_gradient_jumps_over_the_choice():
    x = torch.tensor([0.9, -2.0], requires_grad=True)
    code = torch.tensor([1.0, 0.0], requires_grad=True)
    y = straight_through(x, code)
    assert torch.equal(y, code)
    (y * torch.tensor([3.0, 5.0])).sum().backward()
    assert x.grad.tolist() == [3, 5] and code.grad is None


# ---- the loss ---------------------------------------------------------------------------


def test_the_loss_is_the_sum_of_its_terms(model):
    loss, parts = model(pictures())
    x = model.encoder_blocks(pictures())
    painted = model.decoder_blocks(model.vectors(model.encode(pictures())))
    apart = (x - model.vectors(model.encode(pictures()))).square().mean()
    wanted = (pictures() - painted).abs().mean() + (1 + TINY.commitment) * apart
    assert torch.allclose(loss, wanted) and parts["counts"].sum() == 2 * TINY.grid**2


def test_which_term_moves_what(model):
    """The code moves to the vector β⁻¹ times as much as the vector to the code."""
    images = pictures()
    x = model.encoder_blocks(images)
    x.retain_grad()
    model.see = lambda images: x
    for parameter in model.decoder_blocks.parameters():  # black: no gradient from the picture
        parameter.data.zero_()
    loss, _ = model(images)
    loss.backward()
    to_vectors = model.codebook.weight.grad.sum(0)
    assert torch.allclose(x.grad.sum((0, 2, 3)), -TINY.commitment * to_vectors, atol=1e-6)


def test_pictures_of_another_shape_are_refused(model):
    with pytest.raises(ValueError, match=r"expected pictures \(B, 3, 32, 32\)"):
        model.encode(pictures(size=16))


def test_without_an_encoder_it_only_decodes(model):
    painter = VQGAN(replace(TINY, encodes=False))
    assert painter.decode(torch.zeros(1, 8, 8, dtype=torch.long)).shape == (1, 3, 32, 32)
    with pytest.raises(ValueError, match="has no encoder"):
        painter.encode(pictures())


# ---- against the originals' code --------------------------------------------------------


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """min-dalle's detokeniser with random weights, and the file of its tensors."""
    detokenizer = pytest.importorskip("min_dalle.models.vqgan_detokenizer")
    torch.set_grad_enabled(True)  # importing it switched gradients off
    torch.manual_seed(0)
    theirs = detokenizer.VQGanDetokenizer().eval()
    for name, parameter in theirs.named_parameters():
        if "norm" in name:
            torch.nn.init.uniform_(parameter, 0.8, 1.2)
    for module in theirs.modules():  # taming-transformers', with which it was trained
        if isinstance(module, torch.nn.GroupNorm):
            module.eps = 1e-6
    path = tmp_path_factory.mktemp("min_dalle") / "detoker.pt"
    torch.save(theirs.state_dict(), path)
    return theirs, path


@pytest.mark.slow
@torch.no_grad()
def test_the_detokenizer_of_min_dalle(published, evidence):
    from minidalle.openai.min_dalle import load_vqgan

    theirs, path = published
    codes = torch.randint(2**14, (2, 4, 4), generator=torch.Generator().manual_seed(0))
    vectors = theirs.embedding(codes).permute(0, 3, 1, 2)
    painted = theirs.decoder(theirs.post_quant_conv(vectors))
    ours = load_vqgan(path)
    worst = difference(ours.decoder_blocks(ours.vectors(codes)), painted)
    assert worst < 1e-5
    evidence("VQGAN, pictures", "min-dalle 0.4.11, VQGanDetokenizer", 2, worst)


def as_taming(theirs) -> dict[str, torch.Tensor]:
    """The tensors of diffusers' VQModel, by the names of taming-transformers."""
    last = len(theirs.config.block_out_channels) - 1
    renamed = {}
    for name, tensor in theirs.state_dict().items():
        for old, new in (
            ("down_blocks.", "down."), ("resnets.", "block."), ("attentions.", "attn."),
            ("downsamplers.0", "downsample"), ("upsamplers.0", "upsample"),
            ("mid_block.block.0", "mid.block_1"), ("mid_block.block.1", "mid.block_2"),
            ("mid_block.attn.0", "mid.attn_1"), ("conv_norm_out", "norm_out"),
            ("conv_shortcut", "nin_shortcut"), ("group_norm", "norm"), ("to_out.0", "proj_out"),
            ("to_q", "q"), ("to_k", "k"), ("to_v", "v"),
        ):  # fmt: skip
            name = name.replace(old, new)
        parts = name.split(".")
        if parts[:2] == ["decoder", "up_blocks"]:  # counted from the coarsest
            parts[1:3] = ["up", str(last - int(parts[2]))]
        if "attn" in name and tensor.ndim == 2:  # a dense layer there, a 1×1 convolution here
            tensor = tensor[:, :, None, None]
        renamed[".".join(parts)] = tensor
    return renamed


@pytest.mark.slow
@torch.no_grad()
def test_the_vqgan_of_diffusers(evidence, tmp_path):
    diffusers = pytest.importorskip("diffusers")
    from minidalle.openai.min_dalle import load_vqgan

    c = VQGANConfig()
    torch.manual_seed(0)
    theirs = diffusers.VQModel(
        down_block_types=["DownEncoderBlock2D"] * 4 + ["AttnDownEncoderBlock2D"],
        up_block_types=["AttnUpDecoderBlock2D"] + ["UpDecoderBlock2D"] * 4,
        block_out_channels=c.widths, layers_per_block=2, latent_channels=256,
        num_vq_embeddings=c.codebook_size, sample_size=256, norm_num_groups=32,
    ).eval()  # fmt: skip
    torch.nn.init.normal_(theirs.quantize.embedding.weight)  # far enough apart for no ties
    torch.save(as_taming(theirs), tmp_path / "vqgan.pt")
    ours, images = load_vqgan(tmp_path / "vqgan.pt").double(), pictures(2, 32).double()
    theirs.double()  # forty layers add up their rounding
    found = theirs.encode(images).latents
    worst = difference(ours.see(images), found)
    codes = theirs.quantize(found)[2][2].view(2, 2, 2)
    assert torch.equal(distances(found, ours.codebook.weight).argmin(1), codes)
    painted = theirs.decode(found).sample
    worst = max(worst, difference(ours.decoder_blocks(ours.vectors(codes)), painted))
    assert worst < 1e-5
    evidence("VQGAN, vectors, codes, pictures", "diffusers 0.42.1, VQModel", 2, worst)


@pytest.mark.slow
def test_other_files_are_refused(published, tmp_path):
    from minidalle.openai.min_dalle import load_vqgan

    state = published[0].state_dict()
    del state["decoder.conv_in.bias"]
    torch.save(state, tmp_path / "detoker.pt")
    with pytest.raises(ValueError, match=r"not the VQGAN with f = 16 .*conv_in\.bias"):
        load_vqgan(tmp_path / "detoker.pt")


# ---- the discriminator ------------------------------------------------------------------


def test_each_side_of_the_contest_moves_only_itself():
    torch.manual_seed(0)
    judge, painted = Discriminator(8), pictures().requires_grad_()
    told, fooled = adversarial_losses(judge, pictures(), painted)
    fooled.backward()
    assert painted.grad.abs().sum() > 0 and all(p.grad is None for p in judge.parameters())
    painted.grad = None
    told.backward()
    assert painted.grad is None and all(p.grad is not None for p in judge.parameters())


def test_the_adversarial_gradient_is_as_large_as_the_other(model):
    last = torch.ones(3, requires_grad=True)
    reconstruction, fooled = (last * torch.tensor([3.0, 0, 4])).sum(), (0.01 * last).sum()
    weight = adaptive_weight(reconstruction, fooled, last)
    wanted = 0.8 * 5 / (0.01 * 3**0.5 + 1e-4)
    assert weight.item() == pytest.approx(wanted, rel=1e-5)


def test_it_is_heard_only_when_asked():
    torch.manual_seed(0)
    model = VQGAN(replace(TINY, discriminator=8))
    for adversarial in (False, True):
        model.zero_grad()
        loss, parts = model(pictures(), adversarial)
        plain = parts["reconstruction"] + (1 + TINY.commitment) * parts["distance"] + parts["told"]
        assert torch.isclose(loss, plain) == (not adversarial)


def test_perceptual_distance_is_zero_for_the_same_picture_only():
    clip = load_pretrained("tiny").clip
    real, other = pictures(), pictures().flip(0)
    assert perceptual_distance(clip, real, real) == 0 < perceptual_distance(clip, real, other)
