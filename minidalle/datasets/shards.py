"""Tar shards as img2dataset and WebDataset make them: pictures and captions by the million.

S pixels per side, M samples.

A shard is a tar file in which KEY.jpg (or .png, .webp) and KEY.txt, or KEY.json with a "caption",
make up a sample; each line of the text is an alternative caption. The webdataset package reads
shards as streams. A batch that is a function of (seed, step) needs random access, so here a shard
is first indexed, from its headers alone (tars.py), and samples are then read in place. Indexing
10 000 samples takes half a second on one core; the index needs a megabyte of memory.

A sample or a shard that cannot be used does not stop the run: it is logged, counted and left out.
"""

import io
import logging
import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import lru_cache
from itertools import accumulate, chain, product
from math import prod
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from minidalle.datasets import pairs, tars
from minidalle.datasets.pictures import MOST_BYTES, Crop, dalle_crop, on_white, read_picture
from minidalle.files import TooLarge
from minidalle.words import shown

MOST_SHARDS = 10**6  # in a pattern
MOST_FILES = 2**20  # in a shard; img2dataset makes some 30 000
LONGEST_NAME = 255  # characters of a file in a shard
REMEMBERED = 2**28  # bytes of recently read pictures kept in memory
RANGES = "give a range in quotes, like 'shards/{00000..00009}.tar', so that no file is missed"
log = logging.getLogger(__name__)


# ---- file names -------------------------------------------------------------------------


def expand(pattern: str) -> list[Path]:
    """The files of a pattern; raises ValueError, in one sentence, if one is missing.

    "part{0..1}/{08..10}.tar" is part0/08.tar, part0/09.tar, part0/10.tar, part1/08.tar, …
    """
    paths = [Path(name) for name in spell_out(pattern)]
    missing = [path for path in paths if not path.is_file()]
    if not paths:
        raise ValueError(f"{pattern} names nothing: its numbers run from high to low")
    if missing and (Path(pattern).is_dir() or re.search(r"[*?\[{]", str(missing[0]))):
        raise ValueError(f"{pattern} is not a file: {RANGES}")
    if missing:
        rest = (
            f", nor {len(missing) - 1} others of the {len(paths)} in {pattern}"
            if missing[1:]
            else ""
        )
        raise ValueError(f"there is no file {missing[0]}{rest}")
    return paths


def spell_out(pattern: str) -> list[str]:
    """The names of a pattern; the first range varies slowest.

    Raises ValueError, in one sentence, if there are more than MOST_SHARDS.

    >>> spell_out("{08..10}.tar")
    ['08.tar', '09.tar', '10.tar']
    """
    parts = re.split(r"\{(\d{1,18})\.\.(\d{1,18})\}", pattern)
    texts, firsts, lasts = parts[::3], parts[1::3], parts[2::3]
    ranges = [range(int(first), int(last) + 1) for first, last in zip(firsts, lasts)]
    if prod(max(1, len(numbers)) for numbers in ranges) > MOST_SHARDS:  # before they are made
        raise ValueError(f"{shown(pattern)} names more than {MOST_SHARDS} files")
    spelt = [[f"{i:0{len(first)}}" for i in numbers] for first, numbers in zip(firsts, ranges)]
    return ["".join(chain(*zip(texts, chosen), texts[-1:])) for chosen in product(*spelt)]


# ---- one shard --------------------------------------------------------------------------


def lost_to_dots(endings: Iterable[str]) -> list[str]:
    """The parts of names between the first and the last dot that cause samples to be lost.

    "shot_1.5.png" has the key "shot_1" and the ending "5.png", which is not a picture's. An extra
    file of a complete sample, such as a segmentation "seg.png", is not a loss.

    >>> lost_to_dots(["5.png", "5.txt", "6.png"]), lost_to_dots(["png", "txt", "seg.png"])
    (['5', '6'], [])
    """
    kinds = defaultdict(set)  # the files of KEY, and of each KEY.MORE
    for ending in endings:
        more, _, last = ending.rpartition(".")
        if last in pairs.KINDS:
            kinds[more].add("picture" if last in pairs.PICTURES else "caption")
    own = kinds.pop("", set())
    return [more for more, found in kinds.items() if len(found) == 2 or found - own]


