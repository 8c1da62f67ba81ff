"""Sharded checkpoints: each process writes its shards; any number of processes can read them.

    PLACE/step-000000400/   a file of tensors for each process, and about.json
    PLACE/latest            the name of the newest complete folder

A folder is made under another name and renamed when every process is done and everything is on the
disk, then `latest` points to it, so a checkpoint that is read is complete. What `torch` writes of a
tensor is its memory as it lies there, so tensors are handed over contiguous.
"""

import json
import logging
import shutil
import sys
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path

import torch.distributed as dist
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.distributed import checkpoint as dcp

from minidalle.files import folder_beside, read_at_most, sweep, whole_file
from minidalle.runtime import Checkpoint, checked
from minidalle.words import shown

ABOUT = "about.json"


class ShardedCheckpoint(Checkpoint):
    """The state of a run in a folder."""

    def __init__(self, place: Path, keep: int = 2):
        """keep: how many of the newest checkpoints to keep."""
        self.path, self.keep = place, keep

    def save(self, tensors: dict[str, Tensor], about: dict) -> None:
        """Every process writes its shards to PLACE/step-N; then `latest` points there."""
        folder = self.path / f"step-{about['step']:09}"
        first = dist.get_rank() == 0
        if first:
            self.path.mkdir(parents=True, exist_ok=True)
            sweep(self.path)
        with folder_beside(folder) if first else nullcontext() as part:
            places = [part]
            dist.broadcast_object_list(places)
            writer = dcp.HuggingFaceStorageWriter(str(places[0]), save_distributed=True)
            whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
            try:
                dcp.save(whole, storage_writer=writer)
            except dcp.api.CheckpointException as error:  # in every process; no Exception
                why = [failure[0] for failure in error.failures.values()]
                raise OSError(f"{folder} cannot be written ({why[0]})") from None
            dist.barrier()
            if part:
                self.publish(part, folder, about)
        dist.barrier()

    def publish(self, part: Path, folder: Path, about: dict) -> None:
        """Rename a complete folder, point `latest` to it, and delete those no longer needed."""
        sizes = {file.name: file.stat().st_size for file in part.iterdir()}
        with whole_file(part / ABOUT) as file:
            file.write_text(json.dumps(about | {"files": sizes}))
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
        with whole_file(self.path / "latest") as file:  # which writes the new name to the disk, too
            file.write_text(folder.name)
        others = [other for other in self.path.glob("step-*[0-9]") if other != folder]
        older = sorted(other for other in others if other < folder and not fault(other))
        kept = older[max(0, len(older) - self.keep + 1) :]
        for other in others:
            if other not in kept:  # too old, torn, or of steps that this run will do again
                shutil.rmtree(other)

    def newest(self) -> tuple[Path, dict] | None:
        """The newest complete checkpoint and its header, the same in every process."""
        found = [next(whole_checkpoints(self.path), None) if dist.get_rank() == 0 else None]
        dist.broadcast_object_list(found)
        return found[0]

    def exists(self) -> bool:
        """Whether there is one; raises ValueError or FileNotFoundError if it cannot be resumed."""
        alone = Checkpoint(self.path).path
        if not self.path.is_dir() and alone.is_file():
            raise FileNotFoundError(f"{alone} is of a single process: resume it without `torchrun`")
        complete, found = self.newest(), folders_in(self.path)
        if found and not complete:
            why = f"is incomplete ({shown(fault(found[0]))}), and there is no other"
            raise ValueError(f"{found[0]} {why}: --overwrite starts over")
        return complete is not None

    def there(self) -> tuple[Path, dict]:
        """The newest complete one; raises FileNotFoundError if there is none."""
        if found := self.newest():
            return found
        raise FileNotFoundError(f"there is no complete checkpoint in {self.path}")

    def about(self) -> dict:
        """Its header; errors as in `there`."""
        folder, about = self.there()
        return checked(about, folder)

    def fill(self, tensors: dict[str, Tensor]) -> None:
        """Read it into these tensors or shards, however many processes wrote it."""
        folder, _ = self.there()
        for file in folder.glob("*.safetensors"):
            try:
                with safe_open(file, framework="pt"):
                    pass
            except (SafetensorError, OSError) as error:
                raise ValueError(f"{file} is damaged ({shown(error)})") from None
        logging.disable()  # torch would print a traceback before it raises the exception
        try:
            dcp.load(tensors, storage_reader=dcp.HuggingFaceStorageReader(str(folder)))
        except dcp.api.CheckpointException:
            said = f"{folder} belongs to a model of another size, or is damaged"
            raise ValueError(said) from None
        finally:
            logging.disable(logging.NOTSET)

    def delete(self) -> None:
        """Remove it, if there is one."""
        if dist.get_rank() == 0:
            shutil.rmtree(self.path, ignore_errors=True)


def whole_checkpoints(place: Path) -> Iterator[tuple[Path, dict]]:
    """The complete checkpoints of a place, `latest` first; reports incomplete ones on stderr."""
    torn = []
    for folder in folders_in(place):
        if wrong := fault(folder):
            torn.append(shown(f"{folder} is incomplete ({wrong})"))
            continue
        while torn:
            print(f"minidalle: {torn.pop(0)}: using {folder.name}", file=sys.stderr)
        yield folder, json.loads((folder / ABOUT).read_text())


def folders_in(place: Path) -> list[Path]:
    """The checkpoints of a place, complete or not, `latest` first, then later ones first."""
    folders = sorted(place.glob("step-*[0-9]"), reverse=True)
    with suppress(OSError, ValueError):  # `latest` is no text, say
        latest = read_at_most(place / "latest", 1000).decode("utf-8")
        folders.sort(key=lambda folder: folder.name != latest)
    return folders


def fault(folder: Path) -> str | None:
    """What is wrong with a checkpoint's folder, if anything is."""
    if not (folder / ABOUT).is_file():
        return f"there is no file {ABOUT}"
    try:
        sizes = json.loads((folder / ABOUT).read_text())["files"].items()
        torn = [name for name, size in sizes if (folder / name).stat().st_size != size]
        return f"{torn[0]} is truncated" if torn else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        return str(error)
