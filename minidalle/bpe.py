"""Byte-pair encoding: text becomes the short list of token ids that the transformer reads.

B batch, T text tokens (the length of a frame), V text vocabulary (bytes and merges).

A caption is first split into words (`words.py`), and each word into its bytes. Training counts all
adjacent pairs in the corpus, makes the most frequent pair a new token, and repeats until there
are V tokens. Encoding a caption replays these merges in the order in which they were learned.
Since every text is made of bytes, none is out of vocabulary, and decoding gives the (lower-cased)
text back. Sennrich et al. 2016 (arXiv 1508.07909); on bytes since GPT-2.

    ids 0 … 255        the bytes, in GPT-2's order
    ids 256 … V-1      the merges, in the order learned
    id  V              start-of-text
    id  V + 1 + p      the pad of position p, one for each (Ramesh et al. 2021, section 2.2)

Training 1024 tokens on 30 000 captions takes one or two seconds on one CPU core.
"""

import hashlib
import heapq
import json
import random
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from minidalle.files import whole_file
from minidalle.words import SPELLED_OR_WORD, split_words

# The id of a byte is its index in this list. GPT-2 puts the printable bytes of Latin-1 first.
BYTES = [*range(33, 127), *range(161, 173), *range(174, 256)]
BYTES += [b for b in range(256) if b not in BYTES]
BYTE_ID = [BYTES.index(b) for b in range(256)]

# How a vocabulary file writes a byte: as itself if printable, else as a letter from Ā on. The
# space becomes the well-known Ġ.
LETTERS = {b: chr(b if i < 188 else 256 + i - 188) for i, b in enumerate(BYTES)}

# `split_words` in the terms of the `tokenizers` package, whose file format is used here.
BYTE_LEVEL = {
    "type": "ByteLevel",
    "add_prefix_space": False,
    "trim_offsets": True,
    "use_regex": False,
}
RULES = {
    "normalizer": {"type": "Lowercase"},
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": SPELLED_OR_WORD.pattern}, "behavior": "Isolated",
         "invert": False},
        BYTE_LEVEL,
    ]},
}  # fmt: skip

MIN_COUNT = 2  # a pair seen once is not worth a token
Pair = tuple[int, int]


