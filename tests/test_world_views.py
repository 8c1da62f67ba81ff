"""Views: from outside, from inside, from nearby, and at night."""

from itertools import product

import numpy as np
import pytest

from minidalle.world.fruits import FRUITS, SEED, cut, opened, whole
from minidalle.world.views import VIEWS


@pytest.mark.parametrize("caption, facts", [
    ("an orange", {"fruit": "orange"}),
    ("a cross-section of a kiwi", {"fruit": "kiwi", "view": "cross-section"}),
    ("an x-ray of an avocado", {"fruit": "avocado", "view": "x-ray"}),
    ("a dragon fruit at night", {"fruit": "dragon fruit", "time": "at night"}),
])  # fmt: skip
def test_captions_by_hand(caption, facts):
    assert VIEWS.parse(caption) == facts
    assert VIEWS.caption_of(facts) == caption


@pytest.mark.parametrize("caption", ["a view of a kiwi", "a close-up of a kiwi at night"])
def test_other_captions_are_refused(caption):
    with pytest.raises(ValueError):
        VIEWS.parse(caption)


@pytest.mark.parametrize("fruit", FRUITS)
def test_the_inside_is_paler_than_the_skin_which_is_a_ring_of_the_same_outline(fruit):
    inside, outside = opened(fruit, False).art(64, 64), whole(fruit).art(64, 64)
    tones = cut(FRUITS[fruit].skin)
    assert sum(tones.skin) < sum(tones.flesh) < sum(tones.pale)
    near = [
        abs(inside[..., :3] - np.float32(colour)).max(2) < 3 for colour in (tones.skin, tones.flesh)
    ]
    ring, flesh = (np.argwhere(some) for some in near)
    assert (ring.min(0) < flesh.min(0)).all() and (ring.max(0) > flesh.max(0)).all()
    assert ((inside[..., 3] > 0.5) & (outside[..., 3] < 0.1)).sum() == 0


@pytest.mark.parametrize("fruit", ["kiwi", "orange", "lemon", "pear", "dragon fruit"])
def test_an_x_ray_tells_where_the_seeds_are(fruit):
    x_rayed, inside = opened(fruit, True).art(64, 64), opened(fruit, False).art(64, 64)
    dark = abs(inside[..., :3] - np.float32(SEED)).max(2) < 10
    assert dark.any() and (x_rayed[dark][:, :3].mean(1) > 200).all()
    assert x_rayed[..., :3].mean() < 100


def test_a_close_up_is_the_middle_enlarged_twice():
    free = {"background": "blue", "place": (14, 10)}
    small = VIEWS.paint({"fruit": "pear"} | free, 128)[32:96, 32:96]
    assert (small == VIEWS.paint({"fruit": "pear", "view": "close-up"} | free, 64)).all()


def test_an_eighth_of_the_pairs_is_held_out_but_no_x_ray():
    looks = [("view", view) for view in VIEWS.fields["view"]] + [("time", "at night")]
    pairs = [
        (fruit, look)
        for fruit, (field, look) in product(FRUITS, looks)
        if VIEWS.held_out({"fruit": fruit, field: look})
    ]
    assert len(pairs) == 4 and ("kiwi", "cross-section") in pairs  # of 36
    assert not any(look == "x-ray" for _, look in pairs)
    assert not any(VIEWS.held_out({"fruit": fruit}) for fruit in FRUITS)
