"""OpenAI's dVAE: load its two files, and export ours for OpenAI's package."""

from collections.abc import Iterator
from pathlib import Path

from torch import Tensor, nn

from minidalle.config import DVAEConfig
from minidalle.dvae import DVAE, ResBlock
from minidalle.openai.pickles import read_foreign
from minidalle.weights import build, shapes_of, unfilled
from minidalle.words import shown


def load_dvae(encoder: Path, decoder: Path) -> DVAE:
    """OpenAI's dVAE from its two files (encoder.pkl and decoder.pkl), in float32, ready to use.

    Raises ValueError or FileNotFoundError, in one sentence, for any other files.
    """
    theirs = {f"encoder.{name}": tensor for name, tensor in read_foreign(encoder).items()}
    theirs |= {f"decoder.{name}": tensor for name, tensor in read_foreign(decoder).items()}
    try:
        config, tensors = _config_of(theirs), {}
        model = unfilled(DVAE, config, shapes_of(theirs))
        names = {layer: name for name, layer in model.named_modules()}
        for layer, part, name in _layers(model):
            for ours, end in ("weight", "w"), ("bias", "b"):
                tensors[f"{names[layer]}.{ours}"] = theirs.pop(f"{part}.blocks.{name}.{end}")
        if theirs:
            raise KeyError(next(iter(theirs)))
        return build(DVAE, config, shapes_of(tensors), tensors.__getitem__)
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise ValueError(
            f"{encoder} and {decoder} are not OpenAI's encoder and decoder ({shown(str(error))})"
        ) from None


def _config_of(theirs: dict[str, Tensor]) -> DVAEConfig:
    """The sizes, from the shapes of the tensors."""
    return DVAEConfig(
        codebook_size=len(theirs["encoder.blocks.output.conv.w"]),
        width=len(theirs["encoder.blocks.input.w"]),
        blocks=sum(name.startswith("encoder.blocks.group_1.") for name in theirs) // 8,
        code_width=len(theirs["decoder.blocks.input.w"]),
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
