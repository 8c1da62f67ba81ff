"""Read the tensors in a file that OpenAI published, without running the code in it.

OpenAI's dVAE and CLIP are pickles and TorchScript archives, which can run arbitrary code when
loaded. Here only their tensors are read.
"""

import io
import pickletools
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from minidalle.words import shown

OLD = bytes.fromhex("6cfc9c46f9206aa85019")  # the header of torch.save before torch 1.6
LAYER = re.compile(r"(dall_e|torch\.nn\.modules|__torch__)\..+")
NEEDED = re.compile(  # what a pickle of tensors names: nothing that runs code or fills memory
    r"torch\._utils\._rebuild_(tensor(_v[23])?|parameter)|torch\.nn\.parameter\.Parameter"
    r"|torch\.(storage\.)?[A-Z][a-z0-9A-Z]+Storage|torch\.(Size|device|bool|u?int\d+|b?float\w+)"
    r"|collections\.(OrderedDict|Counter)|(builtins|__builtin__)\.set"
)
MOST_NESTED = 100  # dicts and modules inside each other; in OpenAI's files there are about ten
MOST_SHARED = 4  # bytes of tensors per byte of the file, which has tied weights once


class Inert:
    """Replaces any class that a foreign file names: it stores its state and has no behaviour."""


class Refused(Exception):
    """A file that would run code, or take more memory than its own size, with the reason."""


def read_foreign(path: Path) -> dict[str, Tensor]:
    """The named tensors in a file of `torch.save` or TorchScript; none of its code runs.

    Such a file pickles whole modules. It is read by torch's restricted unpickler, which accepts
    tensors and plain containers; the classes of layers are replaced by `Inert`. Anything else in
    the file, such as a function, raises ValueError, in one sentence, and so do tensors that are
    larger than the file itself.
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
        found = dict(_tensors_in(_unpickled(path), seen=set()))
        if (
            sum(tensor.nbytes for tensor in found.values())
            > MOST_SHARED * Path(path).stat().st_size
        ):
            raise Refused("holds the same numbers too many times")
    except Refused as reason:
        raise ValueError(f"{path} {reason}: refused") from None
    except Exception:  # torch and zipfile raise nearly anything for a damaged file
        raise ValueError(f"{path} is not a complete file of torch.save or TorchScript") from None
    if not found:
        raise ValueError(f"{path} holds no tensors")
    return found


def _unpickled(path: Path) -> Any:
    """What was saved, read from a copy in memory without TorchScript's code."""
    file, size, named = io.BytesIO(), Path(path).stat().st_size, set()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(file, "w") as copy:
        entries = [
            entry
            for entry in archive.infolist()
            if not entry.filename.split("/", 1)[-1].startswith(("code/", "constants"))
        ]
        # torch compresses no tensors. What is not compressed cannot be larger than the file,
        # whatever the archive's directory says, unless entries overlap.
        if any(entry.compress_type for entry in entries):
            raise Refused("is compressed, which torch.save never does")
        if sum(entry.file_size for entry in entries) > size:
            raise Refused("lists more than it holds")
        for entry in entries:
            content = archive.read(entry)
            copy.writestr(entry.filename, content)
            if entry.filename.endswith("data.pkl"):
                operations = pickletools.genops(content)
                named |= {
                    name.replace(" ", ".") for op, name, _ in operations if op.name == "GLOBAL"
                }
    layers = {name for name in named if LAYER.fullmatch(name)}
    if others := sorted(name for name in named - layers if not NEEDED.fullmatch(name)):
        words = shown(", ".join(others))
        raise Refused(f"refers to {words}, which a file of weights does not need")
    file.seek(0)
    with torch.serialization.safe_globals([(Inert, name) for name in layers]):
        return torch.load(file, map_location="cpu", weights_only=True)


def _tensors_in(thing: Any, seen: set[int], place: tuple[str, ...] = ()) -> Iterator:
    """("blocks.input.w", tensor), … of nested modules, named as in `state_dict`.

    A dict or module that is in many places is read once: there can be 2ⁿ ways to it.
    """
    if isinstance(thing, Tensor):
        parts = ("_parameters", "_buffers", "_modules")  # parts of a module, not names
        name = ".".join(key for key in place if key not in parts)
        if thing.nbytes > thing.untyped_storage().nbytes():  # repeated, by a stride of 0
            raise Refused(f"holds fewer numbers than its {shown(name)} has")
        yield name, thing
    children = thing if isinstance(thing, dict) else vars(thing) if isinstance(thing, Inert) else {}
    if not children or id(thing) in seen:
        return
    if len(place) == MOST_NESTED:
        raise Refused(f"nests more than {MOST_NESTED} dicts or modules")
    seen.add(id(thing))
    for key, child in children.items():
        yield from _tensors_in(child, seen, (*place, str(key)))
