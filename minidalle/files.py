"""Files: atomic writes, reads of limited length, and foreign names in print."""

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


class TooLarge(ValueError):
    """A file, or what is packed in it, is larger than is sensible for its kind."""


def read_at_most(path: str | Path, most: int) -> bytes:
    """The content of a file; raises TooLarge, in a few words, if it has more than `most` bytes."""
    if os.path.getsize(path) > most:
        raise TooLarge(f"more than {most} bytes")
    return Path(path).read_bytes()


def printable(name: str | Path) -> str:
    r"""A foreign name for a terminal or a log, where escape sequences would take effect.

    >>> printable("κύκλος 圆.png"), printable("\x1b]0;a\n")
    ('κύκλος 圆.png', '\\x1b]0;a\\n')
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(name))
