"""The emoji pack: five vendors' drawings of the same thousand things, each with a caption.

P pictures of C concepts in 5 styles. Because the same octopus is drawn five ways, style is an
attribute with a right answer, and an octopus in a style never seen in training is a test that
memorising cannot pass. `data/build_emoji.py` makes the pack.
"""

import hashlib
import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from minidalle import DATA

PACK = DATA / "emoji_32.npz"

TRAIN, UNSEEN_CONCEPT, UNSEEN_COMBINATION = 0, 1, 2  # the values of `split`

# Style → its name in captions, in the order of the numbers in `style`.
STYLE_WORDS = {
    "twemoji": "twemoji",
    "noto": "noto",
    "noto-v1": "old noto",
    "fluent-emoji": "fluent",
    "fluent-emoji-flat": "flat fluent",
}

# {name} "octopus", {a} "an octopus", {style} "old noto", {a_style} "an old noto"
TEMPLATES = (
    "{name}",
    "{a}",
    "a drawing of {a}",
    "{a} in the style of {style}",
    "{a_style} drawing of {a}",
    "{style} {name}",
)
STYLED = (3, 4, 5)  # those that say the style
# The groups that a model of 64×64 draws: 291 things, as many as a few million parameters hold.
DRAWN_AT_64 = ("animals & nature", "food & drink")
LONGEST = 14  # words; a longer caption is replaced by the name and the background

# Emoji for scenes, recognisable at 10×10 pixels: word → (slug, plural).
# All are twemoji's, the boldest of the five styles; none resembles a plain shape.
OBJECTS = {
    # animals
    "butterfly": ("butterfly", "butterflies"),
    "crab": ("crab", "crabs"),
    "octopus": ("octopus", "octopuses"),
    "snail": ("snail", "snails"),
    "owl": ("owl", "owls"),
    "ladybug": ("lady-beetle", "ladybugs"),
    "frog": ("frog", "frogs"),
    "fox": ("fox", "foxes"),
    "lion": ("lion", "lions"),
    "whale": ("spouting-whale", "whales"),
    "penguin": ("penguin", "penguins"),
    "chick": ("baby-chick", "chicks"),
    "bee": ("honeybee", "bees"),
    # plants
    "cactus": ("cactus", "cactuses"),
    "tree": ("deciduous-tree", "trees"),
    "mushroom": ("mushroom", "mushrooms"),
    "sunflower": ("sunflower", "sunflowers"),
    "tulip": ("tulip", "tulips"),
    # food
    "carrot": ("carrot", "carrots"),
    "apple": ("red-apple", "apples"),
    "watermelon": ("watermelon", "watermelons"),
    "pineapple": ("pineapple", "pineapples"),
    "cheese": ("cheese-wedge", "cheeses"),
    "cupcake": ("cupcake", "cupcakes"),
    "doughnut": ("doughnut", "doughnuts"),
    "burger": ("hamburger", "burgers"),
    "pizza": ("pizza", "pizzas"),
    "eggplant": ("eggplant", "eggplants"),
    "avocado": ("avocado", "avocados"),
    # things to do
    "gift": ("wrapped-gift", "gifts"),
    "trophy": ("trophy", "trophies"),
    "pumpkin": ("jack-o-lantern", "pumpkins"),
    # places and vehicles
    "car": ("automobile", "cars"),
    "boat": ("sailboat", "boats"),
    "tractor": ("tractor", "tractors"),
    "volcano": ("volcano", "volcanoes"),
    # things
    "crown": ("crown", "crowns"),
    "bell": ("bell", "bells"),
    "guitar": ("guitar", "guitars"),
    "drum": ("drum", "drums"),
    "backpack": ("backpack", "backpacks"),
    "key": ("key", "keys"),
    "dress": ("dress", "dresses"),
    "robot": ("robot", "robots"),
}


@dataclass(frozen=True)
class EmojiPack:
    """Pictures and their attributes; `concept` indexes the four tuples of length C."""

    pixels: np.ndarray  # (P, size, size, 4) uint8, RGBA with straight alpha
    concept: np.ndarray  # (P,) uint16, which thing
    style: np.ndarray  # (P,) uint8, which vendor; indexes `styles`
    split: np.ndarray  # (P,) uint8, TRAIN, UNSEEN_CONCEPT or UNSEEN_COMBINATION
    slugs: tuple[str, ...]  # (C,) "four-leaf-clover"
    names: tuple[str, ...]  # (C,) "four leaf clover"
    groups: tuple[str, ...]  # (C,) "animals & nature"
    keywords: tuple[tuple[str, ...], ...]  # (C,) other words for it
    styles: tuple[str, ...]  # (5,)