def numbered(key: str, n: int) -> str:
    """The name of sample n of a key: "007", "007 (2)", …"""
    return f"{key} ({n + 1})" if n else key


class Shard:
    """The samples of one tar file.

    `left_out` maps keys to the reasons (from pairs.py) for leaving them out. Broken pictures and
    captions are found when the sample is read, everything else at once. Of a damaged tar, which
    counts as one more key, what comes before the damage is used.
    """

    def __init__(self, path: Path):
        self.path, self.left_out, keys, places = Path(path), {}, [], []
        for key, files in self.index().items():
            for more in lost_to_dots(ending for ending, _ in files):
                self.leave_out(f"{key}.{more}", pairs.DOTS)
            samples, reasons = pairs.pair(files)
            for n, why in enumerate(reasons):
                self.leave_out(numbered(key, n), why)
            for n, (picture, caption, is_json) in enumerate(samples):
                keys.append(numbered(key, n))
                places.append((*picture, *caption, is_json))
        self.keys = keys
        # An array: Python objects would take ten times the memory.
        self.places = np.array(places, np.int64).reshape(-1, 5)

    def __len__(self) -> int:
        return len(self.keys)

    def index(self) -> dict[str, list[tuple[str, tuple[int, int]]]]:
        """The files of each key, with their byte ranges: {"007": [("jpg", (1536, 9200)), …], …}.

        As in WebDataset, a key ends at the first dot of the name.
        """
        found = defaultdict(list)
        try:
            for n, (path, begin, end) in enumerate(tars.files_in(self.path)):
                if n == MOST_FILES:
                    raise ValueError(f"more than {MOST_FILES} files")
                folder, slash, name = path.rpartition("/")
                key, _, ending = name.partition(".")
                if len(path) > LONGEST_NAME:
                    self.leave_out(f"{path[:20]}… at byte {begin}", pairs.LONG_NAME)
                elif not pairs.hidden(path):
                    found[folder + slash + key].append((ending.lower(), (begin, end)))
        except (ValueError, OSError) as error:
            self.left_out["the rest of the tar"] = pairs.DAMAGED
            said, shard = shown(str(error)), shown(self.path)
            log.warning("%s is damaged or no tar file (%s): what comes before is used", shard, said)
        return found

    def leave_out(self, key: str, why: str) -> None:
        """Log and count a sample that cannot be used."""
        self.left_out[key] = why
        log.warning("%s: sample %s is left out: %s", shown(self.path), shown(key), why)

    def captions(self, i: int) -> tuple[str, ...]:
        """The alternative captions of sample i; empty if it is left out."""
        if self.keys[i] in self.left_out:
            return ()
        *_, begin, end, is_json = self.places[i].tolist()
        try:
            content = self.content(begin, end, pairs.MOST_TEXT)
            captions, why = pairs.captions_in(content, is_json), pairs.NO_CAPTION
        except TooLarge:
            captions, why = (), pairs.LONG_CAPTION
        except (ValueError, RecursionError, OSError):
            captions, why = (), pairs.BROKEN_CAPTION
        if not captions:
            self.leave_out(self.keys[i], why)
        return captions

    def caption(self, i: int, seed: int = 0) -> str | None:
        """A caption of sample i, chosen by the seed if it has several; None if it is left out."""
        captions = self.captions(i)
        return captions[seed % len(captions)] if captions else None

    def read(self, i: int, seed: int = 0) -> tuple[str, Image.Image] | None:
        """Caption and picture (RGBA) of sample i; None if it is left out."""
        caption = self.caption(i, seed)
        if caption is None:
            return None
        begin, end = self.places[i, :2].tolist()
        try:
            content = self.content(begin, end, MOST_BYTES)
            return caption, read_picture(io.BytesIO(content), self.keys[i])
        except TooLarge:
            self.leave_out(self.keys[i], pairs.LARGE_PICTURE)
        except (ValueError, OSError):
            self.leave_out(self.keys[i], pairs.BROKEN_PICTURE)
        return None

    def content(self, begin: int, end: int, most: int) -> bytes:
        """The bytes from `begin` to `end` of the tar; raises TooLarge if they are too many."""
        if end - begin > most:
            raise TooLarge(f"more than {most} bytes")
        with open(self.path, "rb") as file:
            file.seek(begin)
            return file.read(end - begin)


