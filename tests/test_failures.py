"""The two kinds of failure, on drawings that are known."""

from random import Random

import pytest

from minidalle import failures
from minidalle.world.outfits import OUTFITS

SAID = [OUTFITS.sample(Random(i), held_out=True) for i in range(20)]


def deaf(requests):
    """Draws every garment that a caption mentions, in the colours of the caption."""
    for request in requests:
        plain, _, denied = request.caption.partition(" without ")
        facts = OUTFITS.parse(plain)
        yield [facts | ({denied.removeprefix("a "): "red"} if denied else {})]


def test_whoever_hears_only_the_word_wears_what_is_denied():
    figures = failures.negation(Random(0), SAID, deaf, seed=0)
    rates = [v for name, v in figures.items() if name.endswith("worn")]
    assert rates == [1, 0, 1]


def test_colours_that_change_places_are_counted():
    def half_exchanged(requests):
        for request in requests:
            facts = OUTFITS.parse(request.caption)
            one, other = facts.keys() - {"animal"}
            yield [facts, facts | {one: facts[other], other: facts[one]}]

    figures = failures.exchange(SAID, half_exchanged, seed=0)
    assert figures["two garments: both colours right"] == 0.5
    assert figures["two garments: colours exchanged"] == 0.5
    assert figures["two garments: a wrong colour is the other's"] == 1


def test_without_two_colours_nothing_can_be_exchanged():
    said = [{"animal": "cat", "hat": "red", "shirt": "red"}]
    assert failures.exchange(said, lambda requests: [], seed=0) == {}


@pytest.mark.parametrize("garment, word", [("hat", "a hat"), ("gloves", "gloves")])
def test_a_denial_is_english(garment, word):
    asked = []

    def read(requests):
        asked.extend(requests)
        return [[{}] for _ in requests]

    failures.negation(Random(0), SAID, read, 0)
    assert any(request.caption.endswith(f"without {word}") for request in asked)
