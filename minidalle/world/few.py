"""A corner of the world that a minute of training suffices for: sixteen things, one relation.

It has the functions of scenes.py that a source of pictures needs, under the same names:

    sample_scene(rng, wanted)    a random scene of the split "train" or "unseen"
    split(scene)                 "train", "unseen", or "elsewhere" if it is not of this corner
    variation(scene, rng)        a near miss

A scene is one of four shapes in one of four colours *to the left of* another, on a background that
the caption leaves open: 240 captions, of which a tenth are held out.
"""

from dataclasses import replace
from itertools import permutations, product
from random import Random
from zlib import crc32

from minidalle.world.scenes import Scene, Thing, caption_of

SHAPES = ("circle", "square", "triangle", "star")
COLOURS = ("red", "yellow", "green", "blue")
RELATION = "to the left of"
THINGS = tuple(Thing(shape, colour, "filled") for shape, colour in product(SHAPES, COLOURS))
SCENES = tuple(Scene(pair, RELATION) for pair in permutations(THINGS, 2))


def split(scene: Scene) -> str:
    """ "train", "unseen" or "elsewhere": a pure function of what the scene says.

    >>> split(Scene((Thing("heart", "red", "filled"),)))
    'elsewhere'
    """
    scene = replace(scene, background=None)
    if scene not in SCENES:
        return "elsewhere"
    return "unseen" if crc32(caption_of(scene).encode()) % 10 == 0 else "train"


def sample_scene(rng: Random, wanted: str = "train", image_size: int = 32) -> Scene:
    """Draw a random scene of the split `wanted`."""
    while True:
        scene = rng.choice(SCENES)
        if split(scene) == wanted:
            return scene


def variation(scene: Scene, rng: Random) -> Scene:
    """A near miss: one thing changed in shape or colour, or both things swapped."""
    while True:
        things = list(scene.things)
        which = rng.randrange(3)
        if which == 2:
            things.reverse()
        else:
            shape, colour = rng.choice(SHAPES), rng.choice(COLOURS)
            thing = things[which]
            changed = replace(thing, name=shape), replace(thing, colour=colour)
            things[which] = rng.choice(changed)
        found = replace(scene, things=tuple(things))
        if found != scene and len(set(things)) == 2:
            return found
