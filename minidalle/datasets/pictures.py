"""Pictures from files: reading and cropping.

S pixels per side, M pictures. Folders are in folders.py, tar shards in shards.py.
"""

import io
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from minidalle.datasets import metadata
from minidalle.files import TooLarge, read_at_most
from minidalle.words import shown
from minidalle.world.emoji import compose

MOST_PIXELS = 2**26  # of a picture: 8192 × 8192, more than nearly every camera takes
MOST_BYTES = 2**27  # of its file
READERS = {metadata.PNG: PngImageFile, metadata.JPEG: JpegImageFile, b"RIFF": WebPImageFile}
TURN = Image.Transpose
UPRIGHT = {
    2: TURN.FLIP_LEFT_RIGHT,
    3: TURN.ROTATE_180,
    4: TURN.FLIP_TOP_BOTTOM,
    5: TURN.TRANSPOSE,
    6: TURN.ROTATE_270,
    7: TURN.TRANSVERSE,
    8: TURN.ROTATE_90,
}  # by orientation; 1: unchanged
LEVELS = 2**16  # of a 16-bit picture
Crop = Callable[[Image.Image, int, Random], Image.Image]


# ---- one picture ------------------------------------------------------------------------


def read_picture(source: Path | io.BytesIO, name: Path | str) -> Image.Image:
    """Read a picture, upright, in RGBA.

    Raises ValueError, in one sentence, if that fails; it is TooLarge if the picture is so.
    """
    try:
        if isinstance(source, Path):
            return decoded(read_at_most(source, MOST_BYTES))
        return decoded(source.getvalue())
    except (MemoryError, FileNotFoundError):
        raise  # no fault of a picture
    except TooLarge as error:
        raise TooLarge(f"{shown(name)} is too large: {error}") from None
    except UnidentifiedImageError:
        raise ValueError(f"{shown(name)} is not a picture in PNG, JPEG, WEBP") from None
    except Exception as error:  # decoders raise errors of every kind
        said = f"is not a picture that Pillow can read ({error})"
        raise ValueError(f"{shown(name)} {shown(said)}") from None


def decoded(content: bytes) -> Image.Image:
    """Decode a picture to RGBA; raises errors of any kind."""
    reader = next((r for head, r in READERS.items() if content.startswith(head)), None)
    if reader is None:  # Pillow knows fifty formats, each of them open to malicious files
        raise UnidentifiedImageError
    content, exif = metadata.bare(content)
    with reader(io.BytesIO(content)) as image:  # Image.open would not say how large it is
        check_size(image)
        exif = exif or image.info.get("exif", b"")  # a WEBP's
        rgba = eight_bits(image).convert("RGBA")
    turn = UPRIGHT.get(metadata.orientation(exif))
    return rgba if turn is None else rgba.transpose(turn)


def check_size(image: ImageFile) -> None:
    """Raises TooLarge for a picture of more than MOST_PIXELS, of which only the header is read."""
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise TooLarge(f"{width} × {height} pixels, and the limit is {MOST_PIXELS} in all")


def eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey → 8-bit grey with alpha; other modes are unchanged.

    Only PNG has 16-bit pictures, and Pillow converts all of them but the grey ones. Those it would
    clip: levels above 255 of 65 535 would become white.
    """
    if not image.mode.startswith("I"):
        return image
    opaque = [255] * LEVELS
    if (transparent := image.info.get("transparency")) is not None:  # one level may be
        opaque[transparent] = 0
    grey, levels = image.convert("I"), [(level + 128) // 257 for level in range(LEVELS)]
    return Image.merge("LA", [grey.point(levels, "L"), grey.point(opaque, "L")])


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
