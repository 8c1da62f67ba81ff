"""Pictures from files: reading and cropping.

S pixels per side, M pictures. Folders are in folders.py, tar shards in shards.py.
"""

import io
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image, UnidentifiedImageError

from minidalle.world.emoji import compose

FORMATS = ("PNG", "JPEG", "WEBP")  # Pillow knows fifty, each of them open to malicious files
ORIENTATION = 0x112  # the EXIF tag for how the camera was held
TURN = Image.Transpose
UPRIGHT = {
    2: TURN.FLIP_LEFT_RIGHT,
    3: TURN.ROTATE_180,
    4: TURN.FLIP_TOP_BOTTOM,
    5: TURN.TRANSPOSE,
    6: TURN.ROTATE_270,
    7: TURN.TRANSVERSE,
    8: TURN.ROTATE_90,
}  # 1, or no tag: unchanged
PAINTING = (
    b"IHDR",
    b"PLTE",
    b"tRNS",
    b"eXIf",
    b"IDAT",
    b"IEND",
)  # the chunks of a PNG that matter here
Crop = Callable[[Image.Image, int, Random], Image.Image]


# ---- one picture ------------------------------------------------------------------------


def read_picture(source: Path | io.BytesIO, name: Path | str) -> Image.Image:
    """Read a picture, upright, in RGBA; raises ValueError, in one sentence, if that fails."""
    try:
        content = source.read_bytes() if isinstance(source, Path) else source.getvalue()
        try:
            return decoded(content)
        except Exception:  # maybe only because of its metadata
            return decoded(bare_png(content))
    except (MemoryError, FileNotFoundError):
        raise  # no fault of a picture
    except UnidentifiedImageError:
        raise ValueError(f"{name} is not a picture in {', '.join(FORMATS)}") from None
    except Exception as error:  # decoders raise errors of every kind
        raise ValueError(f"{name} is not a picture that Pillow can read ({error})") from None


def decoded(content: bytes) -> Image.Image:
    """Decode a picture to RGBA; raises errors of any kind."""
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        return eight_bits(upright(image)).convert("RGBA")


def bare_png(content: bytes) -> bytes:
    """A PNG without its metadata; other formats unchanged.

    Pillow refuses a PNG whose text or colour profile is broken, or longer than a megabyte. A chunk
    is length (4 bytes), name (4), content and checksum (4).
    """
    if not content.startswith(b"\x89PNG"):
        return content
    chunks, at = [content[:8]], 8
    while at < len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4], "big")
        if content[at + 4 : at + 8] in PAINTING:
            chunks.append(content[at:end])
        at = end
    return b"".join(chunks)


def upright(image: Image.Image) -> Image.Image:
    """The picture as viewers show it: turned by its EXIF orientation, if it has one."""
    image.load()
    try:
        turn = UPRIGHT.get(image.getexif().get(ORIENTATION))
    except Exception:  # unreadable metadata do not spoil the picture
        turn = None
    return image if turn is None else image.transpose(turn)


def eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey → 8-bit grey with alpha; other modes are unchanged.

    Only PNG has 16-bit pictures, and Pillow converts all of them but the grey ones. Those it would
    clip: levels above 255 of 65 535 would become white.
    """
    if not image.mode.startswith("I"):
        return image
    grey = np.asarray(image).astype(np.int64)
    opaque = grey != image.info.get("transparency")  # the one level that may be transparent
    return Image.fromarray(np.stack([(grey + 128) // 257, 255 * opaque], -1).astype(np.uint8))


def open_picture(path: Path, image_size: int) -> np.ndarray:
    """The middle of a picture as uint8 (S, S, 3), with transparency over white."""
    return on_white(middle_crop(read_picture(path, path), image_size))


def on_white(image: Image.Image) -> np.ndarray:
    """RGBA → uint8 (height, width, 3)."""
    return compose(np.asarray(image), (255, 255, 255))


# ---- cropping ---------------------------------------------------------------------------


def middle_crop(image: Image.Image, size: int, rng: Random | None = None) -> Image.Image:
    """The middle square, scaled by area averaging; not random."""
    side = min(image.size)
    return scale_square(image, (image.width - side) // 2, (image.height - side) // 2, size)


def dvae_crop(image: Image.Image, size: int, rng: Random) -> Image.Image:
    """The crop for the dVAE: a random square, scaled to 9/8 to 12/8 of `size`, and a random part.

    Listing 1 of Ramesh et al. 2021, except for the mirror image, which is in `recipes.dvae_job`. A
    square smaller than 9/8 of `size` is enlarged only if it is smaller than `size`; the paper does
    not mention these. TensorFlow 1 aligned corners when scaling, which shifts pixels by fractions;
    here areas are averaged.
    """
    side = min(image.size)
    left, top = (rng.randint(0, length - side) for length in image.size)
    least, most = (min(side, round(times * size)) for times in (9 / 8, 12 / 8))
    scaled = max(size, rng.randint(least, most))
    return random_part(scale_square(image, left, top, scaled), size, rng)


def dalle_crop(image: Image.Image, size: int, rng: Random) -> Image.Image:
    """The crop for the transformer: part of a square near the middle, scaled to 1 to 9/8 of `size`.

    Listing 2 of the paper: the square lies between 3/8 and 5/8 of the way, and there is no
    mirroring, because a picture may contain writing. Small pictures: as in `dvae_crop`.
    """
    side = min(image.size)
    first, last = ([share * (length - side) // 8 for length in image.size] for share in (3, 5))
    left, top = (rng.randrange(a, max(a + 1, b)) for a, b in zip(first, last))
    scaled = rng.randint(size, max(size, min(side, round(9 / 8 * size))))
    return random_part(scale_square(image, left, top, scaled), size, rng)


def scale_square(image: Image.Image, left: int, top: int, size: int) -> Image.Image:
    """The largest square from (left, top) on, scaled to size × size by area averaging."""
    side = min(image.size)
    return image.resize((size, size), Image.Resampling.BOX, (left, top, left + side, top + side))


def random_part(image: Image.Image, size: int, rng: Random) -> Image.Image:
    """A random crop of size × size pixels."""
    left, top = (rng.randint(0, length - size) for length in image.size)
    return image.crop((left, top, left + size, top + size))
