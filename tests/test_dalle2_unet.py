"""The U-Net: against diffusers with the same random weights, and its properties."""

import pytest
import torch
from toys import difference

from minidalle.dalle2.config import UNetConfig
from minidalle.dalle2.unet import UNet, time_features

SMALL = UNetConfig(16, 3, 1, (32, 64), 2, (8,), head_width=16, groups=8, context=24)


def random(model):
    """The model with random values everywhere, also where it begins with zeros."""
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5, generator=generator)
    return model


def test_time_features_by_hand():
    features = time_features(torch.tensor([0, 2]), 4)
    wanted = [[1, 1, 0, 0], [-0.416147, 0.9998, 0.909297, 0.0199987]]
    assert torch.allclose(features, torch.tensor(wanted), atol=1e-5)


@torch.no_grad()
def test_a_new_network_predicts_nothing():
    model = UNet(SMALL)
    x, context = torch.randn(2, 3, 16, 16), torch.randn(2, 5, 24)
    assert model(x, torch.tensor([3, 4]), 0.0, context, x).abs().max() == 0


@torch.no_grad()
def test_every_input_has_an_effect_and_no_picture_on_another():
    model = random(UNet(SMALL))
    generator = torch.Generator().manual_seed(1)
    x, given = torch.randn(2, 2, 3, 16, 16, generator=generator)
    inputs = [x, torch.tensor([3, 900]), torch.randn(2, 128, generator=generator)]
    inputs += [torch.randn(2, 5, 24, generator=generator), given]
    before = model(*inputs)
    assert before.shape == x.shape
    for i, value in enumerate(inputs):
        changed = value.clone()
        changed[1] = changed[1] + 1
        after = model(*inputs[:i], changed, *inputs[i + 1 :])
        assert torch.equal(after[0], before[0]) and not torch.allclose(after[1], before[1])


@torch.no_grad()
def test_patches_are_places_with_more_channels():
    model = random(UNet(UNetConfig(16, 0, 2, (32, 64), 1, (4,), 16, 8)))
    seen = []
    model.enter.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].shape))
    assert model(torch.randn(1, 3, 16, 16), torch.tensor([3])).shape == (1, 3, 16, 16)
    assert seen == [(1, 12, 8, 8)]


# ---- against diffusers ------------------------------------------------------------------


def as_ours(theirs: dict[str, torch.Tensor], ours: UNet) -> dict[str, torch.Tensor]:
    """Their weights under our names: both list blocks in the order in which they are passed."""
    names = {
        "norm1": "norm_1", "norm2": "norm_2", "conv1": "conv_1", "conv2": "conv_2",
        "time_emb_proj": "condition", "conv_shortcut": "skip",
    }  # fmt: skip

    def block(prefix, into):
        for name, value in theirs.items():
            if name.startswith(prefix + "."):
                part, kind = name.removeprefix(prefix + ".").split(".")
                found[f"{into}.block.{names[part]}.{kind}"] = value

    def attention(prefix, into):
        start = prefix + "."
        own = {n.removeprefix(start): v for n, v in theirs.items() if n.startswith(start)}
        for kind in ("weight", "bias"):
            found[f"{into}.norm.{kind}"] = own[f"group_norm.{kind}"]
            found[f"{into}.qkv.{kind}"] = torch.cat([own[f"to_{x}.{kind}"] for x in "qkv"])
            added = [own[f"add_{x}_proj.{kind}"] for x in "kv"]
            found[f"{into}.context.{kind}"] = torch.cat(added)
            found[f"{into}.out.{kind}"] = own[f"to_out.0.{kind}"]

    found = {}
    for side, layers in (("down", ours.down_blocks), ("up", ours.up_blocks)):
        level, number = 0, 0
        for i, layer in enumerate(layers):
            if layer.block.resize != "same":
                block(f"{side}_blocks.{level}.{side}samplers.0", f"{side}_blocks.{i}")
                level, number = level + 1, 0
                continue
            block(f"{side}_blocks.{level}.resnets.{number}", f"{side}_blocks.{i}")
            if layer.attention is not None:
                attention(
                    f"{side}_blocks.{level}.attentions.{number}", f"{side}_blocks.{i}.attention"
                )
            number += 1
    for i in (0, 1):
        block(f"mid_block.resnets.{i}", f"middle_blocks.{i}")
    attention("mid_block.attentions.0", "middle_blocks.0.attention")
    for mine, other in (
        ("time.0", "time_embedding.linear_1"), ("time.2", "time_embedding.linear_2"),
        ("enter", "conv_in"), ("norm", "conv_norm_out"), ("leave", "conv_out"),
    ):  # fmt: skip
        for kind in ("weight", "bias"):
            found[f"{mine}.{kind}"] = theirs[f"{other}.{kind}"]
    return found


@torch.no_grad()
def test_the_unet_of_diffusers(evidence):
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.UNet2DConditionModel(
        sample_size=16, in_channels=6, out_channels=3, layers_per_block=2,
        block_out_channels=(32, 64), norm_num_groups=8, attention_head_dim=16,
        cross_attention_dim=24, resnet_time_scale_shift="scale_shift", class_embed_type="identity",
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
    ).eval()  # fmt: skip
    random(theirs)
    ours = UNet(SMALL)
    ours.load_state_dict(as_ours(theirs.state_dict(), ours))
    generator = torch.Generator().manual_seed(2)
    x, given = torch.randn(2, 2, 3, 16, 16, generator=generator)
    t, condition = torch.tensor([17, 801]), torch.randn(2, 128, generator=generator)
    context = torch.randn(2, 5, 24, generator=generator)
    wanted = theirs(torch.cat([x, given], 1), t, context, class_labels=condition).sample
    worst = difference(ours(x, t, condition, context, given), wanted)
    assert worst < 1e-5
    evidence("U-Net with context", "diffusers 0.42.1, UNet2DConditionModel", len(x), worst)
