"""Two or three things, and where they stand: "a frog to the left of a red star".

The sceptic's question: does it know which thing goes where, and which colour goes with which
shape? Held out are an eighth of the pairs of neighbours, whatever their colours and their order
("frog" next to "star"), and an eighth of the pairs of a colour and a shape ("red star").

"A above B" and "B below A" are the same picture, so `canonical` turns the second into the first.
"""

from functools import lru_cache

import numpy as np

from minidalle.world.ability import Ability, Facts, one_in
from minidalle.world.canvas import Canvas, Colour, Drawing, shade
from minidalle.world.emoji import OBJECTS
from minidalle.world.objects import emoji
from minidalle.world.scenes import BACKGROUNDS, COLOURS, SHAPES
from minidalle.world.things import named

# Each has a name of one word, that is no colour and no shape, and is known at 20 pixels a side.
EMOJI = {name: OBJECTS[name][0] for name in ("frog", "fox", "lion", "boat")} | named(
    *"""
    bat beaver bee bird bison butterfly camel cat chick cow crab crocodile dinosaur dog dolphin
    dragon duck elephant flamingo giraffe hedgehog horse jellyfish kangaroo ladybug llama lobster
    mammoth monkey mouse octopus owl parrot peacock penguin pig poodle rabbit rooster scorpion shark
    skunk snail snake spider squid swan t-rex tiger turkey turtle whale
    cactus clover mushroom rose sunflower tree tulip
    avocado burger carrot croissant cupcake doughnut eggplant lemon peach pear pineapple pizza
    pretzel strawberry watermelon
    airplane ambulance bicycle bus car helicopter locomotive motorcycle rocket taxi tractor truck
    castle church house hut tent
    anchor axe backpack bell bomb bucket camera chair crown dress drum gift guitar hammer handbag
    key kite lock magnet ring snowman t-shirt teapot telephone television trophy umbrella
    """.split()
)
THINGS = tuple(f"{colour} {shape}" for shape in SHAPES for colour in COLOURS) + (*EMOJI,)
ORDER = ("first", "second", "third")
MIRRORED = {"below": "above", "to the right of": "to the left of"}

FINE = 4  # sub-pixels per pixel and side
RIM = 0.13  # of the outline, where a shape has radius 1


@lru_cache(maxsize=64)
def _covers(name: str, side: int) -> tuple[np.ndarray, np.ndarray]:
    """How much of each pixel is in a shape, and how much is inside its outline: (side, side)."""
    inside = SHAPES[name]
    at = (np.arange(side * FINE) + 0.5) / (side * FINE) * 2.12 - 1.06
    x, y = np.meshgrid(at, at)
    within = inside(x, y)
    for turn in np.linspace(0, 2 * np.pi, 16, endpoint=False):
        within = within & inside(x + RIM * np.cos(turn), y + RIM * np.sin(turn))
    means = [
        c.reshape(side, FINE, side, FINE).mean((1, 3), dtype=np.float32)
        for c in (inside(x, y), within)
    ]
    return means[0], means[1]


def _shape(height: int, width: int, name: str, colour: Colour) -> np.ndarray:
    cover, inner = (c[..., None] for c in _covers(name, height))
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    fill = _shade(colour, 0.2) * (1 - down) + _shade(colour, -0.1) * down
    art = inner * fill + (cover - inner) * _shade(colour, -0.4)
    return np.concatenate([art, cover], axis=2)


def _shade(colour: Colour, by: float) -> np.ndarray:
    return np.array(shade(colour, by), np.float32)


def shape(name: str, colour: str) -> Drawing:
    """A shape of `scenes.SHAPES`, a little lighter above than below, with a dark outline."""
    return Drawing(_shape, (name, COLOURS[colour]))


def thing(phrase: str) -> Drawing:
    """ "red star", or the name of an emoji."""
    if phrase in EMOJI:
        return emoji(EMOJI[phrase])
    colour, name = phrase.split()
    return shape(name, colour)


def draw(size: int, background: str, across: int, relation: str, **things: str):
    """Things in a row or a column from edge to edge, `across` units from the other edge."""
    canvas = Canvas(size, BACKGROUNDS[background])
    phrases = [things[which] for which in ORDER if which in things]
    if relation in MIRRORED:
        phrases.reverse()
    side, step, inset = (24, 32, 4) if len(phrases) == 2 else (20, 20, 4)
    for number, phrase in enumerate(phrases):
        left, top = inset + step * number, across + inset
        if MIRRORED.get(relation, relation) == "above":
            left, top = top, left
        canvas.put(thing(phrase), left, top, side)
    return canvas.picture()


def canonical(facts: Facts) -> Facts:
    """The same said with "above" or "to the left of"."""
    if facts["relation"] not in MIRRORED:
        return facts
    named = [which for which in ORDER if which in facts]
    turned = {which: facts[other] for which, other in zip(named, reversed(named))}
    return facts | turned | {"relation": MIRRORED[facts["relation"]]}


def valid(facts: Facts) -> bool:
    """The things differ."""
    phrases = [facts[which] for which in ORDER if which in facts]
    return len(set(phrases)) == len(phrases)


def held_out(facts: Facts) -> bool:
    """An eighth of the pairs of neighbours, and an eighth of the coloured shapes."""
    phrases = [facts[which] for which in ORDER if which in facts]
    names = [phrase.split()[-1] for phrase in phrases]
    together = any(one_in(8, *sorted(pair)) for pair in zip(names, names[1:]))
    return together or any(one_in(8, phrase) for phrase in phrases if phrase not in EMOJI)


def _ability(name: str, order: tuple[str, ...], template: str) -> Ability:
    return Ability(
        name,
        fields={"relation": ("above", "to the left of", *MIRRORED)} | dict.fromkeys(order, THINGS),
        free={"across": (0, 8, 16, 24, 32), "background": tuple(BACKGROUNDS)},
        templates=(template,),
        draw=draw,
        held_out=held_out,
        valid=valid,
        canonical=canonical,
    )


RELATIONS = _ability("relations", ORDER[:2], "{a first} {relation} {a second}")
ROWS = _ability("rows", ORDER, "{a first} {relation} {a second} {relation} {a third}")
