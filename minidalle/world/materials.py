"""Things made of the wrong material: "a snail made of watermelon".

A thing lends its outline and its inner features, which stay as lighter and darker parts; a
material lends its colours and its pattern, and a rim where it has one. Held out are an eighth of
the pairs: to draw one of them, a model must have understood the material apart from the thing.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from minidalle.world.ability import Ability, Facts, one_in
from minidalle.world.canvas import UNITS, Canvas, Drawing
from minidalle.world.objects import emoji
from minidalle.world.scenes import BACKGROUNDS

FINE = 4  # sub-pixels per pixel and side
SIDE = 56  # units, of a thing

THINGS = {  # → the name in the emoji pack
    "snail": "snail",
    "whale": "spouting-whale",
    "cat": "cat",
    "car": "automobile",
    "house": "house",
    "teapot": "teapot",
    "elephant": "elephant",
    "guitar": "guitar",
    "dinosaur": "sauropod",
    "butterfly": "butterfly",
}

# ---- patterns: (x, y) in units, arrays (height, width) → colours (height, width, 3) ---------


def watermelon(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Red flesh with black seeds; the rind is added along the outline."""
    across, down = _in_tile(x, y, 9, 8, shift=4.5)
    seed = ((across - 4.5) / 1.3) ** 2 + ((down - 4) / 2) ** 2 < 1
    return _choose(seed, (45, 30, 35), (240, 70, 80))


def brick(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Rows of red bricks in pale mortar."""
    across, down = _in_tile(x, y, 12, 6, shift=6)
    return _choose((across < 1.6) | (down < 1.6), (235, 220, 200), (190, 80, 55))


def wood(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Planks of two browns, with a wavy grain."""
    across, down = _in_tile(x, y, 28, 9, shift=14)
    plank = _choose(y // 9 % 2 == 0, (215, 160, 95), (185, 125, 70))
    grain = abs(down - 5.2 - 1.1 * np.sin(x / 3)) < 0.7
    plank = plank * np.where(grain, 0.78, 1)[..., None]
    return np.where(((down < 1.5) | (across < 1.5))[..., None], np.float32((105, 62, 30)), plank)


def gold(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Slanting gleams."""
    gleam = np.sin((x + y) * 2 * np.pi / 26)
    bright = _choose(gleam > 0.75, (255, 250, 205), (255, 205, 50))
    return np.where((gleam < -0.6)[..., None], np.float32((205, 140, 15)), bright)


def ice(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pale blue facets with white cracks."""
    across, down = _in_tile(x, y, 15, 15, shift=7.5)
    facet = _choose(across + down > 15, (120, 200, 245), (185, 232, 255))
    crack = (abs(across + down - 15) < 1.3) | (abs(across - down) < 1.3)
    return np.where(crack[..., None], np.float32((255, 255, 255)), facet)


def grass(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Blades, and a daisy here and there."""
    across, down = _in_tile(x, y, 6, 8, shift=4)
    blade = _choose(abs(across - 3) * 2.6 < down, (55, 150, 50), (110, 200, 75))
    across, down = _in_tile(x, y, 18, 14, shift=9)
    far = np.hypot(across - 9, down - 7)
    daisy = np.where((far < 3.4)[..., None], np.float32((255, 255, 255)), blade)
    return np.where((far < 1.5)[..., None], np.float32((255, 200, 30)), daisy)


def chocolate(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The squares of a bar, each with a lit edge and a dark one."""
    across, down = _in_tile(x, y, 10, 10)
    lit = _choose((across < 2.4) | (down < 2.4), (165, 105, 65), (105, 60, 35))
    return np.where(((across > 8) | (down > 8))[..., None], np.float32((60, 32, 20)), lit)


def wool(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Stitches like a V, with stripes."""
    across, down = _in_tile(x, y + abs(x % 6 - 3), 6, 5)
    stripe = _choose((y + abs(x % 6 - 3)) % 20 < 10, (235, 90, 120), (255, 235, 225))
    return stripe * np.where(down < 1.6, 0.72, 1)[..., None]


def _in_tile(x, y, width, height, shift=0.0):
    """Where a point is in its tile; every other row of tiles is shifted."""
    row = y // height
    return (x + row % 2 * shift) % width, y % height


def _choose(where, yes, no):
    return np.where(where[..., None], np.float32(yes), np.float32(no))


# Material → (pattern, its rim as (width in units, colour), from the outside inwards)
PATTERNS: dict[str, tuple[Callable, tuple]] = {
    "watermelon": (watermelon, ((1.6, (25, 110, 55)), (1.2, (190, 235, 165)))),
    "brick": (brick, ((1, (120, 45, 30)),)),
    "wood": (wood, ((1, (95, 55, 25)),)),
    "gold": (gold, ((1, (150, 95, 5)),)),
    "ice": (ice, ((1, (45, 125, 190)),)),
    "grass": (grass, ((1, (30, 100, 35)),)),
    "chocolate": (chocolate, ((1, (50, 25, 15)),)),
    "wool": (wool, ((1, (165, 45, 80)),)),
}

# ---- a thing of a material ------------------------------------------------------------------


def made_of(thing: str, material: str) -> Drawing:
    """A thing of the emoji pack, of another material."""
    return Drawing(_made_of, (THINGS[thing], material))


def _made_of(height: int, width: int, slug: str, material: str) -> np.ndarray:
    art = emoji(slug).art(height * FINE, width * FINE)
    cover = (art[..., 3:] > 0.5).astype(np.float32)
    unit = SIDE / (height * FINE)  # the size of a sub-pixel in units
    y, x = (np.indices(cover.shape[:2], np.float32) + 0.5) * unit
    pattern, rims = PATTERNS[material]
    colour = pattern(x, y) * _shading(art)
    depth = sum(wide for wide, _ in rims)
    for wide, rim in reversed(rims):  # from the inside outwards
        colour = np.where(_deeper(cover, depth / unit) > 0, colour, np.float32(rim))
        depth -= wide
    whole = np.concatenate([colour.clip(0, 255) * cover, cover], 2)
    return whole.reshape(height, FINE, width, FINE, 4).mean((1, 3))


def _shading(art: np.ndarray) -> np.ndarray:
    """Darker where the thing is darker than most of it, paler where it is paler: about 1."""
    light = art[..., :3].mean(2, keepdims=True)
    usual = np.median(light[art[..., 3:] > 0.5])
    return (1 + 1.5 * (light - usual) / 255).clip(0.4, 1.35)


def _deeper(cover: np.ndarray, pixels: float) -> np.ndarray:
    """What lies more than so many sub-pixels inside the outline."""
    image = Image.fromarray((cover[..., 0] * 255).astype(np.uint8))
    for _ in range(round(pixels)):
        image = image.filter(ImageFilter.MinFilter(3))
    return np.asarray(image, np.float32)[..., None] / 255


def draw(size: int, background: str, left: int, thing: str, material: str) -> np.ndarray:
    """One large thing; `left` is its left edge in units."""
    canvas = Canvas(size, BACKGROUNDS[background])
    canvas.put(made_of(thing, material), left, (UNITS - SIDE) // 2, SIDE)
    return canvas.picture()


def held_out(facts: Facts) -> bool:
    """An eighth of the pairs."""
    return one_in(8, facts["thing"], "of", facts["material"])


MATERIALS = Ability(
    "materials",
    fields={"material": tuple(PATTERNS), "thing": tuple(THINGS)},
    free={"background": tuple(BACKGROUNDS), "left": (0, 4, 8)},
    templates=("{a thing} made of {material}",),
    draw=draw,
    held_out=held_out,
)
