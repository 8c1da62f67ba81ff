"""Pictures from outside: how one is read, and which part of it is looked at.

S pixels per side, M pictures. For folders see folders.py, for tar shards shards.py.
"""

import io
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image, UnidentifiedImageError

from minidalle.world.emoji import compose

FORMATS = ("PNG", "JPEG", "WEBP")  # Pillow knows fifty, and a file from outside may abuse each
ORIENTATION = 0x112  # the EXIF tag with which a camera says how it was held
TURN = Image.Transpose
UPRIGHT = {
    2: TURN.FLIP_LEFT_RIGHT,
    3: TURN.ROTATE_180,
    4: TURN.FLIP_TOP_BOTTOM,
    5: TURN.TRANSPOSE,
    6: TURN.ROTATE_270,
    7: TURN.TRANSVERSE,
    8: TURN.ROTATE_90,
}  # 1, or no tag: as it is
PAINTING = (b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND")  # the chunks of a PNG we need
Crop = Callable[[Image.Image, int, Random], Image.Image]


# ---- one picture ------------------------------------------------------------------------


def read_picture(source: Path | io.BytesIO, name: Path | str) -> Image.Image:
    """A picture, upright, in RGBA; ValueError, in one sentence, if it is none."""
    try:
        content = source.read_bytes() if isinstance(source, Path) else source.getvalue()
        try:
            return decoded(content)
        except Exception:  # maybe only because of what is noted in it
            return decoded(bare_png(content))
    except MemoryError:
        raise  # says something about the machine, nothing about the picture
    except UnidentifiedImageError:
        raise ValueError(f"{name} is not a picture in {', '.join(FORMATS)}") from None
    except Exception as error:  # decoders meet broken bytes with errors of every kind
        raise ValueError(f"{name} is not a picture that Pillow can read ({error})") from None


def decoded(content: bytes) -> Image.Image:
    """The picture in RGBA that these bytes are, or an error of any kind."""
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        return eight_bits(upright(image)).convert("RGBA")


def bare_png(content: bytes) -> bytes:
    """A PNG without its notes; other bytes as they are.

    Pillow refuses a PNG for a note or a colour profile that is broken, or longer than a megabyte.
    A chunk is its length, its name, so many bytes, and a checksum (4, 4, … and 4 bytes).
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
    """The picture as every viewer shows it: turned as its orientation says, if it has one."""
    image.load()
    try:
        turn = UPRIGHT.get(image.getexif().get(ORIENTATION))
    except Exception:  # metadata that nobody can read are no fault of the picture
        turn = None
    return image if turn is None else image.transpose(turn)


def eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits becomes grey of 8 with alpha; all others stay as they are.

    Of the formats that are read only PNG has it, and Pillow converts its other pictures of 16 bits
    itself. These it would clip: a level above 255 of 65 535 would be white.
    """
    if not image.mode.startswith("I"):
        return image
    grey = np.asarray(image).astype(np.int64)
    opaque = grey != image.info.get("transparency")  # the one level that PNG may make transparent
    return Image.fromarray(np.stack([(grey + 128) // 257, 255 * opaque], -1).astype(np.uint8))


def open_picture(path: Path, image_size: int) -> np.ndarray:
    """The middle of one picture as uint8 (S, S, 3), what is transparent laid on white."""
    return on_white(middle_crop(read_picture(path, path), image_size))


def on_white(image: Image.Image) -> np.ndarray:
    """RGBA → uint8 (height, width, 3)."""
    return compose(np.asarray(image), (255, 255, 255))


# ---- which part of it -------------------------------------------------------------------


def middle_crop(image: Image.Image, size: int, rng: Random | None = None) -> Image.Image:
    """The middle square, scaled by area; nothing is random."""
    side = min(image.size)
    return scale_square(image, (image.width - side) // 2, (image.height - side) // 2, size)


def dvae_crop(image: Image.Image, size: int, rng: Random) -> Image.Image:
    """What the dVAE is shown: any square, at 9/8 to 12/8 of the size, and any part of that.

    Listing 1 of Ramesh et al. 2021, but for the mirror, which is in `recipes.dvae_job`. A square
    that is smaller than 9/8 of the size is not enlarged, unless it is smaller than the size:
    what happened to those is not said there. TensorFlow 1 also aligned corners when it scaled,
    which moves pixels by fractions; here an area is an area.
    """
    side = min(image.size)
    left, top = (rng.randint(0, length - side) for length in image.size)
    least, most = (min(side, round(times * size)) for times in (9 / 8, 12 / 8))
    scaled = max(size, rng.randint(least, most))
    return random_part(scale_square(image, left, top, scaled), size, rng)


def dalle_crop(image: Image.Image, size: int, rng: Random) -> Image.Image:
    """What the transformer is shown: part of a square near the middle, at 1 to 9/8 of the size.

    Listing 2 of the paper: where the square lies is between 3/8 and 5/8 of the way, and there is
    no mirror, because of what may be written in a picture. About sizes see `dvae_crop`.
    """
    side = min(image.size)
    first, last = ([share * (length - side) // 8 for length in image.size] for share in (3, 5))
    left, top = (rng.randrange(a, max(a + 1, b)) for a, b in zip(first, last))
    scaled = rng.randint(size, max(size, min(side, round(9 / 8 * size))))
    return random_part(scale_square(image, left, top, scaled), size, rng)


def scale_square(image: Image.Image, left: int, top: int, size: int) -> Image.Image:
    """The largest square that begins there, as size × size means over areas."""
    side = min(image.size)
    return image.resize((size, size), Image.Resampling.BOX, (left, top, left + side, top + side))


def random_part(image: Image.Image, size: int, rng: Random) -> Image.Image:
    """Any size × size pixels of a square."""
    left, top = (rng.randint(0, length - size) for length in image.size)
    return image.crop((left, top, left + size, top + size))
