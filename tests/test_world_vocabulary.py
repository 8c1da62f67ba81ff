"""Words that training never had, and captions near them."""

from random import Random

import pytest

from minidalle.datasets import open_data
from minidalle.world.vocabulary import captions, nearby, never_shown


@pytest.mark.parametrize("data, size", [("both", 32), ("world", 64)])
def test_all_that_training_shows_is_known(data, size):
    source = open_data(data, size)
    for caption in source.captions(source.choose(Random(1), 400)):
        assert never_shown(caption, data) == [], caption


def test_what_is_not_known_is_named_and_something_near_it_offered():
    assert never_shown("An armchair beside an Ottoman.", "scenes") == [
        "armchair",
        "beside",
        "ottoman",
    ]
    assert never_shown("a sign that says 'xylograph'", "world") == []
    near = nearby("a red penguin wearing a hat", "world")
    assert len(set(near)) == 3 and all("penguin" in caption for caption in near)
    assert set(near) <= set(captions("world"))
