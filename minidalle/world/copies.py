"""Picture to picture: "the same cat as a sketch below".

The top half of the picture is given; the model continues it with the bottom half, where the same
thing stands again, but changed. The sceptic's question: does it do to any thing what it saw
done to others? Held out are an eighth of the pairs of thing and operation, and the operation
"upside down at night", of which training shows both parts but never the two at once.
"""

from collections.abc import Callable
from functools import cache

import numpy as np

from minidalle.world import things
from minidalle.world.ability import Ability, Facts, one_in
from minidalle.world.canvas import Canvas, Colour, Drawing, Pen, drawing, shade
from minidalle.world.objects import emoji, fitted, mirrored
from minidalle.world.scenes import BACKGROUNDS, COLOURS

# What looks alike upside down, and what a stranger would not name.
UNFIT = """
cookie door egg gear hourglass ladder basketball spider
boomerang candle canoe chicken coconut dumpling ewe feather green-apple kiwi mango melon onion
peanut potato rat shell soccer-ball
""".split()
THINGS = {name: slug for name, slug in things.THINGS.items() if name not in things.named(*UNFIT)}
UNSEEN = "upside down at night"
SKETCH, PENCIL, NIGHT = (250, 246, 235), (85, 85, 95), (25, 30, 80)
# A copy must differ this much, on average, to be seen as changed.
LEAST = dict.fromkeys(("upside down", "in red", "in green", "in blue"), 16) | {"mirrored": 26}


# ---- what is done to a thing --------------------------------------------------------------


def upside_down(thing: Drawing) -> Drawing:
    """Top and bottom exchanged."""
    return Drawing(_upside_down, (thing,))


def _upside_down(height: int, width: int, thing: Drawing) -> np.ndarray:
    return thing.art(height, width)[::-1]


def inverted(thing: Drawing) -> Drawing:
    """As in a photographic negative."""
    return Drawing(_inverted, (thing,))


def _inverted(height: int, width: int, thing: Drawing) -> np.ndarray:
    art = thing.art(height, width)
    cover = art[..., 3:]
    return np.concatenate([255 * cover - art[..., :3], cover], axis=2)


def tinted(thing: Drawing, colour: Colour) -> Drawing:
    """In dark and pale kinds of one colour."""
    return Drawing(_tinted, (thing, colour))


def _tinted(height: int, width: int, thing: Drawing, colour: Colour) -> np.ndarray:
    art = thing.art(height, width)
    cover = art[..., 3:]
    grey = (art[..., :3] / np.maximum(cover, 1e-6)) @ [0.3, 0.59, 0.11]
    kinds = shade(colour, -0.6), colour, shade(colour, 0.65)
    tint = np.stack([np.interp(grey, (0, 128, 255), channel) for channel in zip(*kinds)], axis=2)
    return np.concatenate([cover * tint, cover], axis=2)


def darkened(thing: Drawing) -> Drawing:
    """In moonlight."""
    return Drawing(_darkened, (thing,))


def _darkened(height: int, width: int, thing: Drawing) -> np.ndarray:
    art = thing.art(height, width)
    cover = art[..., 3:]
    colour = art[..., :3] * [0.5, 0.55, 0.6] + cover * [15, 30, 85]
    return np.concatenate([colour, cover], axis=2)


def sketched(thing: Drawing) -> Drawing:
    """A pencil drawing: grey lines where the colour changes, paper between them."""
    return Drawing(_sketched, (thing,))


def _sketched(height: int, width: int, thing: Drawing) -> np.ndarray:
    fine = np.pad(thing.art(60, 60), ((2, 2), (2, 2), (0, 0)))  # of this size whatever is asked for
    seen = fine / np.float32([255, 255, 255, 1])
    line = np.zeros((64, 64), np.float32)
    for down, right in ((2, 0), (0, 2), (2, 2), (-2, 2)):
        line = np.maximum(line, abs(np.roll(seen, (down, right), (0, 1)) - seen).sum(2))
    line = (1.2 * line - 0.2).clip(0, 1)[..., None]
    cover = np.maximum(line, fine[..., 3:])
    colour = cover * np.float32(SKETCH) + line * (np.float32(PENCIL) - np.float32(SKETCH))
    return fitted(np.concatenate([colour, cover], axis=2), height, width)


