"""DALL·E Mini's weights, as published for min-dalle (Kuprel 2022): three files of tensors.

Its names are BART's and taming-transformers'. Two things in these files are of no use and left
out: the gains of norms before dense layers, which are all 1, since DALL·E Mini has none; and the
rows of codes that no picture has (31 in mega, and of the head also that of the start token).
"""

import re
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from minidalle.dalle_mini.config import Seq2SeqConfig, VQGANConfig
from minidalle.dalle_mini.seq2seq import Seq2Seq
from minidalle.dalle_mini.vqgan import VQGAN
from minidalle.openai.pickles import read_foreign
from minidalle.weights import build, shapes_of, unfilled
from minidalle.words import shown

HEAD_WIDTH = 64  # channels of a head, in both sizes
WORDS = (  # of min-dalle's names, and ours; the longer ones first
    ("pre_encoder_attn_layer_norm", "to_caption.norm_before"),
    ("pre_self_attn_layer_norm", "attention.norm_before"),
    ("encoder_attn_layer_norm", "to_caption.norm_after"),
    ("self_attn_layer_norm", "attention.norm_after"),
    ("encoder_attn", "to_caption"),
    ("self_attn", "attention"),
    ("_proj", ""),
    ("glu.ln0", "glu.norm_before"),
    ("glu.ln1", "glu.norm_hidden"),
    ("glu.fc0", "glu.gate"),
    ("glu.fc1", "glu.up"),
    ("glu.fc2", "glu.down"),
)
ENCODER = {
    "embed_tokens": "text_embedding",
    "embed_positions": "text_position",
    "layernorm_embedding": "text_norm_embedding",
    "final_ln": "text_norm",
    "layers": "text_blocks",
}
DECODER = {
    "embed_tokens": "code_embedding",
    "embed_positions": "position",
    "layernorm_embedding": "norm_embedding",
    "final_ln": "norm",
    "layers": "blocks",
    "lm_head": "image_head",
}


def load_mini(encoder: Path, decoder: Path, codebook_size: int = 16384) -> Seq2Seq:
    """DALL·E Mini or Mega from its two files (encoder_mini.pt, decoder_mini.pt), in float32.

    codebook_size: of the VQGAN, K. Raises ValueError or FileNotFoundError, in one sentence, for any
    other files.
    """
    theirs = (read_foreign(encoder), ENCODER), (read_foreign(decoder), DECODER)
    try:
        tensors = {
            _renamed(name, names): tensor
            for found, names in theirs
            for name, tensor in found.items()
        }
        for name in [name for name in tensors if re.search(r"norm_(before|hidden)\.weight$", name)]:
            if not (tensors.pop(name) == 1).all():
                raise ValueError(f"{name} is not all 1")
        codes, head = tensors["code_embedding.weight"], tensors["image_head.weight"]
        tensors["code_embedding.weight"] = torch.cat([codes[:codebook_size], codes[-1:]])
        tensors["image_head.weight"] = head[:codebook_size]
        config = _config_of(tensors, codebook_size)
        return build(Seq2Seq, config, shapes_of(tensors), tensors.__getitem__)
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise ValueError(
            f"{encoder} and {decoder} are not DALL·E Mini's encoder and decoder "
            f"({shown(str(error))})"
        ) from None


def _renamed(name: str, names: dict[str, str]) -> str:
    """ "layers.3.glu.fc0.weight" → "blocks.3.glu.gate.weight"."""
    first, rest = name.split(".", 1)
    for word, ours in WORDS:
        if word in rest:
            rest = rest.replace(word, ours)
    return f"{names[first]}.{rest}"


