"""Tar shards as img2dataset and WebDataset make them: pictures and captions by the million.

S pixels per side, M samples.

A shard is a tar file in which KEY.jpg (or .png, .webp) and KEY.txt, or KEY.json with a "caption"
in it, make up a sample. The webdataset package reads shards as streams. A batch that depends on
(seed, step) alone has to jump, so here a shard is first indexed, by Python's own `tarfile` and
from its headers only, and samples are then read from where they lie. On one core that takes
about a second for 10 000 samples, which then fill a megabyte of memory.

Whatever is wrong with a sample is no reason to stop: it is logged, counted and left out.
"""

import io
import json
import logging
import re
import tarfile
from bisect import bisect_right
from collections import Counter
from functools import lru_cache
from itertools import accumulate, chain
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from minidalle.datasets.pictures import PICTURES, Crop, dalle_crop, on_white, read_picture

REMEMBERED = 2**28  # bytes of pictures that were read last
log = logging.getLogger(__name__)


# ---- which files ------------------------------------------------------------------------


def expand(pattern: str) -> list[Path]:
    """The files of a pattern, all of which must be there: ValueError, in one sentence, if not.

    "part{0..1}/{08..10}.tar" is part0/08.tar, part0/09.tar, part0/10.tar, part1/08.tar, …
    """
    paths = [Path(name) for name in spell_out(pattern)]
    missing = [path for path in paths if not path.is_file()]
    if not paths:
        raise ValueError(f"{pattern} names nothing: its numbers run from high to low")
    if missing:
        rest = f", nor {len(missing) - 1} others of the {len(paths)} in {pattern}" if missing[1:] else ""
        raise ValueError(f"there is no file {missing[0]}{rest}")
    return paths


def spell_out(pattern: str) -> list[str]:
    """The names of a pattern, whose first range changes slowest.

    >>> spell_out("{08..10}.tar")
    ['08.tar', '09.tar', '10.tar']
    """
    found = re.search(r"\{(\d+)\.\.(\d+)\}", pattern)
    if not found:
        return [pattern]
    first, last = found.groups()
    numbers = [f"{i:0{len(first)}}" for i in range(int(first), int(last) + 1)]
    before, after = pattern[: found.start()], pattern[found.end() :]
    return [name for number in numbers for name in spell_out(before + number + after)]


# ---- one shard --------------------------------------------------------------------------


def index(path: Path) -> dict[str, dict[str, tuple[int, int]]]:
    """{"000017": {"jpg": (1536, 9200), …}, …}: the files of each key, from byte to byte of a tar.

    As in WebDataset, a key ends at the first dot of the name. Of a tar that is cut off or damaged
    what comes before is used, and one line logged.
    """
    found, length = {}, path.stat().st_size
    try:
        with open(path, "rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                folder, slash, name = member.name.rpartition("/")
                key, _, ending = name.partition(".")
                begin, end = member.offset_data, member.offset_data + member.size
                if key and member.isreg() and end <= length:
                    found.setdefault(folder + slash + key, {}).setdefault(ending.lower(), (begin, end))
            file.seek(tar.offset)
            if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):  # tarfile does not mind
                raise tarfile.ReadError("its end is missing")
    except tarfile.TarError as error:
        log.warning("%s is damaged or no tar file (%s): what comes before is used", path, error)
    return found


def caption_in(content: bytes, is_json: bool) -> str:
    """The caption in KEY.txt or KEY.json, on one line; "" if there is none.

    ValueError or RecursionError if it is not text or not JSON.
    """
    text = json.loads(content) if is_json else content.decode("utf-8")
    if is_json:
        text = text.get("caption") if isinstance(text, dict) else None
    text = " ".join(text.split()) if isinstance(text, str) else ""
    text.encode("utf-8")  # JSON can spell half of a surrogate pair, which is no text either
    return text


