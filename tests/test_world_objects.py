"""The emoji pack at 64×64, and what is made of its pictures."""

import hashlib
import re

import numpy as np

from minidalle import DATA
from minidalle.world import emoji, objects


def test_the_pack_is_the_one_described():
    pixels, pack = objects.pixels(), emoji.load_pack()
    assert pixels.shape == (*pack.pixels.shape[:1], 64, 64, 4)
    sums = re.findall(r"[0-9a-f]{64}", (DATA / "README.md").read_text("utf-8"))
    assert hashlib.sha256(pixels.tobytes()).hexdigest() in sums


def test_it_is_the_pack_of_32_pixels_in_more_detail():
    whole, pack = objects.pixels(), emoji.load_pack()
    for i in range(0, len(whole), 97):
        large = emoji.compose(whole[i], (255, 255, 255)).astype(float)
        halved = large.reshape(32, 2, 32, 2, 3).mean((1, 3))
        assert np.abs(halved - emoji.compose(pack.pixels[i], (255, 255, 255))).mean() < 4


def test_an_emoji_fits_its_box_and_is_mirrored():
    snail = objects.emoji("snail").art(24, 32)
    assert snail.shape == (24, 32, 4) and snail[..., 3].max() == 1
    assert (snail[..., 3].max(1) > 0.03).all()  # as high as the box
    assert (objects.mirrored(objects.emoji("snail")).art(24, 32) == snail[:, ::-1]).all()
