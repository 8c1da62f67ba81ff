"""The process in which a student's code runs: an empty room with Python and minidalle in it.

On Linux the kernel of a submission is started in namespaces of its own (`unshare` and `mount`, of
util-linux): it has no network, sees no process but its own, and its file system holds nothing but
the interpreter, minidalle and an empty folder to work in, which vanishes with it. No hidden test,
no other submission and no file of whoever grades is there to be read. Elsewhere, and where
namespaces are forbidden, only the limits of memory, files and processes hold, and `grade` says so.

The kernel talks to the grader through sockets in a folder that both see.
"""

import os
import resource
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from jupyter_client.manager import AsyncKernelManager

import minidalle

MEMORY = 4 << 30  # bytes of private memory
FILE, ROOM = 64 << 20, 256 << 20  # bytes of one file, and of all
PROCESSES = 300  # at once, threads included; the kernel allows no lower limit than 301
NAMESPACES = ("--user", "--map-root-user", "--net", "--pid", "--mount", "--ipc", "--uts")
START = ("unshare", *NAMESPACES, "--fork", "--kill-child=KILL", "--")
NO_POWERS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "--")
DEVICES = ("null", "zero", "full", "random", "urandom")
QUIET = {
    "USER": "student",
    "OMP_NUM_THREADS": "1",
    "TQDM_DISABLE": "1",
    "MPLBACKEND": "agg",
    "HOME": "/tmp",
}
HERE = Path(minidalle.__file__).resolve().parent  # the package


@cache
def available() -> bool:
    """Can a process be started in namespaces of its own, and mount things there?"""
    if not all(map(shutil.which, ("unshare", "mount", "setpriv"))):
        return False
    tried = subprocess.run([*START, "mount", "-t", "tmpfs", "tmpfs", "/tmp"], capture_output=True)
    return tried.returncode == 0


class Sandboxed(AsyncKernelManager):
    """Starts a notebook's kernel in the sandbox, or with limits only where there is none."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.transport = "ipc"  # sockets that are files: there is no network in the sandbox
        self.sockets = TemporaryDirectory(prefix="minidalle-")  # vanishes with this object
        self.connection_file = str(Path(self.sockets.name, "kernel.json"))

    def format_kernel_cmd(self, *args, **kwargs) -> list[str]:
        command = super().format_kernel_cmd(*args, **kwargs)
        start = START if available() else ()
        return [*start, sys.executable, "-m", __name__, self.sockets.name, *command]


# ---- inside -----------------------------------------------------------------------------


def enter(room: Path, sockets: Path, folder: Path) -> None:
    """Make `room` the root of the file system, with an empty folder of the same name to work in."""
    room.mkdir(exist_ok=True)
    mount("-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", room)
    for path in readable():
        bind(path, room, "ro")
    for name in DEVICES:
        bind(Path("/dev", name), room)
    bind(sockets, room)
    for inside in (folder, Path("/tmp"), Path("/proc"), Path("/dev/shm")):
        room.joinpath(*inside.parts[1:]).mkdir(parents=True, exist_ok=True)
    mount("-t", "proc", "proc", room / "proc")
    most = room / "proc/sys/kernel/pid_max"
    try:
        most.write_text(str(PROCESSES + 1))
    except OSError:  # before Linux 6.14 it is one number for all: the limit below must do
        pass
    mount("-o", "remount,bind,ro", room / "proc")
    os.chroot(room)


def readable() -> list[Path]:
    """What is needed to run Python with minidalle: programs, libraries, and the package."""
    system = (Path("/", name) for name in ("usr", "bin", "sbin", "lib", "lib64", "etc/ld.so.cache"))
    python = [Path(sys.base_prefix), Path(sys.prefix)]
    own = [HERE, (HERE / "data").resolve()]
    return [path for path in (*system, *python, *own) if path.exists()]


def bind(path: Path, room: Path, how: str = "rw") -> None:
    """Show a file or a folder at the same place in the room."""
    inside = room.joinpath(*path.parts[1:])
    inside.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        inside.symlink_to(os.readlink(path))
    elif not inside.exists():
        inside.mkdir() if path.is_dir() else inside.touch()
    if not path.is_symlink():
        mount("--rbind", path, inside)
        mount("-o", f"remount,bind,{how}", inside)


def mount(*words) -> None:
    subprocess.run(["mount", *map(str, words)], check=True)


def limit() -> None:
    """Limits that also hold where there are no namespaces."""
    limits = {"DATA": MEMORY, "FSIZE": FILE, "NPROC": PROCESSES, "CORE": 0}
    for name, most in limits.items():
        if kind := getattr(resource, f"RLIMIT_{name}", None):
            _, hard = resource.getrlimit(kind)
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            try:
                resource.setrlimit(kind, (most, most))
            except (ValueError, OSError):  # macOS has some of them only in name
                pass


def main(sockets: Path, command: list[str]) -> None:
    """Become the kernel, inside."""
    folder, alone = Path.cwd(), os.getpid() == 1
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    if alone:
        enter(sockets / "room", sockets, folder)
    os.chdir(folder)
    limit()
    command = [*NO_POWERS, *command] if alone else command
    os.execvpe(command[0], command, kept | QUIET | {"JUPYTER_RUNTIME_DIR": str(sockets)})


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