class BPE:
    """A trained byte-pair encoding.

    merges: the pairs of ids in the order learned; merge i makes the id 256 + i.

    >>> bpe = BPE([(71, 68), (256, 88)])  # h + e → 256, he + y → 257
    >>> bpe.encode("Hey he"), bpe.decode([257, 220, 256])  # 220 is the space
    ([257, 220, 256], 'hey he')
    """

    letters = [bytes([b]) for b in BYTES]  # the bytes of each id before the first merge
    names = {LETTERS[b]: i for i, b in enumerate(BYTES)}  # spelling in a file → id
    hint = ": `minidalle train bpe` makes one"  # ends an error message
    kind = "not a vocabulary file of minidalle"

    def __init__(self, merges: Iterable[Pair]):
        self.vocab = list(self.letters)  # id → its bytes
        self.merges = {}  # pair → the id it becomes; lower ids were learned first
        for a, b in merges:
            self.merges[a, b] = len(self.vocab)
            self.vocab.append(self.vocab[a] + self.vocab[b])
        self._cache = {}  # word → ids; captions have few distinct words

    @property
    def vocab_size(self) -> int:
        """V, the number of bytes and merges."""
        return len(self.vocab)

    @property
    def start(self) -> int:
        """The id of start-of-text."""
        return self.vocab_size

    def null_text(self, length: int) -> list[int]:
        """The frame of the empty caption, `length` ids: start-of-text and pads."""
        return [self.start, *map(self.pad, range(1, length))]

    def fingerprint(self) -> str:
        """sha256 of the merges, which identifies the encoding."""
        return hashlib.sha256(json.dumps(list(self.merges)).encode()).hexdigest()

    def pad(self, position: int) -> int:
        """The id of the pad at this position of a frame, 0 ≤ position < T."""
        return self.vocab_size + 1 + position

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int, progress: bool = False) -> "BPE":
        """Learn vocab_size - 256 merges, or fewer if no pair is left that occurs twice.

        The result is that of `train_by_recounting`, the specification. This version counts
        once, remembers which words contain a pair, and after a merge updates only those.
        """
        counted = count_words(texts, vocab_size)
        words, counts = list(map(list, counted)), list(counted.values())
        total = Counter()  # pair → how often it occurs
        where = defaultdict(set)  # pair → indices of the words it is in, or once was in
        for i, word in enumerate(words):
            for pair in zip(word, word[1:]):
                total[pair] += counts[i]
                where[pair].add(i)

        # The top of the heap has the highest count and, among equal counts, the lowest pair. An
        # entry is not updated when its count changes, but checked when it is popped.
        heap = [(-n, pair) for pair, n in total.items()]
        heapq.heapify(heap)
        merges = []
        bar = tqdm(total=vocab_size - 256, desc="merges", disable=not progress)
        while heap and len(merges) < vocab_size - 256:
            n, pair = heapq.heappop(heap)
            if total[pair] != -n:  # stale, the count has fallen: push it again
                if total[pair] >= MIN_COUNT:
                    heapq.heappush(heap, (-total[pair], pair))
                continue
            if -n < MIN_COUNT:
                break
            new = 256 + len(merges)
            merges.append(pair)
            grown = set()  # only pairs with the new token can have become more frequent
            for i in where.pop(pair):
                old, words[i] = words[i], merge(words[i], pair, new)
                for p in zip(old, old[1:]):
                    total[p] -= counts[i]
                for p in zip(words[i], words[i][1:]):
                    total[p] += counts[i]
                    if new in p:
                        where[p].add(i)
                        grown.add(p)
            for p in grown:
                heapq.heappush(heap, (-total[p], p))
            bar.update()
        bar.close()
        return cls(merges)

    def encode(
        self, text: str, dropout: float = 0.0, generator: torch.Generator | None = None
    ) -> list[int]:
        """The ids of the lower-cased text, without start-of-text or pads.

        dropout: BPE-dropout (Provilkov et al. 2020, arXiv 1910.13267), the probability with
        which each possible merge is skipped at each step. The same word is then cut in
        different ways, and the model learns what the cuts have in common; the paper trains with
        0.1. At 1 only bytes are left. Needs a generator, from which one number is drawn.

        Raises ValueError if the text holds half of a surrogate pair, if dropout is not in [0, 1],
        or if there is dropout and no generator.
        """
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout is a probability from 0 to 1, not {dropout}")
        if dropout and generator is None:
            raise ValueError("BPE dropout is random: pass a torch.Generator with it")
        if dropout:
            # Python's generator, seeded from torch's, which is slow at single numbers.
            seed = torch.randint(2**62, (), generator=generator, device=generator.device)
            coin = random.Random(seed.item())
            return [i for word in self.words(text) for i in self._merge(word, dropout, coin)]
        ids = []
        for word in self.words(text):
            if word not in self._cache:
                if len(self._cache) == 2**16:  # a stream of captions may be endless
                    self._cache.clear()
                self._cache[word] = self._merge(word)
            ids += self._cache[word]
        return ids

    def words(self, text: str) -> list[str]:
        """The words within which bytes are merged."""
        return split_words(text)

    def spell(self, word: str) -> list[int]:
        """The ids of a word before any merge."""
        return byte_ids(word)

    def _merge(self, word, dropout=0.0, coin=None):
        """Replay the merges on one word: at each step the earliest learned of those possible."""
        ids = self.spell(word)
        while True:
            found = [
                (self.merges[pair], i)
                for i, pair in enumerate(zip(ids, ids[1:]))
                if pair in self.merges and not (dropout and coin.random() < dropout)
            ]
            if not found:
                return ids
            new = min(found)[0]
            ids = join(ids, [i for n, i in found if n == new], new)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of these ids (a list or a 1-d tensor), without start-of-text and pads.

        Bytes that are not valid UTF-8, which a model may well produce, become U+FFFD (�).
        """
        known = (i for i in map(int, ids) if 0 <= i < self.vocab_size)
        return b"".join(self.vocab[i] for i in known).decode("utf-8", errors="replace")

    def tokens(self, text: str) -> list[str]:
        """The tokens as text, for display: "an octopus" → ["an", " oct", "opus"].

        A letter or an emoji that is cut into several tokens shows as � in each of them.
        """
        return [self.vocab[i].decode("utf-8", errors="replace") for i in self.encode(text)]

    def frame(
        self,
        text: str,
        length: int,
        truncate: bool = False,
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> list[int]:
        """Exactly `length` (T) ids: start-of-text, the caption, a pad at each position left over.

        With V = 1024, T = 6 and ids 64, 300 → [1024, 64, 300, 1028, 1029, 1030].

        Raises ValueError if the caption is blank, or has over T - 1 ids and `truncate` is False.
        """
        if not text.strip():
            raise ValueError("the caption is empty: write at least one word")
        ids = self.encode(text, dropout, generator)
        limit = length - 1  # one place is for start-of-text
        if len(ids) > limit and not truncate:
            raise ValueError(
                f"the caption has {len(ids)} tokens and the limit is {limit}: "
                f"shorten it, or use --truncate to keep its first {limit}"
            )
        ids = [self.start, *ids[:limit]]
        return ids + [self.pad(position) for position in range(len(ids), length)]

    def frames(
        self,
        texts: Iterable[str],
        length: int,
        truncate: bool = False,
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """The frames of B captions, (B, T) int64; errors as in `frame`."""
        rows = [self.frame(text, length, truncate, dropout, generator) for text in texts]
        return torch.tensor(rows, dtype=torch.long).reshape(len(rows), length)

    def save(self, path: str | Path) -> None:
        """Write a JSON file from which `tokenizers.Tokenizer.from_file` produces the same ids.

        Start-of-text and pads, which `frame` adds, are not in it; errors as in `whole_file`.
        """
        names = ["".join(LETTERS[b] for b in piece) for piece in self.vocab]
        saved = {
            "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], **RULES,
            "post_processor": None, "decoder": BYTE_LEVEL,
            "model": {"type": "BPE", "dropout": None, "unk_token": None,
                      "vocab": {name: i for i, name in enumerate(names)},
                      "merges": [[names[a], names[b]] for a, b in self.merges]},
        }  # fmt: skip
        with whole_file(path) as part:
            text = json.dumps(saved, ensure_ascii=False, indent=1) + "\n"
            part.write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> "BPE":
        """Read a file written by `save`, or by `tokenizers` under the same rules.

        Raises FileNotFoundError if it is missing, ValueError if it is truncated or of another kind.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"no vocabulary {path}{cls.hint}")
        try:
            return cls(cls.merges_in(Path(path).read_bytes()))
        except (
            ValueError,
            KeyError,
            TypeError,
            RecursionError,
            EOFError,
            OSError,
            zlib.error,
        ) as error:
            raise ValueError(f"{path} is truncated or {cls.kind}{cls.hint}") from error

    @classmethod
    def merges_in(cls, content: bytes) -> list[Pair]:
        """The merges in the content of a file; raises some exception if there are none."""
        saved = json.loads(content.decode("utf-8"))
        merges, ids = read_merges(saved["model"]["merges"], cls.names)
        if saved["model"]["vocab"] != ids or any(saved[rule] != RULES[rule] for rule in RULES):
            raise ValueError("the ids or the rules differ")
        return merges


