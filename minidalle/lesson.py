"""What all notebooks share: the first line, methods added cell by cell, checks of exercises."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from minidalle import pipeline
from minidalle.dalle2 import pipeline as second


class Stop(Exception):
    """Ends a notebook's run with one sentence in place of a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def begin(preset: str = "tiny") -> pipeline.Pretrained | second.Pretrained:
    """Prepare a notebook, and load the models that come with minidalle: tiny, small, dalle2
    or dalle_mini.

    Figures get 144 dots per inch. The models are so small that one thread is the quickest. Raises
    `Stop`, with what to do, if a file of the models is missing or damaged.
    """
    import matplotlib.pyplot as plt

    plt.rcParams |= {"figure.dpi": 144, "font.size": 9, "figure.constrained_layout.use": True}
    torch.set_num_threads(1)
    load = second.load_pretrained if preset == "dalle2" else pipeline.load_pretrained
    try:
        return load(preset)
    except (OSError, ValueError) as error:
        raise Stop(f"Run `git restore data/{preset}` in minidalle's folder: {error}.") from None


def add_to(kind: type) -> Callable[[Callable], Callable]:
    """Make the function below a method of a class, so that a class can grow from cell to cell.

    >>> class Dog: pass
    >>> @add_to(Dog)
    ... def speak(self): return "woof"
    >>> Dog().speak()
    'woof'
    """

    def add(function: Callable) -> Callable:
        setattr(kind, function.__name__, function)
        return function

    return add


# ---- exercises --------------------------------------------------------------------------


def check(function: Callable, cases: Sequence[tuple[tuple, Any]], within: float = 1e-3) -> None:
    """Try the cases (arguments, answer), the smallest first, and say of which kind a mistake is.

    Numbers may differ by `within`. The answer itself is not printed.

    >>> check(lambda x: x, [((1,), 1), ((2,), 4)])
    not yet: for (2), 2 is too small
    """
    for given, right in cases:
        arguments = ", ".join(map(_short, given))
        try:
            mistake = _mistake(function(*given), right, within)
        except Exception as error:
            mistake = f"it raises {type(error).__name__}: {error}"
        if mistake:
            return print(f"not yet: for ({arguments}), {mistake}")
    print("right")


def _mistake(said: Any, right: Any, within: float) -> str | None:
    """What kind of mistake an answer is; None if it is right."""
    if said is None:
        return None if right is None else "nothing is returned"
    if isinstance(right, Tensor):
        return _mistake_of_tensor(said, right, within)
    if isinstance(right, bool) or not isinstance(right, (int, float)):
        return _mistake_of_other(said, right)
    if isinstance(said, Tensor) and said.numel() == 1:
        said = said.item()
    if not isinstance(said, (int, float)):
        return f"{_kind(said)} is returned, but a number is asked for"
    if math.isclose(said, right, abs_tol=within):
        return None
    return f"{_short(said)} is too {'large' if said > right else 'small'}"


def _mistake_of_other(said: Any, right: Any) -> str | None:
    if type(said) is not type(right):
        return f"{_kind(said)} is returned, but {_kind(right)} is asked for"
    if isinstance(right, (list, tuple)) and len(said) != len(right):
        return f"{_short(said)} has {len(said)} entries, which is not the right number"
    return None if said == right else f"{_short(said)} is not right"


def _mistake_of_tensor(said: Any, right: Tensor, within: float) -> str | None:
    if not isinstance(said, Tensor):
        return f"{_kind(said)} is returned, but a tensor is asked for"
    if said.shape != right.shape:
        return f"the shape {tuple(said.shape)} is not right"
    wrong = (said.double() - right.double()).abs() > within
    if wrong.any():
        first = tuple(wrong.nonzero()[0].tolist())
        return f"{int(wrong.sum())} of {wrong.numel()} numbers are wrong, the first at {first}"
    return None


def _kind(value: Any) -> str:
    """ "an int", "a tuple", "None"."""
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _short(value: Any) -> str:
    """A value in a few characters; of a tensor its shape, of a model its class."""
    if isinstance(value, Tensor) and value.numel() > 8:
        return f"a tensor {tuple(value.shape)}"
    if isinstance(value, nn.Module):
        return _kind(value)
    if isinstance(value, Tensor):
        value = (value.double().round(decimals=4) if value.is_floating_point() else value).tolist()
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