@drawing
def night(pen: Pen) -> None:
    """A sky with stars and a moon, twice as wide as high."""
    pen.box(0, 0, 1, 1, NIGHT)
    for x, y in ((0.05, 0.2), (0.3, 0.12), (0.6, 0.2), (0.95, 0.7), (0.04, 0.75), (0.5, 0.85)):
        pen.ellipse(x - 0.016, y - 0.032, x + 0.016, y + 0.032, (255, 240, 150))
    pen.ellipse(0.82, 0.08, 0.96, 0.36, (255, 240, 150))
    pen.ellipse(0.79, 0.04, 0.92, 0.31, NIGHT)


@drawing
def plain(pen: Pen, colour: Colour) -> None:
    """Nothing but a colour."""
    pen.box(0, 0, 1, 1, colour)


# operation → what it makes of the thing
OPERATIONS: dict[str, Callable[[Drawing], Drawing]] = {
    "as a sketch": sketched,
    "in inverted colours": inverted,
    "mirrored": mirrored,
    "upside down": upside_down,
    "at night": darkened,
    "in red": lambda thing: tinted(thing, COLOURS["red"]),
    "in green": lambda thing: tinted(thing, COLOURS["green"]),
    "in blue": lambda thing: tinted(thing, COLOURS["blue"]),
    "half as large": lambda thing: thing,
    "twice": lambda thing: thing,
    UNSEEN: lambda thing: darkened(upside_down(thing)),
}


# ---- the picture --------------------------------------------------------------------------


def draw(size: int, background: str, left: int, thing: str, operation: str):
    """A thing in the top half, in a box 32 wide that starts at `left`; the copy in the bottom."""
    ground, original = BACKGROUNDS[background], emoji(THINGS[thing])
    canvas = Canvas(size, ground)
    canvas.put(original, left + 4, 4, 24)
    if "night" in operation:
        canvas.put(night(), 0, 32, 64, 32)
    elif operation == "as a sketch":
        canvas.put(plain(SKETCH), 0, 32, 64, 32)
    elif operation == "in inverted colours":
        canvas.put(inverted(plain(ground)), 0, 32, 64, 32)
    copy = OPERATIONS[operation](original)
    if operation == "half as large":
        canvas.put(copy, left + 8, 40, 16)
    else:
        for place in (0, 32) if operation == "twice" else (left,):
            canvas.put(copy, place + 4, 36, 24)
    return canvas.picture()


@cache
def visible(thing: str, operation: str) -> bool:
    """Does the copy differ enough from the thing?"""
    if operation not in LEAST:
        return True
    original = emoji(THINGS[thing])
    copy = OPERATIONS[operation](original)
    return float(abs(copy.art(32, 32) - original.art(32, 32))[..., :3].mean()) > LEAST[operation]


def valid(facts: Facts) -> bool:
    """A thing that is alike on both sides does not show that it was mirrored, and so on."""
    return visible(facts["thing"], facts["operation"])


def held_out(facts: Facts) -> bool:
    """The operation that training never shows, and an eighth of the pairs."""
    return facts["operation"] == UNSEEN or one_in(8, facts["operation"], facts["thing"])


COPIES = Ability(
    "copies",
    fields={"thing": tuple(THINGS), "operation": tuple(OPERATIONS)},
    free={"background": ("white", "yellow", "green", "blue", "pink"), "left": (0, 16, 32)},
    templates=("the same {thing} {operation} below",),
    draw=draw,
    held_out=held_out,
    kind_of=lambda facts: facts["operation"],
    valid=valid,
    box=(32, 0),
)
