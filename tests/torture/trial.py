"""One command: run in a process of its own, with limits, and judged by how it ended.

The process is a fork of this one, so nothing has to be imported: dozens can be tried in a second.
"""

import multiprocessing
import os
import re
import resource
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from minidalle.__main__ import main
from minidalle.scale import launch

FORK = multiprocessing.get_context("fork")
MEMORY, DISK = 3 * 2**30, 2**26  # bytes that a command may have, and that a file may have
PATIENCE, GRACE = 5, 30  # seconds before a command is asked to stop, and then to do so
LINGER = 10  # seconds that its children may take to notice
ROOT = Path(__file__).parents[2]
CODES = {0: "accepted", 1: "accepted", 2: "refused", 130: "stopped"}
FAULTS = "traceback", "hang", "over memory", "left behind", "differing", "wrong words"
LEFT_BEHIND = re.compile(r"\.part$|\.lock$|^\.tmp|^\.[^/]*\.")


class Trial(NamedTuple):
    """A command, and where it runs."""

    words: list[str]
    environment: dict[str, str] = {}
    outputs: tuple[str | None, str | None] = ("", "")  # stdout and stderr: "" is watched, None none
    disk: int = DISK
    program: tuple[str, ...] = ()  # begun anew with these words, instead of forked


class Ended(NamedTuple):
    """How a command ended, with what it printed."""

    code: int | None  # None: it did not end
    out: str
    err: str
    stopped: bool = False  # it was asked to
    orphans: bool = False  # it left processes behind


def run(trial: Trial, folder: Path) -> Ended:
    """Run a command in a folder."""
    return run_together([trial], folder)[0]


def run_together(
    trials: list[Trial],
    folder: Path,
    meanwhile: Callable[[list], None] = lambda processes: None,
    patience: float = PATIENCE,
) -> list[Ended]:
    """Run commands at the same time; `meanwhile` may do something to their processes."""
    processes = []
    for number, trial in enumerate(trials):
        names = [folder.with_name(f"{folder.name}.{number}.{name}") for name in ("out", "err")]
        processes.append((FORK.Process(target=child, args=(trial, folder, names)), names))
        processes[-1][0].start()
    meanwhile([process for process, _ in processes])
    end, ended = time.monotonic() + patience, []
    for process, names in processes:
        process.join(max(0, end - time.monotonic()))
        if stopped := process.is_alive():
            process.terminate()
            process.join(GRACE)
        code = process.exitcode
        orphans = end_group(process.pid, LINGER if code is not None else 0)
        process.join()
        out, err = (name.read_bytes().decode("utf-8", "backslashreplace") for name in names)
        ended.append(Ended(code, out, err, stopped, orphans and code is not None))
    return ended


def end_group(pid: int, patience: float) -> bool:
    """Wait for the children of a process to end, then kill them; whether that was needed."""
    end = time.monotonic() + patience
    with suppress(ProcessLookupError):
        os.killpg(pid, 0)
        while time.monotonic() < end:
            time.sleep(0.05)
            os.killpg(pid, 0)
        os.killpg(pid, signal.SIGKILL)
        return True
    return False


def child(trial: Trial, folder: Path, printed: list[Path]) -> None:
    """Become a process that a shell has just started, with limits, and run the command."""
    os.setsid()
    os.chdir(folder)
    os.environ |= trial.environment
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (trial.disk, trial.disk))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number, (path, to) in enumerate(zip(printed, trial.outputs), 1):
        path.write_bytes(b"")
        os.dup2(opened(path if to == "" else to), number)
    if trial.program:
        os.environ["PYTHONPATH"] = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
        os.execv(trial.program[0], [*trial.program, *trial.words])
    sys.stdout, sys.stderr = (
        None if to is None else open(number, "w", encoding="utf-8", errors=errors, closefd=False)
        for number, to, errors in zip((1, 2), trial.outputs, ("strict", "backslashreplace"))
    )
    for number, to in enumerate(trial.outputs, 1):
        if to is None:
            os.close(number)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    launch.memory_here = lambda device: MEMORY / 2  # as a machine that small would say
    code = main(trial.words)
    if sys.stdout is not None:
        sys.stdout.flush()
    sys.exit(code)


def opened(to: Path | str | None) -> int:
    """A descriptor to write to; "|" is a pipe whose reader is gone."""
    if to == "|":
        reader, writer = os.pipe()
        os.close(reader)
        return writer
    return os.open(to or os.devnull, os.O_WRONLY | os.O_APPEND)


# ---- the judgement ----------------------------------------------------------------------


def judge(trial: Trial, ended: Ended) -> tuple[str, str]:
    """How it ended, as a column of the table, and what was wrong."""
    out, err = ended.out, ended.err.split("\r")[-1]
    last = (err.strip().splitlines() or [""])[-1]
    if ended.code is None:
        return "hang", f"runs on {GRACE} seconds after SIGTERM"
    if re.search("MemoryError|bad_alloc|allocate memory", err) or ended.code == -signal.SIGKILL:
        return "over memory", last
    if "Traceback" in err or "Exception ignored" in err or ended.code not in CODES:
        return "traceback", f"exit code {ended.code}: {last}"
    if not all(line.isprintable() for line in (out + "\n" + err).replace("\r", "\n").split("\n")):
        return "wrong words", f"not printable: {ascii(out[-200:])} {ascii(err[-200:])}"
    if ended.code in (2, 130) and trial.outputs[1] == "":
        said = [line for line in err.splitlines() if line.startswith("minidalle: ")]
        if len(said) != 1 or last != said[0]:
            return "wrong words", f"exit code {ended.code}: {ascii(err[-400:])}"
    if ended.code == 130 and not ended.stopped:
        return "traceback", "exit code 130, though nobody stopped it"
    if ended.orphans:
        return "left behind", "a process"
    return ("stopped" if ended.stopped else CODES[ended.code]), last


def left_behind(folder: Path) -> list[str]:
    """Temporary files and locks in a folder."""
    found = [path for path in folder.rglob("*") if LEFT_BEHIND.search(path.name)]
    return sorted(str(path.relative_to(folder)) for path in found)


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Of each file, what changes if it is written."""
    found = {}
    for path in folder.rglob("*"):
        with suppress(OSError):
            if path.is_file():
                found[str(path)] = path.stat().st_mtime_ns, path.stat().st_ino
    return found
