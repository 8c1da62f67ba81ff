"""Daylight: "a capybara in a field at sunrise".

What a caption does not say may follow from it. At sunrise the sun stands low on the left, the
sky is pink, and the thing, bright on its left, throws a long shadow to the right. At noon the
shadow is short. At sunset the sky is a deep orange, the sun stands on the right, and the shadow
falls to the left. At night there is a moon, and the shadow is faint. It is always the thing's own
silhouette, so a giraffe's has a long neck.

The sceptic's question: does all this hold for a thing that training never showed at that time of
day? Held out are an eighth of the pairs of thing and time.
"""

from dataclasses import dataclass

import numpy as np

from minidalle.world.ability import Ability, Facts, one_in
from minidalle.world.canvas import UNITS, Canvas, Colour, Drawing, Pen, drawing, shade
from minidalle.world.objects import emoji, mirrored, standing
from minidalle.world.things import named

HORIZON, SIDE, REACH = 32, 36, 12  # units: the sky, the box of a thing, the depth of a shadow
FINER = 2  # sub-pixels of a shadow per pixel and side

Tint = tuple[float, float, float]  # what light does to a colour: factors of red, green, blue


@dataclass(frozen=True)
class Light:
    """What the time of day decides."""

    sky: tuple[Colour, Colour]  # at the top of the picture and at the horizon
    sun: tuple[int, int, Colour]  # or moon: x and y in units, and its colour
    bright: Tint  # on the side towards the sun, and on the ground
    dim: Tint  # on the side away from it
    # how far a shadow reaches to the right and towards us, in heights of the thing, and how dark
    shadow: tuple[float, float, float]

    @property
    def side(self) -> int:
        """Where the light comes from: -1 left, 0 above, 1 right."""
        return int(np.sign(self.sun[0] - UNITS // 2))


TIMES = {
    "at sunrise": Light(
        sky=((160, 175, 240), (255, 185, 165)),
        sun=(7, 19, (255, 235, 120)),
        bright=(1.1, 1.0, 0.9),
        dim=(0.66, 0.56, 0.66),
        shadow=(0.9, 0.28, 0.45),
    ),
    "at noon": Light(
        sky=((55, 140, 240), (165, 215, 255)),
        sun=(32, 7, (255, 235, 60)),
        bright=(1.05, 1.05, 1.0),
        dim=(0.9, 0.9, 0.9),
        shadow=(0, 0.18, 0.5),
    ),
    "at sunset": Light(
        sky=((110, 40, 110), (255, 105, 40)),
        sun=(57, 19, (255, 210, 60)),
        bright=(1.05, 0.84, 0.68),
        dim=(0.55, 0.42, 0.55),
        shadow=(-0.9, 0.28, 0.45),
    ),
    "at night": Light(
        sky=((14, 18, 60), (40, 55, 115)),
        sun=(54, 10, (240, 240, 215)),
        bright=(0.68, 0.73, 0.96),
        dim=(0.44, 0.48, 0.74),
        shadow=(-0.4, 0.22, 0.3),
    ),
}
GROUNDS = {  # place → the ground in full light
    "in a field": (120, 190, 75),
    "on a beach": (245, 222, 160),
    "in a desert": (226, 160, 92),
    "in the snow": (226, 236, 252),
}


# ---- things -----------------------------------------------------------------------------


@drawing
def capybara(pen: Pen) -> None:
    """A capybara with a mandarin on its head, as they like it."""
    fur, dark = (172, 118, 70), (112, 72, 44)
    for x in (0.42, 0.84):
        pen.box(x, 0.75, x + 0.13, 0.99, dark, 0.04)
    pen.ellipse(0.22, 0.34, 0.99, 0.92, fur)
    for x in (0.3, 0.72):
        pen.box(x, 0.75, x + 0.14, 1, shade(fur, -0.15), 0.05)
        pen.box(x - 0.02, 0.95, x + 0.14, 1, dark, 0.02)
    pen.polygon([(0.1, 0.3), (0.5, 0.3), (0.62, 0.6), (0.3, 0.75)], fur)
    pen.ellipse(0.35, 0.2, 0.47, 0.34, dark)
    pen.box(0.01, 0.25, 0.46, 0.58, fur, 0.12)
    pen.box(0.01, 0.3, 0.15, 0.58, shade(fur, -0.3), 0.07)
    pen.ellipse(0.03, 0.34, 0.09, 0.39, (50, 30, 25))
    pen.ellipse(0.23, 0.32, 0.31, 0.4, (40, 25, 25))
    pen.ellipse(0.25, 0.33, 0.28, 0.36, (255, 255, 255))
    pen.ellipse(0.17, 0.06, 0.37, 0.26, (235, 120, 10))
    pen.ellipse(0.18, 0.06, 0.36, 0.24, (255, 155, 30))
    pen.polygon([(0.27, 0.08), (0.31, 0.0), (0.4, 0.02)], (60, 140, 50))


THINGS = {"capybara": capybara()} | {
    name: emoji(slug)
    for name, slug in named(
        *"""
        badger beaver bison camel cat chick cow crocodile dodo dog duck elephant flamingo giraffe
        goat goose hippopotamus horse kangaroo leopard llama mammoth monkey owl ox peacock penguin
        pig poodle rabbit ram rooster dinosaur t-rex scorpion seal snail snake swan tiger
        turkey turtle water-buffalo cactus tree fir-tree palm-tree mushroom sunflower tulip
        ambulance car bicycle bus fire-engine locomotive motorcycle tractor racing-car taxi truck
        scooter castle church house school tent hut
        chair fountain harp shopping-cart snowman teddy-bear telescope
        """.split()
    ).items()
}


def lit(thing: Drawing, time: str) -> Drawing:
    """The thing, standing on the lower edge of its box, in the light of this time of day."""
    return Drawing(_lit, (thing, time))


def _lit(height: int, width: int, thing: Drawing, time: str) -> np.ndarray:
    art, light = standing(thing).art(height, width).copy(), TIMES[time]
    down = light.side == 0  # does the light fall down the thing, or across it?
    covered = np.flatnonzero((art[..., 3] > 0.3).any(1 if down else 0))
    along = np.arange(height if down else width)
    away = ((along - covered.min()) / (np.ptp(covered) + 1)).clip(0, 1)  # from the sun
    away = 1 - away if light.side > 0 else away
    away = away * away * (3 - 2 * away)  # steeper in the middle
    away = away[:, None, None] if down else away[:, None]
    art[..., :3] *= np.array(light.bright) * (1 - away) + np.array(light.dim) * away
    art[..., :3] = np.minimum(art[..., :3], 255 * art[..., 3:])
    return art


def shadow(thing: Drawing, time: str) -> Drawing:
    """The thing's shadow on the ground at this time of day."""
    return cast(thing, *TIMES[time].shadow)


def cast(thing: Drawing, lean: float, reach: float, dark: float) -> Drawing:
    """A thing's shadow on the ground, in a box three times as wide as the thing's.

    The upper edge of the box is where the thing stands. What is at the height t, in heights of
    the thing, throws its shadow `reach` · t further towards us, and `lean` · t to the right.
    """
    return Drawing(_cast, (thing, lean, reach, dark))


def _cast(height: int, width: int, thing: Drawing, lean: float, reach: float, dark: float):
    tall = width // 3 * FINER
    cover = standing(thing).art(tall, tall)[..., 3]
    ys, xs = np.mgrid[: height * FINER, : width * FINER]
    t = (ys + 0.5) / (reach * tall)
    row = np.floor((1 - t) * tall).astype(int)
    column = np.floor(xs - tall - lean * t * tall).astype(int)
    inside = (t < 1) & (column >= 0) & (column < tall)
    fallen = np.where(inside, cover[row.clip(0), column.clip(0, tall - 1)], 0)
    art = np.zeros((height, width, 4))
    art[..., 3] = dark * fallen.reshape(height, FINER, width, FINER).mean((1, 3))
    art[..., :3] = art[..., 3:] * (25, 20, 60)  # not black: the sky lights it
    return art


# ---- the scenery ------------------------------------------------------------------------


@drawing
def scenery(pen: Pen, place: str, time: str) -> None:
    """Sky, sun or moon, what is far away, the ground, and what grows there."""
    light = TIMES[time]
    for y in range(HORIZON):
        pen.box(0, y / UNITS, 1, (y + 1) / UNITS, _sky(light, y))
    _sun(pen, light, moon=time == "at night")
    for colour, ovals in FAR[place]:
        _ovals(pen, ovals, _in_light(colour, light))
    ground = _in_light(GROUNDS[place], light)
    pen.box(0, HORIZON / UNITS, 1, 1, ground)
    _ovals(pen, MARKS[place], shade(ground, 0.4 if place == "in a field" else -0.1))
    for x in (5, 59) if place in PLANTS else ():
        PLANTS[place](pen, x, _in_light((45, 115, 80), light))


def _sun(pen: Pen, light: Light, moon: bool) -> None:
    x, y, colour = light.sun
    halo = _mixed(_sky(light, y), colour, 0.15 if moon else 0.35)
    _ovals(pen, [(x, y, 9, 9)], halo)
    _ovals(pen, [(x, y, 6, 6)], colour)
    if moon:
        _ovals(pen, [(x - 3, y - 2, 5, 5)], halo)  # leaves a crescent
        stars = (5, 9), (17, 4), (30, 10), (11, 21), (40, 4), (44, 21), (27, 21)
        _ovals(pen, [(*star, 1, 1) for star in stars], (225, 230, 250))


def _fir(pen: Pen, x: float, colour: Colour) -> None:
    for top in (24, 28):
        points = [(x, top), (x - 5, top + 9), (x + 5, top + 9)]
        pen.polygon([(x / UNITS, y / UNITS) for x, y in points], colour)


def _cactus(pen: Pen, x: float, colour: Colour) -> None:
    for points in ([(0, 25), (0, 36)], [(-4, 28), (-4, 31), (0, 31)], [(0, 33), (4, 33), (4, 29)]):
        pen.line([((x + dx) / UNITS, y / UNITS) for dx, y in points], 2.4 / UNITS, colour)


PLANTS = {"in a desert": _cactus, "in the snow": _fir}
# place → colours in full light, each with its ovals (x, y, half the width, half the height)
FAR = {
    "in a field": (
        ((85, 155, 90), ((10, 36, 24, 11), (60, 36, 22, 9))),
        ((100, 172, 80), ((36, 38, 26, 11),)),
    ),
    "on a beach": (
        ((45, 135, 205), ((32, 62, 400, 36),)),
        ((240, 250, 255), ((32, 62, 400, 31.5),)),
    ),
    "in a desert": (((200, 115, 65), ((6, 38, 26, 13), (54, 38, 22, 11))),),
    "in the snow": (((200, 214, 238), ((20, 42, 22, 22), (48, 42, 20, 18))),),
}
MARKS = {  # flowers, pebbles or ripples on the ground
    "in a field": ((5, 40, 1.2, 1.2), (59, 42, 1.2, 1.2), (16, 60, 1.2, 1.2), (48, 61, 1.2, 1.2)),
    "on a beach": ((10, 59, 3, 1), (56, 43, 3, 1), (44, 61, 3, 1)),
    "in a desert": ((8, 43, 12, 1.2), (56, 48, 12, 1.2), (22, 60, 14, 1.2)),
    "in the snow": (),
}


def _ovals(pen: Pen, ovals, colour: Colour) -> None:
    for x, y, across, down in ovals:
        x, y, across, down = (side / UNITS for side in (x, y, across, down))
        pen.ellipse(x - across, y - down, x + across, y + down, colour)


def _sky(light: Light, y: float) -> Colour:
    return _mixed(*light.sky, y / HORIZON)


def _mixed(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + share * (b - a)) for a, b in zip(one, other))
    return red, green, blue


def _in_light(colour: Colour, light: Light) -> Colour:
    red, green, blue = (min(255, round(c * by)) for c, by in zip(colour, light.bright))
    return red, green, blue


# ---- the ability ------------------------------------------------------------------------


def draw(size: int, left: int, bottom: int, facing: str, thing: str, place: str, time: str):
    """A thing in a box from `left`, standing at `bottom`, in units."""
    canvas = Canvas(size, scenery(place, time))
    shown = THINGS[thing] if facing == "left" else mirrored(THINGS[thing])
    canvas.put(shadow(shown, time), left - SIDE, bottom - 1, 3 * SIDE, REACH)
    canvas.put(lit(shown, time), left, bottom - SIDE, SIDE)
    return canvas.picture()


def held_out(facts: Facts) -> bool:
    """About an eighth of the pairs of thing and time, the capybara at sunrise among them."""
    return one_in(8, facts["time"], "while", facts["thing"])


DAYLIGHT = Ability(
    "daylight",
    fields={"thing": tuple(THINGS), "place": tuple(GROUNDS), "time": tuple(TIMES)},
    free={"left": (12, 16, 20), "bottom": (48, 52), "facing": ("left", "right")},
    templates=("{a thing} {place} {time}",),
    draw=draw,
    held_out=held_out,
    kind_of=lambda facts: facts["time"],
)
