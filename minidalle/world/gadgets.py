"""Things of the last hundred years, each of which can be drawn in the look of any era.

An era is a row of colours, and a few functions that every thing calls: what its case is made of,
what it stands on, how it rolls, and where its ornament goes. A thing never asks which era it is
from. So one drawing is enough for each, and a thing in an era in which training never showed it
follows from the others.
"""

from collections.abc import Callable
from dataclasses import dataclass

from minidalle.world.canvas import Colour, Pen, around, drawing, shade

EDGE = 0.045  # of a thing's box: how wide the edges are
WHITE, BLACK = (255, 255, 255), (28, 26, 34)


@dataclass(frozen=True)
class Era:
    """How everything from an era looks."""

    body: Colour
    edge: Colour  # along the outline
    trim: Colour  # of knobs, handles, poles and rings
    face: Colour  # of dials, screens and windows
    ink: Colour  # on a face
    light: Colour  # of whatever shines
    corner: float  # its radius, as a share of the shorter side


LOOKS = {
    "the 1920s": Era(
        body=(126, 70, 34),
        edge=(64, 34, 18),
        trim=(226, 178, 72),
        face=(246, 232, 196),
        ink=(60, 40, 25),
        light=(255, 214, 110),
        corner=0.1,
    ),
    "the 1950s": Era(
        body=(126, 214, 196),
        edge=(62, 140, 132),
        trim=(188, 200, 212),
        face=(255, 250, 226),
        ink=(216, 62, 62),
        light=(255, 232, 90),
        corner=0.34,
    ),
    "the 1980s": Era(
        body=(50, 46, 66),
        edge=(255, 60, 190),
        trim=(128, 130, 146),
        face=(20, 62, 92),
        ink=(70, 255, 130),
        light=(255, 240, 60),
        corner=0,
    ),
    "the future": Era(
        body=(240, 246, 252),
        edge=(70, 226, 255),
        trim=(150, 186, 214),
        face=(16, 44, 92),
        ink=(90, 240, 255),
        light=(150, 250, 255),
        corner=0.48,
    ),
}

# ---- what an era does to a thing ----------------------------------------------------------


def case(pen: Pen, era: str, left: float, top: float, right: float, bottom: float) -> None:
    """A box of the era's material, with its edges and corners."""
    look = LOOKS[era]
    radius = look.corner * min(right - left, bottom - top)
    pen.box(left, top, right, bottom, look.edge, radius)
    left, top, right, bottom = left + EDGE, top + EDGE, right - EDGE, bottom - EDGE
    radius = max(0, radius - EDGE)
    pen.box(left, top, right, bottom, look.body, radius)
    if era == "the 1920s":  # the grain of wood
        for share in (0.3, 0.62, 0.88):
            y = top + share * (bottom - top)
            pen.line([(left + 0.01, y), (right - 0.01, y)], 0.02, shade(look.body, -0.22))
    if era == "the 1950s":  # a band of chrome
        y = bottom - 0.3 * (bottom - top)
        pen.box(left, y, right, y + 0.05, look.trim)
    if era == "the future":  # a shell, in its own shade
        inset = 0.2 * (right - left)
        pen.box(left + inset, bottom - 0.05, right - inset, bottom - 0.01, look.trim, 0.02)


def disc(pen: Pen, x: float, y: float, radius: float, edge: Colour, fill: Colour, wide=EDGE):
    """A circle with an edge."""
    pen.ellipse(x - radius, y - radius, x + radius, y + radius, edge)
    radius -= wide
    pen.ellipse(x - radius, y - radius, x + radius, y + radius, fill)


def stand(pen: Pen, era: str, left: float, right: float) -> None:
    """What a thing stands on: balls of brass, splayed legs, neon blocks, or a cushion of light."""
    look = LOOKS[era]
    if era == "the future":
        pen.ellipse(left - 0.06, 0.91, right + 0.06, 1, shade(look.edge, -0.45))
        pen.ellipse(left + 0.02, 0.925, right - 0.02, 0.985, look.light)
        return
    for x, out in ((left, -1), (right, 1)):
        if era == "the 1920s":
            disc(pen, x - out * 0.07, 0.92, 0.08, look.edge, look.trim, 0.02)
        elif era == "the 1950s":
            pen.line([(x - out * 0.1, 0.82), (x - out * 0.02, 0.98)], 0.05, look.edge)
        else:
            pen.box(x - 0.08 - out * 0.1, 0.84, x + 0.08 - out * 0.1, 0.95, look.edge)


