"""Which words training had, and captions near one that has others.

A model that was never shown an armchair draws something all the same. Whoever typed the caption
should hear about it, and see what can be drawn instead.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from random import Random

import numpy as np

from minidalle.world import emoji, scenes
from minidalle.world.abilities import ABILITIES
from minidalle.world.lit import LIT

WORD = re.compile(r"[^\W_]+(?:[-'][^\W_]+)*")
QUOTED = re.compile(r" '\w+'")  # to be spelled, so any letters will do


@cache
def captions(data: str) -> tuple[str, ...]:
    """Captions of a built-in data set, by its name, in which every word of it occurs."""
    rng, found = Random(0), []
    if data in ("scenes", "both", "lit"):
        found += [scenes.caption_of(scenes.sample_scene(rng)) for _ in range(4000)]
    if data == "lit":
        found += [LIT.caption_of(LIT.sample(rng)) for _ in range(3000)]
    if data in ("abilities", "world"):
        for ability in ABILITIES.values():
            found += [ability.caption_of(ability.sample(rng)) for _ in range(3000)]
    if data in ("emoji", "both", "world"):
        found += emoji_captions(styled=data == "world")
    return tuple(found)


def emoji_captions(styled: bool) -> Iterable[str]:
    """One caption of each picture that training has, on no background or any."""
    pack = emoji.load_pack()
    shown = pack.split == emoji.TRAIN
    if styled:
        shown &= np.isin(np.array(pack.groups)[pack.concept], emoji.DRAWN_AT_64)
    templates = emoji.STYLED if styled else range(len(emoji.TEMPLATES))
    grounds = (None, *scenes.BACKGROUNDS)
    for i in np.flatnonzero(shown):
        template, ground = templates[i % len(templates)], grounds[i % len(grounds)]
        yield emoji.caption(pack, i, template, ground)


def words(caption: str) -> list[str]:
    """The words of a caption, without quoted ones.

    >>> words("A sign that says 'tea', at night.")
    ['a', 'sign', 'that', 'says', 'at', 'night']
    """
    return WORD.findall(QUOTED.sub("", caption.lower()))


@cache
def _counts(data: str) -> Counter:
    return Counter(word for caption in captions(data) for word in set(words(caption)))


def never_shown(caption: str, data: str) -> list[str]:
    """The words of a caption that no caption of the data has.

    >>> never_shown("an armchair above a red star", "scenes")
    ['armchair']
    """
    return [word for word in dict.fromkeys(words(caption)) if word not in _counts(data)]


def nearby(caption: str, data: str, count: int = 3) -> list[str]:
    """Captions of the data that share the most, and the rarest, words with this one."""
    wanted, shown = set(words(caption)), _counts(data)

    def nearness(other: str) -> float:
        own = set(words(other))
        shared = sum(1 / math.log(2 + shown[word]) for word in own & wanted)
        return shared / math.sqrt(len(own))

    return sorted(dict.fromkeys(captions(data)), key=nearness, reverse=True)[:count]
