"""Which files make up a sample, in folders and in shards: a picture and a text of captions.

Files with the same key belong together, and the ending of a name gives the type of the file.
Files that cannot be used are left out, for one of the reasons below, which folders.py and
shards.py log and count.
"""

import json
import re
from typing import TypeVar

from minidalle.files import TooLarge

PICTURES = ("jpg", "jpeg", "png", "webp")
OTHERS = tuple(
    "avif bmp gif heic heif ico jfif jp2 jxl psd svg tar tga tif tiff".split()
)  # not read
CAPTIONS = ("txt", "json")
KINDS = dict.fromkeys(PICTURES, "picture") | {"txt": "txt", "json": "json"}  # there may be both

NO_PICTURE, NO_CAPTION, OTHER_FORMAT = "no picture", "no caption", "unsupported format"
BROKEN_PICTURE, BROKEN_CAPTION = "broken picture", "broken caption"
LARGE_PICTURE, LONG_CAPTION, LONG_NAME = "picture too large", "caption too long", "name too long"
DAMAGED = "damaged tar"  # a whole shard, from there on
TWICE = "repeated key"
DOTS = "dot in the key (a key ends at the first dot of the name)"

MOST_TEXT = 2**16  # bytes in a file of captions
MOST_CAPTIONS = 100  # of a picture: data sets have five or so, and each may become a row of tokens

Place = TypeVar("Place")  # where a file is: its path, or its bytes in a tar


def hidden(name: str) -> bool:
    """Is it hidden, like the ._a.png that macOS puts beside a.png, or in a folder like .git?"""
    return any(part.startswith(".") and part.strip(".") for part in name.split("/"))


def pair(files: list[tuple[str, Place]]) -> tuple[list[tuple[Place, Place, bool]], list[str]]:
    """The samples in the files of one key, and the reasons to leave others out.

    files: (ending, place), in their order. A sample is (picture, caption, is the caption JSON?).

    >>> pair([("png", 1), ("txt", 2)])
    ([(1, 2, False)], [])

    A second picture or text with the same key, as when two exports are in one tar, begins another
    sample. Unless all of these are complete, it is unclear which files belong together.

    >>> pair([("png", 1), ("txt", 2), ("png", 3), ("txt", 4)])
    ([(1, 2, False), (3, 4, False)], [])
    >>> pair([("jpg", 1), ("png", 2), ("txt", 3)])
    ([], ['repeated key', 'repeated key'])
    """
    groups = [{}]
    for ending, place in files:
        kind = KINDS.get(ending)
        if kind and kind in groups[-1]:
            groups.append({})
        if kind:
            groups[-1][kind] = place
    if why := why_left_out(groups, any(ending in OTHERS for ending, _ in files)):
        return [], [why] * len(groups)
    whole = [group for group in groups if group]
    return [(g["picture"], g.get("txt") or g["json"], "txt" not in g) for g in whole], []


def why_left_out(groups: list[dict], others: bool) -> str | None:
    """The reason to leave out the groups {kind: place} of a key, or None; `others`: see OTHERS."""
    kinds = groups[0].keys()
    if any(group.keys() != kinds for group in groups):
        return TWICE
    if "picture" in kinds:
        return None if kinds & set(CAPTIONS) else NO_CAPTION
    if others:
        return OTHER_FORMAT
    return NO_PICTURE if kinds else None


def captions_in(content: bytes, is_json: bool = False) -> tuple[str, ...]:
    """The captions in KEY.txt, one per line, or under "caption" in KEY.json; () if there are none.

    Raises ValueError or RecursionError if it is not text or not JSON, TooLarge if there are more
    than MOST_CAPTIONS.
    """
    text = json.loads(content) if is_json else content.decode("utf-8-sig")
    if is_json:
        text = text.get("caption") if isinstance(text, dict) else None
    if not isinstance(text, str):
        return ()
    text.encode("utf-8")  # JSON can hold half of a surrogate pair, which is not text
    text = text.replace("\ufeff", "")  # byte order marks, left where files were concatenated
    lines = (" ".join(line.split()) for line in re.split(r"[\r\n]", text))
    captions = tuple(line for line in lines if line)
    if len(captions) > MOST_CAPTIONS:
        raise TooLarge(f"more than {MOST_CAPTIONS} captions")
    return captions
