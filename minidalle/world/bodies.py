"""Fruits and other things that may give an object its shape: see `hybrids.py`.

Eight are drawn here in the colours of their row of `PALETTES`, with what tells them apart in the
upper two thirds, since the seat of an armchair hides the rest. The others come from the emoji
pack, and their palettes from their colours.
"""

import math
from collections.abc import Iterator
from functools import cache

from minidalle.world.canvas import Colour, Pen, Point, drawing, shade
from minidalle.world.coloured import colours_of
from minidalle.world.objects import emoji
from minidalle.world.things import named

INK, WHITE = (50, 45, 55), (255, 255, 255)

PALETTES = {  # the body, its dark parts, and what stands out in it
    "avocado": ((215, 230, 130), (55, 105, 50), (135, 75, 35)),
    "strawberry": ((228, 45, 55), (160, 20, 40), (70, 155, 65)),
    "pumpkin": ((243, 135, 30), (190, 85, 15), (85, 130, 55)),
    "watermelon": ((238, 75, 85), (30, 120, 60), (195, 230, 160)),
    "pineapple": ((252, 200, 60), (185, 115, 25), (60, 145, 65)),
    "sunflower": ((255, 205, 30), (220, 145, 10), (105, 60, 30)),
    "cactus": ((85, 170, 85), (40, 110, 60), (245, 100, 150)),
    "shell": ((252, 190, 180), (215, 115, 120), (255, 240, 228)),
}


@drawing
def avocado(pen: Pen, main: Colour, dark: Colour, accent: Colour) -> None:
    """Cut in two: green skin, pale flesh and a brown stone."""
    for grow, colour in ((1, dark), (0.88, (150, 190, 70)), (0.78, main)):
        pen.polygon(list(_egg(0.5, 0.5, grow)), colour)
    pen.ellipse(0.3, 0.4, 0.7, 0.8, accent)
    pen.ellipse(0.38, 0.46, 0.5, 0.58, shade(accent, 0.35))


@drawing
def strawberry(pen: Pen, main: Colour, dark: Colour, accent: Colour) -> None:
    """Red with pale seeds and a green collar."""
    for grow, colour in ((1, dark), (0.9, main)):
        pen.polygon([(x, 1.08 - 0.96 * y) for x, y in _egg(0.5, 0.5, grow)], colour)
    for x, y in ((0.28, 0.42), (0.5, 0.46), (0.72, 0.42), (0.38, 0.64), (0.62, 0.64), (0.5, 0.84)):
        pen.ellipse(x - 0.04, y - 0.05, x + 0.04, y + 0.05, (255, 225, 130))
    star = [(0.05, 0.2), (0.3, 0.1), (0.5, 0), (0.7, 0.1), (0.95, 0.2), (0.76, 0.24), (0.7, 0.38)]
    pen.polygon([*star, (0.57, 0.24), (0.5, 0.36), (0.43, 0.24), (0.3, 0.38), (0.24, 0.24)], accent)


@drawing
def pumpkin(pen: Pen, main: Colour, dark: Colour, accent: Colour) -> None:
    """Orange ribs under a green stem."""
    pen.polygon([(0.42, 0.25), (0.46, 0.06), (0.62, 0), (0.64, 0.08), (0.57, 0.25)], accent)
    for half in (0.5, 0.34, 0.15):
        pen.ellipse(0.5 - half, 0.14, 0.5 + half, 1, dark)
        pen.ellipse(0.54 - half, 0.18, 0.46 + half, 0.96, shade(main, 0.25 * (0.5 - half)))


@drawing
def watermelon(pen: Pen, main: Colour, dark: Colour, accent: Colour) -> None:
    """A slice, its rind above."""
    rings = ((0, dark), (0.07, (110, 190, 90)), (0.12, (240, 250, 220)), (0.17, main))
    for edge, colour in rings:
        pen.ellipse(edge, edge, 1 - edge, 1.8 - edge, colour)
    for x, y in ((0.5, 0.32), (0.31, 0.46), (0.69, 0.46), (0.5, 0.58), (0.3, 0.74), (0.7, 0.74)):
        pen.ellipse(x - 0.035, y - 0.055, x + 0.035, y + 0.055, INK)


@drawing
def pineapple(pen: Pen, main: Colour, dark: Colour, accent: Colour) -> None:
    """Yellow with a brown lattice, and a crown of leaves."""
    for x, y in ((0.16, 0.1), (0.84, 0.1), (0.32, 0.02), (0.68, 0.02), (0.5, 0)):
        green = accent if x == 0.5 else shade(accent, -0.2)
        pen.polygon([(x, y), (0.36, 0.36), (0.64, 0.36)], green)
    pen.ellipse(0.08, 0.26, 0.92, 1.02, dark)
    for row in range(5):
        for column in range(5):
            x, y = 0.5 + 0.15 * (column - row), 0.64 + 0.14 * (column + row - 4)
            if math.hypot((x - 0.5) / 0.42, (y - 0.64) / 0.38) < 1:
                rhomb = [(x, y - 0.11), (x + 0.12, y), (x, y + 0.11), (x - 0.12, y)]
                pen.polygon(rhomb, main)


