"""Tiny's world must not change: the notebooks and the shipped weights rest on it.

The world may grow, as long as the scenes that tiny was trained on keep their captions, their
split and their pixels to the last bit. If one of these checksums changes, what was added to the
tables of `scenes.py` has changed what `sample_scene` or `painting.paint` make of the same random
numbers, and data/tiny would have to be trained again.
"""

import hashlib
from random import Random

import pytest

from minidalle.world import painting, scenes

FROZEN = {
    "captions": "18d287ceb15be3c55a3d065520b4ed57ee612171fdc5b4975dfaa0f67afd2135",
    "splits": "b9067a6991d10e5ca8a5afe600aecde8861912c76d2abfe748ecba0d2d13fe90",
    "paintings": "9aed717079dc883d905471891ddae559207aa32e0b3bd470589791f27fbf145e",
}


@pytest.fixture(scope="module")
def world() -> dict[str, list[bytes]]:
    """A thousand scenes as they are sampled for tiny, 32×32 pixels: what is said and painted."""
    rng, rows = Random("a frozen world"), {name: [] for name in FROZEN}
    for i in range(1000):
        scene = scenes.sample_scene(rng, ("train", "train", "unseen", "combination")[i % 4])
        rows["captions"].append(scenes.caption_of(scene).encode())
        rows["splits"].append(scenes.split(scene).encode())
        rows["paintings"].append(painting.paint(scene, rng).tobytes())
    return rows


@pytest.mark.parametrize("name", FROZEN)
def test_a_thousand_scenes_are_what_they_were(world, name):
    assert hashlib.sha256(b"\n".join(world[name])).hexdigest() == FROZEN[name]


def test_each_caption_says_its_scene(world):
    for caption, split in zip(world["captions"], world["splits"]):
        scene = scenes.parse(caption.decode())
        assert scenes.caption_of(scene) == caption.decode()
        assert scenes.split(scene) == split.decode()


def test_the_sample_covers_tinys_world(world):
    """44 emoji, 8 shapes, 8 colours, 3 fills, 2 sizes, 4 relations: each is said at least once."""
    said = " ".join(f" {caption.decode()} " for caption in world["captions"])
    tables = scenes.NAMES, scenes.COLOURS, scenes.FILLS[1:], scenes.RELATIONS, scenes.BACKGROUNDS
    covered = [sum(f" {word} " in said for word in table) for table in tables]
    assert covered == [44 + 8, 8, 2, 4, 6] and " small " in said
