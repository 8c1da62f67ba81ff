"""Vegetables and other plants on a walk: "a cabbage in a tutu walking a dog".

After the baby radish of the announcement. Held out are an eighth of the pairs of a walker and
what it wears, the radish in a tutu among them, and an eighth of the pairs of a garment and the
companion on the leash.
"""

import numpy as np

from minidalle.world.ability import Ability, Facts, one_in
from minidalle.world.canvas import Canvas, Pen, drawing, shade
from minidalle.world.objects import emoji, mirrored, standing
from minidalle.world.scenes import BACKGROUNDS
from minidalle.world.things import named
from minidalle.world.walkers import INK, WALKERS, WHITE, face, limbs

YELLOW, BLUE, PINK, RED = (255, 205, 30), (40, 80, 205), (255, 120, 185), (215, 40, 45)
TEAL, PURPLE = (20, 160, 150), (125, 60, 190)

# ---- what they wear, in the sheet of the walker; the faces are at a height of 0.42 ------------


def tutu(pen: Pen) -> None:
    """A wide skirt of pink tulle."""
    for y, reach, colour in (
        (0.78, 0.42, shade(PINK, -0.25)),
        (0.72, 0.4, PINK),
        (0.67, 0.34, shade(PINK, 0.45)),
    ):
        for step in range(-3, 4):
            x = 0.5 + reach * step / 3.6
            pen.ellipse(x - 0.09, y - 0.08, x + 0.09, y + 0.07, colour)
        pen.box(0.54 - reach, y - 0.07, 0.46 + reach, y, colour, 0.03)
    pen.box(0.24, 0.58, 0.76, 0.64, shade(PINK, -0.4), 0.03)


def scarf(pen: Pen) -> None:
    """Red and white stripes, one end hanging down."""
    pen.box(0.2, 0.53, 0.8, 0.65, RED, 0.05)
    for x in (0.3, 0.46, 0.62):
        pen.box(x, 0.53, x + 0.07, 0.65, WHITE)
    pen.box(0.6, 0.56, 0.78, 0.9, shade(RED, -0.35), 0.03)
    pen.box(0.62, 0.58, 0.76, 0.88, RED, 0.02)
    for y in (0.66, 0.78):
        pen.box(0.62, y, 0.76, y + 0.05, WHITE)


def hat(pen: Pen) -> None:
    """A black top hat with a red band."""
    pen.box(0.3, 0, 0.7, 0.22, INK, 0.03)
    pen.box(0.3, 0.11, 0.7, 0.18, RED)
    pen.box(0.16, 0.18, 0.84, 0.26, INK, 0.04)
    pen.box(0.33, 0.02, 0.38, 0.11, shade(INK, 0.35))


def cape(pen: Pen) -> None:
    """It spreads out behind."""
    pen.polygon(
        [(0.3, 0.46), (0.7, 0.46), (1, 0.9), (0.75, 0.94), (0.5, 0.9), (0.25, 0.94), (0, 0.9)],
        shade(BLUE, -0.35),
    )
    pen.polygon(
        [(0.3, 0.5), (0.7, 0.5), (0.95, 0.88), (0.75, 0.9), (0.5, 0.87), (0.25, 0.9), (0.05, 0.88)],
        BLUE,
    )


def collar(pen: Pen) -> None:
    """What ties a cape."""
    pen.box(0.22, 0.53, 0.78, 0.61, BLUE, 0.03)
    pen.ellipse(0.42, 0.51, 0.58, 0.67, shade(YELLOW, -0.4))
    pen.ellipse(0.44, 0.53, 0.56, 0.65, YELLOW)


def raincoat(pen: Pen) -> None:
    """Yellow, with sleeves, buttons, and boots to match."""
    dark = shade(YELLOW, -0.4)
    for grow, colour in ((0.03, dark), (0, YELLOW)):
        pen.line([(0.28, 0.58), (0.16, 0.65)], 0.1 + 2 * grow, colour)
        pen.line([(0.72, 0.58), (0.84, 0.53)], 0.1 + 2 * grow, colour)
        sides = [(0.26, 0.56), (0.74, 0.56), (0.88, 0.84), (0.12, 0.84)]
        pen.polygon([(x + (grow if x > 0.5 else -grow), y) for x, y in sides], colour)
        pen.box(0.12 - grow, 0.82, 0.88 + grow, 0.84 + grow, colour)
        for x in (0.4, 0.6):
            pen.box(x - 0.06 - grow, 0.9, x + 0.1 + grow, 1, colour, 0.03)
    pen.box(0.24, 0.53, 0.76, 0.59, dark, 0.03)
    pen.line([(0.5, 0.58), (0.5, 0.84)], 0.03, dark)
    for y in (0.65, 0.76):
        pen.ellipse(0.53, y - 0.03, 0.61, y + 0.03, INK)


