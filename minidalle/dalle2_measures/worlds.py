"""The two worlds that the second DALL·E is asked about: scenes, and solids in a light.

Each knows captions that training never showed, paints their pictures in any size, and reads
pictures of 32×32 back, so that one measure serves both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

import numpy as np

from minidalle.understanding import real_ones
from minidalle.world import judge, painting, reader, scenes, vocabulary
from minidalle.world.lit import LIT

# The first DALL·E never drew lights, so no dVAE of it can say how much to forgive: as little as in
# scenes of the same size.
LIT_LIMITS = reader.Limits(judge.LIMITS.worst, judge.LIMITS.detail)


class Asked(NamedTuple):
    """A caption, and a picture of it."""

    caption: str
    said: Any  # what the caption says: a Scene, or facts
    whole: Any  # and all that it leaves open, settled


@dataclass(frozen=True)
class World:
    """What can be asked, painted and read."""

    name: str
    ask: Callable[[Random, int], list[Asked]]  # captions that training never showed
    miss: Callable[[Asked, Random], Asked]  # the same, but for one thing that is said
    paint: Callable[[Asked, int], np.ndarray]  # in a size: uint8 (size, size, 3)
    examine: Callable[[np.ndarray], list]  # readings of uint8 (B, 32, 32, 3)
    faults: Callable[[Any, Any], list[str]]  # of what was said and a reading: [] if it is exact
    differences: Callable[[Any, Any], list[str]]  # the same, but however badly it is drawn
    left_open: Callable[[Any], Any]  # what a reading shows of all that captions may leave open

    def paintings(self, asked: list[Asked], size: int = 32) -> np.ndarray:
        """The pictures of all that is asked: uint8 (B, size, size, 3)."""
        return np.stack([self.paint(one, size) for one in asked])


def _ask_scenes(split: str) -> Callable[[Random, int], list[Asked]]:
    def ask(rng: Random, count: int) -> list[Asked]:
        found = {}
        while len(found) < count:  # all different
            scene = scenes.sample_scene(rng, split)
            caption = scenes.caption_of(scene)
            found[caption] = Asked(caption, scene, painting.arrange(scene, rng))
        return list(found.values())

    return ask


def _miss_scene(asked: Asked, rng: Random) -> Asked:
    scene = scenes.variation(asked.said, rng)
    return Asked(scenes.caption_of(scene), scene, painting.arrange(scene, rng))


def _miss_lit(asked: Asked, rng: Random) -> Asked:
    said = LIT.near_miss(asked.said, rng)
    return Asked(LIT.caption_of(said), said, LIT.settle(said, rng))


def _paint_scene(asked: Asked, size: int) -> np.ndarray:
    scene, places = asked.whole
    return painting.paint_at(scene, places, zoom=size // 32)


def _of_scenes(split: str) -> World:
    return World(
        split,
        _ask_scenes(split),
        _miss_scene,
        _paint_scene,
        judge.examine,
        judge.faults,
        lambda said, seen: judge.differences(said, seen.scene),
        lambda seen: (seen.scene.background, tuple(map(painting.square_of, seen.places))),
    )


def _ask_lit(rng: Random, count: int) -> list[Asked]:
    pairs = zip(*real_ones(LIT, rng, count))
    return [Asked(LIT.caption_of(said), said, settled) for said, settled in pairs]


WORLDS = {
    "unseen": _of_scenes("unseen"),
    "combination": _of_scenes("combination"),
    "lit": World(
        "lit",
        _ask_lit,
        _miss_lit,
        lambda asked, size: LIT.paint(asked.whole, size),
        lambda pictures: reader.examine(LIT, pictures),
        lambda said, seen: reader.faults(LIT, said, seen, LIT_LIMITS),
        lambda said, seen: reader.differences(LIT, said, seen.facts),
        lambda seen: tuple(seen.facts[field] for field in LIT.free),
    ),
}


def worlds_of(data: str) -> dict[str, World]:
    """Those that models trained on `data` can be asked about.

    >>> list(worlds_of("scenes"))
    ['unseen', 'combination']
    """
    return {name: world for name, world in WORLDS.items() if name != "lit" or data == "lit"}


def refuse_others(caption: str, data: str) -> None:
    """Raise ValueError, in one sentence, for a caption outside the world of the data.

    Of other people's data nothing is known, so nothing is refused.
    """
    if not vocabulary.captions(data):
        return
    parsers = [scenes.parse] + [LIT.parse] * (data == "lit")
    for parse in parsers:
        try:
            parse(caption)
            return
        except ValueError:
            pass
    near = "; ".join(vocabulary.nearby(caption, data))
    raise ValueError(f"{caption!r} is outside the world of these weights; near it are: {near}")