def read_merges(
    pairs: Iterable[Sequence[str]], ids: dict[str, int]
) -> tuple[list[Pair], dict[str, int]]:
    """Merges as spelled in a file → merges of ids, and the ids of all names.

    `ids` holds the names before the first merge. Raises KeyError or ValueError if one is wrong.
    """
    ids, merges = dict(ids), []
    for a, b in pairs:
        merges.append((ids[a], ids[b]))
        if a + b in ids:
            raise ValueError(f"{a + b} occurs twice")
        ids[a + b] = len(ids)
    return merges, ids


def train_by_recounting(texts: Iterable[str], vocab_size: int) -> BPE:
    """The specification of `BPE.train`: merge the most frequent pair, count again, repeat.

    Ties go to the pair with the lowest ids, as in the `tokenizers` package. It is slow, because
    it recounts all words for each merge.
    """
    words = count_words(texts, vocab_size)
    merges = []
    while len(merges) < vocab_size - 256:
        total = Counter()
        for word, n in words.items():
            for pair in zip(word, word[1:]):
                total[pair] += n
        best = min(total, key=lambda pair: (-total[pair], pair), default=None)
        if total[best] < MIN_COUNT:
            break
        new = 256 + len(merges)
        merges.append(best)
        words = {tuple(merge(word, best, new)): n for word, n in words.items()}
    return BPE(merges)


def count_words(texts: Iterable[str], vocab_size: int) -> dict[tuple[int, ...], int]:
    """The distinct words of a corpus as byte ids, and how often each occurs.

    ["Hi hi", "hi"] → {(71, 72): 2, (220, 71, 72): 1}, where 220 is the space.
    """
    if vocab_size < 256:
        raise ValueError(f"a vocabulary holds at least 256 tokens, the bytes, not {vocab_size}")
    if isinstance(texts, str):  # it would count as a corpus of one-letter captions
        raise ValueError("texts must be a list: put the single text into one")
    counted = Counter(word for text in texts for word in split_words(text))
    return {tuple(byte_ids(word)): n for word, n in counted.items()}


def byte_ids(word: str) -> list[int]:
    """The ids of a word's UTF-8 bytes: "é" → the bytes 195, 169 → [127, 102]."""
    return [BYTE_ID[b] for b in word.encode("utf-8")]


def join(ids: Sequence[int], places: Iterable[int], new: int) -> list[int]:
    """Join the two ids at each place: [1, 1, 1, 2], places 0 and 1, 9 → [9, 1, 2]."""
    joined, end = [], 0
    for i in places:
        if i >= end:  # else its first id has just been joined to the one before
            joined += [*ids[end:i], new]
            end = i + 2
    return [*joined, *ids[end:]]


def merge(ids: Sequence[int], pair: Pair, new: int) -> list[int]:
    """Join every occurrence of a pair: [1, 1, 1, 2], (1, 1), 9 → [9, 1, 2]."""
    return join(ids, [i for i, p in enumerate(zip(ids, ids[1:])) if p == pair], new)
