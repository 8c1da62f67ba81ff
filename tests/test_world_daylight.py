"""Daylight: what follows from the time of day."""

import numpy as np
import pytest

from minidalle.world.daylight import DAYLIGHT, GROUNDS, THINGS, TIMES


def picture(time, thing="capybara", place="in the snow"):
    """A thing in the middle."""
    free = {"left": 16, "bottom": 48, "facing": "left"}
    return DAYLIGHT.paint({"thing": thing, "place": place, "time": time} | free).astype(float)


def test_a_caption():
    facts = {"thing": "elephant", "place": "on a beach", "time": "at sunset"}
    assert DAYLIGHT.parse("an elephant on a beach at sunset") == facts
    assert DAYLIGHT.caption_of(facts) == "an elephant on a beach at sunset"


@pytest.mark.parametrize("thing", THINGS)
def test_the_shadow_falls_away_from_the_sun(thing):
    """Snow is of one colour below the feet, so whatever is darker there is shadow."""

    def middle_and_size(time):
        ground = picture(time, thing)[48:].sum(2)
        dark = ground.max() - ground
        return (dark.sum(0) @ np.arange(64)) / dark.sum(), (dark > 40).sum()

    (sunrise, long), (noon, short), (sunset, also_long) = map(middle_and_size, list(TIMES)[:3])
    assert sunset < noon - 5 < noon + 5 < sunrise
    assert min(long, also_long) > short


def test_light_falls_from_the_sun():
    """The castle is as bright left as right, but for the light."""
    sunrise, sunset = (picture(time, "castle")[34:40] for time in ("at sunrise", "at sunset"))
    assert sunrise[:, 22:26].mean() > sunrise[:, 42:46].mean()
    assert sunset[:, 22:26].mean() < sunset[:, 42:46].mean()
    assert picture("at night").mean() < 0.7 * picture("at noon").mean()


def test_an_eighth_of_the_pairs_is_held_out():
    pairs = {
        (thing, time)
        for thing in THINGS
        for time in TIMES
        if DAYLIGHT.held_out({"thing": thing, "place": "in a field", "time": time})
    }
    assert len(pairs) == 31 and ("capybara", "at sunrise") in pairs  # of 304
    for thing, time in pairs:  # wherever it stands
        assert all(DAYLIGHT.held_out({"thing": thing, "place": p, "time": time}) for p in GROUNDS)
