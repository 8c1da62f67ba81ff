"""Stacks: captions from the top, what is held out, pixels."""

from minidalle.world.scenes import COLOURS
from minidalle.world.stacks import STACKS


def test_captions_begin_at_the_top():
    facts = {"third": "red", "second": "green", "bottom": "blue"}
    assert STACKS.parse("a red block on a green block on a blue block") == facts


def test_high_stacks_are_held_out():
    assert STACKS.held_out(STACKS.parse("a red block on a green block on a blue block"))
    assert not STACKS.held_out(STACKS.parse("a red block"))


def test_each_block_has_its_colour():
    facts = STACKS.parse("a pink block on a red block on a green block on a blue block")
    picture = STACKS.paint(facts | {"left": 12, "background": "white"})
    for row, colour in zip((51, 39, 27, 15), ("blue", "green", "red", "pink")):
        assert tuple(picture[row, 24]) == COLOURS[colour]
