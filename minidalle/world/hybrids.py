"""One thing in the shape of another: "an armchair in the shape of an avocado".

The most famous pictures of DALL·E. A fruit, a flower or a shell becomes the body of the object:
its outline, its colours and its features, such as the avocado's stone. The object keeps what
makes it that object: the arms, seat and legs of the chair, the spout and handle of the teapot.
Held out are an eighth of the pairs, the armchair and the avocado among them: whoever draws one of
them has combined what it knows.
"""

from typing import Any

import numpy as np

from minidalle.world.ability import Ability, Facts, one_in
from minidalle.world.bodies import BODIES, palette
from minidalle.world.canvas import Canvas, Colour, Drawing, Pen, drawing, shade
from minidalle.world.scenes import BACKGROUNDS

WOOD, GOLD, INK = (110, 65, 35), (250, 200, 60), (50, 45, 55)
SIDE = 56  # units, of an object
LIGHT, GLASS, STEAM = (255, 222, 60), (185, 230, 255), (150, 150, 160)
WHITE = (255, 255, 255)

# ---- what makes each object that object: what is behind the body, and what is before it ----


@drawing
def armchair(pen: Pen, main: Colour, dark: Colour, accent: Colour) -> None:
    """Seat, cushion, arm rests and legs; the body is its back."""
    for x in (0.12, 0.8):
        pen.box(x, 0.84, x + 0.08, 1, WOOD, 0.02)
    pen.box(0.1, 0.66, 0.9, 0.92, dark, 0.06)
    pen.box(0.16, 0.7, 0.84, 0.87, main, 0.04)
    pen.box(0.16, 0.58, 0.84, 0.74, shade(accent, -0.3), 0.08)
    pen.box(0.19, 0.6, 0.81, 0.7, accent, 0.05)
    for x in (0, 0.8):
        pen.box(x, 0.46, x + 0.2, 0.92, dark, 0.09)
        pen.box(x + 0.035, 0.5, x + 0.165, 0.88, main, 0.06)


@drawing
def lamp(pen: Pen) -> None:
    """Light, a pole and a foot; the body is the shade."""
    pen.polygon([(0.3, 0.5), (0.7, 0.5), (0.98, 0.92), (0.02, 0.92)], LIGHT)
    pen.ellipse(0.02, 0.84, 0.98, 1, LIGHT)
    pen.box(0.45, 0.56, 0.55, 0.94, WOOD)
    pen.ellipse(0.24, 0.86, 0.76, 1.08, WOOD)


@drawing
def teapot(pen: Pen, main: Colour, dark: Colour, accent: Colour) -> None:
    """Spout, handle, the knob of the lid and a foot; all behind the body."""
    pen.arc(0.05, 0.42, 0.5, 0.86, 90, 270, 0.1, dark)
    pen.polygon([(0.6, 0.9), (0.7, 0.5), (0.84, 0.28), (1, 0.32), (0.94, 0.5), (0.86, 0.8)], dark)
    pen.polygon([(0.6, 0.8), (0.75, 0.52), (0.86, 0.34), (0.93, 0.36), (0.85, 0.68)], main)
    pen.box(0.44, 0.08, 0.56, 0.3, dark)
    pen.ellipse(0.4, 0, 0.6, 0.18, accent)
    pen.box(0.28, 0.9, 0.72, 1, dark, 0.04)


@drawing
def handbag(pen: Pen) -> None:
    """The handle."""
    pen.arc(0.26, 0.04, 0.74, 0.76, 180, 360, 0.08, WOOD)


@drawing
def clasp(pen: Pen) -> None:
    """The golden frame that closes a handbag, with two balls."""
    for grow, colour in ((0.03, shade(GOLD, -0.4)), (0, GOLD)):
        pen.box(0.24 - grow, 0.4 - grow, 0.76 + grow, 0.45 + grow, colour, 0.04)
        for x in (0.45, 0.55):
            pen.ellipse(x - 0.05 - grow, 0.3 - grow, x + 0.05 + grow, 0.4 + grow, colour)
    pen.line([(0.28, 0.425), (0.72, 0.425)], 0.02, shade(GOLD, 0.5))


@drawing
def clock(pen: Pen) -> None:
    """Two bells and two feet."""
    for x, side in ((0.2, -1), (0.8, 1)):
        pen.ellipse(x - 0.2, 0, x + 0.2, 0.38, shade(GOLD, -0.4))
        pen.ellipse(x - 0.16, 0.04, x + 0.16, 0.34, GOLD)
        pen.line([(x, 0.84), (x + 0.06 * side, 0.96)], 0.1, INK)


@drawing
def face(pen: Pen) -> None:
    """The face of a clock at ten to two."""
    pen.ellipse(0.24, 0.32, 0.76, 0.84, INK)
    pen.ellipse(0.28, 0.36, 0.72, 0.8, WHITE)
    for hand in ((0.38, 0.48), (0.64, 0.44)):
        pen.line([(0.5, 0.58), hand], 0.05, INK)


