"""Where pictures come from: batches as pure functions, folders with and without pictures."""

import re
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image

from minidalle.world import scenes
from minidalle.datasets import Pictures, Scenes, draw_batch, emoji_pictures, folder_pictures
from minidalle.datasets import open_data, shares, to_tensor
from minidalle.world.judge import differences


@pytest.fixture(scope="module")
def emoji():
    return emoji_pictures()


def test_to_tensor_maps_0_to_255_onto_0_to_1():
    picture = np.zeros((1, 2, 3, 3), np.uint8)
    picture[0, 1, 2] = (0, 51, 255)  # bottom right
    x = to_tensor(picture)
    assert x.shape == (1, 3, 2, 3) and x.dtype == torch.float32 and x.is_contiguous()
    assert x[0, :, 1, 2].tolist() == pytest.approx([0, 0.2, 1]) and x.sum().item() == pytest.approx(1.2)


@pytest.mark.parametrize("name", ["scenes", "emoji", "both"])
def test_a_batch_is_a_function_of_its_random_numbers(name):
    source = open_data(name, near_misses=2)
    captions, pictures = draw_batch(source, Random("5 7"), 9)
    assert len(captions) == len(pictures) == 9
    assert pictures.dtype == np.uint8 and pictures.shape[1:] == (32, 32, 3)
    draw_batch(source, Random("5 8"), 9)  # what comes in between leaves no trace
    again, repeated = draw_batch(source, Random("5 7"), 9)
    assert again == captions and (repeated == pictures).all()
    assert draw_batch(source, Random("5 8"), 9)[0] != captions


def test_near_misses_stay_in_training_and_miss_by_little():
    captions, _ = draw_batch(Scenes(near_misses=3), Random(1), 200)
    drawn = [scenes.parse(caption) for caption in captions]
    assert {scenes.split(scene) for scene in drawn} == {"train"}
    # Each scene is near the one before it, or begins a new family of at most four.
    near = [0 < len(differences(a, b)) <= 1 for a, b in zip(drawn, drawn[1:])]
    assert np.mean(near) > 0.25


@pytest.mark.parametrize("wanted", ["train", "unseen", "combination"])
def test_scenes_of_a_split(wanted):
    captions, pictures = draw_batch(Scenes(wanted=wanted), Random(1), 20)
    assert {scenes.split(scenes.parse(caption)) for caption in captions} == {wanted}
    assert len(set(captions)) > 15 and pictures.shape == (20, 32, 32, 3)


def test_scenes_of_another_size():
    assert draw_batch(Scenes(image_size=64), Random(1), 2)[1].shape == (2, 64, 64, 3)


def test_emoji_captions_name_the_background(emoji):
    for captions, picture in list(zip(emoji.variants, emoji.pictures))[:300]:
        assert len(captions) > 1
        for caption in captions:
            said = re.search(r" on (?:an? )?(\w+) background$", caption)
            corner = picture[[0, 0, -1, -1], [0, -1, 0, -1]]
            assert not said or (corner == scenes.BACKGROUNDS[said[1]]).all(-1).any(), caption
        named = sum(caption.endswith(" background") for caption in captions)
        assert named == len(captions) / 2


def test_nothing_twice_while_there_is_enough():
    three = Pictures([("one",), ("two",), ("three",)], np.zeros((3, 4, 4, 3), np.uint8))
    assert sorted(three.choose(Random(1), 3)) == [(0, 0), (1, 0), (2, 0)]
    items = three.choose(Random(1), 10)
    assert three.captions(items) == [("one", "two", "three")[i] for i, _ in items]


@pytest.mark.parametrize("name", ["scenes", "emoji", "both"])
def test_a_part_of_a_batch_is_that_part_of_the_whole(name):
    """What a process loads of a batch that several share."""
    source = open_data(name)
    items = source.choose(Random(3), 8)
    captions, pictures = source.captions(items), source.load(items)
    for part in (slice(0, 2), slice(2, 8), slice(4, 5)):
        assert source.captions(items[part]) == captions[part]
        assert (source.load(items[part]) == pictures[part]).all()


def test_shares_add_up():
    assert shares(1, 9) == [9] and shares(2, 9) == [5, 4] and shares(3, 8) == [4, 2, 2]
    assert shares(2, 8, first=3) == [6, 2] and shares(1, 8, first=3) == [8]


# ---- folders ----------------------------------------------------------------------------


def test_pictures_pair_with_the_captions_beside_them(tmp_path):
    wide = np.zeros((8, 16, 3), np.uint8)
    wide[:, 4:12] = (0, 0, 255)  # the middle square
    Image.fromarray(wide).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("a blue square\n\n  the sea \n", "utf-8")
    clear = np.zeros((4, 4, 4), np.uint8)  # wholly transparent: white
    Image.fromarray(clear).save(tmp_path / "b.webp", lossless=True)
    (tmp_path / "b.txt").write_text("näkymätön 👻", "utf-8")
    Image.fromarray(wide).save(tmp_path / "no caption.png")
    (tmp_path / "no picture.txt").write_text("nothing")
    (tmp_path / "empty.txt").write_text("\n")
    Image.fromarray(wide).save(tmp_path / "empty.png")

    source = open_data(str(tmp_path), image_size=4)
    assert source.variants == [("a blue square", "the sea"), ("näkymätön 👻",)]
    assert source.pictures.shape == (2, 4, 4, 3)
    assert (source.pictures[0] == (0, 0, 255)).all() and (source.pictures[1] == 255).all()


@pytest.mark.parametrize("mode", ["L", "P", "LA", "CMYK", "1", "I;16"])
def test_pictures_of_any_mode(tmp_path, mode):
    extension = "jpg" if mode == "CMYK" else "png"
    Image.new(mode, (6, 5)).save(tmp_path / f"a.{extension}")
    (tmp_path / "a.txt").write_text("dark")
    assert folder_pictures(tmp_path, 4).pictures.shape == (1, 4, 4, 3)


def cut(path):
    Image.effect_noise((64, 64), 50).save(path)
    path.write_bytes(path.read_bytes()[:500])


@pytest.mark.parametrize("damage", [
    lambda path: path.write_text("I am not a picture"), lambda path: path.write_bytes(b""), cut,
], ids=["text", "empty", "cut off"])  # fmt: skip
def test_what_is_no_picture_is_one_sentence(tmp_path, damage):
    damage(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("something")
    with pytest.raises(ValueError, match="a.png is not a picture") as error:
        folder_pictures(tmp_path, 8)
    assert "\n" not in str(error.value)


def test_a_caption_that_is_no_text_is_one_sentence(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="a.txt"):
        folder_pictures(tmp_path, 8)


def test_unknown_and_empty_data(tmp_path):
    with pytest.raises(ValueError, match="'kittens' is no data set: say scenes, emoji, both"):
        open_data("kittens")
    with pytest.raises(ValueError, match="holds no picture NAME.png with a caption NAME.txt"):
        open_data(str(tmp_path))
