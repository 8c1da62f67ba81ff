"""The encoding that OpenAI's CLIPs were trained with, for those who load one.

It is byte-pair encoding as in bpe.py, with three differences (Radford et al. 2021, section 2.4).
A word carries no space before it; instead its last byte is another id than the same byte
elsewhere, so that "star" in "star fish" and in "starfish" need not be the same token. Every
digit is a word. And a caption is closed by an end-of-text, at which CLIP reads its feature.

    ids 0 … 255        the bytes        ids 512 … V-1   the merges, V = 49 406
    ids 256 … 511      at a word's end  V and V + 1     start and end of text
"""

import gzip
import html
import zlib
from collections.abc import Iterable
from pathlib import Path

import regex
import torch

from minidalle.bpe import BPE, BYTES, LETTERS, byte_ids, whole

WORD = regex.compile(r"'(?:[stmd]|re|ve|ll)|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+", regex.IGNORECASE)
MERGES = 49_152 - 256 - 2  # how many of the file's merges CLIP uses


class ClipBPE(BPE):
    """Text ↔ the ids of CLIP."""

    letters = BPE.letters + [letter + b" " for letter in BPE.letters]

    @property
    def end(self) -> int:
        """The id of end-of-text, at which CLIP reads a caption's feature."""
        return self.vocab + 1

    def words(self, text: str) -> list[str]:
        """Undo HTML's &amp;, lower-case, and cut; spaces only separate.

        OpenAI's code mends broken encodings (ftfy) before that; here, text is taken as it is.
        """
        text = html.unescape(html.unescape(text))
        return WORD.findall(whole(regex.sub(r"\s+", " ", text).strip().lower()))

    def spell(self, word: str) -> list[int]:
        """The ids of a word's bytes, the last one the id that ends a word."""
        *first, last = byte_ids(word)
        return [*first, last + 256]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of these ids, with one space between words."""
        return super().decode(ids).strip()

    def frame(self, text: str, length: int, truncate: bool = False, dropout: float = 0.0,
              generator: torch.Generator | None = None) -> list[int]:
        """Exactly `length` ids: start-of-text, the caption, end-of-text, zeros. Errors as in BPE."""
        ids = super().frame(text, length - 1, truncate, dropout, generator)
        ids = [i for i in ids if i <= self.start] + [self.end]  # without BPE's pads
        return ids + [0] * (length - len(ids))

    def save(self, path: str | Path) -> None:
        """Not offered: the file that OpenAI published is the one to keep."""
        raise NotImplementedError("CLIP's encoding is read from OpenAI's own file")

    @classmethod
    def load(cls, path: str | Path) -> "ClipBPE":
        """Read OpenAI's `bpe_simple_vocab_16e6.txt.gz`.

        FileNotFoundError if there is no such file, ValueError if it is truncated or another one.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"there is no vocabulary {path}")
        ids = {LETTERS[b]: i for i, b in enumerate(BYTES)}
        ids |= {LETTERS[b] + "</w>": 256 + i for i, b in enumerate(BYTES)}
        merges = []
        try:
            with gzip.open(path, "rt", encoding="utf-8") as file:
                for line in file.read().split("\n")[1 : 1 + MERGES]:  # the first is a title
                    a, b = line.split()
                    merges.append((ids[a], ids[b]))
                    ids[a + b] = 511 + len(merges)
            if len(merges) < MERGES:
                raise ValueError("too few merges")
        except (ValueError, KeyError, EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path} is truncated or not the vocabulary file of CLIP") from error
        return cls(merges)
