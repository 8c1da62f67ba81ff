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
from typing import NamedTuple

import torch
from safetensors import safe_open
from torch import Tensor

from minidalle import weights
from minidalle.datasets.pairs import hidden
from minidalle.datasets.shards import expand

ENDING = ".tokens.safetensors"


class Maker(NamedTuple):
    """Everything but the shard that tokens depend on; only tokens of one maker can be mixed."""

    bpe: str  # `BPE.fingerprint`
    dvae: str  # `weights.fingerprint`
    text_len: int  # T


def read_header(path: Path, maker: Maker) -> dict:
    """The header of a file of tokens.

    Raises ValueError, in one sentence, if it is from another maker or not a file of tokens.
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
    return about


def token_files(data: str) -> list[Path]:
    """The token files in a folder or of a pattern; empty if `data` is something else."""
    if data.endswith(ENDING):
        return expand(data)
    return sorted(path for path in Path(data).glob("*" + ENDING) if not hidden(path.name))


class Tokens:
    """Files of tokens as a source: `choose` picks samples, `read` returns ids and codes.

    An item is the number of a sample. Only the requested rows are read from disk. Raises
    ValueError, in one sentence, if a file is from another maker or there is no sample.
    """

    def __init__(self, paths: list[Path], maker: Maker):
        self.paths = paths
        self.open = lru_cache(64)(partial(safe_open, framework="pt"))
        self.starts = [0, *accumulate(read_header(path, maker)["samples"] for path in paths)]
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
        return file.get_slice("text")[i : i + 1], file.get_slice("codes")[i : i + 1]
