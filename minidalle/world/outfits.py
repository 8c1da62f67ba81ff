"""Outfits: "a penguin with a red hat, yellow gloves, a blue shirt and green trousers".

The sceptic's question: does each garment get its own colour? All animals stand upright in the
same pose, so every garment fits every animal; what is not named is not worn. Held out are
an eighth of the pairs of colours of hat and shirt and an eighth of those of gloves and trousers,
wherever both are worn: nearly a quarter of the outfits of four garments.
"""

from itertools import combinations

import numpy as np

from minidalle.world.ability import Ability, Facts, one_in
from minidalle.world.canvas import UNITS, Canvas, Colour, Drawing, Pen, drawing, shade
from minidalle.world.scenes import BACKGROUNDS, COLOURS

ANIMALS = {  # name → fur, and the paler belly, muzzle or face
    "penguin": ((55, 62, 88), (255, 255, 255)),
    "bear": ((190, 130, 75), (240, 205, 155)),
    "cat": ((142, 148, 165), (240, 240, 245)),
    "rabbit": ((250, 248, 245), (255, 225, 230)),
    "frog": ((135, 205, 70), (225, 240, 165)),
}
GARMENTS = {
    "hat": "{a hat} hat",
    "gloves": "{gloves} gloves",
    "shirt": "{a shirt} shirt",
    "trousers": "{trousers} trousers",
}
INK, PINK, BEAK, WHITE = (35, 30, 40), (250, 150, 165), (255, 150, 30), (255, 255, 255)

# ---- the pen in units -------------------------------------------------------------------
# All drawings are as large as the picture, so that they fit on one another. They are symmetric
# about x = 32: a part at x is drawn at 64 - x as well.


def _shape(pen: Pen, colour: Colour, *parts: tuple, edge: float = 1) -> None:
    """Parts drawn as one shape with a darker edge, on both sides.

    A part is an oval (x, y, half its width, half its height), or a limb from one point to
    another (x, y, x, y, width); in units.
    """
    for more, ink in ((edge, shade(colour, -0.4)), (0, colour)):
        for part in parts:
            for flipped in (False, True):
                x, y, *rest = (side / UNITS for side in part)
                x, grown = 1 - x if flipped else x, more / UNITS
                if len(rest) == 2:
                    across, down = rest[0] + grown, rest[1] + grown
                    pen.ellipse(x - across, y - down, x + across, y + down, ink)
                else:
                    end = 1 - rest[0] if flipped else rest[0]
                    pen.line([(x, y), (end, rest[1])], rest[2] + 2 * grown, ink)


def _flat(pen: Pen, colour: Colour, *parts: tuple) -> None:
    _shape(pen, colour, *parts, edge=0)


def _polygon(pen: Pen, colour: Colour, *points: tuple) -> None:
    pen.polygon([(x / UNITS, y / UNITS) for x, y in points], colour)
    pen.polygon([(1 - x / UNITS, y / UNITS) for x, y in points], colour)


def _box(pen: Pen, colour: Colour, left, top, right, bottom, radius=0) -> None:
    left, top, right, bottom = (side / UNITS for side in (left, top, right, bottom))
    pen.box(left, top, right, bottom, colour, radius / UNITS)


# ---- animals ----------------------------------------------------------------------------


@drawing
def body(pen: Pen, animal: str) -> None:
    """Trunk, arms, legs and feet."""
    fur, pale = ANIMALS[animal]
    feet = BEAK if animal == "penguin" else fur
    _shape(pen, feet, (24, 61, 7, 2.5))
    _shape(pen, fur, (25, 53, 25, 58, 10), (21, 38, 11, 47, 7), (10.5, 48, 4, 4), (32, 45, 13, 13))
    _flat(pen, pale, (32, 47, 9, 10))


@drawing
def head(pen: Pen, animal: str) -> None:
    """The head, by which one knows the animal."""
    fur, pale = ANIMALS[animal]
    {"penguin": _penguin, "bear": _bear, "cat": _cat, "rabbit": _rabbit, "frog": _frog}[animal](
        pen, fur, pale
    )


