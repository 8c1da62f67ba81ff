"""Atomic writes: a file is written under a temporary name, then renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A temporary path to write to; it replaces `path` when the block ends without an error.

    Raises OSError, in one sentence that names the file, if it cannot be written (disk full, say).
    """
    part = Path(f"{path}.part")
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"{path} cannot be written ({reason})") from None
    finally:
        part.unlink(missing_ok=True)
