"""One command: run in a process of its own, with limits, and judged by how it ended.

The process is a fork of this one, so nothing has to be imported: dozens can be tried in a second.
"""

import multiprocessing
import os
import re
import resource
import shlex
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import torch._dynamo  # noqa: F401  what is imported here, no process has to import

import minidalle.course.grading
import minidalle.course.trial  # noqa: F401
from minidalle.__main__ import main
from minidalle.scale import launch

FORK = multiprocessing.get_context("fork")
MEMORY, DISK = 3 * 2**30, 2**26  # bytes that a command may have, and that a file may have
PATIENCE, GRACE = 5, 30  # seconds before a command is asked to stop, and then to do so
LINGER = 10  # seconds that its children may take to notice
ROOT = Path(__file__).parents[2]
CODES = {0: "accepted", 1: "accepted", 2: "refused", 130: "stopped"}
WATCHED, CLOSED_PIPE = ("", ""), "|"
FAULTS = "traceback", "hang", "over memory", "left behind", "differing", "wrong words"
LEFT_BEHIND = re.compile(r"\.part$|\.lock$|^\.tmp|^\.[^/]*\.")


class Trial(NamedTuple):
    """A command, and where it runs."""

    words: list[str]
    environment: dict[str, str] = {}
    outputs: tuple[str | None, str | None] = WATCHED  # stdout and stderr; None: there is none
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
    how = dict(encoding="utf-8", closefd=False)
    sys.stdout = open(1, "w", errors="strict", **how)
    sys.stderr = open(2, "w", 1, errors="backslashreplace", **how)
    for number, to in enumerate(trial.outputs, 1):
        if to is None:
            os.close(number)
            setattr(sys, ("stdout", "stderr")[number - 1], None)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    launch.memory_here = lambda device: MEMORY / 2  # as a machine that small would say
    code = main(trial.words)
    if sys.stdout is not None:
        sys.stdout.flush()
    if trial.outputs[1]:  # Python does not mind if stderr cannot be flushed
        os.dup2(opened(None), 2)
    sys.exit(code)


def opened(to: Path | str | None) -> int:
    """A descriptor to write to; "|" is a pipe whose reader is gone."""
    if to == CLOSED_PIPE:
        reader, writer = os.pipe()
        os.close(reader)
        return writer
    return os.open(to or os.devnull, os.O_WRONLY | os.O_APPEND)


# ---- the judgement ----------------------------------------------------------------------


def tried(trial: Trial, folder: Path) -> tuple[str, str]:
    """Run a command in a folder: how it ended, as a column of the table, and what it said."""
    before = state(folder)
    found, said = judge(trial, run(trial, folder))
    if found not in FAULTS and (left := left_behind(folder)):
        return "left behind", " ".join(left)
    if found == "refused" and trial.outputs == WATCHED:
        after = state(folder)
        lost = [name for name in before if after.get(name) != before[name]]
        if trial.words[:1] == ["train"]:  # if it fails late, it has trained
            lost = [name for name in lost if f"/{trial.words[1]}." not in name]
        if lost:
            return "left behind", f"refused, but changed {' '.join(lost)}: {said}"
    return found, said


def judge(trial: Trial, ended: Ended) -> tuple[str, str]:
    """How a command ended, as a column of the table, and what it said, or what was wrong."""
    code, out, err = ended.code, ended.out, ended.err.split("\r")[-1]
    last = (err.strip().splitlines() or [""])[-1]
    if code is None:
        return "hang", f"runs on {GRACE} seconds after SIGTERM"
    if re.search("MemoryError|bad_alloc|allocate memory", err) or code == -signal.SIGKILL:
        return "over memory", last
    broken = "Traceback" in err or "Exception ignored" in err or code not in CODES
    by_itself = code == 1 and "finite" not in err and trial.outputs[0] != CLOSED_PIPE
    if broken or by_itself or (code == 130 and not ended.stopped):
        return "traceback", f"exit code {code}: {last}"
    lines = (out + "\n" + ended.err).replace("\r", "\n").split("\n")
    if odd := [line for line in lines if not line.isprintable()]:
        return "wrong words", f"not printable: {ascii(odd[0])}"
    said = [line for line in err.splitlines() if line.startswith("minidalle: ")]
    if code in (2, 130) and trial.outputs[1] == "" and said != [last]:
        return "wrong words", f"exit code {code}: {ascii(err)}"
    if ended.orphans:
        return "left behind", "a process"
    return ("stopped" if ended.stopped else CODES[code]), last


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
                about = path.stat()
                found[str(path.relative_to(folder))] = about.st_mtime_ns, about.st_ino
    return found


def spelled(trial: Trial) -> str:
    """A command as one would type it, cut short."""

    def short(word: str) -> str:
        word = shlex.quote(word) if word.isprintable() else ascii(word)
        return word if len(word) < 60 else f"{word[:40]}…({len(word)})"

    names = [f"{name}={short(value)}" for name, value in trial.environment.items()]
    outputs = [] if trial.outputs == WATCHED else [f"stdout, stderr: {trial.outputs}"]
    limit = [] if trial.disk == DISK else [f"no file above {trial.disk} bytes"]
    return "; ".join([" ".join([*names, *map(short, trial.words)]), *outputs, *limit])
