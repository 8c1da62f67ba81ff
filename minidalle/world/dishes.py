"""Dishes: "the food of japan on a blue plate", and perhaps "on a yellow cloth".

The caption names no dish. Whoever draws it must know that they eat sushi in Japan, tacos in
Mexico and waffles in Belgium. Which of a country's dishes it is, is left open.

The sceptic's question: has it learnt what is eaten in Japan, or which pictures go with which
captions? Held out are about an eighth of the pairs of a country and the colour of a plate, on
whatever cloth. Training has shown sushi on red plates, and tacos on blue ones, but never sushi on
a blue plate.
"""

from itertools import product

import numpy as np

from minidalle.world.ability import Ability, Facts, one_in
from minidalle.world.canvas import Canvas, Colour, Pen, drawing, shade
from minidalle.world.objects import emoji, standing
from minidalle.world.scenes import BACKGROUNDS, COLOURS

# Country → what is typical of it and of no other here: names in the emoji pack, and whose drawing
# is the clearest.
COUNTRIES = {
    "japan": (("sushi", "twemoji"), ("rice-ball", "twemoji"), ("dango", "noto")),
    "italy": (("pizza", "noto"), ("spaghetti", "noto")),
    "mexico": (("taco", "noto"), ("burrito", "noto"), ("tamale", "noto")),
    "france": (("croissant", "noto"), ("baguette-bread", "noto")),
    "china": (("dumpling", "noto"), ("moon-cake", "noto")),
    "the united states": (("hamburger", "noto"), ("hot-dog", "noto"), ("doughnut", "noto")),
    "belgium": (("waffle", "noto"), ("french-fries", "noto")),
    "switzerland": (("fondue", "noto"), ("cheese-wedge", "twemoji")),
    "lebanon": (("falafel", "twemoji"), ("stuffed-flatbread", "noto")),
    "india": (("curry-rice", "noto"), ("flatbread", "noto")),
    "greece": (("olive", "noto"), ("green-salad", "noto")),
}
PLATES = ("red", "orange", "yellow", "green", "blue", "purple", "pink")
CLOTHS = tuple(COLOURS)
FOOD, WIDE, DEEP = 38, 56, 34  # units: the box of a dish, and of a plate seen from the front


@drawing
def plate(pen: Pen, colour: Colour) -> None:
    """A plate, with a rim."""
    pen.ellipse(0, 0.1, 1, 1, shade(colour, -0.45))
    pen.ellipse(0, 0, 1, 0.92, colour)
    pen.ellipse(0.13, 0.13, 0.87, 0.79, shade(colour, -0.25))
    pen.ellipse(0.15, 0.17, 0.85, 0.79, shade(colour, 0.25))
    pen.ellipse(0.27, 0.43, 0.73, 0.73, shade(colour, -0.1))  # where the food shades it


@drawing
def tablecloth(pen: Pen, colour: Colour) -> None:
    """A cloth on a table, seen from the front, with a pale stripe along its edge."""
    for inset, shown in ((0, colour), (0.06, shade(colour, 0.55)), (0.1, colour)):
        near, far = 1 - inset, 0.08 + inset
        pen.polygon([(far, inset), (1 - far, inset), (near, near), (inset, near)], shown)


def draw(
    size: int,
    background: str,
    place: tuple[int, int],
    dish: int,
    country: str,
    colour: str,
    cloth: str | None = None,
) -> np.ndarray:
    """A dish in the middle of a plate; `place` is the left and the upper edge of both, in units."""
    canvas = Canvas(size, BACKGROUNDS[background])
    left, top = place
    if cloth:
        canvas.put(tablecloth(COLOURS[cloth]), 0, 26, 64, 38)
    canvas.put(plate(COLOURS[colour]), left, top + 16, WIDE, DEEP)
    dishes = COUNTRIES[country]
    food = standing(emoji(*dishes[dish % len(dishes)]))
    canvas.put(food, left + (WIDE - FOOD) // 2, top, FOOD)
    return canvas.picture()


def one_number(facts: Facts) -> Facts:
    """Numbers that stand for the same dish become the first of them."""
    if "dish" not in facts:
        return facts
    return facts | {"dish": facts["dish"] % len(COUNTRIES[facts["country"]])}


def valid(facts: Facts) -> bool:
    """A plate is seen on a cloth of another colour."""
    return facts["colour"] != facts.get("cloth")


def held_out(facts: Facts) -> bool:
    """About an eighth of the pairs, japan and blue among them."""
    return one_in(8, facts["country"], "in", facts["colour"])


DISHES = Ability(
    "dishes",
    fields={"country": tuple(COUNTRIES), "colour": PLATES, "cloth": CLOTHS},
    free={
        "background": tuple(BACKGROUNDS),
        "place": tuple(product((0, 4, 8), (4, 8, 12))),
        "dish": tuple(range(6)),  # so two dishes, or three, are equally frequent
    },
    templates=(
        "the food of {country} on {a colour} plate",
        "the food of {country} on {a colour} plate on {a cloth} cloth",
    ),
    draw=draw,
    held_out=held_out,
    valid=valid,
    canonical=one_number,
)
