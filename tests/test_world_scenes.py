"""The captioned world: caption ↔ scene, and a split that keeps its promise."""

from dataclasses import replace
from itertools import permutations
from random import Random

import pytest

from minidalle.world import few
from minidalle.world.painting import paint
from minidalle.world.scenes import (
    BACKGROUNDS,
    COLOURS,
    FILLS,
    NAMES,
    OBJECTS,
    RELATIONS,
    SHAPES,
    SIZES,
    Scene,
    Thing,
    caption_of,
    parse,
    sample_scene,
    split,
    variation,
)

SPLITS = ("train", "unseen", "combination")


def some(wanted, count, image_size=32):
    rng = Random(f"{wanted} {image_size}")
    return [sample_scene(rng, wanted, image_size) for _ in range(count)]


@pytest.fixture(scope="module")
def training():
    return some("train", 2000)


def one(name="circle", colour="red", fill="filled", **rest):
    return Scene((Thing(name, colour, fill, **rest),))


# ---- captions ---------------------------------------------------------------------------


def test_the_world_is_as_large_as_promised():
    assert len(SHAPES) >= 8 and len(COLOURS) >= 8 and len(OBJECTS) >= 40 and len(BACKGROUNDS) >= 6
    assert len(SIZES) == 2 and len(FILLS) == 3 and len(RELATIONS) == 4


@pytest.mark.parametrize("wanted", SPLITS)
@pytest.mark.parametrize("image_size", [32, 64])
def test_every_caption_is_read_back(wanted, image_size):
    for scene in some(wanted, 300, image_size):
        assert parse(caption_of(scene)) == scene


def test_every_thing_can_be_counted_and_read_back():
    for name in NAMES:
        look = (
            {"colour": "red", "fill": "filled"}
            if name in SHAPES
            else {"colour": None, "fill": None}
        )
        for count in (1, 2, 3, 4):
            scene = one(name, **look, count=count)
            assert parse(caption_of(scene)) == scene


@pytest.mark.parametrize("caption, scene", [
    ("a red circle", one()),
    ("A Large red circle!", one()),
    ("  One FILLED red   circle. ", one()),
    ("an outlined small blue cross", one("cross", "blue", "outlined", size="small")),
    ("four striped green moons", one("moon", "green", "striped", count=4)),
    ("an octopus on a grey background",
     replace(one("octopus", None, None), background="grey")),
    ("a red circle left of a small owl",
     Scene((Thing("circle", "red", "filled"), Thing("owl", size="small")), "to the left of")),
    ("an owl below a crab below a snail",
     Scene((Thing("owl"), Thing("crab"), Thing("snail")), "below")),
])  # fmt: skip
def test_captions_by_hand(caption, scene):
    assert parse(caption) == scene


def test_adjectives_in_any_order():
    for words in permutations(("small", "striped", "pink")):
        assert parse(f"a {' '.join(words)} star") == one("star", "pink", "striped", size="small")


@pytest.mark.parametrize("caption", [
    "", " ", "red circle", "circle", "a circle", "a red", "a red fox circle", "a red owl",
    "an outlined owl", "a black circle", "five red circles", "two red circle", "a red circles",
    "a red circle on a black background", "a red blue circle", "a large small red circle",
    "a red circle and a blue star", "a red circle near a blue star", "a red circle above",
    "two red circles above an owl", "an owl above a crab below a snail",
    "an owl above a crab above a snail above a butterfly", "an 🦉", "a red\x00circle",
])  # fmt: skip
def test_what_the_world_does_not_know_is_one_sentence(caption):
    with pytest.raises(ValueError) as error:
        parse(caption)
    assert 15 < len(str(error.value)) < 400 and "\n" not in str(error.value)


# ---- the split --------------------------------------------------------------------------


def pairs(scene):
    """The colour × shape pairs and the pairs of neighbours that a scene shows."""
    looks = {(t.colour, t.name) for t in scene.things if t.colour}
    names = [thing.name for thing in scene.things]
    return looks | {tuple(sorted(two)) for two in zip(names, names[1:])}


def test_training_never_shows_a_held_out_combination(training):
    shown = set().union(*map(pairs, training))
    for scene in some("combination", 500):
        assert pairs(scene) - shown, caption_of(scene)
    # The split is decided by pairs alone: one that training shows is nowhere held out.
    looks = {look for look in shown if look[0] in COLOURS}
    assert all(split(one(name, colour)) != "combination" for colour, name in looks)
    assert len(looks) == 7 * 8, "one colour is held out for each shape"
    assert {colour for colour, _ in looks} == set(COLOURS) and {n for _, n in looks} == set(SHAPES)


def test_splits_are_disjoint_captions_and_each_is_drawn_from(training):
    captions = [set(map(caption_of, some(wanted, 500))) for wanted in SPLITS]
    assert not captions[0] & captions[1] and not captions[1] & captions[2]
    assert not captions[0] & captions[2] and all(len(part) > 300 for part in captions)
    for wanted in SPLITS:
        assert {split(scene) for scene in some(wanted, 100)} == {wanted}
    shown = set().union(*map(pairs, training))
    known = [pairs(scene) <= shown for scene in some("unseen", 500)]
    assert sum(known) > 0.75 * 500  # (2 000 scenes cannot show every pair of things)


def test_the_same_meaning_is_in_the_same_split_and_draws_the_same_picture():
    turned = {"above": "below", "below": "above"}
    turned |= {"to the left of": "to the right of", "to the right of": "to the left of"}
    scenes = [s for wanted in SPLITS for s in some(wanted, 100) if s.relation]
    for scene in scenes:
        other = replace(scene, things=scene.things[::-1], relation=turned[scene.relation])
        assert split(other) == split(scene) == split(replace(scene, background="grey"))
        assert (paint(other, Random(3)) == paint(scene, Random(3))).all()


def test_only_a_larger_picture_holds_three_things():
    assert all(len(s.things) < 3 for s in some("train", 200, 32))
    assert any(len(s.things) == 3 for s in some("train", 200, 64))


def test_sampling_is_repeatable():
    assert some("train", 20) == some("train", 20)


def test_variation_is_another_scene_with_another_caption_and_picture(training):
    rng = Random(1)
    for scene in training[:300]:
        other = variation(scene, rng)
        assert other != scene, caption_of(scene)
        assert parse(caption_of(other)) == other != parse(caption_of(scene))
        assert (paint(other, Random(1)) != paint(scene, Random(1))).any()


# ---- a corner of the world --------------------------------------------------------------


def test_few_scenes_are_scenes_and_their_near_misses_stay_in_the_corner():
    splits = [few.split(scene) for scene in few.SCENES]
    assert len(set(few.SCENES)) == 240 and 18 <= splits.count("unseen") <= 30
    assert set(splits) == {"train", "unseen"}
    rng = Random(0)
    for _ in range(200):
        scene = few.sample_scene(rng, "unseen")
        other = few.variation(scene, rng)
        assert few.split(scene) == "unseen" and few.split(other) != "elsewhere"
        assert other != scene and parse(caption_of(other)) == other
    assert few.split(parse("a red heart to the left of a blue star")) == "elsewhere"
    assert few.split(parse("a red star above a blue star")) == "elsewhere"
