"""Files are written whole or not at all: under a temporary name, then renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Where to write what is to be in `path`: it is there when the block ends, or is as before.

    OSError, in one sentence that names the file, if it cannot be written; the disk may be full.
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
