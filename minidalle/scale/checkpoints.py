"""Sharded checkpoints: each process writes its shards; any number of processes can read them.

    PLACE/step-000000400/   a file of tensors for each process, and about.json
    PLACE/latest            the name of the newest complete folder

A folder is written under a temporary name and renamed when every process is done, then `latest`
points to it, so a checkpoint that is read is complete.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import torch.distributed as dist
from torch import Tensor
from torch.distributed import checkpoint as dcp

from minidalle.runtime import Checkpoint


class ShardedCheckpoint(Checkpoint):
    """The state of a run in a folder."""

    def __init__(self, place: Path, keep: int = 2):
        """keep: how many of the newest checkpoints to keep."""
        self.path, self.keep = place, keep

    def save(self, tensors: dict[str, Tensor], about: dict) -> None:
        """Every process writes its shards to PLACE/step-N; then `latest` points there."""
        folder = self.path / f"step-{about['step']:09}"
        part = folder.with_suffix(".part")
        if dist.get_rank() == 0:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
        dist.barrier()
        writer = dcp.HuggingFaceStorageWriter(str(part), save_distributed=True)
        dcp.save(tensors, storage_writer=writer)
        dist.barrier()
        if dist.get_rank() == 0:
            self.publish(part, folder, about)
        dist.barrier()

    def publish(self, part: Path, folder: Path, about: dict) -> None:
        """Rename a complete folder, point `latest` to it, and delete the oldest."""
        sizes = {file.name: file.stat().st_size for file in part.iterdir()}
        (part / "about.json").write_text(json.dumps(about | {"files": sizes}))
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
        (self.path / "latest.part").write_text(folder.name)
        os.replace(self.path / "latest.part", self.path / "latest")
        for old in sorted(self.path.glob("step-*[0-9]"))[: -self.keep]:
            shutil.rmtree(old)

    def newest(self) -> tuple[Path, dict]:
        """The newest complete checkpoint and its header, the same in every process."""
        found = [next(whole_checkpoints(self.path), None) if dist.get_rank() == 0 else None]
        dist.broadcast_object_list(found)
        if found[0] is None:
            raise FileNotFoundError(
                f"there is no complete checkpoint in {self.path} to resume: leave out --resume"
            )
        return found[0]

    def about(self) -> dict:
        """The header of the newest complete one; raises FileNotFoundError if there is none."""
        return self.newest()[1]

    def fill(self, tensors: dict[str, Tensor]) -> None:
        """Read it into these tensors or shards, however many processes wrote it."""
        folder, _ = self.newest()
        dcp.load(tensors, storage_reader=dcp.HuggingFaceStorageReader(str(folder)))

    def delete(self) -> None:
        """Remove it, if there is one."""
        if dist.get_rank() == 0:
            shutil.rmtree(self.path, ignore_errors=True)


def whole_checkpoints(place: Path) -> Iterator[tuple[Path, dict]]:
    """The complete checkpoints of a place, `latest` first; reports incomplete ones on stderr."""
    latest = place / "latest"
    folders = sorted(place.glob("step-*[0-9]"), reverse=True)
    if latest.is_file():
        folders.sort(key=lambda folder: folder.name != latest.read_text())
    for folder in folders:
        try:
            about = json.loads((folder / "about.json").read_text())
            sizes = about["files"].items()
            if torn := [name for name, size in sizes if (folder / name).stat().st_size != size]:
                raise ValueError(f"{torn[0]} is truncated")
            yield folder, about
        except (OSError, ValueError, KeyError) as error:
            said = f"{folder} is incomplete ({error}): using the one before"
            print(f"minidalle: {said}", file=sys.stderr)