@drawing
def guitar(pen: Pen) -> None:
    """Neck, pegs, strings and bridge."""
    for y in (0.04, 0.13):
        pen.line([(0.34, y), (0.66, y)], 0.05, shade(GOLD, -0.2))
    pen.box(0.4, 0, 0.6, 0.2, WOOD, 0.04)
    pen.box(0.44, 0.18, 0.56, 0.56, shade(WOOD, -0.3))
    pen.box(0.36, 0.84, 0.64, 0.9, INK, 0.02)
    for x in (0.475, 0.525):
        pen.line([(x, 0.06), (x, 0.86)], 0.018, (255, 250, 225))


@drawing
def gondola(pen: Pen) -> None:
    """Four ropes and a basket; the body is the balloon."""
    for top, foot in ((0.26, 0.39), (0.42, 0.46), (0.58, 0.54), (0.74, 0.61)):
        pen.line([(top, 0.55), (foot, 0.84)], 0.025, INK)
    pen.box(0.35, 0.8, 0.65, 1, shade(WOOD, -0.3), 0.04)
    for y in (0.83, 0.89, 0.95):
        pen.box(0.38, y, 0.62, y + 0.03, shade(WOOD, 0.35))


@drawing
def car(pen: Pen) -> None:
    """Two windows, a lamp and wheels."""
    pen.box(0.2, 0.33, 0.8, 0.6, INK, 0.08)
    for left, right in ((0.23, 0.485), (0.515, 0.77)):
        pen.box(left, 0.36, right, 0.57, GLASS, 0.05)
    pen.box(0.04, 0.78, 0.96, 0.88, INK, 0.04)
    pen.ellipse(0.84, 0.64, 0.98, 0.78, LIGHT)
    for x in (0.25, 0.75):
        pen.ellipse(x - 0.17, 0.66, x + 0.17, 1, INK)
        pen.ellipse(x - 0.08, 0.75, x + 0.08, 0.91, (200, 205, 215))


@drawing
def mug_handle(pen: Pen, main: Colour, dark: Colour, accent: Colour) -> None:
    """At the right of a mug."""
    pen.arc(0.5, 0.4, 0.95, 0.86, -90, 90, 0.1, dark)


@drawing
def mug(pen: Pen) -> None:
    """Its opening, with coffee in it, and steam."""
    pen.ellipse(0.1, 0.24, 0.7, 0.46, STEAM)
    pen.ellipse(0.13, 0.26, 0.67, 0.43, WHITE)
    pen.ellipse(0.18, 0.3, 0.62, 0.43, (90, 55, 30))
    for x in (0.28, 0.42, 0.56):
        curl = [(x, 0.2), (x + 0.04, 0.14), (x - 0.03, 0.08), (x + 0.02, 0.02)]
        pen.line(curl, 0.035, STEAM)


# Object → (behind the body, where the body is in units, before it). What is behind or before it
# is a drawing, or a function from the palette of the body to one.
OBJECTS: dict[str, tuple[Any, tuple[int, int, int, int], Any]] = {
    "armchair": (None, (8, 0, 40, 40), armchair),
    "lamp": (lamp(), (8, 0, 40, 36), None),
    "teapot": (teapot, (8, 8, 36, 44), None),
    "handbag": (handbag(), (4, 8, 48, 48), clasp()),
    "clock": (clock(), (4, 8, 48, 44), face()),
    "guitar": (None, (4, 16, 48, 40), guitar()),
    "hot-air balloon": (gondola(), (8, 0, 40, 40), None),
    "car": (None, (4, 2, 48, 46), car()),
    "mug": (mug_handle, (2, 16, 40, 40), mug()),
}


def hybrid(thing: str, shape: str) -> Drawing:
    """An object in the shape of something else, in a square box."""
    return Drawing(_hybrid, (thing, shape))


def _hybrid(height: int, width: int, thing: str, shape: str) -> np.ndarray:
    behind, box, before = OBJECTS[thing]
    everywhere = (0, 0, SIDE, SIDE)
    whole = np.zeros((height, width, 4), np.float32)
    for layer, place in ((behind, everywhere), (BODIES[shape], box), (before, everywhere)):
        if callable(layer):
            layer = layer(*palette(shape))
        if layer:
            left, top, across, down = (round(side * height / SIDE) for side in place)
            here = whole[top : top + down, left : left + across]
            art = layer.art(down, across)
            here *= 1 - art[..., 3:]
            here += art
    return whole


def draw(size: int, background: str, left: int, thing: str, shape: str) -> np.ndarray:
    """The object stands on the ground; `left` is its left edge in units."""
    canvas = Canvas(size, BACKGROUNDS[background])
    canvas.put(hybrid(thing, shape), left, 4, SIDE)
    return canvas.picture()


def held_out(facts: Facts) -> bool:
    """An eighth of the pairs."""
    return one_in(8, facts["thing"], "shaped like", facts["shape"])


CHAIRS = Ability(
    "chairs",
    fields={"thing": tuple(OBJECTS), "shape": tuple(BODIES)},
    free={"left": (0, 4, 8), "background": tuple(BACKGROUNDS)},
    templates=("{a thing} in the shape of {a shape}",),
    draw=draw,
    held_out=held_out,
)