def _config_of(tensors: dict[str, Tensor], codebook_size: int) -> Seq2SeqConfig:
    """The sizes, from the shapes of the tensors."""
    vocab_size, width = tensors["text_embedding.weight"].shape
    return Seq2SeqConfig(
        vocab_size=vocab_size,
        text_len=len(tensors["text_position.weight"]),
        codebook_size=codebook_size,
        grid=round(len(tensors["position.weight"]) ** 0.5),
        width=width,
        depth=sum(name.endswith("to_caption.q.weight") for name in tensors),
        heads=max(1, width // HEAD_WIDTH),
        hidden=len(tensors["blocks.0.glu.gate.weight"]),
    )


def load_vqgan(path: Path) -> VQGAN:
    """The published VQGAN with f = 16: min-dalle's detoker.pt, or one with its encoder as well.

    Raises ValueError or FileNotFoundError, in one sentence, for any other file.
    """
    theirs = read_foreign(path)
    try:
        if "embedding.weight" in theirs:  # min-dalle's name
            theirs["quantize.embedding.weight"] = theirs.pop("embedding.weight")
        K, E = theirs["quantize.embedding.weight"].shape
        config = VQGANConfig(codebook_size=K, code_width=E, encodes="quant_conv.weight" in theirs)
        model = unfilled(VQGAN, config, shapes_of(theirs))
        tensors = {ours: theirs.pop(name) for ours, name in _vqgan_names(model)}
        if theirs:
            raise KeyError(next(iter(theirs)))
        return build(VQGAN, config, shapes_of(tensors), tensors.__getitem__)
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise ValueError(f"{path} is not the VQGAN with f = 16 ({shown(str(error))})") from None


INSIDE = {  # a layer's parts: ours, theirs
    "norm_1": "norm1", "norm_2": "norm2", "conv_1": "conv1", "conv_2": "conv2",
    "skip": "nin_shortcut", "out": "proj_out",
}  # fmt: skip


def _vqgan_names(model: VQGAN) -> Iterator[tuple[str, str]]:
    """(our name, their name) of every tensor."""
    yield "codebook.weight", "quantize.embedding.weight"
    sides = [("decoder", model.decoder_blocks, _decoder_layers(model.config))]
    if model.encoder_blocks is not None:
        sides.append(("encoder", model.encoder_blocks, _encoder_layers(model.config)))
    for side, network, theirs in sides:
        with_tensors = [name for name, layer in network.named_children() if layer.state_dict()]
        for name, their_layer in zip(with_tensors, theirs, strict=True):
            for tensor in network.get_submodule(name).state_dict():
                parts = [INSIDE.get(part, part) for part in tensor.split(".")]
                yield f"{side}_blocks.{name}.{tensor}", f"{their_layer}.{'.'.join(parts)}"


def _encoder_layers(config: VQGANConfig) -> list[str]:
    """Their names of the encoder's layers, in the order of `vqgan.make_encoder`."""
    names = ["conv_in"]
    for level in range(len(config.widths)):
        names += [f"down.{level - 1}.downsample"] if level else []
        for block in range(config.blocks):
            names += _block(config, f"down.{level}", block, level)
    return [*(f"encoder.{name}" for name in [*names, *MIDDLE, *LAST]), "quant_conv"]


def _decoder_layers(config: VQGANConfig) -> list[str]:
    """The same for `vqgan.make_decoder`."""
    names = ["conv_in", *MIDDLE]
    for level in reversed(range(len(config.widths))):
        for block in range(config.blocks + 1):
            names += _block(config, f"up.{level}", block, level)
        names += [f"up.{level}.upsample"] if level else []
    return ["post_quant_conv", *(f"decoder.{name}" for name in [*names, *LAST])]


MIDDLE, LAST = ["mid.block_1", "mid.attn_1", "mid.block_2"], ["norm_out", "conv_out"]


def _block(config: VQGANConfig, place: str, block: int, level: int) -> list[str]:
    """A residual block, and attention if this resolution has it."""
    attends = config.image_size // config.patch >> level in config.attention
    return [f"{place}.block.{block}"] + [f"{place}.attn.{block}"] * attends
