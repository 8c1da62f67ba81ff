"""Stacks of blocks: "a red block on a green block on a blue block".

The sceptic's question: can it stack as told, and deeper than it was ever shown? Training shows
stacks of one and two blocks. Held out are an eighth of the pairs of colours, and all stacks of
three and four.
"""

from minidalle.world.ability import Ability, Facts, one_in
from minidalle.world.canvas import UNITS, Canvas, Colour, Pen, drawing, shade
from minidalle.world.scenes import BACKGROUNDS, COLOURS

LEVELS = ("bottom", "second", "third", "fourth")  # counted from the ground


WIDTH, HEIGHT, STUD, TABLE = 24, 12, 4, 8  # of a block, of the studs on it, of the table


@drawing
def block(pen: Pen, colour: Colour) -> None:
    """A toy block with three studs, lit from above; its box is WIDTH by STUD + HEIGHT."""
    dark, light, neck = shade(colour, -0.4), shade(colour, 0.35), STUD / (STUD + HEIGHT)
    for left in (0.08, 0.375, 0.67):
        pen.box(left, 0.06, left + 0.25, 0.5, dark, 0.03)
        pen.box(left + 0.04, 0.12, left + 0.21, 0.5, shade(colour, 0.15))
    pen.box(0, neck, 1, 1, dark, 0.05)
    pen.box(0.04, neck + 0.06, 0.96, 0.94, colour, 0.03)
    pen.box(0.04, neck + 0.06, 0.96, neck + 0.2, light, 0.03)


@drawing
def table(pen: Pen) -> None:
    """A wooden board, on which the lowest block stands."""
    pen.box(0, 0, 1, 1, (176, 128, 84))
    pen.box(0, 0, 1, 0.45, (222, 180, 132))


def draw(size: int, background: str, left: int, bottom: str, **above: str):
    """Blocks on a table; `left` is the edge of the stack in units."""
    canvas = Canvas(size, BACKGROUNDS[background])
    top = UNITS - TABLE
    canvas.put(table(), 0, top, UNITS, TABLE)
    for level in LEVELS:
        colour = {"bottom": bottom, **above}.get(level)
        if colour:
            top -= HEIGHT
            canvas.put(block(COLOURS[colour]), left, top - STUD, WIDTH, STUD + HEIGHT)
    return canvas.picture()


def held_out(facts: Facts) -> bool:
    """Stacks of three and four, and an eighth of the pairs."""
    if "third" in facts:
        return True
    return "second" in facts and one_in(8, facts["second"], "on", facts["bottom"])


STACKS = Ability(
    "stacks",
    fields={level: tuple(COLOURS) for level in LEVELS},
    free={"left": (4, 12, 20, 28, 36), "background": tuple(BACKGROUNDS)},
    templates=tuple(
        " on ".join(f"{{a {level}}} block" for level in LEVELS[depth::-1]) for depth in range(4)
    ),
    draw=draw,
    held_out=held_out,
    kind_of=lambda facts: f"{len(facts)} blocks",
)
