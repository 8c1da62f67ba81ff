"""The tensors in a file that OpenAI published, without running the code in it.

OpenAI's dVAE and CLIP are pickles and TorchScript archives, whose loading would run whatever
they name. Here only their tensors are read.
"""

import io
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

OLD = bytes.fromhex("6cfc9c46f9206aa85019")  # what torch.save began with before torch 1.6


class Inert:
    """Stands where a foreign file asks for a class: keeps what it is given, and can do nothing."""


def read_foreign(path: Path) -> dict[str, Tensor]:
    """The named tensors in a file of `torch.save` or TorchScript; none of its code runs.

    Such a file pickles whole modules. torch's own restricted unpickler reads it, which knows
    tensors and plain containers; classes of layers are replaced by `Inert`. Whatever else the
    file asks for, a function say, is refused with ValueError, in one sentence.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no weight file {path}")
    with open(path, "rb") as file:
        if OLD in file.read(64):
            raise ValueError(
                f"{path} is in the old format of torch.save: write it again with "
                "`torch.save(torch.load(path, weights_only=True), path)`"
            )
    try:
        file = io.BytesIO()
        with zipfile.ZipFile(path) as archive, zipfile.ZipFile(file, "w") as copy:
            for entry in archive.namelist():  # TorchScript's code is left behind
                if not entry.split("/", 1)[-1].startswith(("code/", "constants")):
                    copy.writestr(entry, archive.read(entry))
        file.seek(0)
        asked = torch.serialization.get_unsafe_globals_in_checkpoint(file)
        layers = [
            name
            for name in asked
            if name.startswith(("dall_e.", "torch.nn.modules.", "__torch__."))
        ]
        file.seek(0)
        with torch.serialization.safe_globals([(Inert, name) for name in layers]):
            found = dict(_tensors_in(torch.load(file, map_location="cpu", weights_only=True)))
    except pickle.UnpicklingError:
        others = ", ".join(sorted(set(asked) - set(layers))) or "something that is no tensor"
        raise ValueError(
            f"{path} asks for {others}, which only a program would need: refused"
        ) from None
    except (
        zipfile.BadZipFile,
        RuntimeError,
        ValueError,
        LookupError,
        TypeError,
        EOFError,
        OSError,
    ):
        raise ValueError(f"{path} is not a whole file of torch.save or TorchScript") from None
    if not found:
        raise ValueError(f"{path} holds no tensors")
    return found


def _tensors_in(thing, name: tuple[str, ...] = ()) -> Iterator[tuple[str, Tensor]]:
    """("blocks.input.w", tensor), … of modules within modules, as `state_dict` would name them."""
    if isinstance(thing, Tensor):
        yield ".".join(name), thing
    children = thing if isinstance(thing, dict) else vars(thing) if isinstance(thing, Inert) else {}
    for key, child in children.items():
        inside = key in ("_parameters", "_buffers", "_modules")  # where modules keep them
        yield from _tensors_in(child, name if inside else (*name, str(key)))
