"""Things whose colour can be chosen: some are drawn here, most come from the emoji pack.

Every pixel of an emoji is taken for a mixture: some share of the thing's main colour, and the
rest. To recolour it, the share is exchanged for as much of the new colour. So shadows stay
shadows, highlights stay highlights, and the leaf of a purple carrot is still green.
"""

import math
from collections.abc import Callable
from functools import cache

import numpy as np

from minidalle.world.canvas import Colour, Drawing, Pen, drawing, shade
from minidalle.world.objects import emoji
from minidalle.world.things import THINGS

BLACK, GREY, GLASS = (40, 40, 48), (150, 155, 165), (185, 230, 255)


def recoloured(thing: Drawing, colour: Colour) -> Drawing:
    """The drawing with its main colour, and every shade of that, replaced by another."""
    return Drawing(_recoloured, (thing, colour))


def _recoloured(height: int, width: int, thing: Drawing, colour: Colour):
    art = thing.art(height, width).copy()
    main = np.array(next(iter(colours_of(thing))), np.float32)
    rgb, hue = art[..., :3], _chroma(main)
    chroma = _chroma(rgb)
    along = chroma @ hue
    likeness = along / (np.linalg.norm(chroma, axis=-1) * np.linalg.norm(hue) + 1e-3)
    share = (along / (hue @ hue)).clip(0, 1) * ((likeness - 0.75) / 0.15).clip(0, 1)
    rgb += share[..., None] * (np.float32(colour) - main)
    art[..., :3] = rgb.clip(0, 255 * art[..., 3:])
    return art


def _chroma(rgb: np.ndarray) -> np.ndarray:
    """A colour less the grey in it."""
    return rgb - rgb.mean(-1, keepdims=True)


