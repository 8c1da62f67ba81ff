"""Things and where they stand: captions, what is held out, near misses, pixels."""

from random import Random

import numpy as np

from minidalle.world import reader
from minidalle.world.ability import one_in
from minidalle.world.relations import EMOJI, RELATIONS, ROWS, THINGS, held_out
from minidalle.world.scenes import COLOURS, SHAPES

FREE = {"across": 16, "background": "white"}


def test_captions():
    caption = "an owl to the left of a red star"
    facts = {"first": "owl", "relation": "to the left of", "second": "red star"}
    assert RELATIONS.parse(caption) == facts and RELATIONS.caption_of(facts) == caption
    facts = {"first": "blue circle", "relation": "above", "second": "carrot"}
    facts["third"] = "pink heart"
    caption = "a blue circle above a carrot above a pink heart"
    assert ROWS.parse(caption) == facts and ROWS.caption_of(facts) == caption


def test_what_looks_the_same_is_the_same():
    above = RELATIONS.parse("a frog above a red star")
    below = RELATIONS.parse("a red star below a frog")
    assert (RELATIONS.paint(above | FREE) == RELATIONS.paint(below | FREE)).all()
    assert RELATIONS.canonical(below) == above == RELATIONS.canonical(above)
    assert reader.differences(RELATIONS, above, below | FREE) == []
    rng = Random(0)
    for ability in (RELATIONS, ROWS):
        for _ in range(200):
            facts = ability.sample(rng)
            assert not held_out(facts) and not held_out(ability.canonical(facts))


def test_an_eighth_is_held_out():
    shapes = [thing for thing in THINGS if thing not in EMOJI]
    assert 4 <= sum(one_in(8, thing) for thing in shapes) <= 12
    for word in (*COLOURS, *SHAPES):  # each occurs in training
        assert not all(one_in(8, thing) for thing in shapes if word in thing.split())


def test_colours_change_places_in_near_misses():
    facts, rng = RELATIONS.parse("a red star above a blue circle"), Random(0)
    missed = {RELATIONS.caption_of(RELATIONS.near_miss(facts, rng)) for _ in range(300)}
    assert "a blue star above a red circle" in missed
    assert "a blue circle above a red star" in missed
    assert "a red star below a blue circle" in missed


def test_the_left_thing_is_on_the_left():
    facts = RELATIONS.parse("a blue square to the right of a red circle")
    picture = RELATIONS.paint(facts | FREE).astype(int)
    left, right = picture[32, 16], picture[32, 48]
    assert np.abs(left - COLOURS["red"]).max() < 40 and np.abs(right - COLOURS["blue"]).max() < 40
