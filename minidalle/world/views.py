"""Views: "a cross-section of a kiwi", "a close-up of a lemon", "an x-ray of a pear".

A caption says how to look at a thing. The cross-section has the silhouette of the whole fruit, its
skin is a ring of the same colour, the flesh is a paler kind of that colour, and the core or the
seeds are the fruit's own; only fruits and the like are cut. An x-ray shows the silhouette and
whatever is inside it, brightest what is hardest. In a close-up everything is twice as large, so
part of it is out of sight. A night view darkens thing and background, and brings the moon; a day
view shows the thing as it is.

The sceptic's question: what does the inside of a kiwi look like to somebody who was never shown
one that had been cut? The x-ray tells about the seeds, the skin about the flesh. Held out are
about an eighth of the pairs of a thing and a view, but no x-ray and no day view.
"""

from itertools import product

import numpy as np

from minidalle.world.ability import Ability, Facts, one_in
from minidalle.world.canvas import UNITS, Canvas, Drawing, Pen, drawing
from minidalle.world.fruits import FRUITS, opened, whole
from minidalle.world.insides import FILLINGS, cut_open, x_rayed
from minidalle.world.objects import emoji
from minidalle.world.scenes import BACKGROUNDS
from minidalle.world.things import named

SIDE = 44  # units: the box of a thing
PACK = named(*FILLINGS) | named(
    *"bee butterfly cat crab dog duck elephant fish flamingo giraffe horse ladybug".split(),
    *"lobster octopus owl parrot penguin pig rabbit snail tiger turtle whale".split(),
    *"fir-tree mushroom sunflower burger cupcake doughnut ice-cream pizza".split(),
    *"alarm-clock bicycle boot camera crown drum guitar hourglass key rocket".split(),
    *"teapot teddy-bear umbrella".split(),
)
PACK |= {"baguette": "baguette-bread", "chestnut": "chestnut", "pea pod": "pea-pod"}
PACK |= {"rice ball": "rice-ball"}
INSIDE = ("cross-section", "x-ray")
NIGHT = (0.6, 0.65, 0.92)  # what is left of red, green and blue
MOON, FILM, FRAME = (240, 236, 205), (10, 16, 32), (52, 76, 108)


def seen(thing: str, view: str) -> Drawing:
    """A thing from outside, unless the view is one of its inside."""
    if thing in FRUITS:
        return opened(thing, view == "x-ray") if view in INSIDE else whole(thing)
    if view not in INSIDE:
        return emoji(PACK[thing])
    if thing in FILLINGS:
        return cut_open(PACK[thing], FILLINGS[thing], view == "x-ray")
    return x_rayed(PACK[thing])


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


def draw(size: int, background: str, place: tuple[int, int], thing: str, view: str) -> np.ndarray:
    """One thing, with its left and upper edge at `place`; a close-up enlarges about the middle."""
    ground, drawn = BACKGROUNDS[background], seen(thing, view)
    if view == "night view":
        ground, drawn = night_sky(background), at_night(drawn)
    canvas = Canvas(size, film() if view == "x-ray" else ground)
    (left, top), side = place, SIDE
    if view == "close-up":
        left, top, side = 2 * left - UNITS // 2, 2 * top - UNITS // 2, 2 * SIDE
    canvas.put(drawn, left, top, side)
    return canvas.picture()


def held_out(facts: Facts) -> bool:
    """About an eighth of the pairs, the cross-section of a kiwi among them; no day view."""
    tells_all = facts["view"] in ("x-ray", "day view")
    return not tells_all and one_in(8, facts["view"], "a", facts["thing"])


def can_be_seen(facts: Facts) -> bool:
    """A thing is not cut unless it can be."""
    thing, view = facts["thing"], facts["view"]
    return view != "cross-section" or thing in FRUITS or thing in FILLINGS


def same_film(facts: Facts) -> Facts:
    """An x-ray shows no background."""
    hidden = facts["view"] == "x-ray" and "background" in facts
    return facts | {"background": "white"} if hidden else facts


VIEWS = Ability(
    "views",
    fields={"thing": (*FRUITS, *PACK), "view": (*INSIDE, "day view", "close-up", "night view")},
    free={"background": tuple(BACKGROUNDS), "place": tuple(product((4, 8, 12), (8, 12)))},
    templates=("{a view} of {a thing}",),
    draw=draw,
    held_out=held_out,
    valid=can_be_seen,
    kind_of=lambda facts: facts["view"],
    canonical=same_film,
)
