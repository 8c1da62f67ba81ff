"""Matrices: the rule by hand, what is held out, and that only the last cell is judged."""

from random import Random

from minidalle.world import reader
from minidalle.world.matrices import MATRICES, last_cell

FACTS = {
    "shape": "circle star heart",
    "colour": "red blue green",
    "number": "1 2 3",
    "across": "shape",
    "down": "number",
    "rest": "same",
    "inverted": "no",
}


def test_the_answer_follows_from_the_rule():
    assert last_cell(FACTS) == {"shape": "heart", "colour": "red", "number": "3"}
    # red blue green / blue green red / green red blue
    permuted = FACTS | {"rest": "permuted"}
    assert last_cell(permuted) == {"shape": "heart", "colour": "blue", "number": "3"}


def test_the_caption_does_not_say_the_answer():
    rng = Random(0)
    captions = {MATRICES.caption_of(MATRICES.sample(rng)) for _ in range(20)}
    assert captions == {"a matrix of shapes with the last cell filled in"}
    assert MATRICES.parse(captions.pop()) == {}


def test_the_other_cells_do_not_tell_the_answer_apart():
    other = FACTS | {"shape": "star circle heart"}
    assert reader.differences(MATRICES, FACTS, other) == []
    assert reader.differences(MATRICES, FACTS, FACTS | {"shape": "circle heart star"}) == ["shape"]


def test_only_the_last_cell_is_read():
    """The eight given cells of one matrix, and a wrong ninth."""
    wrong = FACTS | {"shape": "circle heart star"}
    right, other = (MATRICES.paint(f | {"background": "pink"}) for f in (FACTS, wrong))
    picture = right.copy()
    picture[44:, 44:] = other[44:, 44:]
    (seen,) = reader.examine(MATRICES, picture[None])
    assert last_cell(seen.facts) == last_cell(wrong) and seen.worst == 0


def test_inverted_matrices_are_held_out():
    inverted = FACTS | {"inverted": "yes"}
    assert MATRICES.held_out(inverted)
    assert MATRICES.caption_of(inverted) == MATRICES.caption_of(FACTS)
    plain, turned = (MATRICES.paint(f | {"background": "pink"}) for f in (FACTS, inverted))
    assert (plain == 255 - turned).all()
