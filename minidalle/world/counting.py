"""Numbers: "five red apples".

Training shows one to six of each thing, but an eighth of the pairs of a number and a thing is
held out, "five red apples" among them: has it learnt what five is, or what five owls look like?
"""

import numpy as np

from minidalle.world.ability import Ability, Facts, one_in
from minidalle.world.canvas import Canvas
from minidalle.world.coloured import COLOURED
from minidalle.world.objects import emoji
from minidalle.world.scenes import BACKGROUNDS, COLOURS
from minidalle.world.shapes import figure
from minidalle.world.things import named

THINGS = {
    "red apple": COLOURED["apple"](COLOURS["red"]),
    "green apple": COLOURED["apple"](COLOURS["green"]),
    "blue balloon": COLOURED["balloon"](COLOURS["blue"]),
    "pink balloon": COLOURED["balloon"](COLOURS["pink"]),
    "yellow star": figure("star", "filled", COLOURS["yellow"]),
    "purple heart": figure("heart", "filled", COLOURS["purple"]),
    "frog": emoji("frog"),
    "pumpkin": emoji("jack-o-lantern"),
} | {
    name: emoji(slug)
    for name, slug in named(
        # Known at 16 pixels a side, of regular plural, and no fruit: `views.py` says "a pear".
        *"""
        bee bird butterfly camel cat chick cow crab dog dolphin duck elephant flamingo horse ladybug
        lobster octopus owl parrot penguin pig rabbit rooster dinosaur shark snail spider
        swan tiger turtle whale cactus fir-tree palm-tree tree mushroom rose sunflower tulip
        burger cupcake doughnut hot-dog pretzel strawberry
        airplane ambulance bicycle bus car fire-engine locomotive rocket sailboat taxi tractor truck
        church house hut tent
        alarm-clock anchor axe backpack basketball bell bomb boot bucket camera chair crown diamond
        dress drum gift hammer high-heel key kite lock magnet ring shield soccer-ball
        t-shirt teapot teddy-bear telephone television top-hat trophy umbrella
        """.split()
    ).items()
}
COUNTS = ("a", "two", "three", "four", "five", "six")
SIDES = {"a": 40, "two": 24, "three": 24, "four": 24, "five": 16, "six": 16}  # in units
# Three arrangements for each number, as (left, top) of every thing on squared paper of 16×16. As
# many again have left and top exchanged.
LAYOUTS = {
    "a": ([(1, 3)], [(3, 5)], [(5, 4)]),
    "two": ([(1, 3), (9, 3)], [(1, 7), (9, 7)], [(1, 2), (9, 8)]),
    "three": (
        [(5, 1), (1, 8), (9, 8)],
        [(1, 2), (9, 2), (5, 9)],
        [(1, 1), (1, 9), (9, 9)],
    ),
    "four": (
        [(1, 1), (9, 1), (1, 9), (9, 9)],
        [(0, 1), (7, 1), (3, 9), (10, 9)],
        [(3, 1), (10, 1), (0, 9), (7, 9)],
    ),
    "five": (
        [(1, 2), (11, 2), (6, 6), (1, 10), (11, 10)],
        [(1, 3), (6, 3), (11, 3), (3, 9), (9, 9)],
        [(3, 3), (9, 3), (1, 9), (6, 9), (11, 9)],
    ),
    "six": (
        [(1, 3), (6, 3), (11, 3), (1, 9), (6, 9), (11, 9)],
        [(0, 3), (5, 3), (10, 3), (2, 9), (7, 9), (12, 9)],
        [(6, 1), (3, 6), (9, 6), (1, 11), (6, 11), (11, 11)],
    ),
}


def draw(size: int, background: str, layout: int, thing: str, count: str = "a") -> np.ndarray:
    """So many things of the same kind and size, apart from each other."""
    canvas = Canvas(size, BACKGROUNDS[background])
    for place in LAYOUTS[count][layout % 3]:
        left, top = place if layout < 3 else place[::-1]
        canvas.put(THINGS[thing], 4 * left, 4 * top, SIDES[count])
    return canvas.picture()


def held_out(facts: Facts) -> bool:
    """An eighth of the pairs of a number and a thing."""
    return one_in(8, facts["thing"], facts.get("count", "a"), "many")


NUMBERS = Ability(
    "numbers",
    fields={"count": COUNTS[1:], "thing": tuple(THINGS)},
    free={"background": tuple(BACKGROUNDS), "layout": tuple(range(6))},
    # Each template is as likely as the others, and so is each number.
    templates=("{a thing}", *["{count} {many thing}"] * 5),
    draw=draw,
    held_out=held_out,
    kind_of=lambda facts: facts.get("count", "one"),
)
