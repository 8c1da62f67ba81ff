"""Solids on a ground, in a light: "a red ball to the left of a blue cube on ice, lit from above".

The second DALL·E is asked to add a thing to a picture, or to take one away, and to mind its shadow,
its reflection and the light that falls on it. Here is a world in which all of that is settled: a
solid is bright where the light comes from and dark on the other side, its shadow falls away from
the light, and ice reflects what stands on it. Pictures of 32×32 pixels, or of any other size.

Held out are an eighth of the pairs of a colour and a solid, and an eighth of the pairs of
neighbours.
"""

import numpy as np

from minidalle.world.ability import Ability, Facts, one_in
from minidalle.world.canvas import UNITS, Canvas, Colour, Drawing, Pen, drawing, shade
from minidalle.world.copies import upside_down
from minidalle.world.daylight import cast
from minidalle.world.scenes import COLOURS

HORIZON, SIDE, REACH = 30, 26, 10  # units: the sky, the box of a solid, the depth of its shadow
SKY, SUN = (190, 220, 250), (255, 225, 70)
GROUNDS = {"grass": (120, 190, 95), "sand": (240, 214, 150), "ice": (214, 234, 244)}
# Light → where its sun stands, and how far a shadow leans to the right, in heights of its solid.
LIGHTS = {"the left": (8, 1.0), "above": (32, 0.0), "the right": (56, -1.0)}
BRIGHT, DIM = 1.12, 0.5  # what light does to a colour, on the near side and on the far one
MIRRORED = 0.35  # of what stands on ice

# ---- solids -----------------------------------------------------------------------------


@drawing
def ball(pen: Pen, colour: Colour) -> None:
    """A circle; the light makes it round."""
    pen.ellipse(0.02, 0.02, 0.98, 0.98, colour)


@drawing
def cube(pen: Pen, colour: Colour) -> None:
    """Seen from a little above: its front and its top."""
    pen.polygon([(0.06, 0.3), (0.22, 0.1), (0.78, 0.1), (0.94, 0.3)], shade(colour, 0.35))
    pen.box(0.06, 0.3, 0.94, 0.98, colour)


@drawing
def cone(pen: Pen, colour: Colour) -> None:
    """On its round foot."""
    pen.polygon([(0.5, 0.0), (0.97, 0.88), (0.03, 0.88)], colour)
    pen.ellipse(0.03, 0.78, 0.97, 0.99, colour)


@drawing
def cylinder(pen: Pen, colour: Colour) -> None:
    """Upright, with its round top."""
    pen.box(0.16, 0.14, 0.84, 0.88, colour)
    pen.ellipse(0.16, 0.76, 0.84, 0.99, colour)
    pen.ellipse(0.16, 0.02, 0.84, 0.26, shade(colour, 0.35))


SOLIDS = {"ball": ball, "cube": cube, "cone": cone, "cylinder": cylinder}
THINGS = tuple(f"{colour} {solid}" for solid in SOLIDS for colour in COLOURS)


def solid(thing: str) -> Drawing:
    """A "red ball"."""
    colour, name = thing.split()
    return SOLIDS[name](COLOURS[colour])


def lit(thing: Drawing, light: str) -> Drawing:
    """The thing, brighter on the side of the light."""
    return Drawing(_lit, (thing, light))


def _lit(height: int, width: int, thing: Drawing, light: str) -> np.ndarray:
    art = thing.art(height, width).copy()
    away = np.linspace(0, 1, height if light == "above" else width, dtype=np.float32)
    away = away[::-1] if light == "the right" else away
    away = away[:, None, None] if light == "above" else away[:, None]
    art[..., :3] = np.minimum(art[..., :3] * (BRIGHT + away * (DIM - BRIGHT)), 255 * art[..., 3:])
    return art


def faint(thing: Drawing, share: float) -> Drawing:
    """The thing as glass shows it."""
    return Drawing(_faint, (thing, share))


def _faint(height: int, width: int, thing: Drawing, share: float) -> np.ndarray:
    return share * thing.art(height, width)


# ---- pictures ---------------------------------------------------------------------------


@drawing
def scenery(pen: Pen, ground: str, light: str) -> None:
    """Sky and ground, and the sun on the side from which the light comes."""
    x = LIGHTS[light][0] / UNITS
    pen.box(0, 0, 1, 1, SKY)
    pen.ellipse(x - 0.07, 0.05, x + 0.07, 0.19, SUN)
    pen.box(0, HORIZON / UNITS, 1, 1, GROUNDS[ground])


def draw(
    size: int, ground: str, light: str, left: int, bottom: int, first: str = "", second: str = ""
) -> np.ndarray:
    """Up to two solids that stand at `bottom`, the first `left` units from the left edge.

    The second stands as far from the right edge as the first from the left one.
    """
    canvas, lean = Canvas(size, scenery(ground, light)), LIGHTS[light][1]
    stand = [(first, left)] * bool(first) + [(second, UNITS - SIDE - left)] * bool(second)
    for thing, x in stand:
        if ground == "ice":
            mirrored = faint(upside_down(lit(solid(thing), light)), MIRRORED)
            canvas.put(mirrored, x, bottom - 1, SIDE)
        canvas.put(cast(solid(thing), lean, 0.3, 0.5), x - SIDE, bottom - 2, 3 * SIDE, REACH)
    for thing, x in stand:
        canvas.put(lit(solid(thing), light), x, bottom - SIDE, SIDE)
    return canvas.picture()


def held_out(facts: Facts) -> bool:
    """An eighth of the things, and an eighth of the pairs of neighbours in any order."""
    things = sorted(facts[name] for name in ("first", "second") if name in facts)
    return any(one_in(8, thing, "lit") for thing in things) or (
        len(things) == 2 and one_in(8, *things)
    )


LIT = Ability(
    "lit",
    fields={
        "first": THINGS,
        "second": THINGS,
        "ground": tuple(GROUNDS),
        "light": tuple(LIGHTS),
    },
    free={"left": (2, 4, 6, 8), "bottom": (48, 52, 56)},
    templates=(
        "{a first} on {ground}, lit from {light}",
        *3 * ("{a first} to the left of {a second} on {ground}, lit from {light}",),
        "nothing on {ground}, lit from {light}",
    ),
    draw=draw,
    held_out=held_out,
    valid=lambda facts: facts.get("first") != facts.get("second") or "first" not in facts,
    kind_of=lambda facts: ("empty", "one thing", "two things")[
        ("first" in facts) + ("second" in facts)
    ],
)
