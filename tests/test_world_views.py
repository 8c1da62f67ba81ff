"""Views: from outside, from inside, from nearby, and at night."""

from itertools import product

import numpy as np
import pytest

from minidalle.world.fruits import FRUITS, SEED, cut, opened, whole
from minidalle.world.insides import FILLINGS
from minidalle.world.views import VIEWS, seen


@pytest.mark.parametrize("caption, facts", [
    ("a day view of an orange", {"thing": "orange", "view": "day view"}),
    ("a cross-section of a kiwi", {"thing": "kiwi", "view": "cross-section"}),
    ("an x-ray of an avocado", {"thing": "avocado", "view": "x-ray"}),
    ("a night view of a dragon fruit", {"thing": "dragon fruit", "view": "night view"}),
])  # fmt: skip
def test_captions_by_hand(caption, facts):
    assert VIEWS.parse(caption) == facts
    assert VIEWS.caption_of(facts) == caption


@pytest.mark.parametrize("caption", ["a view of a kiwi", "a cross-section of an owl"])
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
    free = {"background": "blue", "place": (14, 12)}
    small = VIEWS.paint({"thing": "pear", "view": "day view"} | free, 128)[32:96, 32:96]
    assert (small == VIEWS.paint({"thing": "pear", "view": "close-up"} | free, 64)).all()


def test_an_eighth_of_the_pairs_is_held_out_but_no_x_ray_and_no_day_view():
    every = [dict(zip(VIEWS.fields, pair)) for pair in product(*VIEWS.fields.values())]
    out = {view: [] for view in VIEWS.values("view")}
    for facts in filter(VIEWS.valid, every):
        out[facts["view"]].append(VIEWS.held_out(facts))
    assert not any(out.pop("x-ray") + out.pop("day view"))
    assert 0.1 < np.mean(sum(out.values(), [])) < 0.15
    assert VIEWS.held_out({"thing": "kiwi", "view": "cross-section"})


@pytest.mark.parametrize("thing", FILLINGS)
def test_a_cut_keeps_the_outline(thing):
    inside, outside = (seen(thing, view).art(64, 64) for view in ("cross-section", "day view"))
    assert abs(inside[..., 3] - outside[..., 3]).mean() < 0.03
    assert (abs(inside - outside).max(2) > 20).mean() > 0.05


def test_what_is_dark_is_bright_in_an_x_ray():
    """Such as the pupils of an owl."""
    x_rayed, outside = (seen("owl", view).art(64, 64) for view in ("x-ray", "day view"))
    black = (outside[..., :3].max(2) < 60) & (outside[..., 3] == 1)
    assert black.any() and x_rayed[black][:, :3].mean() > 200
