"""Stacks of blocks: "a red block on a green block on a blue block".

The sceptic's question: can it stack as told, and deeper than it was ever shown? Training shows
stacks of one and two blocks. Held out are an eighth of the pairs of colours, and all stacks of
three and four.
"""

from minidalle.world.ability import Ability, Facts, one_in
from minidalle.world.canvas import Canvas, Colour, Pen, drawing, shade
from minidalle.world.scenes import BACKGROUNDS, COLOURS

LEVELS = ("bottom", "second", "third", "fourth")  # counted from the ground


@drawing
def block(pen: Pen, colour: Colour) -> None:
    """A toy block, seen a little from above, its letter side blank."""
    pen.box(0.02, 0.02, 0.98, 0.98, shade(colour, -0.35), 0.1)
    pen.box(0.08, 0.08, 0.92, 0.92, colour, 0.06)
    pen.polygon([(0.08, 0.2), (0.2, 0.08), (0.8, 0.08), (0.92, 0.2)], shade(colour, 0.3))


@drawing
def table(pen: Pen, background: Colour) -> None:
    """What the lowest block stands on."""
    pen.box(0, 0, 1, 1, shade(background, -0.25))


def draw(size: int, background: str, left: int, bottom: str, **above: str):
    """Blocks of 12 units, on a table; `left` is the edge of the stack in units."""
    canvas = Canvas(size, BACKGROUNDS[background])
    canvas.put(table(BACKGROUNDS[background]), 0, 56, 64, 8)
    for level, name in enumerate(LEVELS):
        colour = {"bottom": bottom, **above}.get(name)
        if colour:
            canvas.put(block(COLOURS[colour]), left, 44 - 12 * level, 12)
    return canvas.picture()


def held_out(facts: Facts) -> bool:
    """Stacks of three and four, and an eighth of the pairs."""
    if "third" in facts:
        return True
    return "second" in facts and one_in(8, facts["second"], "on", facts["bottom"])


STACKS = Ability(
    "stacks",
    fields={level: tuple(COLOURS) for level in LEVELS},
    free={"left": tuple(range(4, 49, 4)), "background": tuple(BACKGROUNDS)},
    templates=tuple(
        " on ".join(f"{{a {level}}} block" for level in LEVELS[depth::-1]) for depth in range(4)
    ),
    draw=draw,
    held_out=held_out,
)
