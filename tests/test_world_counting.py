"""One to six of a thing."""

from itertools import product

import numpy as np
import pytest

from minidalle.world.counting import COUNTS, LAYOUTS, NUMBERS, SIDES, THINGS


@pytest.mark.parametrize("caption, facts", [
    ("an owl", {"thing": "owl"}),
    ("five red apples", {"count": "five", "thing": "red apple"}),
    ("two strawberries", {"count": "two", "thing": "strawberry"}),
    ("six butterflies", {"count": "six", "thing": "butterfly"}),
])  # fmt: skip
def test_captions_by_hand(caption, facts):
    assert NUMBERS.parse(caption) == facts
    assert NUMBERS.caption_of(facts) == caption


@pytest.mark.parametrize("caption", ["two owl", "a owls", "seven owls", "one owl", "two an owl"])
def test_other_captions_are_refused(caption):
    with pytest.raises(ValueError):
        NUMBERS.parse(caption)


def test_there_are_as_many_as_said_and_none_overlaps_another():
    for number, count in enumerate(COUNTS, 1):
        for places in LAYOUTS[count]:
            assert len(places) == number
            room = np.zeros((64, 64), int)
            for left, top in places:
                assert max(left, top) * 4 + SIDES[count] <= 64
                room[4 * top :, 4 * left :][: SIDES[count], : SIDES[count]] += 1
            assert room.max() == 1, (count, places)


def test_about_an_eighth_is_held_out_but_no_thing_and_no_number():
    pairs = {
        (count, thing): NUMBERS.held_out({"count": count, "thing": thing})
        for count, thing in product(COUNTS, THINGS)
    }
    assert 0.06 < np.mean(list(pairs.values())) < 0.2
    assert pairs["five", "red apple"]
    for word in (*COUNTS, *THINGS):
        assert np.mean([out for pair, out in pairs.items() if word in pair]) < 0.5
