"""Read the tensors in a file that OpenAI published, without running the code in it.

OpenAI's dVAE and CLIP are pickles and TorchScript archives, which can run arbitrary code when
loaded. Here only their tensors are read.
"""

import io
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

OLD = bytes.fromhex("6cfc9c46f9206aa85019")  # the header of torch.save before torch 1.6


class Inert:
    """Replaces any class that a foreign file names: it stores its state and has no behaviour."""


def read_foreign(path: Path) -> dict[str, Tensor]:
    """The named tensors in a file of `torch.save` or TorchScript; none of its code runs.

    Such a file pickles whole modules. It is read by torch's restricted unpickler, which accepts
    tensors and plain containers; the classes of layers are replaced by `Inert`. Anything else in
    the file, such as a function, raises ValueError, in one sentence.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no weight file {path}")
    with open(path, "rb") as file:
        if OLD in file.read(64):
            raise ValueError(
                f"{path} is in the old format of torch.save: convert it with "
                "`torch.save(torch.load(path, weights_only=True), path)`"
            )
    try:
        file = io.BytesIO()
        with zipfile.ZipFile(path) as archive, zipfile.ZipFile(file, "w") as copy:
            for entry in archive.namelist():  # without TorchScript's code
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
        others = ", ".join(sorted(set(asked) - set(layers))) or "something other than tensors"
        raise ValueError(
            f"{path} refers to {others}, which a file of weights does not need: refused"
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
        raise ValueError(f"{path} is not a complete file of torch.save or TorchScript") from None
    if not found:
        raise ValueError(f"{path} holds no tensors")
    return found


def _tensors_in(thing, name: tuple[str, ...] = ()) -> Iterator[tuple[str, Tensor]]:
    """("blocks.input.w", tensor), … of nested modules, named as in `state_dict`."""
    if isinstance(thing, Tensor):
        yield ".".join(name), thing
    children = thing if isinstance(thing, dict) else vars(thing) if isinstance(thing, Inert) else {}
    for key, child in children.items():
        inside = key in ("_parameters", "_buffers", "_modules")  # parts of a module, not names
        yield from _tensors_in(child, name if inside else (*name, str(key)))
