"""Eras: one look for everything from the same time."""

from collections import Counter
from itertools import product

import numpy as np
import pytest

from minidalle.world.eras import ERAS, thing_from
from minidalle.world.gadgets import LOOKS

THINGS = ERAS.values("thing")


@pytest.mark.parametrize("caption, facts", [
    ("a telephone from the 1920s", {"thing": "telephone", "era": "the 1920s"}),
    ("a camera from the future", {"thing": "camera", "era": "the future"}),
])  # fmt: skip
def test_captions_by_hand(caption, facts):
    assert ERAS.parse(caption) == facts
    assert ERAS.caption_of(facts) == caption


@pytest.mark.parametrize("caption", ["a telephone from the 1930s", "a telephone of the 1920s"])
def test_other_captions_are_refused(caption):
    with pytest.raises(ValueError):
        ERAS.parse(caption)


def share(art, colour):
    """How much of what is drawn has this colour."""
    near = abs(art[..., :3] - np.float32(colour)).max(2) < 2
    return (near & (art[..., 3] > 0.99)).sum() / (art[..., 3] > 0.5).sum()


@pytest.mark.parametrize("thing, era", [*product(THINGS, LOOKS)])
def test_a_thing_has_the_material_of_its_era_and_of_no_other(thing, era):
    art = thing_from(thing, era).art(64, 64)
    assert share(art, LOOKS[era].body) > 0.05 and share(art, LOOKS[era].edge) > 0.02
    for other in LOOKS.keys() - {era}:
        assert share(art, LOOKS[other].body) < 0.01


@pytest.mark.parametrize("thing", THINGS)
def test_things_from_the_future_hover(thing):
    """Between a thing and its light is nothing at all."""
    cover = thing_from(thing, "the future").art(64, 64)[..., 3].max(1)
    rows = np.flatnonzero(cover > 0)
    assert (cover[rows.min() : rows.max()] == 0).any()
    assert (thing_from(thing, "the 1980s").art(64, 64)[44:60, :, 3].max(1) > 0).all()


def test_an_eighth_of_the_pairs_is_held_out():
    pairs = [p for p in product(THINGS, LOOKS) if ERAS.held_out(dict(zip(("thing", "era"), p)))]
    assert ("telephone", "the 1920s") in pairs
    assert 0.1 < len(pairs) / len(THINGS) / len(LOOKS) < 0.15
    assert max(Counter(thing for thing, _ in pairs).values()) < len(LOOKS)