@drawing
def sunflower(pen: Pen, main: Colour, dark: Colour, accent: Colour) -> None:
    """Yellow petals about a brown disc."""
    for turn in range(24):
        angle, colour = math.pi * turn / 12, main if turn % 2 else dark
        tip = 0.5 if turn % 2 else 0.46
        at = [(tip, angle), (0.38, angle + 0.2), (0.2, angle), (0.38, angle - 0.2)]
        pen.polygon([(0.5 + r * math.cos(a), 0.5 + r * math.sin(a)) for r, a in at], colour)
    pen.ellipse(0.26, 0.26, 0.74, 0.74, accent)
    for x, y in ((0.4, 0.4), (0.6, 0.4), (0.5, 0.5), (0.4, 0.6), (0.6, 0.6)):
        pen.ellipse(x - 0.04, y - 0.04, x + 0.04, y + 0.04, shade(accent, 0.4))


@drawing
def cactus(pen: Pen, main: Colour, dark: Colour, accent: Colour) -> None:
    """A column with two arms, pale spines, and a flower."""
    for inset, colour in ((0, dark), (0.035, main)):
        for x, top in ((0, 0.26), (0.8, 0.16)):
            pen.box(x + inset, top + inset, x + 0.2 - inset, 0.68 - inset, colour, 0.09)
            pen.box(0.03 + inset, 0.5 + inset, 0.97 - inset, 0.68 - inset, colour, 0.08)
        pen.box(0.26 + inset, 0.08 + inset, 0.74 - inset, 1.1, colour, 0.22 - inset)
    for x, y in ((0.4, 0.3), (0.6, 0.3), (0.4, 0.5), (0.6, 0.5), (0.4, 0.7), (0.6, 0.7)):
        pen.line([(x, y - 0.03), (x, y + 0.05)], 0.05, (235, 245, 190))
    for x, y in ((0.4, 0.08), (0.6, 0.08), (0.5, 0.04), (0.5, 0.13)):
        pen.ellipse(x - 0.09, y - 0.05, x + 0.09, y + 0.07, accent)


@drawing
def shell(pen: Pen, main: Colour, dark: Colour, accent: Colour) -> None:
    """A scallop: ribs that spread like a fan."""
    tips = [math.pi * (0.98 - 0.16 * rib) for rib in range(7)]
    rim = [(0.5 + 0.4 * math.cos(a), 0.52 - 0.42 * math.sin(a)) for a in tips]
    for grow, colour in ((0.1, dark), (0.065, main)):
        for x, y in rim:
            pen.ellipse(x - grow, y - grow, x + grow, y + grow, colour)
    pen.polygon([(0.3, 1), (0.02, 0.5), *rim, (0.98, 0.5), (0.7, 1)], dark)
    for (x, y), colour in zip(rim, (main, accent) * 4):
        pen.polygon(
            [(0.5, 0.98), (x - 0.075, y + 0.04), (x, y - 0.06), (x + 0.075, y + 0.04)], colour
        )
        pen.ellipse(x - 0.075, y - 0.07, x + 0.075, y + 0.08, colour)
    pen.box(0.32, 0.88, 0.68, 1, dark, 0.05)


def _egg(x: float, y: float, grow: float) -> Iterator[Point]:
    """The outline of an egg about (x, y), wider below, as large as the sheet times `grow`."""
    for turn in range(60):
        across, down = math.sin(math.pi * turn / 30), -math.cos(math.pi * turn / 30)
        yield x + grow * across * (0.39 + 0.11 * math.sin(down * 1.5)), y + grow * down / 2


EMOJI = named(  # about as high as wide, and known by their edges
    *"""butterfly chick crab fish hedgehog bee jellyfish ladybug octopus owl penguin snail turtle
    clover fir-tree maple-leaf mushroom rose tulip bell-pepper birthday-cake coconut cookie
    croissant cupcake doughnut eggplant burger kiwi lemon melon orange peach pizza pretzel apple
    honey-pot soccer-ball basketball castle crown gear gift teddy-bear bomb""".split()
)
DRAWN = (avocado, strawberry, pumpkin, watermelon, pineapple, sunflower, cactus, shell)
BODIES = {draw.__name__: draw(*PALETTES[draw.__name__]) for draw in DRAWN}
BODIES |= {name: emoji(slug) for name, slug in EMOJI.items()}


@cache
def palette(shape: str) -> tuple[Colour, Colour, Colour]:
    """The colours of a body: the commonest, a dark shade of it, and what stands out."""
    if shape in PALETTES:
        return PALETTES[shape]
    main, *others = colours_of(BODIES[shape])
    return main, shade(main, -0.35), others[0] if others else WHITE
