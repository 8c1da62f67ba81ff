"""What notebooks share: the check says what kind of mistake it is, and not the answer."""

import pytest
import torch

from minidalle import lesson
from minidalle.lesson import check


@pytest.mark.parametrize("said, right, words", [
    (3, 3, "right"),
    (0.33333, 1 / 3, "right"),
    (torch.tensor(2.0), 2, "right"),
    (None, None, "right"),
    (torch.arange(3), torch.arange(3), "right"),
    (None, 7, "nothing is returned"),
    (5, 7, "5 is too small"),
    (9.0, 7, "9.0 is too large"),
    ("7", 7, "a str is returned, but a number"),
    ((1, 2, 3), (1, 7), "has 3 entries"),
    ([1, 7], (1, 7), "a list is returned, but a tuple"),
    ("seven", "7 and", "'seven' is not right"),
    (torch.zeros(2, 3), torch.zeros(3, 2), "the shape (2, 3) is not right"),
    (torch.zeros(3), torch.tensor([0, 7, 0]), "1 of 3 numbers are wrong, the first at (1,)"),
    (1, torch.zeros(3), "an int is returned, but a tensor"),
])  # fmt: skip
def test_check(capsys, said, right, words):
    check(lambda given: said, [(("given",), right)])
    printed = capsys.readouterr().out
    assert words in printed and printed.count("\n") == 1
    assert "7" not in printed.replace("'7'", "") or words == "right"


def test_check_names_the_first_case_that_fails(capsys):
    check(lambda x: x // x, [((2,), 1), ((0,), 1), ((3,), 2)])
    assert capsys.readouterr().out == (
        "not yet: for (0), it raises ZeroDivisionError: integer division or modulo by zero\n"
    )


def test_begin_says_what_to_do_without_a_traceback(monkeypatch):
    def lacks(name):
        raise FileNotFoundError("there is no tiny/clip.safetensors")

    monkeypatch.setattr(lesson.pipeline, "load_pretrained", lacks)
    with pytest.raises(lesson.Stop, match="git restore data/tiny.*no tiny/clip") as caught:
        lesson.begin()
    assert caught.value._render_traceback_() == [str(caught.value)]
