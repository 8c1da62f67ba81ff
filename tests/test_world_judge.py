"""The judge: does it read what `painting.paint` painted, and does it name what is wrong?"""

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from minidalle.world import spoil
from minidalle.world.judge import differences, exact, examine, faults, read
from minidalle.world.painting import arrange, paint, paint_at
from minidalle.world.scenes import OBJECTS, canonical, parse, sample_scene, variation


def fresh(count, with_emoji, image_size=32):
    """Scenes of every split, with an emoji in them or without, and their pictures."""
    rng, scenes = Random(f"judge {with_emoji} {image_size}"), []
    while len(scenes) < count:
        scene = sample_scene(rng, rng.choice(("train", "unseen", "combination")), image_size)
        if with_emoji == any(thing.name in OBJECTS for thing in scene.things):
            scenes.append(scene)
    return scenes, np.stack([paint(scene, rng, image_size) for scene in scenes])


@pytest.mark.parametrize("with_emoji, least", [(False, 0.99), (True, 0.97)])
def test_reads_fresh_pictures(with_emoji, least):
    scenes, pictures = fresh(200, with_emoji)
    right = [not differences(scene, seen) for scene, seen in zip(scenes, read(pictures))]
    assert np.mean(right) >= least


def test_reads_three_things_at_64():
    rng = Random(1)
    scenes = [sample_scene(rng, "train", 64) for _ in range(80)]
    scenes = [scene for scene in scenes if len(scene.things) == 3][:6]
    pictures = np.stack([paint(scene, rng, 64) for scene in scenes])
    right = [not differences(scene, seen) for scene, seen in zip(scenes, read(pictures))]
    assert np.mean(right) >= 0.9


def test_reads_through_a_little_noise_and_not_through_much():
    scenes, pictures = fresh(20, with_emoji=False)
    noise = np.random.default_rng(0).normal(0, 12, pictures.shape)
    seen = read((pictures + noise).clip(0, 255).astype(np.uint8))
    right = [not differences(scene, found) for scene, found in zip(scenes, seen)]
    assert np.mean(right) >= 0.9
    only_noise = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    assert read(only_noise) == [None] * 8


def test_an_empty_picture_is_unclear():
    assert read(np.full((1, 32, 32, 3), 255, np.uint8)) == [None]


def test_order_of_a_batch_does_not_matter():
    _, pictures = fresh(10, with_emoji=True)
    assert read(pictures[::-1])[::-1] == read(pictures)


@pytest.mark.parametrize("wanted, drawn, wrong", [
    ("a red star", "a red star", []),
    ("a red star", "a red heart", ["name"]),
    ("a red star", "an owl", ["name", "colour", "fill"]),
    ("a red star", "a blue star", ["colour"]),
    ("a red star", "a striped red star", ["fill"]),
    ("a red star", "a small red star", ["size"]),
    ("two red stars", "three red stars", ["count"]),
    ("a red star", "a red star on a grey background", []),
    ("a red star on a pink background", "a red star on a grey background", ["background"]),
    ("a red star on a blue background", "a small blue star on a pink background",
     ["background", "colour", "size"]),
    ("a red star", "a red star above an owl", ["number of things"]),
    ("a red star above an owl", "an owl", ["number of things"]),
    ("a red star above an owl", "an owl below a red star", []),
    ("a red star above an owl", "a red star below an owl", ["relation"]),
    ("a red star above an owl", "an owl above a red star", ["relation"]),
    ("a red star above an owl", "a red star to the left of an owl", ["relation"]),
    ("a red star above an owl", "a red star above a crab", ["name"]),
    ("a red star above a blue star", "a blue star above a red star", ["relation"]),
    ("a red star above a blue star", "a red star above a green star", ["colour"]),
])  # fmt: skip
def test_names_what_is_wrong(wanted, drawn, wrong):
    """Read back from the picture, not only from the scene."""
    wanted, drawn = parse(wanted), parse(drawn)
    assert differences(wanted, drawn) == wrong
    painted, places = arrange(drawn, Random(2))
    seen = read(paint_at(painted, places)[None])[0]
    assert seen == canonical(painted)
    assert differences(wanted, seen) == wrong


def test_unclear():
    assert differences(parse("an owl"), None) == ["unclear"]


def test_three_things_in_another_order():
    wanted = parse("an owl above a crab above a snail")
    assert differences(wanted, replace(wanted, things=wanted.things[::-1])) == ["relation"]
    assert differences(wanted, parse("a snail below a crab below an owl")) == []


# ---- strictness -------------------------------------------------------------------------


def test_a_painting_is_its_own_repainting():
    scenes, pictures = fresh(40, with_emoji=True)
    for scene, picture, seen in zip(scenes, pictures, examine(pictures)):
        assert seen.worst < 0.01 and seen.detail == pytest.approx(1, abs=0.02)
        assert exact(scene, picture[None]) == [True]


def test_it_says_where_things_stand():
    for seed in range(20):
        scene = parse("a small owl to the left of a small red heart")
        painted, places = arrange(scene, Random(seed))
        assert examine(paint_at(painted, places)[None])[0].places == places


@pytest.mark.parametrize("name", ["blur", "paint_over", "erase", "near miss"])
def test_spoilt_pictures_are_not_exact(name):
    rng = Random(0)
    scenes, pictures = fresh(100, with_emoji=False)
    spoilt = {
        "blur": lambda: spoil.blur(pictures, 3),
        "paint_over": lambda: spoil.paint_over(pictures, rng),
        "erase": lambda: spoil.erase(pictures, rng),
        "near miss": lambda: np.stack([paint(variation(scene, rng), rng) for scene in scenes]),
    }[name]()
    passed = [not faults(*pair) for pair in zip(scenes, examine(spoilt))]
    assert np.mean(passed) <= 0.01


def test_it_names_the_fault():
    scene = parse("a red square on a white background")
    picture = paint(scene, Random(0))
    missing = spoil.erase(picture[None], Random(0))
    assert faults(scene, examine(missing)[0]) == ["smeared"]
    assert faults(scene, examine(spoil.blur(picture[None], 3))[0]) == ["blurred"]


def labelled() -> tuple[list[dict], np.ndarray]:
    """300 drawings with a caption and what three people said; labelled.json tells the rule."""
    here = Path(__file__).parent
    labels = json.loads((here / "labelled.json").read_text("utf-8"))["labels"]
    sheet = np.asarray(Image.open(here / "labelled.png").convert("RGB"))
    pictures = sheet.reshape(-1, 32, 20, 32, 3).swapaxes(1, 2).reshape(-1, 32, 32, 3)
    return labels, pictures


@pytest.mark.parametrize("chosen, least", [("random", 0.96), ("difficult", 0.95), ("last", 0.96)])
def test_it_agrees_with_people(chosen, least):
    """96, 95 and 96 of a hundred drawings each, and 97 % of those on which all three agree.

    97 % of all was aimed at. The three agree with each other on 97 to 99 %. Where the judge
    differs it is mostly the more lenient: things out of shape, or partly in another colour.
    """
    labels, pictures = labelled()
    here = [i for i, label in enumerate(labels) if label["set"] == chosen]
    readings = examine(pictures[here])
    agree = [
        (sum(labels[i]["exact"]) >= 2) == (not faults(parse(labels[i]["caption"]), seen))
        for i, seen in zip(here, readings)
    ]
    assert len(here) == 100 and np.mean(agree) >= least
