"""Words: they are spelt letter by letter, and no letter looks like another."""

from random import Random

import numpy as np
import pytest

from minidalle.world.lettering import ALPHABET, ENGLISH, LETTERS, WORDS, letter, word_of

DOG = {"surface": "shop front", "first": "d", "second": "o", "third": "g"}


def test_caption_and_facts():
    assert WORDS.caption_of(DOG) == "a shop front that says 'dog'"
    assert WORDS.parse("A t-shirt that says 'moon'.") == {
        "surface": "t-shirt",
        **dict(zip(LETTERS, "moon")),
    }
    for caption in ("a sign that says 'no'", "a sign that says 'orange'", "a sign that says dog"):
        with pytest.raises(ValueError):
            WORDS.parse(caption)


def test_english_words_are_held_out():
    assert len(ENGLISH) == len(set(ENGLISH)) == 60 and {*map(len, ENGLISH)} == {3, 4, 5}
    assert {*"".join(ENGLISH)} == {*ALPHABET}
    assert WORDS.held_out(DOG) and WORDS.held_out(DOG | {"surface": "box"})
    rng = Random(0)
    said = {word_of(WORDS.sample(rng)) for _ in range(2000)}
    assert not said & {*ENGLISH} and {*map(len, said)} == {3, 4, 5}


def test_a_letter_changes_only_its_own_place():
    settled = WORDS.settle(DOG, Random(0))
    cat = WORDS.paint(settled | {"first": "c"})
    ys, xs = np.nonzero((WORDS.paint(settled) != cat).any(2))
    assert ys.min() >= 12 and ys.max() < 28 and xs.max() < 14


def test_no_letter_looks_like_another():
    """After a 3×3 blur, two letters differ by 7 % of the ink of one, or more."""
    blurred = {}
    for name in ALPHABET:
        padded = np.pad(letter(name).art(16, 16)[..., 3], 1)
        shifts = [padded[y : y + 16, x : x + 16] for y in range(3) for x in range(3)]
        blurred[name] = np.mean(shifts, 0)
    ink = np.mean([np.square(b).sum() for b in blurred.values()])
    for a in ALPHABET:
        for b in ALPHABET:
            assert a == b or np.square(blurred[a] - blurred[b]).sum() > 0.07 * ink, (a, b)