def _eyes(pen: Pen, x: float, y: float, size: float = 2.3) -> None:
    _flat(pen, INK, (x, y, size, size))
    for middle in (x, UNITS - x):
        _box(pen, WHITE, middle - 0.2, y - 1.5, middle + 1.3, y, 0.7)


def _penguin(pen, fur, pale) -> None:
    _shape(pen, fur, (32, 22, 14, 12.5))
    _flat(pen, pale, (26.5, 23, 6.5, 7), (32, 28, 9, 5))
    _eyes(pen, 25.5, 21.5)
    _polygon(pen, shade(BEAK, -0.3), (25.5, 24), (32, 22.5), (32, 32))
    _polygon(pen, BEAK, (27, 24.5), (32, 23.5), (32, 30))


def _bear(pen, fur, pale) -> None:
    _shape(pen, fur, (20, 11.5, 5.5, 5.5))
    _flat(pen, pale, (20, 11.5, 3, 3))
    _shape(pen, fur, (32, 22, 14, 12))
    _flat(pen, pale, (32, 27.5, 7, 5.5))
    _flat(pen, INK, (32, 25, 3.2, 2.2), (32, 25, 32, 30, 1.2))
    _eyes(pen, 24.5, 20.5)


def _cat(pen, fur, pale) -> None:
    dark = shade(fur, -0.4)
    _polygon(pen, dark, (16.5, 21), (16, 2), (31, 12))
    _polygon(pen, fur, (18, 20), (17.2, 4.5), (29, 13))
    _polygon(pen, PINK, (19.5, 15), (19, 8), (24.5, 12.5))
    _shape(pen, fur, (32, 22.5, 14.5, 11.5))
    _flat(pen, dark, (15, 24, 19, 25, 1.4), (16, 29, 19.5, 28, 1.4))
    _flat(pen, pale, (28.5, 28, 4.5, 3.8))
    _polygon(pen, (235, 90, 120), (28.8, 24.5), (32, 24.5), (32, 28))
    _flat(pen, (120, 210, 90), (25, 20.5, 3.2, 3))
    _flat(pen, INK, (25, 20.5, 1.4, 2.8))


def _rabbit(pen, fur, pale) -> None:
    _shape(pen, fur, (21, 17, 17.5, 5, 8))
    _flat(pen, PINK, (20.5, 15, 18, 6, 4))
    _shape(pen, fur, (32, 22.5, 13.5, 12))
    _flat(pen, PINK, (22, 27, 2.5, 2))
    _box(pen, shade(fur, -0.4), 29.3, 27, 34.7, 31.4, 1)
    _box(pen, WHITE, 30.3, 27, 33.7, 30.5, 1)
    _flat(pen, (235, 90, 120), (32, 26, 2.6, 1.8))
    _eyes(pen, 25.5, 21, 2.5)


def _frog(pen, fur, pale) -> None:
    _shape(pen, fur, (17.5, 13.5, 6.5, 6.5), (32, 24, 17.5, 10.5))
    _flat(pen, WHITE, (17.5, 13, 4.7, 4.7))
    _eyes(pen, 17.8, 13, 2.8)
    _flat(pen, pale, (32, 29.5, 11, 4))
    pen.arc(20 / 64, 18 / 64, 44 / 64, 30 / 64, 15, 165, 1.6 / 64, shade(fur, -0.6))
    _flat(pen, PINK, (19, 26.5, 2.5, 2))


# ---- garments ---------------------------------------------------------------------------


@drawing
def hat(pen: Pen, colour: Colour) -> None:
    """A top hat, narrow enough to leave the ears free."""
    dark = shade(colour, -0.4)
    _box(pen, dark, 22.5, 1, 41.5, 13, 2)
    _box(pen, dark, 20.5, 10, 43.5, 16, 3)
    _box(pen, colour, 23.5, 2, 40.5, 13, 1.5)
    _box(pen, dark, 23.5, 8.5, 40.5, 11)
    _box(pen, colour, 21.5, 11, 42.5, 15, 2)
    _box(pen, shade(colour, 0.35), 25.5, 3.5, 28, 8, 1)


