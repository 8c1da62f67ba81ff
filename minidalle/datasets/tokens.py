"""Stored tokens as a source of examples: text ids and codes that `minidalle tokenize` made once.

B batch, T text tokens, N image tokens, M samples of a shard.

NAME.tokens.safetensors holds framed text ids (M, T), codes (M, N), and a header that says which
BPE and dVAE they are of and what was left out. A picture with several captions has a row for
each. Training the transformer from such files needs no dVAE and no pictures.
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
    """What tokens depend on, apart from the shard. Only tokens of one maker belong together."""

    bpe: str  # `BPE.fingerprint`
    dvae: str  # `weights.fingerprint`
    text_len: int  # T


def read_header(path: Path, maker: Maker) -> dict:
    """What a file of tokens says about itself.

    ValueError, in one sentence, if the tokens are of another maker, or none.
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
    """The files of tokens in a folder or of a pattern; none if `data` is something else."""
    if data.endswith(ENDING):
        return expand(data)
    return sorted(path for path in Path(data).glob("*" + ENDING) if not hidden(path.name))


class Tokens:
    """Files of tokens as a source: `choose` says which, `read` gives ids and codes.

    An item is the number of a sample. Files stay where they are; only the rows asked for are read.
    ValueError, in one sentence, if a file is of another maker or no sample is there.
    """

    def __init__(self, paths: list[Path], maker: Maker):
        self.paths = paths
        self.open = lru_cache(64)(partial(safe_open, framework="pt"))
        self.starts = [0, *accumulate(read_header(path, maker)["samples"] for path in paths)]
        if not len(self):
            raise ValueError(f"{paths[0].parent} holds tokens of no sample at all")

    def __len__(self) -> int:
        return self.starts[-1]

    def choose(self, rng: Random, size: int) -> list[int]:
        """`size` samples, none twice if there are enough."""
        everything = range(len(self))
        enough = size <= len(everything)
        return rng.sample(everything, size) if enough else rng.choices(everything, k=size)

    def read(self, items: list[int]) -> tuple[Tensor, Tensor]:
        """Their text ids (B, T) and codes (B, N), int64."""
        rows = [self.row(number) for number in items]
        text, codes = (torch.cat(column).long() for column in zip(*rows))
        return text, codes

    def row(self, number: int) -> tuple[Tensor, Tensor]:
        """Ids (1, T) and codes (1, N) of one sample."""
        which = bisect_right(self.starts, number) - 1
        file, i = self.open(self.paths[which]), number - self.starts[which]
        return file.get_slice("text")[i : i + 1], file.get_slice("codes")[i : i + 1]
