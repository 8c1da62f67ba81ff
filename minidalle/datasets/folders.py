"""Folders of pictures and captions: NAME.png (or .jpg, .webp) beside NAME.txt, in sub-folders too.

S pixels per side, M pictures.

A file that cannot be used does not stop the run: it is left out, and one line of the log counts
such files by reason.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from minidalle.datasets import pairs
from minidalle.datasets.pictures import open_picture
from minidalle.files import TooLarge, read_at_most
from minidalle.words import shown

log = logging.getLogger(__name__)


def read_folder(folder: Path, image_size: int) -> tuple[list[tuple[str, ...]], np.ndarray]:
    """The captions of each picture, and the pictures (M, S, S, 3): NAME.png beside NAME.txt.

    Raises ValueError, in one sentence, for a folder without any such pair.
    """
    folder, whole, left_out = Path(folder), [], defaultdict(list)
    for path, found in samples_in(folder, image_size):
        if isinstance(found, str):
            left_out[found].append(path.relative_to(folder))
        else:
            whole.append(found)
    said = "; left out: " + in_words(left_out) if left_out else ""
    if not whole:
        if any(folder.glob("*.tar")):
            said += f"; name shards as '{folder}/{{00000..00009}}.tar'"
        lacks = "no picture NAME.png with a caption NAME.txt beside it"
        raise ValueError(f"{shown(folder)} holds {lacks}{said}")
    if said:
        log.warning("%s: %d read%s", shown(folder), len(whole), said)
    captions, pictures = zip(*whole)
    return list(captions), np.stack(pictures)


def samples_in(folder: Path, image_size: int) -> Iterator[tuple[Path, str | tuple]]:
    """(picture, its captions and pixels) for each sample, (file, reason) for each file left out."""
    for path in folder.rglob("*"):
        if path.is_symlink() and path.is_dir():  # following links could loop
            yield path, "link to a folder"
    for files in files_in(folder):
        samples, reasons = pairs.pair(files)
        for why, (_, path) in zip(reasons, files):
            yield path, why
        for picture, text, _ in samples:
            yield picture, read_pair(picture, text, image_size)


def files_in(folder: Path) -> list[list[tuple[str, Path]]]:
    """The pictures and texts of each NAME, as (ending, path)."""
    found, known = defaultdict(list), (*pairs.PICTURES, *pairs.OTHERS, "txt")
    for path in sorted(folder.rglob("*")):
        ending, name = path.suffix.lower()[1:], path.relative_to(folder).as_posix()
        if ending in known and path.is_file() and not pairs.hidden(name):
            found[path.with_suffix("")].append((ending, path))
    return list(found.values())


def read_pair(picture: Path, text: Path, image_size: int) -> tuple | str:
    """The captions and the picture (S, S, 3) of a sample, or the reason to leave it out."""
    try:
        captions = pairs.captions_in(read_at_most(text, pairs.MOST_TEXT))
    except TooLarge:
        return pairs.LONG_CAPTION
    except ValueError:
        return pairs.BROKEN_CAPTION
    try:
        return (captions, open_picture(picture, image_size)) if captions else pairs.NO_CAPTION
    except TooLarge:
        return pairs.LARGE_PICTURE
    except ValueError:
        return pairs.BROKEN_PICTURE


def in_words(left_out: dict[str, list[Path]]) -> str:
    """{"no caption": [a.png, b.png], "no picture": [c.txt]} → "2 no caption (a.png, …), 1 no …"."""
    return ", ".join(
        f"{len(paths)} {why} ({shown(paths[0])}{', …' if paths[1:] else ''})"
        for why, paths in left_out.items()
    )
