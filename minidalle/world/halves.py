"""The front of one animal and the rear of another: "half giraffe, half turtle".

Every animal is drawn whole, facing left, its body in the same box. So the front of any can be
joined to the rear of any other. The caption names the front first. Held out are an eighth of the
ordered pairs, half giraffe and half turtle among them.
"""

import numpy as np

from minidalle.world.ability import Ability, Facts, one_in
from minidalle.world.beasts import BEASTS, beast
from minidalle.world.canvas import Canvas, Drawing
from minidalle.world.scenes import BACKGROUNDS
from minidalle.world.side_views import DRAWN

ANIMALS = DRAWN | {name: beast(name) for name in BEASTS}


def half(animal: str, side: str) -> Drawing:
    """The "front" or the "rear" of an animal, in a box half as wide as it is high."""
    return Drawing(_half, (ANIMALS[animal], side))


def _half(height: int, width: int, animal: Drawing, side: str) -> np.ndarray:
    art = animal.art(height, 2 * width)
    return art[:, :width] if side == "front" else art[:, width:]


def draw(size: int, background: str, left: int, front: str, rear: str) -> np.ndarray:
    """One animal, facing left; `left` is its left edge in units."""
    canvas = Canvas(size, BACKGROUNDS[background])
    canvas.put(half(front, "front"), left, 4, 28, 56)
    canvas.put(half(rear, "rear"), left + 28, 4, 28, 56)
    return canvas.picture()


def held_out(facts: Facts) -> bool:
    """An eighth of the ordered pairs."""
    return one_in(8, facts["front"], "then", facts["rear"])


HALVES = Ability(
    "halves",
    fields={"front": tuple(ANIMALS), "rear": tuple(ANIMALS)},
    free={"left": (0, 4, 8), "background": tuple(BACKGROUNDS)},
    templates=("half {front}, half {rear}",),
    draw=draw,
    held_out=held_out,
    valid=lambda facts: facts["front"] != facts["rear"],
)
