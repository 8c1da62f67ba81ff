"""Views: "a cross-section of a kiwi", "a close-up of a lemon", "an x-ray of a pear".

A caption can say how to look at a thing. The cross-section has the silhouette of the whole fruit,
its skin is a ring of the same colour, the flesh is a paler kind of that colour, and the core or
the seeds are the fruit's own. An x-ray shows the silhouette and whatever is inside it, brightest
what is hardest. In a close-up everything is twice as large, so part of it is out of sight. Night
darkens fruit and background, and brings the moon.

The sceptic's question: what does the inside of a kiwi look like to somebody who was never shown
one that had been cut? The x-ray tells about the seeds, the skin about the flesh. Held out are
about an eighth of the pairs of a fruit and a view, but no x-ray.
"""

from itertools import product

import numpy as np

from minidalle.world.ability import Ability, Facts, one_in
from minidalle.world.canvas import UNITS, Canvas, Drawing, Pen, drawing
from minidalle.world.fruits import FRUITS, opened, whole
from minidalle.world.scenes import BACKGROUNDS

SIDE = 44  # units: the box of a fruit
NIGHT = (0.6, 0.65, 0.92)  # what is left of red, green and blue
MOON, FILM, FRAME = (240, 236, 205), (10, 16, 32), (52, 76, 108)


def at_night(thing: Drawing) -> Drawing:
    """What is left of a thing's colours in the moonlight."""
    return Drawing(_at_night, (thing,))


def _at_night(height: int, width: int, thing: Drawing) -> np.ndarray:
    art = thing.art(height, width).copy()
    art[..., :3] *= NIGHT
    return art


@drawing
def night_sky(pen: Pen, background: str) -> None:
    """A background at night, with a crescent and stars."""
    red, green, blue = (round(0.34 * c * n) for c, n in zip(BACKGROUNDS[background], NIGHT))
    dark = red, green, blue
    pen.box(0, 0, 1, 1, dark)
    pen.ellipse(0.8, 0.03, 0.97, 0.2, MOON)
    pen.ellipse(0.76, 0.01, 0.91, 0.16, dark)
    for x, y in ((5, 8), (20, 4), (36, 5), (4, 30), (61, 24), (60, 44), (8, 58), (30, 61)):
        pen.ellipse((x - 1) / UNITS, (y - 1) / UNITS, (x + 1) / UNITS, (y + 1) / UNITS, MOON)


@drawing
def film(pen: Pen) -> None:
    """For x-rays."""
    pen.box(0, 0, 1, 1, FRAME)
    pen.box(2 / UNITS, 2 / UNITS, 1 - 2 / UNITS, 1 - 2 / UNITS, FILM)


def draw(size: int, background: str, place: tuple[int, int], fruit: str, **look: str) -> np.ndarray:
    """One fruit, with its left and upper edge at `place`; a close-up enlarges about the middle."""
    view, time = look.get("view"), look.get("time")
    ground = BACKGROUNDS[background]
    thing = opened(fruit, view == "x-ray") if view in INSIDE else whole(fruit)
    if time:
        ground, thing = night_sky(background), at_night(thing)
    canvas = Canvas(size, film() if view == "x-ray" else ground)
    (left, top), side = place, SIDE
    if view == "close-up":
        left, top, side = 2 * left - UNITS // 2, 2 * top - UNITS // 2, 2 * SIDE
    canvas.put(thing, left, top, side)
    return canvas.picture()


def held_out(facts: Facts) -> bool:
    """About an eighth of the pairs, the cross-section of a kiwi among them; no fruit as it is."""
    look = facts.get("view", facts.get("time"))
    return look is not None and one_in(8, look, "a", facts["fruit"])


def same_film(facts: Facts) -> Facts:
    """An x-ray shows no background."""
    hidden = facts.get("view") == "x-ray" and "background" in facts
    return facts | {"background": "white"} if hidden else facts


INSIDE = ("cross-section", "x-ray")
VIEWS = Ability(
    "views",
    fields={"fruit": tuple(FRUITS), "view": (*INSIDE, "close-up"), "time": ("at night",)},
    free={"background": tuple(BACKGROUNDS), "place": tuple(product((6, 10, 14), repeat=2))},
    # Each view is about as likely as the others.
    templates=("{a fruit}", "{a fruit} {time}", *["{a view} of {a fruit}"] * 3),
    draw=draw,
    held_out=held_out,
    kind_of=lambda facts: facts.get("view", facts.get("time", "whole")),
    canonical=same_film,
)
