"""The captioned world: caption ↔ scene, with exact ground truth.

A photograph's caption is never complete, so whether a picture drawn from it is right is a matter
of opinion. In this world it can be checked: a `Scene` holds all the facts, `caption_of` writes
them, `parse` reads them back, and `painting.paint` paints them. Everything in the world is a row
of a table below, so a new shape or relation is a new row.

Facts that a caption omits are either fixed or free. Things are large and filled unless it says
otherwise; a background that is not named may be any, and exact positions are always free.

Some combinations never appear in training (`split`), to test whether a model can combine parts
that it knows into a scene that it has never seen.
"""

import re
from dataclasses import dataclass, replace
from random import Random
from zlib import crc32

import numpy as np

from minidalle.world.emoji import OBJECTS

# ---- the tables -------------------------------------------------------------------------


def _star(x, y):
    """A five-pointed star: inside the lines from tips (radius 1) to notches (0.45)."""
    turn = 2 * np.pi / 5
    angle = np.abs((np.arctan2(x, -y) + turn / 2) % turn - turn / 2)
    across, along = np.hypot(x, y) * np.sin(angle), np.hypot(x, y) * np.cos(angle)
    notch_across, notch_along = 0.45 * np.sin(turn / 2), 0.45 * np.cos(turn / 2)
    return (1 - along) * notch_across >= across * (1 - notch_along)


# name → is the point (x, y) inside? x runs right and y down, both from -1 to 1.
SHAPES = {
    "circle": lambda x, y: x**2 + y**2 <= 1,
    "square": lambda x, y: np.maximum(abs(x), abs(y)) <= 0.9,
    "triangle": lambda x, y: (abs(x) <= (y + 1) / 1.9) & (y <= 0.9),
    "star": _star,
    "heart": lambda x, y: (
        ((1.2 * x) ** 2 + (0.1 - 1.15 * y) ** 2 - 1) ** 3 <= (1.2 * x) ** 2 * (0.1 - 1.15 * y) ** 3
    ),
    "diamond": lambda x, y: abs(x) / 0.75 + abs(y) <= 1,
    "cross": lambda x, y: (np.minimum(abs(x), abs(y)) <= 0.34) & (np.maximum(abs(x), abs(y)) <= 1),
    "moon": lambda x, y: (x**2 + y**2 <= 1) & ((x - 0.7) ** 2 + y**2 >= 0.55),
}
COLOURS = {
    "red": (214, 39, 40),
    "orange": (255, 140, 0),
    "yellow": (250, 210, 20),
    "green": (34, 145, 60),
    "blue": (35, 90, 215),
    "purple": (135, 55, 185),
    "pink": (250, 95, 175),
    "brown": (120, 70, 35),
}
FILLS = ("filled", "outlined", "striped")
SIZES = {"large": 14, "small": 11}  # pixels a side in a 32×32 picture
COUNTS = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4}
# phrase → (down, right), the direction from the second thing to the first
RELATIONS = {
    "above": (-1, 0),
    "below": (1, 0),
    "to the left of": (0, -1),
    "to the right of": (0, 1),
}
BACKGROUNDS = {  # pastels, against which everything is visible
    "white": (255, 255, 255),
    "grey": (205, 205, 205),
    "yellow": (255, 240, 165),
    "green": (185, 235, 185),
    "blue": (180, 215, 252),
    "pink": (255, 205, 225),
}
NAMES = tuple(SHAPES) + tuple(OBJECTS)
PLURALS = {s: "crosses" if s == "cross" else s + "s" for s in SHAPES}
PLURALS |= {name: plural for name, (_, plural) in OBJECTS.items()}


@dataclass(frozen=True)
class Thing:
    """A shape with a colour and a fill, or an emoji, which has its own."""

    name: str
    colour: str | None = None
    fill: str | None = None
    size: str = "large"
    count: int = 1


@dataclass(frozen=True)
class Scene:
    """One thing (counted), or several, each standing in `relation` to the next."""

    things: tuple[Thing, ...]
    relation: str | None = None
    background: str | None = None  # None: not in the caption, so any is right


# ---- scene → caption --------------------------------------------------------------------


