"""Stored tokens as a source of examples: text ids and codes written by `minidalle tokenize`.

B batch, T text tokens, N image tokens, M samples of a shard.

NAME.tokens.safetensors holds framed text ids (M, T), codes (M, N), and a header that identifies
the BPE and dVAE and counts what was left out. A picture with several captions has a row for each.
Training the transformer from such files needs no pictures and no dVAE runs.
"""

from bisect import bisect_right
from functools import lru_cache, partial
from itertools import accumulate
from pathlib import Path
from random import Random
from reprlib import repr as brief
from typing import NamedTuple

import torch
from safetensors import safe_open
from torch import Tensor

from minidalle import weights
from minidalle.datasets.pairs import hidden
from minidalle.datasets.shards import expand
from minidalle.words import shown

ENDING = ".tokens.safetensors"


class Maker(NamedTuple):
    """Everything but the shard that tokens depend on; only tokens of one maker can be mixed."""

    bpe: str  # `BPE.fingerprint`
    dvae: str  # `weights.fingerprint`
    text_len: int  # T


def read_header(path: Path, maker: Maker) -> dict:
    """The header of a file of tokens.

    Raises ValueError, in one sentence, if it is from another maker, not a file of tokens, or does
    not describe the tensors that are there.
    """
    about = weights.read_about(path)
    found = about.get("maker")
    if not isinstance(found, dict) or set(found) != set(Maker._fields):
        raise ValueError(f"{path} holds no tokens: `minidalle tokenize` makes them")
    words = {"bpe": "bpe.json", "dvae": "dvae.safetensors", "text_len": "length of captions"}
    others = [words[name] for name, value in maker._asdict().items() if found[name] != value]
    if others:
        raise ValueError(
            f"{path} was made with another {' and another '.join(others)}: "
            "tokenize the shards again, into another folder"
        )
    M, left_out = about.get("samples"), about.get("left out")
    right = {
        "samples": type(M) is int and M >= 0,
        "shard": isinstance(about.get("shard"), dict),
        "left out": isinstance(left_out, dict)
        and all(type(n) is int and n >= 0 and why == shown(why) for why, n in left_out.items()),
    }
    with safe_open(path, framework="pt") as file:
        parts = {name: file.get_slice(name) for name in file.keys()}
        found = {name: (part.get_dtype(), *part.get_shape()) for name, part in parts.items()}
    right["text"] = found.get("text") == ("I32", M, maker.text_len)
    codes = found.get("codes", ())
    right["codes"] = codes[:2] in (("I16", M), ("I32", M)) and len(codes) == 3
    if wrong := [name for name in right if not right[name]]:
        value = brief(about.get(wrong[0], found.get(wrong[0])))
        raise ValueError(f"{path} is damaged: its {wrong[0]} cannot be {value}")
    return about


def token_files(data: str) -> list[Path]:
    """The token files in a folder or of a pattern; empty if `data` is something else."""
    if data.endswith(ENDING):
        return expand(data)
    return sorted(path for path in Path(data).glob("*" + ENDING) if not hidden(path.name))


class Tokens:
    """Files of tokens as a source: `choose` picks samples, `read` returns ids and codes.

    An item is the number of a sample. Only the requested rows are read from disk. Raises
    ValueError, in one sentence, if a file is from another maker or damaged, or there is no sample.
    """

    def __init__(
        self, paths: list[Path], maker: Maker, image_len: int, below: tuple[int, int] = (2**31,) * 2
    ):
        """below: what ids, and what codes, must be below."""
        self.paths, self.below = paths, below
        self.open = lru_cache(64)(partial(safe_open, framework="pt"))
        self.starts = [0, *accumulate(read_header(path, maker)["samples"] for path in paths)]
        for path in paths:
            if self.open(path).get_slice("codes").get_shape()[1] != image_len:
                raise ValueError(f"{path} is damaged: a sample must have {image_len} codes")
        if not len(self):
            raise ValueError(f"{paths[0].parent} holds tokens but not a single sample")

    def __len__(self) -> int:
        return self.starts[-1]

    def choose(self, rng: Random, size: int) -> list[int]:
        """`size` samples, without repetition if there are enough."""
        everything = range(len(self))
        enough = size <= len(everything)
        return rng.sample(everything, size) if enough else rng.choices(everything, k=size)

    def read(self, items: list[int]) -> tuple[Tensor, Tensor]:
        """Text ids (B, T) and codes (B, N) of the items, int64."""
        rows = [self.row(number) for number in items]
        text, codes = (torch.cat(column).long() for column in zip(*rows))
        return text, codes

    def row(self, number: int) -> tuple[Tensor, Tensor]:
        """Ids (1, T) and codes (1, N) of one sample."""
        which = bisect_right(self.starts, number) - 1
        file, i = self.open(self.paths[which]), number - self.starts[which]
        text, codes = (file.get_slice(name)[i : i + 1] for name in ("text", "codes"))
        for tensor, below in zip((text, codes), self.below):
            if not 0 <= int(tensor.min()) <= int(tensor.max()) < below:
                said = f"sample {i} holds a number that is not from 0 to {below - 1}"
                raise ValueError(f"{self.paths[which]} is damaged: {said}")
        return text, codes
