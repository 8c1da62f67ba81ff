"""Attributes bound to one thing, and things as nobody has seen them.

ATTRIBUTES: "a small striped blue star" says four things about one shape. Held out is an eighth of
the combinations of colour, shape and fill: each word is known, their meeting is not.

OUTLINES: "a clock in the shape of a pentagon". Held out is an eighth of the pairs, and this
is one of them.

HABITS: "a purple banana". These things have a habitual colour, and a model that goes by habit
draws that one. Held out is an eighth of the pairs, such as this, but never the habitual colour.
"""

from itertools import product

import numpy as np

from minidalle.world import outlined
from minidalle.world.ability import Ability, Facts, one_in
from minidalle.world.canvas import Canvas
from minidalle.world.coloured import COLOURED, HABITUAL
from minidalle.world.scenes import BACKGROUNDS, COLOURS
from minidalle.world.shapes import FILLS, SHAPES, figure


def visible(facts: Facts) -> bool:
    """Whether the thing stands out: no colour is put on its own pastel."""
    return facts.get("background") is None or facts["background"] != facts.get("colour")


def left_open(*edges: int) -> dict[str, tuple]:
    """What the captions of this file leave open: background and place, (left, top) in units."""
    return {"background": tuple(BACKGROUNDS), "place": tuple(product(edges, edges))}


# ---- a shape with four attributes ---------------------------------------------------------

SIDES = {"large": 56, "small": 28}
ROOM = {"large": (0, 4, 8), "small": (4, 20, 32)}  # left or top edge, by the place


def draw_attributes(
    size: int, background: str, place: tuple[int, int], colour: str, shape: str, **look: str
) -> np.ndarray:
    """One shape; it is filled unless `look` says otherwise."""
    canvas = Canvas(size, BACKGROUNDS[background])
    thing = figure(shape, look.get("fill", "filled"), COLOURS[colour])
    left, top = (ROOM[look["scale"]][number] for number in place)
    canvas.put(thing, left, top, SIDES[look["scale"]])
    return canvas.picture()


ATTRIBUTES = Ability(
    "attributes",
    fields={
        "colour": tuple(COLOURS),
        "fill": tuple(fill for fill in FILLS if fill != "filled"),
        "shape": tuple(SHAPES),
        "scale": tuple(SIDES),
    },
    free=left_open(0, 1, 2),
    templates=("{a scale} {colour} {shape}", "{a scale} {fill} {colour} {shape}"),
    draw=draw_attributes,
    held_out=lambda facts: one_in(8, facts.get("fill", "filled"), facts["colour"], facts["shape"]),
    valid=visible,
)


# ---- a thing in the shape of another ------------------------------------------------------


def draw_outlines(
    size: int, background: str, place: tuple[int, int], thing: str, shape: str
) -> np.ndarray:
    """One thing of 52 units; those with a handle stand a little higher."""
    canvas = Canvas(size, BACKGROUNDS[background])
    (left, top), handle = place, outlined.handle_of(thing)
    if handle:
        top -= 4
        canvas.put(outlined.handle(handle), left + 22, top + 28, 8, 36)
    canvas.put(outlined.outlined(thing, shape), left, top, 52)
    return canvas.picture()


OUTLINES = Ability(
    "outlines",
    fields={"thing": outlined.THINGS, "shape": outlined.OUTLINES},
    free=left_open(4, 8),
    templates=("{a thing} in the shape of {a shape}",),
    draw=draw_outlines,
    held_out=lambda facts: one_in(8, facts["thing"], "of", facts["shape"]),
)


# ---- a thing in a colour that it does not have --------------------------------------------


def draw_habits(
    size: int, background: str, place: tuple[int, int], colour: str, thing: str
) -> np.ndarray:
    """One thing of 56 units."""
    canvas = Canvas(size, BACKGROUNDS[background])
    canvas.put(COLOURED[thing](COLOURS[colour]), *place, 56)
    return canvas.picture()


def held_out_habits(facts: Facts) -> bool:
    """An eighth of the pairs of a colour and a thing that does not usually have it."""
    usual = HABITUAL[facts["thing"]] == facts["colour"]
    return not usual and one_in(8, "coloured", facts["colour"], facts["thing"])


HABITS = Ability(
    "habits",
    fields={"colour": tuple(COLOURS), "thing": tuple(HABITUAL)},
    free=left_open(0, 4, 8),
    templates=("{a colour} {thing}",),
    draw=draw_habits,
    held_out=held_out_habits,
    valid=visible,
)
