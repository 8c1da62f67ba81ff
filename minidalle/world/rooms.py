"""Rooms, in two sentences, such as

    a room with two white armchairs and a painting of a boat. the painting hangs above a fireplace

The sceptic's question: does it follow a second sentence that says more about something in the
first? Held out are an eighth of the pairs of armchairs and what the painting shows, and an
eighth of the pairs of what it shows and what it hangs above.
"""

import numpy as np

from minidalle.world.ability import Ability, Facts, one_in
from minidalle.world.canvas import UNITS, Canvas, Colour, Pen, drawing, shade
from minidalle.world.emoji import OBJECTS
from minidalle.world.objects import emoji
from minidalle.world.scenes import BACKGROUNDS, COLOURS

CHAIRS = {c: COLOURS[c] for c in ("red", "yellow", "green", "blue", "purple")}
CHAIRS |= {"white": (250, 250, 250)}
SHOWN = ("boat", "lion", "butterfly", "sunflower", "volcano", "whale")
FLOORS = {"wood": (190, 140, 95), "stone": (140, 146, 158)}
WOOD, DARK, GOLD = (134, 84, 46), (60, 44, 40), (222, 170, 50)


@drawing
def armchair(pen: Pen, colour: Colour) -> None:
    """From the front: back, seat, two arms and feet."""
    rim, pale = shade(colour, -0.42), shade(colour, 0.2)
    for left in (0.12, 0.73):
        pen.box(left, 0.85, left + 0.15, 1, DARK)
    pen.box(0.12, 0, 0.88, 0.8, rim, 0.2)
    pen.box(0.2, 0.07, 0.8, 0.8, colour, 0.14)
    pen.box(0.14, 0.5, 0.86, 0.93, rim, 0.05)
    pen.box(0.2, 0.56, 0.8, 0.74, pale, 0.06)
    pen.box(0.2, 0.76, 0.8, 0.87, shade(colour, -0.15))
    for left in (0, 0.74):
        pen.box(left, 0.36, left + 0.26, 0.93, rim, 0.12)
        pen.box(left + 0.07, 0.42, left + 0.19, 0.87, colour, 0.06)


@drawing
def fireplace(pen: Pen) -> None:
    """Red bricks, a mantelpiece, and a fire."""
    pen.box(0.06, 0.1, 0.94, 1, (176, 84, 66))
    for row in range(5):
        y = 0.2 + 0.17 * row
        pen.box(0.06, y, 0.94, y + 0.03, (222, 176, 158))
        for x in (0.15, 0.9) if row % 2 else (0.11, 0.84):
            pen.box(x, y, x + 0.03, y + 0.17, (222, 176, 158))
    pen.box(0, 0, 1, 0.16, (240, 232, 220), 0.03)
    pen.box(0, 0.12, 1, 0.16, (190, 178, 164))
    pen.box(0.24, 0.36, 0.76, 1, (44, 34, 36), 0.1)
    flame = [(0.3, 0.96), (0.34, 0.66), (0.43, 0.78), (0.52, 0.46), (0.6, 0.76), (0.67, 0.64)]
    pen.polygon([*flame, (0.7, 0.96)], (246, 120, 20))
    pen.polygon([(0.4, 0.96), (0.51, 0.66), (0.61, 0.96)], (255, 220, 70))


@drawing
def sofa(pen: Pen) -> None:
    """Turquoise, with two cushions on the seat and two at the back."""
    colour = (46, 160, 156)
    rim, pale = shade(colour, -0.45), shade(colour, 0.35)
    pen.box(0.06, 0.14, 0.94, 0.96, rim, 0.1)
    for left in (0.14, 0.515):
        pen.box(left, 0.21, left + 0.345, 0.58, colour, 0.06)
        pen.box(left, 0.62, left + 0.345, 0.78, pale, 0.03)
    pen.box(0.14, 0.82, 0.86, 0.91, colour)
    for left in (0, 0.85):
        pen.box(left, 0.42, left + 0.15, 0.96, rim, 0.07)
        pen.box(left + 0.04, 0.48, left + 0.11, 0.9, colour, 0.03)


@drawing
def bookshelf(pen: Pen) -> None:
    """Three boards of books of many colours."""
    books = [COLOURS[c] for c in ("red", "yellow", "blue", "green", "orange", "purple")]
    pen.box(0.04, 0, 0.96, 1, WOOD, 0.02)
    for row in range(3):
        top = 0.05 + 0.32 * row
        pen.box(0.1, top, 0.9, top + 0.27, DARK)
        for number in range(6):
            left, low = 0.12 + 0.128 * number, 0.06 * ((number + row) % 2)
            colour = books[(number + 2 * row) % 6]
            pen.box(left, top + 0.02 + low, left + 0.115, top + 0.27, colour)


@drawing
def painting(pen: Pen, shown: str) -> None:
    """In a golden frame."""
    pen.box(0, 0, 1, 1, shade(GOLD, -0.4))
    pen.box(0.03, 0.03, 0.97, 0.97, GOLD)
    pen.box(0.09, 0.09, 0.91, 0.91, shade(GOLD, -0.4))
    pen.box(0.11, 0.11, 0.89, 0.89, (250, 246, 232))
    pen.stamp(emoji(OBJECTS[shown][0]), 0.13, 0.13, 0.87, 0.87)


@drawing
def floor(pen: Pen, colour: Colour) -> None:
    """With a skirting board."""
    pen.box(0, 0, 1, 1, colour)
    pen.box(0, 0, 1, 0.2, (250, 250, 250))
    pen.box(0, 0.2, 1, 0.3, shade(colour, -0.3))


FURNITURE = {  # what it is → its drawing, left, top and width in units; it stands at 56
    "fireplace": (fireplace(), 18, 32, 28),
    "sofa": (sofa(), 16, 32, 32),
    "bookshelf": (bookshelf(), 18, 32, 28),
}
COLOUR_OF = {f"a {c} armchair": c for c in CHAIRS} | {f"two {c} armchairs": c for c in CHAIRS}


def draw(
    size: int, wall: str, ground: str, side: str, chairs: str, shown: str, above: str
) -> np.ndarray:
    """The furniture in the middle, the painting above it, armchairs beside it."""
    canvas = Canvas(size, BACKGROUNDS[wall])
    canvas.put(floor(FLOORS[ground]), 0, 48, UNITS, 16)
    thing, left, top, width = FURNITURE[above]
    canvas.put(thing, left, top, width, 56 - top)
    canvas.put(painting(shown), 20, 4, 24)
    two = chairs.startswith("two")
    for place, name in ((0, "left"), (44, "right")):
        if two or side == name:
            canvas.put(armchair(CHAIRS[COLOUR_OF[chairs]]), place, 36, 20, 24)
    return canvas.picture()


def held_out(facts: Facts) -> bool:
    """An eighth of the pairs with what the painting shows."""
    return any(one_in(8, facts["shown"], facts[other]) for other in ("chairs", "above"))


ROOMS = Ability(
    "rooms",
    fields={"chairs": tuple(COLOUR_OF), "shown": SHOWN, "above": tuple(FURNITURE)},
    free={
        "side": ("left", "right"),
        "ground": tuple(FLOORS),
        "wall": tuple(wall for wall in BACKGROUNDS if wall != "white"),
    },
    templates=(
        "a room with {chairs} and a painting of {a shown}. the painting hangs above {a above}",
    ),
    draw=draw,
    held_out=held_out,
)