@drawing
def gloves(pen: Pen, colour: Colour) -> None:
    """Mittens."""
    _shape(pen, colour, (10.5, 48.5, 5.5, 5.8), (15, 45.5, 2.6, 2.6))
    _shape(pen, shade(colour, 0.35), (11, 43, 15.5, 47, 2.2), edge=0.8)


@drawing
def shirt(pen: Pen, colour: Colour) -> None:
    """A shirt with long sleeves and a pale collar."""
    dark = shade(colour, -0.4)
    _shape(pen, colour, (21, 38, 13, 45, 9))
    _box(pen, dark, 18, 33, 46, 50, 6)
    _box(pen, colour, 19, 34, 45, 49, 5)
    _flat(pen, colour, (22, 38, 19, 40.5, 8))
    _polygon(pen, shade(colour, 0.5), (24, 34), (32, 34), (32, 39.5))
    _flat(pen, dark, (32, 42, 1.1, 1.1), (32, 45.5, 1.1, 1.1))


@drawing
def trousers(pen: Pen, colour: Colour) -> None:
    """Trousers, with turn-ups."""
    dark = shade(colour, -0.4)
    for ink, by in ((dark, 1), (colour, 0)):
        _box(pen, ink, 19 - by, 46 - by, 45 + by, 55 + by, 4)
        _box(pen, ink, 18.5 - by, 51 - by, 31 + by / 2, 60 + by, 1)
        _box(pen, ink, 33 - by / 2, 51 - by, 45.5 + by, 60 + by, 1)
    _box(pen, dark, 31.3, 53, 32.7, 60)
    _box(pen, shade(colour, 0.35), 18.5, 57.5, 31, 60, 1)
    _box(pen, shade(colour, 0.35), 33, 57.5, 45.5, 60, 1)


# from the skin outwards: name → its drawing, and the rows of the picture that it takes up
LAYERS = {
    "body": (body, 32, 64),
    "trousers": (trousers, 44, 64),
    "shirt": (shirt, 32, 52),
    "gloves": (gloves, 40, 56),
    "head": (head, 0, 36),
    "hat": (hat, 0, 16),
}


def draw(size: int, background: str, middle: int, animal: str, **worn: str):
    """An animal, dressed; `middle` is where it stands, in units from the left."""
    canvas = Canvas(size, BACKGROUNDS[background])
    looks = {"body": animal, "head": animal} | {name: COLOURS[c] for name, c in worn.items()}
    for name, (layer, top, bottom) in LAYERS.items():
        if name in looks:
            rows = Drawing(_rows, (layer(looks[name]), top))
            canvas.put(rows, middle - UNITS // 2, top, UNITS, bottom - top)
    return canvas.picture()


def _rows(height: int, width: int, layer: Drawing, top: int) -> np.ndarray:
    start = top * width // UNITS
    return layer.art(width, width)[start : start + height]


def held_out(facts: Facts) -> bool:
    """About an eighth of the pairs hat, shirt and of the pairs gloves, trousers.

    Yellow gloves with green trousers, which the penguin of the announcement wears, are among them.
    """
    return any(
        {one, other} <= facts.keys() and one_in(8, facts[other], "clad", facts[one], one, other)
        for one, other in (("hat", "shirt"), ("gloves", "trousers"))
    )


def _listed(phrases: tuple[str, ...]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(phrases[:-1]), phrases[-1]] if phrases[1:] else phrases)


OUTFITS = Ability(
    "outfits",
    fields={"animal": tuple(ANIMALS)} | {garment: tuple(COLOURS) for garment in GARMENTS},
    free={"middle": (28, 32, 36), "background": tuple(BACKGROUNDS)},
    templates=tuple(
        f"{{a animal}} with {_listed(phrases)}"
        for count in range(1, 5)
        for phrases in combinations(GARMENTS.values(), count)
    ),
    draw=draw,
    held_out=held_out,
    kind_of=lambda facts: f"{len(facts) - 1} garments",
)
