"""Models in files: tensors and plain text only, so that loading one runs no code.

Files are in safetensors format. The header holds the kind of model, its configuration, and how
it was trained (command, seed, steps, minutes, machine).
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from minidalle.files import whole_file

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
            return {name: file.get_tensor(name) for name in file.keys() if tensors}, about
    except KeyError:
        raise ValueError(f"{path} holds tensors, but minidalle did not write it") from None
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise ValueError(f"{path} is not a complete weight file ({error})") from None


def read_about(path: Path) -> dict:
    """The description in a file, without its tensors; errors as in `read_tensors`."""
    return read_tensors(path, tensors=False)[1]


def plain(config) -> dict:
    """A dataclass as a dict of JSON values (tuples become lists)."""
    return json.loads(json.dumps(asdict(config)))


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


def save(
    path: Path,
    model: nn.Module,
    tensors: dict[str, Tensor] | None = None,
    half: bool = False,
    **about,
) -> None:
    """Save a model with its configuration; `half` stores float16, at half the size.

    `tensors` are the full weights, if `model` holds only shards of them.
    """
    tensors = model.state_dict() if tensors is None else tensors
    if half:
        tensors = {name: tensor.half() for name, tensor in tensors.items()}
    # From the config, because sharding renames the model's class.
    name = type(model.config).__name__.removesuffix("Config")
    write_tensors(path, tensors, {"model": name, "config": plain(model.config), **about})


def load(path: Path, kind: type[Model]) -> Model:
    """Load a model from a file, in float32 and evaluation mode.

    kind: the model's class, such as `DVAE`, with a `config_class`. Raises ValueError or
    FileNotFoundError, in one sentence, if the file is missing, truncated or of another kind.
    """
    tensors, about = read_tensors(path)
    if about.get("model") != kind.__name__:
        raise ValueError(f"{path} holds a {about.get('model')}, not a {kind.__name__}")
    try:
        model = kind(kind.config_class(**about["config"]))
        model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except (KeyError, TypeError, RuntimeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"{path} does not fit this version of {kind.__name__} ({reason})"
        ) from None
    return model.eval().requires_grad_(False)
