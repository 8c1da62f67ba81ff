"""One of OpenAI's nine CLIPs, from its file."""

import math
from pathlib import Path

from torch import Tensor

from minidalle.clip import CLIP
from minidalle.config import CLIPConfig
from minidalle.openai.pickles import read_foreign


def load_clip(path: Path) -> CLIP:
    """One of OpenAI's nine CLIPs from its file, an archive or a state dict, in float32.

    Every size follows from the shapes of the tensors. Captions for it are framed by
    `load_bpe`. Raises ValueError or FileNotFoundError, in one sentence, for another file.
    """
    theirs = read_foreign(path)
    for name in ("input_resolution", "context_length", "vocab_size"):  # numbers, which shapes tell
        theirs.pop(name, None)
    try:
        model = CLIP(config_of(theirs))
        model.load_state_dict(theirs)
    except (KeyError, IndexError, RuntimeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise ValueError(f"{path} is not one of OpenAI's CLIPs ({reason})") from None
    return model.eval().requires_grad_(False)


def config_of(tensors: dict[str, Tensor]) -> CLIPConfig:
    """The sizes of a CLIP, from the shapes of its parameters; a head is always 64 wide."""
    def count(prefix: str) -> int:  # how many layers there are below prefix.0, prefix.1, …
        return len({name[len(prefix) :].split(".")[0] for name in tensors if name.startswith(prefix)})

    vocab, text_width = tensors["token_embedding.weight"].shape
    places = math.isqrt(len(tensors.get("visual.positional_embedding", ())))
    if places:
        vision_width, _, patch, _ = tensors["visual.conv1.weight"].shape
        depth, heads, size = count("visual.transformer.resblocks."), vision_width // 64, places * patch
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