class Shard:
    """The samples of one tar file.

    `left_out` says why a key has to be left out: no picture, no caption, broken picture, broken
    caption. The first two are known at once, the others when the sample is read.
    """

    def __init__(self, path: Path):
        self.path, self.left_out, keys, places = Path(path), {}, [], []
        for key, files in index(self.path).items():
            picture = next((files[ending] for ending in PICTURES if ending in files), None)
            caption = files.get("txt") or files.get("json")
            if picture and caption:
                keys.append(key)
                places.append((*picture, *caption, "txt" not in files))
            elif picture or caption:
                self.leave_out(key, "no caption" if picture else "no picture")
        self.keys = np.array(keys)  # arrays: as Python's objects they would take ten times as much
        self.places = np.array(places, np.int64).reshape(-1, 5)

    def __len__(self) -> int:
        return len(self.keys)

    def leave_out(self, key: str, why: str) -> None:
        """Log and count a sample that cannot be used."""
        self.left_out[str(key)] = why
        log.warning("%s: sample %s is left out: %s", self.path, key, why)

    def caption(self, i: int) -> str | None:
        """The caption of sample i, or None if the sample has to be left out."""
        if self.keys[i] in self.left_out:
            return None
        *_, begin, end, is_json = self.places[i].tolist()
        try:
            caption = caption_in(self.content(begin, end), is_json)
        except (ValueError, RecursionError):
            return self.leave_out(self.keys[i], "broken caption")
        return caption or self.leave_out(self.keys[i], "no caption")

    def read(self, i: int) -> tuple[str, Image.Image] | None:
        """Caption and picture (RGBA) of sample i, or None if it has to be left out."""
        caption = self.caption(i)
        if caption is None:
            return None
        begin, end = self.places[i, :2].tolist()
        try:
            return caption, read_picture(io.BytesIO(self.content(begin, end)), self.keys[i])
        except ValueError:
            return self.leave_out(self.keys[i], "broken picture")

    def content(self, begin: int, end: int) -> bytes:
        """Some bytes of the tar."""
        with open(self.path, "rb") as file:
            file.seek(begin)
            return file.read(end - begin)


# ---- all of them ------------------------------------------------------------------------


class Shards:
    """Many tar files as one source of examples (see datasets.py).

    An item is (number of the sample, seed of its crop). For a sample that turns out to be broken
    the next one stands in. So a batch is the same however many processes share it, although a
    broken picture is met only by who loads it. `crop` is one of those in pictures.py.
    """

    def __init__(self, paths: list[Path], image_size: int, crop: Crop = dalle_crop):
        self.image_size, self.crop = image_size, crop
        self.shards = [Shard(path) for path in paths]
        self.ends = list(accumulate(map(len, self.shards)))
        if not len(self):
            raise ValueError(f"{paths[0]} {'and the others hold' if paths[1:] else 'holds'} no picture "
                             "KEY.jpg with a caption KEY.txt or KEY.json")
        # Captions and pictures are asked for one after the other, and read together.
        self.example = lru_cache(max(1, REMEMBERED // (3 * image_size**2)))(self.read)

    def __len__(self) -> int:
        return self.ends[-1]

    @property
    def skipped(self) -> Counter:
        """How many samples this process had to leave out so far, by reason."""
        return Counter(why for shard in self.shards for why in shard.left_out.values())

    def place(self, number: int) -> tuple[Shard, int]:
        """The shard of sample `number`, and which one it is there."""
        which = bisect_right(self.ends, number)
        return self.shards[which], number - self.ends[which] + len(self.shards[which])

    def choose(self, rng: Random, size: int) -> list[tuple[int, int]]:
        """`size` samples, none twice if there are enough, and how each is to be cropped."""
        everything = range(len(self))
        enough = size <= len(everything)
        chosen = rng.sample(everything, size) if enough else rng.choices(everything, k=size)
        return [(number, rng.getrandbits(32)) for number in chosen]

    def captions(self, items: list[tuple[int, int]]) -> list[str]:
        """One text each."""
        return [self.example(item)[0] for item in items]

    def load(self, items: list[tuple[int, int]]) -> np.ndarray:
        """One crop of a picture each."""
        return np.stack([self.example(item)[1] for item in items])

    def read(self, item: tuple[int, int]) -> tuple[str, np.ndarray]:
        """Caption and picture (S, S, 3) of an item, or of its first successor that is not broken."""
        first, seed = item
        for number in chain(range(first, len(self)), range(first)):
            shard, i = self.place(number)
            if found := shard.read(i):
                caption, image = found
                return caption, on_white(self.crop(image, self.image_size, Random(seed)))
        raise ValueError(f"{self.shards[0].path}: all {len(self)} samples of the shards are broken")

    def some_captions(self, rng: Random, most: int) -> list[str]:
        """The captions of `most` samples, or of all; no picture is opened."""
        numbers = rng.sample(range(len(self)), min(most, len(self)))
        found = (shard.caption(i) for shard, i in map(self.place, sorted(numbers)))
        return [caption for caption in found if caption]
