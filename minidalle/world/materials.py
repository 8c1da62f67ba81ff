"""Things made of the wrong material: "a snail made of watermelon".

A thing lends its outline and its inner features, which stay as lighter and darker parts; a
material lends its colours and its pattern, and a rim where it has one. Held out are an eighth of
the pairs: to draw one of them, a model must have understood the material apart from the thing.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
from PIL import Image, ImageFilter

from minidalle.world.ability import Ability, Facts, one_in
from minidalle.world.canvas import UNITS, Canvas, Drawing
from minidalle.world.objects import emoji
from minidalle.world.scenes import BACKGROUNDS
from minidalle.world.things import named

FINE = 2  # sub-pixels per pixel and side
SIDE = 56  # units, of a thing

# Those that are known by their outline, and thick enough for a rind.
THINGS = named(
    *"""chick bat bird butterfly camel cat chipmunk cow crab crocodile dog dolphin dragon duck
    elephant fish flamingo giraffe goat goose bee horse jellyfish kangaroo llama lobster mammoth
    monkey mouse octopus owl parrot penguin pig poodle rabbit rooster dinosaur scorpion seal shark
    snail snake spider whale squid swan t-rex tiger turtle""".split(),
    *"cactus tree fir-tree palm-tree clover maple-leaf mushroom".split(),
    *"apple banana carrot cupcake doughnut lollipop pear pineapple pretzel".split(),
    *"airplane car bus helicopter locomotive motorcycle rocket sailboat tractor truck".split(),
    *"flying-saucer castle church house".split(),
    *"""alarm-clock umbrella bed bell candle chair crown dress gear guitar handbag high-heel key
    light-bulb lock magnet microscope saxophone shopping-cart telephone television top-hat trophy
    wrench teddy-bear hourglass ice-skate axe teapot snowman t-shirt""".split(),
)

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


def lava(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Black crust; what glows in its cracks is yellow within and red without."""
    across, down = _in_tile(x + 1.3 * np.sin(y / 2), y + 1.3 * np.sin(x / 2), 14, 11, shift=7)
    crack = np.minimum(np.minimum(across, 14 - across), np.minimum(down, 11 - down))
    glow = _choose(crack < 2.6, (225, 45, 15), (55, 40, 45))
    return np.where((crack < 1.3)[..., None], np.float32((255, 205, 40)), glow)


def cheese(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Yellow, with large holes and small ones, dark where they are deep."""
    colour = np.broadcast_to(np.float32((255, 222, 110)), (*x.shape, 3))
    for radius, right, below in ((3.6, 0, 0), (2.2, 9, 2), (1.6, 3, 8)):
        across, down = _in_tile(x + right, y + below, 18, 14, shift=9)
        for r, at, hole in ((radius, 7, (205, 140, 20)), (radius * 0.7, 7.6, (235, 175, 50))):
            inside = np.hypot(across - at, down - at) < r
            colour = np.where(inside[..., None], np.float32(hole), colour)
    return colour


def denim(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Blue twill with orange seams, each two rows of stitches."""
    twill = _choose((x - y) % 3 < 1, (95, 130, 190), (50, 80, 145))
    along, down = (x + y) % 5, (y - x) % 30
    stitch = (along < 3.2) & ((abs(down - 12) < 1) | (abs(down - 17) < 1))
    seam = twill * np.where(abs(down - 14.5) < 4.5, 0.72, 1)[..., None]
    return np.where(stitch[..., None], np.float32((250, 165, 60)), seam)


def marble(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """White, with grey veins that wind."""
    bend = 4 * np.sin(y / 6) + 2.5 * np.sin(x / 4 + y / 9)
    vein = abs((x + 0.6 * y + bend) % 17 - 8.5)
    colour = _choose(vein < 2.4, (205, 205, 215), (245, 243, 240))
    return np.where((vein < 0.9)[..., None], np.float32((110, 110, 130)), colour)


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
    "lava": (lava, ((1, (30, 20, 25)),)),
    "cheese": (cheese, ((1, (190, 120, 15)),)),
    "denim": (denim, ((1, (25, 40, 85)),)),
    "marble": (marble, ((1, (95, 95, 115)),)),
}

# ---- a thing of a material ------------------------------------------------------------------


def made_of(thing: str, material: str) -> Drawing:
    """A thing of the emoji pack, of another material."""
    return Drawing(_made_of, (THINGS[thing], material))


def _made_of(height: int, width: int, slug: str, material: str) -> np.ndarray:
    art = emoji(slug).art(height * FINE, width * FINE)
    cover = (art[..., 3:] > 0.5).astype(np.float32)
    unit = SIDE / (height * FINE)  # the size of a sub-pixel in units
    colour = _square(material, *cover.shape[:2]) * _shading(art)
    rims = PATTERNS[material][1]
    depth = sum(wide for wide, _ in rims)
    for wide, rim in reversed(rims):  # from the inside outwards
        colour = np.where(_deeper(cover, depth / unit) > 0, colour, np.float32(rim))
        depth -= wide
    whole = np.concatenate([colour.clip(0, 255) * cover, cover], 2)
    return whole.reshape(height, FINE, width, FINE, 4).mean((1, 3))


@cache
def _square(material: str, height: int, width: int) -> np.ndarray:
    """A square of a material."""
    y, x = (np.indices((height, width), np.float32) + 0.5) * (SIDE / height)
    return PATTERNS[material][0](x, y).astype(np.float32)


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