def crown(pen: Pen) -> None:
    """Of gold, with three points."""
    for grow, colour in ((0.03, shade(YELLOW, -0.5)), (0, YELLOW)):
        points = ((0.24, 0.26), (0.2, 0.02), (0.36, 0.13), (0.5, 0), (0.64, 0.13), (0.8, 0.02))
        ring = [*points, (0.76, 0.26)]
        pen.polygon([(0.5 + (x - 0.5) * (1 + 2 * grow), y) for x, y in ring], colour)
        pen.line([(x, y + 0.03) for x, y in (*ring, ring[0])], 2 * grow, colour)
    for x in (0.35, 0.5, 0.65):
        pen.ellipse(x - 0.04, 0.17, x + 0.04, 0.24, RED)


def bow_tie(pen: Pen) -> None:
    """Purple, with white dots."""
    for grow, colour in ((0.03, shade(PURPLE, -0.5)), (0, PURPLE)):
        for out in (-1, 1):
            ends = ((0.05, 0.63), (0.3, 0.54), (0.3, 0.76), (0.05, 0.67))
            wing = [(0.5 + out * x, y) for x, y in ends]
            pen.polygon(wing, colour)
            pen.line([*wing, wing[0]], 2 * grow, colour)
        pen.box(0.43 - grow, 0.6 - grow, 0.57 + grow, 0.7 + grow, colour, 0.03)
    for x, y in ((0.28, 0.61), (0.28, 0.69), (0.72, 0.61), (0.72, 0.69)):
        pen.ellipse(x - 0.03, y - 0.026, x + 0.03, y + 0.026, WHITE)


def sweater(pen: Pen) -> None:
    """Teal, with sleeves and a white zigzag."""
    dark = shade(TEAL, -0.45)
    for grow, colour in ((0.03, dark), (0, TEAL)):
        pen.line([(0.26, 0.6), (0.14, 0.66)], 0.1 + 2 * grow, colour)
        pen.line([(0.74, 0.6), (0.86, 0.54)], 0.1 + 2 * grow, colour)
        pen.box(0.2 - grow, 0.56 - grow, 0.8 + grow, 0.86 + grow, colour, 0.06)
    pen.line([(x / 20, 0.67 + 0.07 * (x % 2)) for x in range(5, 16)], 0.04, WHITE)
    for y in (0.54, 0.83):
        pen.box(0.2, y, 0.8, y + 0.05, dark, 0.02)


@drawing
def leash(pen: Pen) -> None:
    """From the hand, at the upper left, to the companion's neck."""
    pen.line([(0.06, 0.06), (0.3, 0.5), (0.6, 0.76), (0.94, 0.94)], 0.12, RED)


GARMENTS = {  # → (behind the walker, before it)
    "tutu": (None, tutu),
    "scarf": (None, scarf),
    "top hat": (None, hat),
    "cape": (cape, collar),
    "raincoat": (None, raincoat),
    "crown": (None, crown),
    "bow tie": (None, bow_tie),
    "sweater": (None, sweater),
}


@drawing
def dressed(pen: Pen, walker: str, garment: str) -> None:
    """A walker in a garment."""
    behind, before = GARMENTS[garment]
    if behind:
        behind(pen)
    limbs(pen)
    WALKERS[walker](pen)
    face(pen)
    before(pen)


ANIMALS = named(  # these face left
    *"badger beaver bird bison camel cat chick chipmunk cow crocodile dinosaur dodo".split(),
    *"dog duck elephant flamingo giraffe hippopotamus horse kangaroo leopard llama".split(),
    *"mammoth monkey mouse pig poodle rabbit ram rooster skunk snail swan tiger".split(),
    *"turkey turtle".split(),
)
COMPANIONS = {name: standing(mirrored(emoji(slug))) for name, slug in ANIMALS.items()}


def draw(
    size: int, background: str, goes: str, walker: str, garment: str, companion: str
) -> np.ndarray:
    """They walk to the right, or, mirrored, to the left."""
    canvas = Canvas(size, BACKGROUNDS[background])
    canvas.put(dressed(walker, garment), -4, 4, 48, 56)
    canvas.put(COMPANIONS[companion], 36, 32, 28)
    canvas.put(leash(), 38, 30, 18, 16)
    picture = canvas.picture()
    return picture if goes == "right" else picture[:, ::-1].copy()


def held_out(facts: Facts) -> bool:
    """An eighth of the pairs of walker and garment, and of garment and companion."""
    worn = one_in(8, facts["walker"], "dressed in", facts["garment"])
    return worn or one_in(8, facts["garment"], "walking", facts["companion"])


WALKS = Ability(
    "walks",
    fields={
        "walker": tuple(WALKERS),
        "garment": tuple(GARMENTS),
        "companion": tuple(COMPANIONS),
    },
    free={"goes": ("right", "left"), "background": tuple(BACKGROUNDS)},
    templates=("{a walker} in {a garment} walking {a companion}",),
    draw=draw,
    held_out=held_out,
)