def wheels(pen: Pen, era: str, *middles: float) -> None:
    """Spokes, white walls, or neon; nothing from the future rolls."""
    look = LOOKS[era]
    if era == "the future":
        return stand(pen, era, 0.16, 0.84)
    for x in middles:
        ring = {"the 1920s": look.trim, "the 1950s": WHITE, "the 1980s": look.edge}[era]
        disc(pen, x, 0.84, 0.16, BLACK, ring, 0.045)
        disc(pen, x, 0.84, 0.08, ring, look.trim if era == "the 1950s" else BLACK, 0.015)
        if era == "the 1920s":
            for rim in around(x, 0.84, 0.1, 0.1, *range(30, 360, 60)):
                pen.line([(x, 0.84), rim], 0.02, look.edge)


def ornament(pen: Pen, era: str, x: float, y: float, size: float = 0.1) -> None:
    """A fan of brass, a starburst, stripes of three colours, or a ring of light."""
    look = LOOKS[era]
    if era == "the 1920s":
        for tip in around(x, y + size / 2, size, size, *range(-90, 91, 36)):
            pen.line([(x, y + size / 2), tip], 0.026, look.trim)
    elif era == "the 1950s":
        for long, first in ((size, 0), (0.6 * size, 45)):
            for tip in around(x, y, long, long, *range(first, 360, 90)):
                pen.line([(x, y), tip], 0.028, look.ink)
    elif era == "the 1980s":
        for step, colour in enumerate((look.edge, look.light, (60, 220, 255))):
            top = y - size + step * 0.66 * size
            pen.box(x - size, top, x + size, top + 0.5 * size, colour)
    else:
        disc(pen, x, y, size, look.edge, look.face, 0.045)


# ---- things: pen, era → in a square box -----------------------------------------------------


def telephone(pen: Pen, era: str, look: Era) -> None:
    """A receiver on its cradle, and a dial."""
    for x in (0.3, 0.6):
        pen.box(x, 0.26, x + 0.1, 0.5, look.trim)
    stand(pen, era, 0.14, 0.86)
    case(pen, era, 0.1, 0.42, 0.9, 0.88)
    for x in (0, 0.72):
        case(pen, era, x, 0.1, x + 0.28, 0.38)
    case(pen, era, 0.08, 0.08, 0.92, 0.25)
    disc(pen, 0.5, 0.64, 0.21, look.trim, look.face)
    for x, y in around(0.5, 0.64, 0.13, 0.13, *range(0, 360, 45)):
        disc(pen, x, y, 0.03, look.ink, look.ink, 0)


def television(pen: Pen, era: str, look: Era) -> None:
    """A screen, knobs and an aerial."""
    for x in (0.28, 0.72):
        pen.line([(0.5, 0.24), (x, 0.03)], 0.035, look.trim)
    stand(pen, era, 0.12, 0.88)
    case(pen, era, 0.03, 0.2, 0.97, 0.88)
    pen.box(0.1, 0.28, 0.7, 0.8, look.trim, 0.08)
    pen.box(0.14, 0.32, 0.66, 0.76, look.face, 0.06)
    pen.polygon([(0.14, 0.76), (0.3, 0.5), (0.42, 0.64), (0.5, 0.58), (0.66, 0.76)], look.ink)
    pen.ellipse(0.48, 0.37, 0.6, 0.49, look.light)
    ornament(pen, era, 0.82, 0.34, 0.085)
    for y in (0.55, 0.71):
        disc(pen, 0.82, y, 0.065, look.edge, look.trim, 0.02)


def radio(pen: Pen, era: str, look: Era) -> None:
    """A loudspeaker, a dial with a needle, and a handle."""
    pen.arc(0.22, 0.08, 0.78, 0.6, 180, 360, 0.05, look.trim)
    stand(pen, era, 0.12, 0.88)
    case(pen, era, 0.01, 0.32, 0.99, 0.88)
    disc(pen, 0.3, 0.6, 0.22, look.trim, shade(look.trim, -0.6))
    for y in (0.5, 0.6, 0.7):
        pen.line([(0.18, y), (0.42, y)], 0.03, look.trim)
    pen.box(0.56, 0.4, 0.92, 0.57, look.trim, 0.03)
    pen.box(0.585, 0.425, 0.895, 0.545, look.face, 0.02)
    pen.line([(0.8, 0.44), (0.8, 0.53)], 0.03, look.ink)
    disc(pen, 0.86, 0.72, 0.07, look.edge, look.trim, 0.02)
    ornament(pen, era, 0.66, 0.71, 0.08)