def load_pack(path: Path | None = None) -> EmojiPack:
    """The committed 32-pixel pack, or one that data/build_emoji.py wrote to `path`."""
    path = Path(path or PACK)
    if not path.exists():
        raise FileNotFoundError(f"No emoji pack at {path}: build it with data/build_emoji.py.")
    try:
        with np.load(path, allow_pickle=False) as file:
            pixels, concept, style, split = (
                file[key] for key in ("pixels", "concept", "style", "split")
            )
            slugs, names, groups, keywords, styles = (
                tuple(file[key].tolist())
                for key in ("slugs", "names", "groups", "keywords", "styles")
            )
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        EOFError,
        AttributeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise ValueError(
            f"{path} is not a complete emoji pack: copy it again or rebuild it "
            "with data/build_emoji.py."
        ) from error
    words = tuple(tuple(line.split(" | ")) for line in keywords)
    return EmojiPack(pixels, concept, style, split, slugs, names, groups, words, styles)


# Last words of names without an article: "a drawing of bread". Plurals are detected by their s.
UNCOUNTED = set(
    """arts away bacon badminton bowling bread broccoli butter camping construction cooking coral
    custard dango dizzy dna falafel fire flatbread fog foggy fondue food fuji garlic green hockey
    ice lacrosse liquid locked luggage mate money o'clock oden pong popcorn rail rice rolling sake
    salt soap spaghetti struck sushi tennis thirty thread unlocked voltage wood yarn zzz""".split()
)
NAMED = {"kaaba", "milky way", "statue of liberty"}  # unique, with "the"
TAIL = re.compile(r" (of|with|without|in|on|behind|showing|and|at|over|blowing|holding|savoring) ")


def with_article(name: str) -> str:
    """The name with its article.

    >>> [with_article(n) for n in ("octopus", "unicorn", "grapes", "bread", "bus", "milky way")]
    ['an octopus', 'a unicorn', 'grapes', 'bread', 'a bus', 'the milky way']
    """
    last = re.split("[ -]", TAIL.split(name)[0])[-1]  # "nest with eggs" → "nest"
    if name in NAMED:
        return f"the {name}"
    if last in UNCOUNTED or re.search("(?<![suio])s$", last):
        return name
    vowel = name[0] in "aeiou" or name.startswith(("hour", "x-ray", "8"))
    return (
        f"an {name}" if vowel and not name.startswith(("uni", "eu", "ewe", "one-")) else f"a {name}"
    )


def caption(
    pack: EmojiPack, i: int | np.integer, template: int = 0, background: str | None = None
) -> str:
    """A caption of picture i from TEMPLATES[template], with or without the background.

    "a drawing of an octopus on an orange background"
    """
    name = pack.names[pack.concept[i]]
    style = STYLE_WORDS[pack.styles[pack.style[i]]]
    words = {"name": name, "a": with_article(name)}
    words |= {"style": style, "a_style": with_article(style)}
    ground = "" if background is None else f" on {with_article(background)} background"
    text = TEMPLATES[template].format(**words) + ground
    return text if len(text.split()) <= LONGEST else name + ground


# Names of things that mirroring would falsify: sides, clocks, the moon's phases, digits, letters.
SIDED = re.compile(
    r"\b(left|right|\w*clock|thirty|\w*watch|calendar|compass|moon|chart|globe|map|1st|2nd|3rd"
    r"|hundred|8|e-mail|zzz|ok|new|abc|letters?|symbols|musical|keyboard|newspaper|\w*book"
    r"|banknote|money|coin|card|cards|tickets?|label|receipt|scroll|placard|ruler|dvd|score"
    r"|videocassette|slot|mahjong|joker|convenience|department|office|hospital|hotel|bank|school"
    r"|stop|taxi|police|ambulance|engine|timer|slider|pager|radio|elevator|memo|page|die)\b"
)


def mirrorable(pack: EmojiPack) -> np.ndarray:
    """(P,) bool: whether the picture can be mirrored without making its name wrong."""
    return np.array([not SIDED.search(name) for name in pack.names])[pack.concept]