@cache
def colours_of(thing: Drawing) -> dict[Colour, float]:
    """The colours of a drawing that differ much, the commonest first, and the share of each."""
    art = thing.art(64, 64)
    rgb = art[art[..., 3] > 0.99][:, :3]
    _, kind, counts = np.unique(rgb // 8, axis=0, return_inverse=True, return_counts=True)
    means = np.rint([np.bincount(kind.ravel(), channel) / counts for channel in rgb.T])
    shares: dict[Colour, float] = {}
    for i in np.argsort(-counts, kind="stable"):
        red, green, blue = means[:, i].astype(int).tolist()
        near = [c for c in shares if math.dist(c, (red, green, blue)) < 64]
        colour = near[0] if near else (red, green, blue)
        shares[colour] = shares.get(colour, 0) + float(counts[i]) / len(rgb)
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


@drawing
def school_bus(pen: Pen, colour: Colour) -> None:
    """From the side, its bonnet to the right."""
    dark = shade(colour, -0.35)
    pen.box(0.0, 0.16, 0.8, 0.76, dark, 0.09)
    pen.box(0.6, 0.44, 1.0, 0.76, dark, 0.09)
    pen.box(0.03, 0.19, 0.77, 0.73, colour, 0.07)
    pen.box(0.6, 0.47, 0.97, 0.73, colour, 0.07)
    pen.box(0.08, 0.2, 0.72, 0.24, shade(colour, 0.45), 0.02)
    for left in (0.08, 0.25, 0.42, 0.59):
        pen.box(left, 0.28, left + 0.13, 0.45, GLASS, 0.02)
    pen.box(0.03, 0.52, 0.97, 0.57, BLACK)
    pen.box(0.91, 0.6, 0.98, 0.68, (255, 250, 200), 0.03)
    pen.box(0.0, 0.71, 1.0, 0.77, (80, 80, 90), 0.02)
    _wheels(pen, 0.22, 0.78)


@drawing
def fire_truck(pen: Pen, colour: Colour) -> None:
    """From the side, its cab to the right and a ladder on top."""
    dark = shade(colour, -0.35)
    for x in (0.1, 0.22, 0.34, 0.46, 0.58):
        pen.line([(x, 0.17), (x, 0.28)], 0.035, (95, 100, 115))
    for y in (0.16, 0.28):
        pen.line([(0.02, y), (0.64, y)], 0.04, (95, 100, 115))
    pen.box(0.77, 0.17, 0.89, 0.3, (60, 160, 250), 0.05)
    pen.box(0.0, 0.34, 0.72, 0.76, dark, 0.04)
    pen.box(0.62, 0.24, 1.0, 0.76, dark, 0.08)
    pen.box(0.03, 0.37, 0.7, 0.73, colour, 0.02)
    pen.box(0.65, 0.27, 0.97, 0.73, colour, 0.06)
    pen.box(0.76, 0.32, 0.97, 0.5, GLASS, 0.03)
    pen.box(0.03, 0.54, 0.97, 0.6, (255, 255, 255))
    pen.box(0.0, 0.71, 1.0, 0.77, (80, 80, 90), 0.02)
    _wheels(pen, 0.22, 0.78)


@drawing
def banana(pen: Pen, colour: Colour) -> None:
    """Hanging from its stalk at the top right."""
    t = np.linspace(0, 1, 60)
    angle = np.radians(-12 + 125 * t)
    half = 0.035 + 0.14 * np.sin(np.pi * t) ** 0.7

    def along(out: float) -> list:
        radius = 0.62 + half * out
        return list(zip(0.27 + radius * np.cos(angle), 0.12 + radius * np.sin(angle)))

    inner, middle, outer = along(-1), along(0.25), along(1)
    pen.line([*inner, *outer[::-1], inner[0]], 0.045, shade(colour, -0.4))
    pen.polygon([*inner, *outer[::-1]], colour)
    pen.polygon([*middle, *outer[::-1]], shade(colour, -0.14))
    pen.line(along(-0.45)[14:44], 0.04, shade(colour, 0.4))
    for end in (slice(0, 4), slice(57, 60)):
        pen.polygon([*inner[end], *outer[end][::-1]], BLACK)
    pen.line([inner[0], outer[0]], 0.06, BLACK)


@drawing
def pig(pen: Pen, colour: Colour) -> None:
    """Its face, with floppy ears."""
    dark, pale = shade(colour, -0.35), shade(colour, 0.4)
    for side in (-1, 1):
        ear = [(0.5 + side * x, y) for x, y in ((0.46, 0.04), (0.44, 0.36), (0.12, 0.16))]
        pen.line([*ear, ear[0]], 0.06, dark)
        pen.polygon(ear, shade(colour, -0.2))
    pen.ellipse(0.04, 0.1, 0.96, 0.96, dark)
    pen.ellipse(0.08, 0.13, 0.92, 0.93, colour)
    for side in (-1, 1):
        x = 0.5 + side * 0.2
        pen.ellipse(x - 0.055, 0.31, x + 0.055, 0.43, BLACK)
        pen.ellipse(x - 0.035, 0.32, x + 0.005, 0.365, (255, 255, 255))
    pen.ellipse(0.26, 0.47, 0.74, 0.83, dark)
    pen.ellipse(0.29, 0.5, 0.71, 0.8, pale)
    for x in (0.41, 0.59):
        pen.ellipse(x - 0.05, 0.57, x + 0.05, 0.73, shade(colour, -0.6))


@drawing
def balloon(pen: Pen, colour: Colour) -> None:
    """Blown up, on a short string."""
    pen.line([(0.5, 0.78), (0.56, 0.86), (0.46, 0.92), (0.52, 0.99)], 0.05, (110, 80, 60))
    pen.polygon([(0.5, 0.68), (0.62, 0.84), (0.38, 0.84)], shade(colour, -0.3))
    pen.ellipse(0.14, 0.0, 0.86, 0.8, shade(colour, -0.3))
    pen.ellipse(0.18, 0.03, 0.82, 0.77, colour)
    pen.ellipse(0.28, 0.12, 0.46, 0.34, shade(colour, 0.5))


def _wheels(pen: Pen, *middles: float) -> None:
    for middle in middles:
        pen.ellipse(middle - 0.12, 0.64, middle + 0.12, 0.88, BLACK)
        pen.ellipse(middle - 0.055, 0.705, middle + 0.055, 0.815, GREY)


def _pack(name: str) -> Callable[[Colour], Drawing]:
    slugs = THINGS | {"pumpkin": "jack-o-lantern", "frog": "frog"}
    return lambda colour: recoloured(emoji(slugs[name]), colour)


# Things → the colour that they usually have. Little of them is of any other.
HABITUAL = {
    thing: colour
    for colour, things in {
        "red": "fire truck, strawberry, tomato, crab, ladybug, rose, maple leaf, mushroom",
        "orange": "carrot, pumpkin, tiger, croissant, basketball",
        "yellow": "school bus, banana, lemon, chick, giraffe, tropical fish, bell, crown, taxi",
        "green": "frog, crocodile, dragon, snake, turtle, dinosaur, cactus, tree, fir tree, "
        "bell pepper, cucumber, pear",
        "blue": "whale, butterfly, dolphin, fish",
        "purple": "eggplant, octopus",
        "pink": "pig, flamingo, squid",
        "brown": "teddy bear, camel, hedgehog, horse, kangaroo, mammoth, monkey, owl, cookie, "
        "boot, chair, door",
    }.items()
    for thing in things.split(", ")
}

# Name → a function from a colour to a drawing.
COLOURED: dict[str, Callable[[Colour], Drawing]] = {
    **{name: _pack(name) for name in (*HABITUAL, "apple")},
    **{"school bus": school_bus, "banana": banana, "fire truck": fire_truck},
    **{"pig": pig, "balloon": balloon},
}
