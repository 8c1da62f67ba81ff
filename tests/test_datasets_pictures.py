"""Pictures from files: what is refused, and how pictures are cropped."""

import io
from random import Random

import numpy as np
import pytest
from PIL import Image, ImageOps

from minidalle.datasets import pictures as files
from minidalle.datasets.pictures import (
    dalle_crop,
    dvae_crop,
    middle_crop,
    on_white,
    read_picture,
    scale_square,
)


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def encoded(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_broken_bytes_are_a_picture_or_one_sentence(kind):
    whole, rng, refused = encoded(noise(24, 20), kind), Random(1), 0
    for _ in range(150):
        broken = bytearray(whole[: rng.choice((len(whole), rng.randrange(len(whole))))])
        for _ in range(rng.choice((0, 1, 5))):
            if broken:
                broken[rng.randrange(len(broken))] = rng.randrange(256)
        try:
            assert read_picture(io.BytesIO(broken), "it").mode == "RGBA"
        except ValueError as error:
            assert str(error).startswith("it is not a picture ")
            refused += 1
    assert refused > 40


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "PPM", "EPS"])
def test_other_formats_are_refused_whatever_they_are_called(tmp_path, kind):
    (tmp_path / "a.png").write_bytes(encoded(noise(8, 8), kind))
    with pytest.raises(ValueError, match="a.png is not a picture"):
        files.open_picture(tmp_path / "a.png", 8)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_pictures_are_upright(kind):
    """As Pillow's own `exif_transpose` turns them; where that fails over junk, as they are."""
    exif = Image.Exif()
    for orientation in range(10):
        exif[0x112] = orientation
        noise(24, 20).save(file := io.BytesIO(), kind, exif=exif)
        with Image.open(file) as stored:
            seen = ImageOps.exif_transpose(stored).convert("RGBA")
        assert (np.asarray(read_picture(file, "it")) == np.asarray(seen)).all()
    many = b"II*\0\x08\0\0\0\xff\xff" + bytes(range(60))  # 65 535 tags, it says
    for junk in (b"", b"MM\0*", b"?" * 20, many, exif.tobytes()[6:-9]):
        noise(24, 20).save(file := io.BytesIO(), kind, exif=b"Exif\0\0" + junk)
        assert read_picture(file, "it").size == (24, 20)


@pytest.mark.parametrize("chunk", [b"zTXta\0\1", b"iCCPsRGB\0\7", b"cHRM\0", b"pHYs", b"tEXt"])
def test_metadata_do_not_make_a_png_unreadable(chunk):
    whole = encoded(noise(8, 8), "PNG")
    length, wrong_sum = (len(chunk) - 4).to_bytes(4, "big"), bytes(4)
    noted = whole[:33] + length + chunk + wrong_sum + whole[33:]  # behind the head
    seen, meant = (read_picture(io.BytesIO(content), "it") for content in (noted, whole))
    assert seen.tobytes() == meant.tobytes()


def test_grey_of_16_bits_is_scaled_to_8():
    grey = Image.fromarray(np.array([[0, 128, 129, 16384, 32768, 65535]], np.uint16))
    for transparent in (None, 16384):
        file = io.BytesIO()
        grey.save(file, "PNG", **({"transparency": transparent} if transparent else {}))
        *colours, alpha = np.asarray(read_picture(file, "it"))[0].T.tolist()
        assert colours == 3 * [[0, 0, 1, 64, 128, 255]]
        assert alpha == ([255, 255, 255, 0, 255, 255] if transparent else [255] * 6)


def test_memory_errors_are_not_blamed_on_the_picture(monkeypatch):
    def full(*_, **__):
        raise MemoryError

    monkeypatch.setattr(files, "decoded", full)
    with pytest.raises(MemoryError):
        read_picture(io.BytesIO(), "it")


def test_transparency_is_composed_over_white():
    assert (on_white(Image.new("RGBA", (3, 2), (200, 0, 0, 0))) == 255).all()
    assert on_white(Image.new("RGBA", (3, 2), (200, 0, 0, 255))).shape == (2, 3, 3)


# ---- crops ------------------------------------------------------------------------------


def test_a_square_is_scaled_by_area():
    image = noise(24, 12)
    seen = np.asarray(scale_square(image, 5, 0, 4), float)
    square = np.asarray(image, float)[:, 5:17]
    difference = abs(seen - square.reshape(4, 3, 4, 3, 3).mean((1, 3))).max()
    assert difference <= 1  # Pillow rounds after scaling one way, and again after the other


@pytest.mark.parametrize("crop", [middle_crop, dvae_crop, dalle_crop])
def test_a_crop_is_a_function_of_the_picture_and_its_random_numbers(crop):
    for width, height in [(40, 24), (24, 40), (24, 24), (16, 16), (9, 7), (1, 50)]:
        image = noise(width, height)
        one, same, other = (np.asarray(crop(image, 16, Random(seed))) for seed in (3, 3, 4))
        assert one.shape == (16, 16, 3) and (one == same).all()
        if min(width, height) > 16 and crop is not middle_crop:
            assert (one != other).any()


def squares(monkeypatch, crop, width, height, size) -> tuple[set, set, set]:
    """Where squares begin, from the left and from the top, and to what they are scaled."""
    seen = []

    def scaled(image, *how):
        seen.append(how)
        return Image.new("L", 2 * how[-1:])

    monkeypatch.setattr(files, "scale_square", scaled)
    for seed in range(600):
        assert crop(Image.new("L", (width, height)), size, Random(seed)).size == (size, size)
    return tuple(set(column) for column in zip(*seen))


def test_squares_of_the_dvae(monkeypatch):
    """Listing 1 of the paper, for 16 pixels of 40 × 24 ones: 9/8 · 16 = 18, 12/8 · 16 = 24."""
    assert squares(monkeypatch, dvae_crop, 40, 24, 16) == (set(range(17)), {0}, set(range(18, 25)))
    assert squares(monkeypatch, dvae_crop, 20, 22, 16) == ({0}, {0, 1, 2}, {18, 19, 20})
    assert squares(monkeypatch, dvae_crop, 17, 17, 16)[2] == {17}
    assert squares(monkeypatch, dvae_crop, 9, 9, 16)[2] == {16}


def test_squares_of_the_transformer(monkeypatch):
    """Listing 2: from 3/8 of the way, 6 of 16, to before 5/8, 10; scaled to 16, 17 or 18."""
    assert squares(monkeypatch, dalle_crop, 40, 24, 16) == ({6, 7, 8, 9}, {0}, {16, 17, 18})
    assert squares(monkeypatch, dalle_crop, 24, 26, 16) == ({0}, {0}, {16, 17, 18})
    assert squares(monkeypatch, dalle_crop, 17, 17, 16)[2] == {16, 17}
    assert squares(monkeypatch, dalle_crop, 9, 9, 16)[2] == {16}


def test_the_middle(monkeypatch):
    assert squares(monkeypatch, middle_crop, 41, 24, 16) == ({8}, {0}, {16})