def object_sprite(pack: EmojiPack, name: str, size: int) -> np.ndarray:
    """One of OBJECTS, cropped, scaled to fit and centred → (size, size, 4) float32 in [0, 1].

    Colours are premultiplied by alpha, so `sprite[..., :3] + (1 - alpha) * background` draws it.
    """
    slug, _ = OBJECTS[name]
    twemoji = pack.styles.index("twemoji")
    is_it = (pack.concept == pack.slugs.index(slug)) & (pack.style == twemoji)
    rgba = pack.pixels[np.flatnonzero(is_it)[0]].astype(np.float32) / 255
    rgba[..., :3] *= rgba[..., 3:]

    ys, xs = np.nonzero(rgba[..., 3] > 0.03)
    rgba = rgba[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    scale = size / max(rgba.shape[:2])
    h, w = (max(1, round(side * scale)) for side in rgba.shape[:2])
    # BOX averages over each new pixel's area; for enlarging it would give blocks.
    kind = Image.Resampling.BOX if scale <= 1 else Image.Resampling.BILINEAR
    scaled = [np.asarray(Image.fromarray(rgba[..., c]).resize((w, h), kind)) for c in range(4)]

    sprite = np.zeros((size, size, 4), np.float32)
    top, left = (size - h) // 2, (size - w) // 2
    sprite[top : top + h, left : left + w] = np.stack(scaled, axis=-1)
    return sprite.clip(0, 1)


def compose(rgba: np.ndarray, background: tuple[int, int, int]) -> np.ndarray:
    """Lay RGBA uint8 (..., 4) over a colour → RGB uint8 (..., 3): αF + (1 - α)B, rounded.

    `background` is one (r, g, b), or an array that broadcasts against (..., 3): for a batch of
    (B, 32, 32, 4) pictures and B colours, (B, 1, 1, 3).
    """
    alpha = rgba[..., 3:].astype(np.float32) / 255
    mixed = alpha * rgba[..., :3] + (1 - alpha) * np.asarray(background, np.float32)
    return np.rint(mixed).astype(np.uint8)


def visible(rgba: np.ndarray, background: tuple[int, int, int]) -> np.ndarray:
    """(...,) bool: whether a picture shows against a background, unlike black on black.

    True when over 3 % of the pixels differ from the background by 48 of 255 in some channel.
    """
    ground = np.asarray(background, np.float32)
    difference = np.abs(compose(rgba, background) - ground).max(axis=-1)
    return (difference > 48).mean(axis=(-2, -1)) > 0.03


def held_out(
    slugs: tuple[str, ...],
    concept: np.ndarray,
    style: np.ndarray,
    look: np.ndarray,
    keep: set[str] = frozenset(),
    concepts: float = 0.05,
    combinations: int = 400,
    seed: int = 0,
) -> np.ndarray:
    """The split of every picture: (P,) of TRAIN, UNSEEN_CONCEPT, UNSEEN_COMBINATION.

    *Unseen concept*: a share of the concepts, every style of each. *Unseen combination*: concept
    and style, where at least three other styles of the concept stay in training; the two Fluent
    styles share their geometry and are held out together. Concepts in `keep` stay in training.
    Pictures with the same number in `look` (P,) are the same drawing and never split. The choice
    is by a hash of seed and slug, so adding a concept does not change the other choices.
    """
    order = sorted(range(len(slugs)), key=lambda c: _hash(seed, slugs[c]))
    order = [c for c in order if slugs[c] not in keep]
    split = np.full(len(concept), TRAIN, np.uint8)

    def leaks(pictures):
        return np.isin(np.delete(look, pictures), look[pictures]).any()

    wanted = round(concepts * len(slugs))
    for c in order:
        pictures = np.flatnonzero(concept == c)
        if wanted and len(pictures) >= 4 and not leaks(pictures):
            split[pictures] = UNSEEN_CONCEPT
            wanted -= 1

    for c in order:
        pictures = np.flatnonzero(concept == c)
        family = (0,), (1,), (2,), (3, 4)
        gone = pictures[np.isin(style[pictures], family[_hash(seed, slugs[c], "style") % 4])]
        if (split == UNSEEN_COMBINATION).sum() + len(gone) > combinations:
            break
        if split[pictures[0]] == TRAIN and len(pictures) - len(gone) >= 3 and not leaks(gone):
            split[gone] = UNSEEN_COMBINATION
    return split


def _hash(*key) -> int:
    """A stable hash, the same on every machine and in every run, unlike `hash`."""
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8], "big")
