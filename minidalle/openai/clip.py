"""Load one of OpenAI's nine CLIPs, or a CLIP with the same architecture."""

import math
from pathlib import Path

from torch import Tensor

from minidalle.clip import CLIP
from minidalle.config import CLIPConfig
from minidalle.openai.pickles import read_foreign
from minidalle.weights import build, shapes_of
from minidalle.words import shown

# Name parts added by DataParallel, torch.compile, FSDP and activation checkpointing.
WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
MARK = "visual.conv1.weight"  # a tensor that every CLIP has


def load_clip(path: Path) -> CLIP:
    """One of OpenAI's nine CLIPs from its file, an archive or a state dict, in float32.

    All sizes follow from the shapes of the tensors. Captions are framed by the BPE of `load_bpe`.
    Raises ValueError or FileNotFoundError, in one sentence, for any other file.

    LAION's CLIPs have the same names and shapes, but most were trained with the exact GELU, and
    OpenAI's with x · sigmoid(1.702 x) ("QuickGELU"). No tensor tells them apart: LAION's files
    load, but run with QuickGELU and rank less well than they could.
    """
    theirs = bare_names(read_foreign(path), path)
    for name in ("input_resolution", "context_length", "vocab_size"):  # implied by shapes
        theirs.pop(name, None)
    try:
        return build(CLIP, config_of(theirs), shapes_of(theirs), theirs.__getitem__)
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        reason = shown(str(error))
        raise ValueError(f"{path} is not one of OpenAI's CLIPs ({reason})") from None


def bare_names(tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The tensors of the CLIP in a training checkpoint, under OpenAI's names.

    "state_dict.module.visual.conv1.weight" → "visual.conv1.weight"; optimiser state is dropped.
    """

    def bare(name: str) -> str:
        return ".".join(part for part in name.split(".") if part not in WRAPPERS)

    named = {bare(name): tensor for name, tensor in tensors.items()}
    prefixes = [name.removesuffix(MARK) for name in named if f".{name}".endswith(f".{MARK}")]
    if prefixes[1:]:
        places = ", ".join(map(repr, prefixes))
        raise ValueError(f"{path} holds several CLIPs, in {places}: save one alone")
    prefix = prefixes[0] if prefixes else ""
    return {name.removeprefix(prefix): named[name] for name in named if name.startswith(prefix)}


def config_of(tensors: dict[str, Tensor]) -> CLIPConfig:
    """The sizes of a CLIP, from the shapes of its parameters; a head is always 64 wide."""

    def count(prefix: str) -> int:  # number of layers: prefix.0, prefix.1, …
        return len(
            {name[len(prefix) :].split(".")[0] for name in tensors if name.startswith(prefix)}
        )

    vocab, text_width = tensors["token_embedding.weight"].shape
    places = math.isqrt(len(tensors.get("visual.positional_embedding", ())))
    if places:
        vision_width, _, patch, _ = tensors["visual.conv1.weight"].shape
        depth, heads, size = (
            count("visual.transformer.resblocks."),
            vision_width // 64,
            places * patch,
        )
    else:
        vision_width, patch = len(tensors["visual.layer1.0.conv1.weight"]), 0
        depth = tuple(count(f"visual.layer{stage}.") for stage in (1, 2, 3, 4))
        heads = vision_width // 2  # the last stage is 32 times as wide
        size = 32 * math.isqrt(len(tensors["visual.attnpool.positional_embedding"]))
    return CLIPConfig(
        tensors["text_projection"].shape[1], size, patch, vision_width, depth, heads, vocab,
        len(tensors["positional_embedding"]), text_width, count("transformer.resblocks."),
        text_width // 64, end=vocab - 1,
    )  # fmt: skip
