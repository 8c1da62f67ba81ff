"""Solids in a light: shadows fall away from it, ice reflects, and what is held out."""

from random import Random

import numpy as np
import pytest

from minidalle.world.lit import LIT

FREE = {"left": 8, "bottom": 48}


def painted(caption, size=64):
    return LIT.paint(LIT.parse(caption) | FREE, size).astype(float)


@pytest.mark.parametrize("light, side", [("the left", 1), ("the right", -1), ("above", 0)])
def test_the_shadow_falls_away_from_the_light(light, side):
    empty = painted(f"nothing on sand, lit from {light}")
    dark = empty.sum(2) - painted(f"a red ball on sand, lit from {light}").sum(2) > 60
    across = np.nonzero(dark[50:])[1].mean() - (8 + 13)  # from the middle of the ball
    assert np.sign(round(across / 4)) == side


@pytest.mark.parametrize("light, side", [("the left", -1), ("the right", 1)])
def test_the_near_side_is_brighter(light, side):
    ball = painted(f"a red ball on grass, lit from {light}")[22:48, 8:34].sum(2)
    assert np.sign(ball[13, 20] - ball[13, 5]) == side


def test_only_ice_reflects():
    for ground, reflects in (("ice", True), ("sand", False)):
        picture = painted(f"a green cube on {ground}, lit from above")
        below = picture[58, 21] - picture[58, 60]  # beyond the shadow, less the bare ground
        assert (below[0] < -10) == reflects


def test_what_is_held_out():
    rng = Random(0)
    train = [LIT.sample(rng) for _ in range(4000)]
    shown = {facts[name] for facts in train for name in ("first", "second") if name in facts}
    never = set(LIT.fields["first"]) - shown
    assert never == {t for t in LIT.fields["first"] if LIT.held_out({"first": t})} and never
    for part in (0, 1):  # every colour and every solid is shown
        assert {t.split()[part] for t in shown} == {t.split()[part] for t in LIT.fields["first"]}