def caption_of(scene: Scene) -> str:
    """Describe everything about a scene that is neither the default nor left open.

    >>> caption_of(Scene((Thing("star", "green", "striped", count=3),), background="blue"))
    'three striped green stars on a blue background'
    """
    said = f" {scene.relation} ".join(_phrase(thing) for thing in scene.things)
    return said if scene.background is None else f"{said} on a {scene.background} background"


def _phrase(thing: Thing) -> str:
    size = "" if thing.size == "large" else thing.size
    fill = "" if thing.fill in (None, "filled") else thing.fill
    noun = thing.name if thing.count == 1 else PLURALS[thing.name]
    words = " ".join(word for word in (size, fill, thing.colour, noun) if word)
    if thing.count == 1:
        return ("an " if words[0] in "aeiou" else "a ") + words
    return ("two ", "three ", "four ")[thing.count - 2] + words


# ---- caption → scene --------------------------------------------------------------------


def parse(caption: str) -> Scene:
    """Read a caption of this world; adjectives may come in any order.

    >>> parse("a large red circle").things[0].colour
    'red'

    Raises ValueError, in one sentence, for a caption outside this world.
    """
    text = " ".join(caption.lower().rstrip(" .!").split())
    text = re.sub(r"\b(?:to the )?(left|right) of\b", r"to the \1 of", text)
    text, background = _split_background(text)
    pieces = re.split(rf" ({'|'.join(RELATIONS)}) ", text)  # phrase, relation, phrase, …
    things, relations = tuple(map(_parse_thing, pieces[::2])), set(pieces[1::2])
    if len(relations) > 1:
        raise ValueError(f"a scene has one relation, but {caption!r} has several")
    if len(things) > 3:
        raise ValueError(f"a scene has at most three things, but {caption!r} has {len(things)}")
    if len(set(things)) < len(things):
        raise ValueError(f"the things of a scene must differ; {caption!r} can be counted instead")
    if len(things) > 1 and any(thing.count > 1 for thing in things):
        raise ValueError(f"only a thing on its own can be counted, unlike in {caption!r}")
    return Scene(things, next(iter(relations), None), background)


def _split_background(text: str) -> tuple[str, str | None]:
    found = re.fullmatch(r"(.*) on an? (\w+) background", text)
    if not found:
        return text, None
    if found[2] not in BACKGROUNDS:
        raise ValueError(f"no background is {found[2]!r}; there are {', '.join(BACKGROUNDS)}")
    return found[1], found[2]


def _parse_thing(phrase: str) -> Thing:
    first, *adjectives, noun = phrase.split() if len(phrase.split()) > 1 else ("", phrase)
    if first not in COUNTS:
        raise ValueError(f"{phrase!r} should begin with one of {', '.join(COUNTS)}")
    count = COUNTS[first]
    singular = {noun: noun} if count == 1 else {plural: name for name, plural in PLURALS.items()}
    name = singular.get(noun)
    if name not in NAMES:
        raise ValueError(f"{noun!r} in {phrase!r} is not one of the {len(NAMES)} known things")
    look = {}
    for word in adjectives:
        kind = next((k for k, words in _ADJECTIVES.items() if word in words), None)
        if kind is None:
            raise ValueError(f"{word!r} in {phrase!r} is no size, fill or colour of this world")
        if kind in look:
            raise ValueError(
                f"{phrase!r} has two words for its {kind}, {look[kind]!r} and {word!r}"
            )
        look[kind] = word
    look = {"colour": None, "fill": "filled", "size": "large"} | look
    if name in SHAPES and look["colour"] is None:
        raise ValueError(f"{phrase!r} names a shape and so needs a colour: {', '.join(COLOURS)}")
    if name in OBJECTS:
        if look["colour"] or look["fill"] != "filled":
            raise ValueError(f"{phrase!r}: an emoji brings its own colours and fill")
        look["fill"] = None
    return Thing(name, count=count, **look)


_ADJECTIVES = {"colour": COLOURS, "fill": FILLS, "size": SIZES}

# ---- training and held-out scenes -------------------------------------------------------


def canonical(scene: Scene) -> Scene:
    """The scene in a normal form: of "A above B" and "B below A", always the first."""
    if scene.relation in ("below", "to the right of"):
        relation = {"below": "above", "to the right of": "to the left of"}[scene.relation]
        return replace(scene, things=scene.things[::-1], relation=relation)
    return scene


