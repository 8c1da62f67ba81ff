"""Things from the emoji pack at 64×64, as drawings, and what can be done to a drawing.

`data/emoji_64/STYLE.webp` holds the pictures of one vendor, 32 in a row, in the order of
`emoji_32.npz`, which has their names.
"""

from functools import cache

import numpy as np
from PIL import Image

from minidalle import DATA
from minidalle.world.canvas import Drawing
from minidalle.world.emoji import load_pack

SHEETS = DATA / "emoji_64"
ACROSS = 32  # pictures in a row of a sheet

_pack = cache(load_pack)


@cache
def sheet(style: str) -> np.ndarray:
    """All pictures of a style, in the order of the pack: uint8 (n, 64, 64, 4), straight alpha."""
    pack = _pack()
    path = SHEETS / f"{style}.webp"
    if not path.exists():
        raise FileNotFoundError(
            f"No pictures of 64×64 at {path}: build them with data/build_emoji.py."
        )
    pixels = np.asarray(Image.open(path).convert("RGBA"))
    rows, count = len(pixels) // 64, int((pack.style == pack.styles.index(style)).sum())
    return pixels.reshape(rows, 64, ACROSS, 64, 4).swapaxes(1, 2).reshape(-1, 64, 64, 4)[:count]


def pixels() -> np.ndarray:
    """The pictures of the whole pack, in its order: uint8 (P, 64, 64, 4), straight alpha."""
    return np.concatenate([sheet(style) for style in _pack().styles])


def emoji(slug: str, style: str = "twemoji") -> Drawing:
    """A thing of the emoji pack, as large as its box allows, in the middle."""
    return Drawing(_emoji, (slug, style))


def _emoji(height: int, width: int, slug: str, style: str) -> np.ndarray:
    pack = _pack()
    own = pack.style == pack.styles.index(style)
    number = np.flatnonzero(pack.concept[own] == pack.slugs.index(slug))[0]
    rgba = sheet(style)[number].astype(np.float32)
    rgba[..., 3] /= 255
    rgba[..., :3] *= rgba[..., 3:]
    ys, xs = np.nonzero(rgba[..., 3] > 0.03)
    return fitted(rgba[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1], height, width)


def fitted(art: np.ndarray, height: int, width: int) -> np.ndarray:
    """Art scaled to fit a box without changing its proportions, in the middle."""
    scale = min(height / art.shape[0], width / art.shape[1])
    h, w = (max(1, round(side * scale)) for side in art.shape[:2])
    # BOX averages over each new pixel's area; for enlarging it would give blocks.
    kind = Image.Resampling.BOX if scale <= 1 else Image.Resampling.BICUBIC
    scaled = [np.asarray(Image.fromarray(art[..., c]).resize((w, h), kind)) for c in range(4)]
    whole = np.zeros((height, width, 4), np.float32)
    top, left = (height - h) // 2, (width - w) // 2
    whole[top : top + h, left : left + w] = np.stack(scaled, -1).clip(0, [255, 255, 255, 1])
    return whole


# ---- drawings made from drawings ----------------------------------------------------------


def mirrored(thing: Drawing) -> Drawing:
    """Left and right exchanged."""
    return Drawing(_mirrored, (thing,))


def _mirrored(height: int, width: int, thing: Drawing) -> np.ndarray:
    return thing.art(height, width)[:, ::-1]


def standing(thing: Drawing) -> Drawing:
    """Moved down until it touches the lower edge of its box."""
    return Drawing(_standing, (thing,))


def _standing(height: int, width: int, thing: Drawing) -> np.ndarray:
    art = thing.art(height, width)
    lowest = np.flatnonzero(art[..., 3].max(1) > 0.3).max()
    return np.concatenate([np.zeros_like(art[lowest + 1 :]), art[: lowest + 1]])
