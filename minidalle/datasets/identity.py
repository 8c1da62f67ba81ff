"""Is it still the same data? A resumed run asks, because its batches depend on every file."""

import hashlib
from pathlib import Path

from minidalle.datasets.pairs import hidden
from minidalle.datasets.shards import expand

BEGINNING = 2**16  # bytes: pictures and captions whole, and of a shard its first samples


def identity(data: str) -> str | None:
    """sha256 of names, sizes and beginnings of all files, but hidden ones, of a folder or pattern.

    None for data that is painted, such as "scenes". Every byte of many shards would take hours.
    """
    folder, digest = Path(data), hashlib.sha256()
    if folder.is_dir():
        found = (path for path in folder.rglob("*") if path.is_file())
        files = sorted(path for path in found if not hidden(str(path.relative_to(folder))))
    elif data.endswith((".tar", ".safetensors")):
        files = expand(data)
    else:
        return None
    for path in files:
        name = path.relative_to(folder) if folder.is_dir() else path.name
        with open(path, "rb") as file:
            beginning = hashlib.sha256(file.read(BEGINNING)).hexdigest()
        digest.update(f"{name}\0{path.stat().st_size}\0{beginning}\0".encode(errors="replace"))
    return digest.hexdigest()
