"""Copies: the top half stays as it is, the bottom half shows the thing changed."""

from random import Random

import pytest

from minidalle.world.canvas import Canvas
from minidalle.world.copies import COPIES, OPERATIONS, SKETCH, THINGS, UNSEEN
from minidalle.world.copies import night as sky

HERE = {"thing": "snail", "background": "white", "left": 16}


def halves(operation):
    picture = COPIES.paint(HERE | {"operation": operation}).astype(int)
    return picture[:32], picture[32:]


def test_caption_and_facts():
    facts = {"thing": "hot dog", "operation": "in inverted colours"}
    assert COPIES.caption_of(facts) == "the same hot dog in inverted colours below"
    assert COPIES.parse("The same snail upside down at night below.") == {
        "thing": "snail",
        "operation": UNSEEN,
    }
    with pytest.raises(ValueError):
        COPIES.parse("the same octopus mirrored below")  # nobody could see that


def test_training_never_shows_the_unseen_operation():
    rng = Random(0)
    train = [COPIES.sample(rng) for _ in range(3000)]
    assert {f["operation"] for f in train} == {*OPERATIONS} - {UNSEEN}
    assert {f["thing"] for f in train} == {*THINGS}
    assert all(COPIES.held_out({"thing": thing, "operation": UNSEEN}) for thing in THINGS)


def test_the_bottom_half_is_the_top_half_changed():
    assert COPIES.box == (32, 0)
    top = halves("mirrored")[0]
    for operation in OPERATIONS:
        assert (halves(operation)[0] == top).all()
    assert (halves("mirrored")[1] == top[:, ::-1]).all()
    assert (halves("upside down")[1] == top[::-1]).all()
    assert abs(halves("in inverted colours")[1] + top - 255).max() <= 1
    assert (halves("as a sketch")[1][0, 0] == SKETCH).all()
    red = halves("in red")[1]
    assert (red[..., 0] >= red[..., 1:].max(2)).all()


def test_the_unseen_operation_is_made_of_two_that_are_seen():
    night, both = halves("at night")[1], halves(UNSEEN)[1]
    canvas = Canvas(64, (0, 0, 0))
    canvas.put(sky(), 0, 32, 64, 32)
    alone = canvas.picture()[32:]
    star = (alone != alone[0, 0]).any(2)
    still = (night == both[::-1]).all(2)
    assert still[~(star | star[::-1])].all()  # all but the stars and the moon
