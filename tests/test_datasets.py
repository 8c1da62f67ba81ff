"""Where pictures come from: batches as pure functions."""

import io
import re
from random import Random

import numpy as np
import pytest
import torch
from toys import emoji_samples, write_shard

from minidalle.__main__ import main
from minidalle.datasets import (
    Abilities,
    Pictures,
    Scenes,
    draw_batch,
    emoji_pictures,
    folder_pictures,
    open_data,
    shares,
    to_tensor,
)
from minidalle.datasets.pictures import read_picture
from minidalle.datasets.shards import Shard
from minidalle.world import scenes
from minidalle.world.abilities import ABILITIES
from minidalle.world.judge import differences

SOURCES = [("scenes", 32), ("emoji", 32), ("both", 32), ("abilities", 64), ("world", 64)]


@pytest.fixture(scope="module", params=SOURCES, ids=str)
def source(request):  # made once: there are 12 000 pictures of emoji
    name, size = request.param
    return open_data(name, size, near_misses=2)


@pytest.fixture(scope="module")
def emoji():
    return emoji_pictures()


def test_to_tensor_maps_0_to_255_onto_0_to_1():
    picture = np.zeros((1, 2, 3, 3), np.uint8)
    picture[0, 1, 2] = (0, 51, 255)  # bottom right
    x = to_tensor(picture)
    assert x.shape == (1, 3, 2, 3) and x.dtype == torch.float32 and x.is_contiguous()
    assert x[0, :, 1, 2].tolist() == pytest.approx([0, 0.2, 1]) and x.sum().item() == pytest.approx(
        1.2
    )


def test_a_batch_is_a_function_of_its_random_numbers(source):
    captions, pictures = draw_batch(source, Random("5 7"), 9)
    assert len(captions) == len(pictures) == 9
    assert pictures.dtype == np.uint8 and pictures.shape[1:] in [(32, 32, 3), (64, 64, 3)]
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


def test_no_ability_is_shown_what_is_held_out():
    """Not even as a near miss, which CLIP would learn from."""
    items = Abilities(near_misses=3).choose(Random(1), 3000)
    names = {name for name, _, _ in items}
    assert names == {name for name, ability in ABILITIES.items() if not ability.given}
    for name, facts, settled in items:
        assert not ABILITIES[name].held_out(facts) and facts.items() <= settled.items()
        assert ABILITIES[name].can_paint(settled)
    assert names | {"matrices"} == {name for name, _, _ in Abilities().choose(Random(1), 500)}


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


def test_a_part_of_a_batch_is_that_part_of_the_whole(source):
    """What a process loads of a batch that several share."""
    items = source.choose(Random(3), 8)
    captions, pictures = source.captions(items), source.load(items)
    for part in (slice(0, 2), slice(2, 8), slice(4, 5)):
        assert source.captions(items[part]) == captions[part]
        assert (source.load(items[part]) == pictures[part]).all()


def test_shares_add_up():
    assert shares(1, 9) == [9] and shares(2, 9) == [5, 4] and shares(3, 8) == [4, 2, 2]
    assert shares(2, 8, first=3) == [6, 2] and shares(1, 8, first=3) == [8]


def test_unknown_and_empty_data(tmp_path):
    with pytest.raises(ValueError, match="'kittens' is not a data set: use scenes, emoji, both"):
        open_data("kittens")
    with pytest.raises(ValueError, match="holds no picture NAME.png with a caption NAME.txt"):
        open_data(str(tmp_path))


EVIL, HARMLESS = "\x1b]0;owned\x07\x9b2J\u202e", r"\x1b]0;owned\x07\x9b2J\u202e"


def test_foreign_names_reach_no_terminal_raw(tmp_path, caplog, capsys):
    """Escape sequences could change its title or screen; other alphabets stay as they are."""
    picture, said, photos = emoji_samples(1)[0][1]["png"], {"txt": b"a star"}, tmp_path / EVIL
    samples = [(f"圆{EVIL}", said | {"png": b"?"}), (f"{EVIL}.5", said | {"png": b"?"})]
    write_shard(tmp_path / "a.tar", [*samples, (EVIL, said), ("κύκλος", {"png": picture})])
    Shard(tmp_path / "a.tar").read(0)
    photos.mkdir()
    for name in (f"κύκλος{EVIL}.png", "a.png", "a.txt"):
        (photos / name).write_bytes(said["txt"] if name == "a.txt" else picture)
    folder_pictures(photos, 8)
    (tmp_path / f"{EVIL}.tar").write_bytes(b"?")
    Shard(tmp_path / f"{EVIL}.tar")
    assert main(["train", "bpe", "--out", "o", "--data", f"{EVIL}.tar"]) == 2
    with pytest.raises(ValueError, match="is not a picture in PNG, JPEG, WEBP") as refused:
        read_picture(io.BytesIO(b"?"), EVIL)
    told = [*caplog.messages, *capsys.readouterr().err.splitlines(), str(refused.value)]
    assert len(told) == 8 and all(line.isprintable() for line in told)
    assert "".join(told).count(HARMLESS) == 8
    for readable in ("sample κύκλος is left out", f"圆{HARMLESS}", f"κύκλος{HARMLESS}.png"):
        assert readable in "".join(told)