def split(scene: Scene) -> str:
    """ "combination", "unseen" or "train": a pure function of what the scene says.

    combination: it has a colour × shape pair or a pair of things that never occurs in training.
    unseen: all its pairs occur in training, but these things in this relation do not, on any
    background (a tenth of all scenes).
    """
    names = list(SHAPES)
    for thing in scene.things:  # one held-out colour for each shape, and one shape for each colour
        if thing.name in SHAPES:
            if (list(COLOURS).index(thing.colour) - 3 * names.index(thing.name)) % 8 == 0:
                return "combination"
    for first, second in zip(scene.things, scene.things[1:]):
        if crc32(" and ".join(sorted((first.name, second.name))).encode()) % 12 == 0:
            return "combination"
    said = caption_of(replace(canonical(scene), background=None))
    return "unseen" if crc32(said.encode()) % 10 == 0 else "train"


def sample_scene(rng: Random, wanted: str = "train", image_size: int = 32) -> Scene:
    """Draw a random scene of the split `wanted` ("train", "unseen" or "combination")."""
    while True:
        scene = _any_scene(rng, 3 if image_size >= 64 else 2)
        if split(scene) == wanted:
            return scene


def _any_scene(rng: Random, most: int) -> Scene:
    background = None if rng.random() < 0.4 else rng.choice(list(BACKGROUNDS))
    n = rng.choice((1, 2, 2, 3)[: most + 1])
    things = []
    while len(things) < n:
        thing = _any_thing(rng, background)
        if thing not in things:
            things.append(thing)
    if n == 1:
        return Scene((replace(things[0], count=rng.choice((1, 1, 2, 3, 4))),), None, background)
    return Scene(tuple(things), rng.choice(list(RELATIONS)), background)


def _any_thing(rng: Random, background: str | None) -> Thing:
    size = "small" if rng.random() < 0.3 else "large"
    if rng.random() < 0.4:
        return Thing(rng.choice(list(OBJECTS)), size=size)
    colour = rng.choice([c for c in COLOURS if c != background])
    fill = rng.choice(("filled", "filled", "filled", "outlined", "striped"))
    return Thing(rng.choice(list(SHAPES)), colour, fill, size)


def variation(scene: Scene, rng: Random) -> Scene:
    """A near miss: the scene with one attribute changed, or with two things swapped.

    CLIP has to learn to tell these apart.
    """
    while True:
        other = _changed(scene, rng)
        alike = len(set(other.things)) < len(other.things)
        if not alike and canonical(other) != canonical(scene):  # e.g. grey to grey
            return other


def _changed(scene: Scene, rng: Random) -> Scene:
    # If the caption names no background, any is right, so naming one is not a near miss.
    kinds = ["thing"] * 3 + ["background"] * (scene.background is not None)
    kinds += ["relation", "swap", "swap"] * (len(scene.things) > 1)
    kind = rng.choice(kinds)
    if kind == "background":
        return replace(scene, background=rng.choice(list(BACKGROUNDS)))
    if kind == "relation":
        return replace(scene, relation=rng.choice(list(RELATIONS)))
    things = list(scene.things)
    if kind == "swap":
        first, second = rng.sample(range(len(things)), 2)
        things[first], things[second] = things[second], things[first]
        return replace(scene, things=tuple(things))
    i = rng.randrange(len(things))
    things[i] = _nearby(things[i], rng, scene.background, alone=len(things) == 1)
    return replace(scene, things=tuple(things))


def _nearby(thing: Thing, rng: Random, background: str | None, alone: bool) -> Thing:
    other = _any_thing(rng, background)
    fields = ["name", "name", "size"] + ["count"] * alone
    if thing.name in SHAPES and other.name in SHAPES:
        fields += ["name", "name", "colour", "fill"]
    field = rng.choice(fields)
    if field == "count":
        return replace(thing, count=rng.randint(1, 4))
    if field == "name" and (thing.name in SHAPES) != (other.name in SHAPES):
        return replace(other, count=thing.count)
    return replace(thing, **{field: getattr(other, field)})
