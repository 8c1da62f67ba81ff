"""Visual IQ tests: eight cells of a matrix are given, and the model draws the ninth.

The sceptic's question: does it see the rule? In each cell are one, two or three equal shapes. One
of shape, colour and number changes along the rows, another down the columns; the third is the
same everywhere, or permuted so that each row and each column has it once (a Latin square). No
caption says any of this, so all of it is `given`, and right is whatever has the right last cell.

Held out are an eighth of the rules with a set of three shapes, and all matrices with inverted
colours. To ask a matrix of training in inverted colours: `facts | {"inverted": "yes"}`.
"""

from functools import cache
from itertools import permutations

import numpy as np

from minidalle.world.ability import Ability, Facts, one_in
from minidalle.world.canvas import UNITS, Canvas, Colour, Pen, drawing, shade
from minidalle.world.relations import shape
from minidalle.world.scenes import BACKGROUNDS

CELL, STEP = 20, 22  # units: a cell, and from one cell to the next
LOOKS = ("shape", "colour", "number")
ORDERS = {  # what each look is in the first, second and third place
    "shape": tuple(permutations(("circle", "square", "triangle", "star", "heart", "cross"), 3)),
    "colour": tuple(permutations(("red", "yellow", "green", "blue", "purple", "orange"), 3)),
    "number": (("1", "2", "3"), ("3", "2", "1")),
}
PLACES = {  # number of things → their left, top and side, in units of the cell
    "1": ((2, 2, 16),),
    "2": ((0, 5, 10), (10, 5, 10)),
    "3": ((5, 0, 10), (0, 10, 10), (10, 10, 10)),
}


def last_cell(facts: Facts) -> dict[str, str]:
    """The answer: shape, colour and number in the last cell."""
    return _cell(facts, 2, 2)


def _cell(facts: Facts, row: int, column: int) -> dict[str, str]:
    places = {facts["across"]: column, facts["down"]: row}
    rest = (row + column) % 3 if facts["rest"] == "permuted" else 0
    return {look: facts[look].split()[places.get(look, rest)] for look in LOOKS}


@drawing
def grid(pen: Pen, colour: Colour) -> None:
    """Thin lines between the cells."""
    for place in (CELL, STEP + CELL):
        start, end = place / UNITS, (place + STEP - CELL) / UNITS
        pen.box(start, 0, end, 1, colour)
        pen.box(0, start, 1, end, colour)


def draw(size: int, background: str, inverted: str, **facts: str) -> np.ndarray:
    """The whole matrix, with its last cell."""
    canvas = Canvas(size, BACKGROUNDS[background])
    canvas.put(grid(shade(BACKGROUNDS[background], -0.45)), 0, 0, UNITS)
    for row in range(3):
        for column in range(3):
            cell = _cell(facts, row, column)
            for left, top, side in PLACES[cell["number"]]:
                thing = shape(cell["shape"], cell["colour"])
                canvas.put(thing, STEP * column + left, STEP * row + top, side)
    return 255 - canvas.picture() if inverted == "yes" else canvas.picture()


@cache
def _simplest(shape: str, colour: str, number: str) -> Facts:
    """A matrix with this last cell, always the same."""
    order = {
        "shape": next(o for o in ORDERS["shape"] if o[2] == shape),
        "colour": next(o for o in ORDERS["colour"] if o[2] == colour),
        "number": ("3", "2", "1") if number == "3" else ("1", "2", "3"),
    }
    facts = {"across": "shape", "down": "colour", "rest": "permuted" if number == "2" else "same"}
    return facts | {look: " ".join(order[look]) for look in LOOKS}


def canonical(facts: Facts) -> Facts:
    """The simplest matrix with the same last cell, as only this is drawn."""
    return facts | _simplest(**last_cell(facts)) if facts else facts  # {} is what a caption says


def valid(facts: Facts) -> bool:
    """Two different looks change across and down."""
    return not facts or facts["across"] != facts["down"]


def held_out(facts: Facts) -> bool:
    """Inverted colours, and an eighth of the rules with a set of three shapes."""
    if not facts or facts["inverted"] == "yes":
        return bool(facts)
    rule = facts["across"], facts["down"], facts["rest"]
    return one_in(8, *rule, *sorted(facts["shape"].split()))


_GIVEN = {look: tuple(map(" ".join, orders)) for look, orders in ORDERS.items()} | {
    "across": LOOKS,
    "down": LOOKS,
    "rest": ("same", "permuted"),
    "inverted": ("no", "yes"),
}

MATRICES = Ability(
    "matrices",
    fields={},
    free={"background": tuple(BACKGROUNDS)} | _GIVEN,
    templates=("a matrix of shapes with the last cell filled in",),
    draw=draw,
    held_out=held_out,
    kind_of=lambda facts: "inverted" if facts and facts["inverted"] == "yes" else "as shown",
    valid=valid,
    canonical=canonical,
    box=(2 * STEP, 2 * STEP),
    given=tuple(_GIVEN),
)
