"""Rooms: two sentences, what is held out, pixels."""

from random import Random

from minidalle.world.rooms import ROOMS

CAPTION = "a room with two white armchairs and a painting of a boat. the painting hangs above "
FREE = {"side": "left", "ground": "wood", "wall": "blue"}


def test_two_sentences():
    facts = ROOMS.parse(CAPTION + "a fireplace.")
    assert facts == {"chairs": "two white armchairs", "shown": "boat", "above": "fireplace"}
    assert ROOMS.caption_of(facts) == CAPTION + "a fireplace"


def test_what_is_held_out():
    assert ROOMS.held_out(ROOMS.parse(CAPTION + "a bookshelf"))
    assert not ROOMS.held_out(ROOMS.parse(CAPTION + "a sofa"))
    rng = Random(0)
    assert not any(ROOMS.held_out(ROOMS.sample(rng)) for _ in range(100))


def test_one_armchair_or_two():
    two = ROOMS.parse(CAPTION + "a sofa")
    one = two | {"chairs": "a white armchair"}
    left, both = (ROOMS.paint(facts | FREE) for facts in (one, two))
    assert (left[:, :32] == both[:, :32]).all()
    assert tuple(both[44, 54]) == (250, 250, 250) and (both[44, 10] == both[44, 54]).all()
    assert tuple(left[40, 62]) == (180, 215, 252)  # the wall
