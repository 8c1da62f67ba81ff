"""Models in files: tensors and plain text only, so that loading one runs no code.

Files are in safetensors format. The header holds the kind of model, its configuration, and how
it was trained (command, seed, steps, minutes, machine).
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, is_dataclass
from itertools import chain
from math import prod
from pathlib import Path
from reprlib import repr as brief  # foreign values: cut short, and what is not printable escaped
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

from minidalle.files import whole_file
from minidalle.words import shown

LARGEST_PICTURE = 4096  # pixels a side; also more than all other sizes that no tensor has
FLOATS = torch.float64, torch.float32, torch.float16, torch.bfloat16  # in which weights are stored
Shapes = Mapping[str, tuple[int, ...]]
Config = TypeVar("Config")
Model = TypeVar("Model", bound=nn.Module)


def write_tensors(path: Path, tensors: dict[str, Tensor], about: dict) -> None:
    """Write tensors and a description (plain JSON values); errors as in `whole_file`."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    with whole_file(path) as part:
        try:
            save_file(tensors, part, metadata={"minidalle": json.dumps(about)})
        except SafetensorError as error:  # neither OSError nor ValueError
            raise OSError(str(error).removeprefix("Error while serializing: I/O error: ")) from None


def read_tensors(path: Path, tensors: bool = True) -> tuple[dict[str, Tensor], dict]:
    """Read what `write_tensors` wrote; raises ValueError, in one sentence, for any other file."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no weight file {path}")
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["minidalle"])
            if not isinstance(about, dict):
                raise KeyError("minidalle")
            if not isinstance(about.get("data", ""), str):
                raise ValueError(f"its data is {brief(about['data'])}")
            return {name: file.get_tensor(name) for name in file.keys() if tensors}, about
    except KeyError:
        raise ValueError(f"{path} holds tensors, but minidalle did not write it") from None
    except (SafetensorError, ValueError, RecursionError, OSError) as error:
        raise ValueError(f"{path} is not a complete weight file ({shown(str(error))})") from None


def read_about(path: Path) -> dict:
    """The description in a file, without its tensors; errors as in `read_tensors`."""
    return read_tensors(path, tensors=False)[1]


# ---- configurations ---------------------------------------------------------------------


def plain(config) -> dict:
    """A dataclass as a dict of JSON values (tuples become lists)."""
    return json.loads(json.dumps(asdict(config)))


def config_from(kind: type[Config], values: Any, path: Path, most: int = 2**31) -> Config:
    """The dataclass that `plain` turned into these values, which were read from a file.

    Every field must be there, no other, and each of its type; no number may be above `most` or
    negative, and no int 0 unless the type says so. Raises ValueError, in one sentence that names
    the file and the field.
    """
    hints, its = get_type_hints(kind), f"{path}: its {kind.__name__}"

    def typed(hint: Any, value: Any) -> Any:
        """The value, if it is what the type hint says; else raises TypeError."""
        of, options = get_origin(hint), get_args(hint)
        if isinstance(hint, type) and is_dataclass(hint):
            return config_from(hint, value, path, most)
        if of is tuple and isinstance(value, list):
            each = options[:1] * len(value) if ... in options else options
            if len(each) == len(value):
                return tuple(map(typed, each, value))
        for option in options if of in (Union, UnionType) else ():
            with suppress(TypeError):
                return typed(option, value)
        low = {int: 1, float: 0}.get(hint)
        if low is not None:
            if type(value) in (int, hint) and low <= value <= most:
                return value
            raise TypeError(f"must be a number ({hint.__name__}) from {low} to {most}")
        if type(value) is hint or any(type(value) is type(x) and value == x for x in options):
            return value
        raise TypeError(f"must be {getattr(hint, '__name__', hint)}".replace("typing.", ""))

    values = values if isinstance(values, dict) else {}
    for name in sorted(hints.keys() ^ values.keys()):
        verb = "lacks" if name in hints else "is of another version: it has"
        raise ValueError(f"{its} {verb} {shown(name)}")
    fields = {}
    for name, hint in hints.items():
        try:
            fields[name] = typed(hint, values[name])
        except TypeError as error:
            raise ValueError(f"{its}'s {name} {error}, not {brief(values[name])}") from None
    try:
        return kind(**fields)
    except ValueError as error:
        raise ValueError(f"{its} cannot be: {error}") from None


def fingerprint(model: nn.Module) -> str:
    """sha256 of a model's configuration and weights."""
    digest = hashlib.sha256(json.dumps(plain(model.config)).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + tensor.float().contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()


def check_made_of(path: Path, others: dict[str, str]) -> None:
    """Raise ValueError if the model in a file was trained with others than these fingerprints say.

    A file that names none of them passes: those shipped first do not.
    """
    about = read_about(path)
    for name, value in others.items():
        if about.get(name, value) != value:
            raise ValueError(f"{path} was trained with another {name} than the one beside it")


def is_finite(tensor: Tensor) -> bool:
    """Whether there is neither NaN nor infinity in it."""
    # If the sum is finite, everything is, and a sum takes a quarter of the time; it may overflow.
    return bool(tensor.sum().isfinite()) or bool(tensor.isfinite().all())


def save(
    path: Path,
    model: nn.Module,
    tensors: dict[str, Tensor] | None = None,
    half: bool = False,
    **about,
) -> None:
    """Save a model with its configuration; `half` stores float16, at half the size.

    `tensors` are the full weights, if `model` holds only shards of them. Raises FloatingPointError,
    in one sentence, if one of them is not finite, and leaves the file as it was.
    """
    tensors = model.state_dict() if tensors is None else tensors
    if half:
        tensors = {n: t.half() if t.is_floating_point() else t for n, t in tensors.items()}
    for name, tensor in tensors.items():
        if not is_finite(tensor):
            raise FloatingPointError(f"{path} is not written: its {name} would not be finite")
    # From the config, because sharding renames the model's class.
    name = type(model.config).__name__.removesuffix("Config")
    write_tensors(path, tensors, {"model": name, "config": plain(model.config), **about})


def load(path: Path, kind: type[Model]) -> Model:
    """Load a model from a file, in float32 and evaluation mode.

    kind: the model's class, such as `DVAE`, with a `config_class`. Raises ValueError or
    FileNotFoundError, in one sentence, if the file is missing, damaged or of another kind. What
    its header says is compared with its tensors before they are read.
    """
    about = read_about(path)
    if about.get("model") != kind.__name__:
        found = brief(about.get("model")).strip("'")
        raise ValueError(f"{path} holds a {found}, not a {kind.__name__}")
    with safe_open(path, framework="pt") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
        # The longest side of a tensor is the largest of a model's sizes, or it is of a picture.
        most = max(LARGEST_PICTURE, *chain(*shapes.values(), [0]))
        config = config_from(kind.config_class, about.get("config"), path, most)
        try:
            return build(kind, config, shapes, file.get_tensor)
        except ValueError as error:
            raise ValueError(f"{path} is not a usable {kind.__name__}: {error}") from None


def build(kind: type[Model], config: Any, shapes: Shapes, read: Callable[[str], Tensor]) -> Model:
    """The model that consists of foreign tensors, in float32 and evaluation mode.

    shapes: those of the tensors, by name; `read` returns each. Raises ValueError, with a reason
    for the end of a sentence, if the tensors are not exactly those of such a model, or not finite.
    """
    model = unfilled(kind, config, shapes)
    state = model.state_dict()
    wanted = shapes_of(state)
    for name in sorted(wanted.keys() | shapes.keys()):
        found, right = shapes.get(name, "missing"), wanted.get(name, "missing")
        if found != right:
            raise ValueError(f"{shown(name)} is {found} and should be {right}")
    for name, own in state.items():
        tensor = read(name)
        if tensor.dtype not in (*FLOATS, own.dtype):
            raise ValueError(f"{name} holds {tensor.dtype}, not {own.dtype}")
        own.copy_(tensor)
        if not is_finite(own):
            raise ValueError(f"{name} is not finite")
    return model.eval().requires_grad_(False)


def shapes_of(tensors: Mapping[str, Tensor]) -> Shapes:
    """The shape of each tensor, by its name."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def unfilled(kind: type[Model], config: Any, shapes: Shapes) -> Model:
    """A model whose parameters are allocated, but not yet given values.

    It is given up as soon as it has twice as many values as these tensors, so that nobody waits
    for 20 000 layers; raises ValueError, with a reason, then and if no model has this config.
    """
    values = 2 * sum(map(prod, shapes.values()))

    def count(module: nn.Module, name: str, parameter: Tensor) -> None:
        nonlocal values
        values -= parameter.numel()
        if values < 0:
            raise ValueError("its header describes a much larger model than its tensors")

    hook = register_module_parameter_registration_hook(count)
    try:
        with Unfilled():
            return kind(config)
    except (ArithmeticError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError((str(error) or type(error).__name__).splitlines()[0]) from None
    finally:
        hook.remove()


class Unfilled(TorchFunctionMode):
    """Leaves random initial values out. Memory that is not written to is not used.

    (A model on the meta device has no memory at all, but arithmetic there imports torch's
    compiler, which takes two seconds.)
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function.__name__ in ("normal_", "uniform_", "kaiming_uniform_"):
            return args[0] if args else kwargs["tensor"]
        if function in (torch.rand, torch.randn):
            kwargs.pop("generator", None)
            function = torch.empty
        return function(*args, **kwargs)
