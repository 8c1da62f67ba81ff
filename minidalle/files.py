"""Files that are whole or not there, limits on what is read, and work for one process at a time.

A file is written in a folder of its own, beside its target, and takes the target's place once it
is safely on the disk. A process that is killed leaves such a folder behind, and the next one that
writes the same file removes it. What a process holds, the system releases when the process ends,
in whatever way: so it can be told which folders are left over, and no lock is ever stale.
"""

import errno
import glob
import os
import platform
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: nothing is held there
    fcntl = None  # type: ignore[assignment]

ENDING = ".part"
NO_LINK = getattr(os, "O_NOFOLLOW", 0)


# ---- whole files ------------------------------------------------------------------------


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A path to write to; it replaces `path` when the block ends without an error.

    It has the name of `path`, and its folder holds nothing else, so a library may use temporary
    names of its own there. Raises OSError, in one sentence that names the file, if it cannot be
    written (disk full, say).
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise OSError("it is no ordinary file")  # a device would be replaced
        with folder_beside(path) as folder:
            part = folder / path.name
            part.touch()
            mode = part.stat().st_mode  # what the umask allows, whatever a library makes of it
            yield part
            part.chmod(mode)
            to_disk(part)
            os.replace(part, path)
        to_disk(path.parent)
    except OSError as error:
        raise OSError(f"{path} cannot be written ({error.strerror or error})") from None


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """A new folder in which to make what will be `path`; the block may move it away.

    Its name cannot be guessed, so nobody can have laid a link there.
    """
    sweep(path.parent, glob.escape(path.name))
    folder, grip = new_folder(path)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if grip is not None:
            os.close(grip)


def new_folder(path: Path) -> tuple[Path, int | None]:
    """An empty folder beside `path`, and what holds it."""
    while True:
        folder = path.parent / f".{path.name}.{secrets.token_hex(8)}{ENDING}"
        folder.mkdir()
        try:
            return folder, hold(folder)
        except (BlockingIOError, FileNotFoundError):  # another process sweeps at this moment
            continue
        except OSError:
            return folder, None


def sweep(folder: Path, name: str = "*") -> None:
    """Remove what dead processes have left in a folder of attempts to make files of this name."""
    for left in folder.glob(f".{name}.*{ENDING}"):
        with suppress(OSError):
            grip = hold(left)
            shutil.rmtree(left, ignore_errors=True)
            os.close(grip)


def to_disk(path: Path) -> None:
    """Wait until a file, or a folder's list of files, would outlive a loss of power."""
    if path.is_dir() and os.name == "nt":
        return  # Windows has no way to ask for it
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class TooLarge(ValueError):
    """A file, or what is packed in it, is larger than is sensible for its kind."""


def read_at_most(path: str | Path, most: int) -> bytes:
    """The content of a file; raises TooLarge, in a few words, if it has more than `most` bytes."""
    content = bytearray()
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        while max(size, len(content)) <= most and (block := file.read(2**16)):
            content += block  # block by block, for a device has no size, nor an end
    if max(size, len(content)) > most:
        raise TooLarge(f"more than {most} bytes")
    return bytes(content)


def lines_of(path: Path, most: int) -> list[str]:
    """The lines of a text that are not empty, without the space around them.

    Raises ValueError, in one sentence, if the file has more than `most` bytes.
    """
    try:
        lines = read_at_most(path, most).decode("utf-8").splitlines()
    except TooLarge as error:
        raise ValueError(f"{path} is too large: {error}") from None
    return [line.strip() for line in lines if line.strip()]


def real_name(path: Path | str) -> str:
    """The name of a file or folder, behind all links; unlike `Path.resolve`, also in a loop."""
    return os.path.basename(os.path.realpath(path))


# ---- one process at a time --------------------------------------------------------------


@contextmanager
def only_one(path: Path, what: str) -> Iterator[None]:
    """Hold the file `path`, in which this process is named, until the block ends.

    Raises ValueError, "`what` by process 123 on host", if another one holds it.
    """
    grip = held_by_name(path, what)
    try:
        if grip is not None:
            os.ftruncate(grip, 0)
            os.write(grip, f"process {os.getpid()} on {platform.node()}".encode())
        yield
    finally:
        if grip is not None:
            path.unlink(missing_ok=True)
            os.close(grip)


def held_by_name(path: Path, what: str) -> int | None:
    """Hold the file that has this name; None on a file system where nothing can be held."""
    while True:
        try:
            grip = hold(path, os.O_RDWR | os.O_CREAT | NO_LINK)
            with suppress(FileNotFoundError):
                if os.path.samestat(path.stat(), os.fstat(grip)):
                    return grip
            os.close(grip)  # it was another's, who has just removed it
        except BlockingIOError:
            with suppress(FileNotFoundError):  # it is removed at this moment
                other = path.read_text("utf-8") or "another process"
                raise ValueError(f"{what} by {other}") from None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise OSError(f"{path} is a link: remove it") from None
            return None


def hold(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a file or folder that nobody else can hold until it is closed.

    Raises BlockingIOError if another process holds it, OSError where nothing can be held.
    """
    if fcntl is None:
        raise OSError("nothing can be held on this system")
    grip = os.open(path, flags, 0o666)
    try:
        fcntl.flock(grip, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(grip)
        raise
    return grip
