"""OpenAI's dVAE: load its two files, and export ours for OpenAI's package."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from minidalle.config import DVAEConfig
from minidalle.dvae import DVAE, ResBlock
from minidalle.openai.pickles import read_foreign
from minidalle.weights import build
from minidalle.words import shown


def load_dvae(encoder: Path, decoder: Path) -> DVAE:
    """OpenAI's dVAE from its two files (encoder.pkl and decoder.pkl), in float32, ready to use.

    Raises ValueError or FileNotFoundError, in one sentence, for any other files.
    """
    theirs = {"encoder": read_foreign(encoder), "decoder": read_foreign(decoder)}
    try:
        config, tensors = _config_of(theirs), {}
        with torch.device("meta"):  # without memory, for the names of its layers
            model = DVAE(config)
        names = {layer: name for name, layer in model.named_modules()}
        for layer, part, name in _layers(model):
            for ours, end in ("weight", "w"), ("bias", "b"):
                tensors[f"{names[layer]}.{ours}"] = theirs[part].pop(f"blocks.{name}.{end}")
        if left := [*theirs["encoder"], *theirs["decoder"]]:
            raise KeyError(left[0])
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        return build(DVAE, config, shapes, tensors.__getitem__)
    except (LookupError, TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise ValueError(
            f"{encoder} and {decoder} are not OpenAI's encoder and decoder ({shown(str(error))})"
        ) from None


def _config_of(theirs: dict[str, dict[str, Tensor]]) -> DVAEConfig:
    """The sizes, from the shapes of the tensors."""
    encoder, decoder = theirs["encoder"], theirs["decoder"]
    return DVAEConfig(
        codebook_size=len(encoder["blocks.output.conv.w"]),
        width=len(encoder["blocks.input.w"]),
        blocks=sum(name.startswith("blocks.group_1.") for name in encoder) // 8,
        code_width=len(decoder["blocks.input.w"]),
    )


def export_dvae(model: DVAE) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """State dicts that the `dall_e` package's Encoder and Decoder load."""
    config = model.config
    if config.patch:
        raise ValueError("OpenAI's package loads only a dVAE built as in the paper")
    states = {"encoder": {}, "decoder": {}}
    for layer, part, name in _layers(model):
        states[part] |= {f"blocks.{name}.w": layer.weight, f"blocks.{name}.b": layer.bias}
    return states["encoder"], states["decoder"]


def _layers(model: DVAE) -> Iterator[tuple[nn.Conv2d, str, str]]:
    """(convolution, "encoder" or "decoder", its name there) for each layer."""
    yield model.encoder[0], "encoder", "input"
    yield model.codebook, "decoder", "input"
    for part, layers in ("encoder", model.encoder), ("decoder", model.decoder):
        for i, block in enumerate(layer for layer in layers if isinstance(layer, ResBlock)):
            group, b = divmod(i, model.config.blocks)
            name = f"group_{group + 1}.block_{b + 1}"
            convolutions = [layer for layer in block.path if isinstance(layer, nn.Conv2d)]
            for k, layer in enumerate(convolutions, 1):
                yield layer, part, f"{name}.res_path.conv_{k}"
            if isinstance(block.skip, nn.Conv2d):  # where the width changes
                yield block.skip, part, f"{name}.id_path"
        yield [layer for layer in layers if isinstance(layer, nn.Conv2d)][-1], part, "output.conv"