def lamp(pen: Pen, era: str, look: Era) -> None:
    """A shade, its light, a pole and a foot."""
    pen.polygon([(0.3, 0.46), (0.7, 0.46), (0.95, 0.86), (0.05, 0.86)], look.light)
    pen.box(0.46, 0.4, 0.54, 0.8, look.trim)
    stand(pen, era, 0.26, 0.74)
    case(pen, era, 0.24, 0.74, 0.76, 0.88)
    shape = [(0.34, 0.02), (0.66, 0.02), (0.94, 0.44), (0.06, 0.44)]
    pen.polygon(shape, look.body)
    pen.line([*shape, shape[0]], EDGE, look.edge)
    pen.line([(0.1, 0.45), (0.9, 0.45)], 0.05, look.trim)
    ornament(pen, era, 0.5, 0.24, 0.12)


def car(pen: Pen, era: str, look: Era) -> None:
    """From the side, its bonnet to the right."""
    case(pen, era, 0.14, 0.22, 0.72, 0.62)
    for left in (0.21, 0.46):
        pen.box(left, 0.29, left + 0.19, 0.47, look.face, 0.03)
    case(pen, era, 0, 0.46, 1, 0.82)
    pen.ellipse(0.88, 0.52, 1, 0.66, look.light)
    pen.line([(0.43, 0.55), (0.52, 0.55)], 0.03, look.trim)
    ornament(pen, era, 0.72, 0.58, 0.08)
    wheels(pen, era, 0.24, 0.76)


def camera(pen: Pen, era: str, look: Era) -> None:
    """A lens, a button and a flash."""
    pen.box(0.12, 0.22, 0.28, 0.34, look.trim)
    stand(pen, era, 0.12, 0.88)
    case(pen, era, 0.58, 0.12, 0.92, 0.4)
    pen.box(0.64, 0.18, 0.86, 0.3, look.light)
    case(pen, era, 0.02, 0.3, 0.98, 0.88)
    disc(pen, 0.46, 0.6, 0.26, look.trim, BLACK, 0.06)
    disc(pen, 0.46, 0.6, 0.17, look.trim, look.face, 0.03)
    pen.ellipse(0.38, 0.51, 0.46, 0.59, WHITE)
    ornament(pen, era, 0.84, 0.46, 0.08)


def clock(pen: Pen, era: str, look: Era) -> None:
    """At ten to two."""
    stand(pen, era, 0.29, 0.71)
    ornament(pen, era, 0.5, 0.05, 0.1)
    disc(pen, 0.5, 0.47, 0.4, look.edge, look.body)
    disc(pen, 0.5, 0.47, 0.32, look.trim, look.face)
    for radius, step in ((0.015, 30), (0.03, 90)):
        for x, y in around(0.5, 0.47, 0.23, 0.23, *range(0, 360, step)):
            disc(pen, x, y, radius, look.ink, look.ink, 0)
    for hand in ((0.38, 0.38), (0.66, 0.36)):
        pen.line([(0.5, 0.47), hand], 0.04, look.ink)


def fan(pen: Pen, era: str, look: Era) -> None:
    """Three blades in a cage, on a foot."""
    pen.box(0.45, 0.6, 0.55, 0.85, look.trim)
    stand(pen, era, 0.26, 0.74)
    case(pen, era, 0.24, 0.76, 0.76, 0.88)
    disc(pen, 0.5, 0.37, 0.36, look.edge, look.trim)
    disc(pen, 0.5, 0.37, 0.3, look.trim, shade(look.face, -0.1))
    for turn in (0, 120, 240):
        wide = around(0.5, 0.37, 0.26, 0.26, turn - 20, turn + 4, turn + 28)
        blade = [(0.5, 0.37), *around(0.5, 0.37, 0.15, 0.15, turn - 34), *wide]
        pen.polygon(blade, look.body)
        pen.line([*blade, blade[0]], EDGE, look.edge)
    disc(pen, 0.5, 0.37, 0.1, look.edge, look.trim)
    ornament(pen, era, 0.5, 0.82, 0.07)


GADGETS: dict[str, Callable[[Pen, str, Era], None]] = {
    f.__name__: f for f in (telephone, television, radio, lamp, car, camera, clock, fan)
}


@drawing
def made_in(pen: Pen, thing: str, era: str) -> None:
    """A thing with the look of its era, standing on the lower edge of its box."""
    GADGETS[thing](pen, era, LOOKS[era])
