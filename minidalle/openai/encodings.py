"""The text encodings of OpenAI's models, for use with these models.

GPT-2's is that of bpe.py, but keeps upper case. CLIP's differs in three ways (Radford et al.
2021, section 2.4). A word does not include the space before it; instead its last byte has another
id than the same byte elsewhere, so "star" in "star fish" and in "starfish" need not be the same
token. Every digit is a word. And a caption ends with an end-of-text token, at which CLIP reads
its feature.

    GPT-2   0 … 255  the bytes                             256 … V-1  the merges, V = 50 257 - 1
    CLIP    0 … 255  the bytes, 256 … 511  at a word's end 512 … V-1  the merges, V = 49 408 - 2

The ids from V on are start-of-text and, in CLIP, end-of-text.
"""

import gzip
import html
import io
from collections.abc import Iterable
from pathlib import Path

import regex
import torch

from minidalle.bpe import BPE, Pair, byte_ids, read_merges
from minidalle.words import WORD, whole

MOST_BYTES = 2**24  # of a file of merges, unpacked: CLIP's has three million
CLIP_WORD = regex.compile(r"'(?:[stmd]|re|ve|ll)|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+", regex.IGNORECASE)


class Published(BPE):
    """An encoding that OpenAI trained: read from its file, neither trained nor saved here."""

    hint, kind = "", "not the vocabulary that OpenAI published"
    count: int  # how many of the file's merges are used

    @classmethod
    def merges_in(cls, content: bytes) -> list[Pair]:
        """The merges of a file, gzipped or not: a title line, then one merge per line."""
        if content.startswith(b"\x1f\x8b"):
            with gzip.open(io.BytesIO(content)) as file:
                content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ValueError("too long")
        lines = content.decode("utf-8").split("\n")[1 : 1 + cls.count]
        merges, _ = read_merges([line.split() for line in lines], cls.names)
        if len(merges) < cls.count:
            raise ValueError("too few merges")
        return merges

    def save(self, path: str | Path) -> None:
        """Not supported: keep the file that OpenAI published."""
        raise NotImplementedError("OpenAI's encodings are not saved here: keep OpenAI's own files")


class GPT2BPE(Published):
    """Text ↔ the ids of GPT-2 and GPT-3; `start` is their end-of-text token."""

    count = 50_000

    def words(self, text: str) -> list[str]:
        """The words in their original case."""
        return WORD.findall(whole(text))


class ClipBPE(Published):
    """Text ↔ the ids of CLIP."""

    letters = BPE.letters + [letter + b" " for letter in BPE.letters]
    names = BPE.names | {name + "</w>": 256 + i for name, i in BPE.names.items()}
    count = 49_152 - 256 - 2

    @property
    def end(self) -> int:
        """The id of end-of-text, at which CLIP reads a caption's feature."""
        return self.vocab_size + 1

    def words(self, text: str) -> list[str]:
        """Unescape HTML (&amp;), lower-case, and split; spaces only separate words.

        OpenAI's code first repairs broken encodings (ftfy); this does not. There "<|endoftext|>" in
        a caption is the token; here it is ordinary text.
        """
        text = html.unescape(html.unescape(text))
        return CLIP_WORD.findall(whole(regex.sub(r"\s+", " ", text).strip().lower()))

    def spell(self, word: str) -> list[int]:
        """The ids of a word's bytes; the last one has its end-of-word id."""
        *first, last = byte_ids(word)
        return [*first, last + 256]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of these ids, with one space between words."""
        return super().decode(ids).strip()

    def frame(
        self,
        text: str,
        length: int,
        truncate: bool = False,
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> list[int]:
        """Exactly `length` ids: start-of-text, the caption, end-of-text, zeros."""
        ids = super().frame(text, length - 1, truncate, dropout, generator)
        ids = [i for i in ids if i <= self.start] + [self.end]  # without BPE's pads
        return ids + [0] * (length - len(ids))


def load_bpe(path: str | Path, kind: str = "clip") -> BPE:
    """An encoding from OpenAI's own file.

    kind: "clip" (`bpe_simple_vocab_16e6.txt.gz`) or "gpt2" (`vocab.bpe`). Raises ValueError or
    FileNotFoundError, in one sentence, for any other file.
    """
    return {"clip": ClipBPE, "gpt2": GPT2BPE}[kind].load(path)