# ---- all of them ------------------------------------------------------------------------


class Shards:
    """Many tar files as one source of examples (see sources.py).

    An item is (number of the sample, seed for its crop and caption). A broken sample is replaced
    by the next one, so a batch is the same however many processes share it, although only the
    process that loads a broken picture notices. `crop` is one of those in pictures.py. Raises
    ValueError, in one sentence, if no sample has a caption.
    """

    def __init__(self, paths: list[Path], image_size: int, crop: Crop = dalle_crop):
        self.image_size, self.crop = image_size, crop
        self.shards = [Shard(path) for path in paths]
        self.ends = list(accumulate(map(len, self.shards)))
        # Captions and pictures are requested separately, but read together.
        self.example = lru_cache(max(1, REMEMBERED // (3 * image_size**2)))(self.read)
        if not any(shard.captions(i) for shard in self.shards for i in range(len(shard))):
            raise ValueError(self.in_vain())  # fail now, not in a run

    def __len__(self) -> int:
        return self.ends[-1]

    @property
    def skipped(self) -> Counter:
        """How many samples this process has left out so far, by reason."""
        return Counter(why for shard in self.shards for why in shard.left_out.values())

    def place(self, number: int) -> tuple[Shard, int]:
        """The shard of sample `number`, and its index there."""
        which = bisect_right(self.ends, number)
        return self.shards[which], number - self.ends[which] + len(self.shards[which])

    def choose(self, rng: Random, size: int) -> list[tuple[int, int]]:
        """`size` samples, without repetition if there are enough, each with a seed for its crop."""
        everything = range(len(self))
        enough = size <= len(everything)
        chosen = rng.sample(everything, size) if enough else rng.choices(everything, k=size)
        return [(number, rng.getrandbits(32)) for number in chosen]

    def captions(self, items: list[tuple[int, int]]) -> list[str]:
        """One caption for each item."""
        return [self.example(item)[0] for item in items]

    def load(self, items: list[tuple[int, int]]) -> np.ndarray:
        """One cropped picture for each item."""
        return np.stack([self.example(item)[1] for item in items])

    def read(self, item: tuple[int, int]) -> tuple[str, np.ndarray]:
        """Caption and picture (S, S, 3) of an item, or of the next sample that is not broken."""
        first, seed = item
        for number in chain(range(first, len(self)), range(first)):
            shard, i = self.place(number)
            if found := shard.read(i, seed):
                caption, image = found
                return caption, on_white(self.crop(image, self.image_size, Random(seed)))
        raise ValueError(self.in_vain())

    def in_vain(self) -> str:
        """The error message for shards without a usable sample."""
        why = ", ".join(f"{n} {why}" for why, n in sorted(self.skipped.items()))
        hold = "and the others hold" if self.shards[1:] else "holds"
        lacks = f"{hold} no picture KEY.jpg with a caption KEY.txt or KEY.json"
        return f"{self.shards[0].path} {lacks}" + (f"; left out: {why}" if why else "")

    def some_captions(self, rng: Random, most: int) -> list[str]:
        """All captions of at most `most` random samples; no picture is opened."""
        numbers = rng.sample(range(len(self)), min(most, len(self)))
        found = (shard.captions(i) for shard, i in map(self.place, sorted(numbers)))
        return [caption for captions in found for caption in captions]
