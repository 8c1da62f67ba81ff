"""A picture shows what the scene says."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from minidalle.world.painting import arrange, paint
from minidalle.world.scenes import BACKGROUNDS, COLOURS, FILLS, Scene, Thing, parse, sample_scene


def one(name="circle", colour="red", fill="filled", **rest):
    return Scene((Thing(name, colour, fill, **rest),))


def test_a_picture_is_a_function_of_scene_and_seed():
    rng = Random(0)
    for _ in range(50):
        scene = sample_scene(rng)
        picture = paint(scene, Random(1))
        assert picture.dtype == np.uint8 and picture.shape == (32, 32, 3)
        assert (picture == paint(scene, Random(1))).all()


def test_places_vary_with_the_seed():
    assert len({paint(one(), Random(seed)).tobytes() for seed in range(20)}) > 3


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_edges_are_smooth_and_the_background_is_the_one_named(name):
    picture = paint(replace(one(), background=name), Random(1))
    colours = set(map(tuple, picture.reshape(-1, 3).tolist()))
    assert {BACKGROUNDS[name], COLOURS["red"]} < colours
    assert len(colours) > 6  # between the two: pixels partly covered
    assert (picture[0] == BACKGROUNDS[name]).all() and (picture[:, -1] == BACKGROUNDS[name]).all()


def test_a_background_left_open_may_be_any_that_things_show_on():
    drawn = {arrange(one(colour="green"), Random(seed))[0].background for seed in range(100)}
    assert drawn == set(BACKGROUNDS) - {"green"}
    named = replace(one(), background="pink")
    assert arrange(named, Random(1))[0] == named


def covered(scene):
    """How much of the picture is not background."""
    picture = paint(replace(scene, background="white"), Random(1))
    return (picture != 255).any(-1).sum()


def test_size_fill_and_count_show():
    assert covered(one(size="small")) < covered(one()) < covered(one(count=2))
    assert covered(one(count=2)) < covered(one(count=3)) < covered(one(count=4))
    pictures = {paint(one(fill=fill), Random(1)).tobytes() for fill in FILLS}
    assert len(pictures) == 3


@pytest.mark.parametrize("relation, red_first", [
    ("above", (0, -1)), ("below", (0, 1)), ("to the left of", (-1, 0)), ("to the right of", (1, 0)),
])  # fmt: skip
def test_relations_show(relation, red_first):
    red, blue = Thing("square", "red", "filled"), Thing("square", "blue", "filled")
    picture = paint(Scene((red, blue), relation), Random(1)).astype(int)
    middles = [
        np.argwhere((picture == COLOURS[colour]).all(-1)).mean(0)[::-1]
        for colour in ("red", "blue")
    ]
    apart = middles[0] - middles[1]  # (right, down)
    along = int(np.abs(apart).argmax())
    assert np.sign(apart[along]) == red_first[along] and np.abs(apart[along]) >= 12


def test_three_things_need_64_pixels():
    scene = parse("an owl above a crab above a snail")
    with pytest.raises(ValueError, match="at least 64×64"):
        paint(scene, Random(1), 32)
    assert paint(scene, Random(1), 64).shape == (64, 64, 3)
