"""Commands that are killed, begun again until they end, and compared with one that was not.

What they have made is the same to the last bit, but for dates and times.
"""

import csv
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from random import Random
from typing import NamedTuple

from safetensors.torch import load_file
from torch.distributed import TCPStore

from minidalle import weights
from torture import things
from torture.trial import Trial, judge, left_behind, run_together

STEPS = 20
TRAIN = f"--preset speck --data photos --out models --steps {STEPS} --save-every 0.0005"
DRAW = "--weights models --candidates 8 --keep 4"
SPLITS = "--split judge --split dvae --split unseen --split combination"
SIGNALS = signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT
NEW = (sys.executable, "-m", "torture.command")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m", NEW[2])
OF_A_RUN = {"minutes", "date", "machine", "seconds", "rounding", "files", "command"}
OF_A_MOMENT = {"data_share", "examples_per_second"}


class Job(NamedTuple):
    """A command that writes."""

    line: str
    again: str = ""  # more words when it is run again
    removed: str = ""  # what is not there at first
    ranks: int = 1
    program: tuple[str, ...] = ()


def train(name: str, more: str = "", **how) -> Job:
    """A training of one model."""
    length = TRAIN if name != "bpe" else TRAIN[: TRAIN.index(" --steps")]
    return Job(f"train {name} {length}{more}", " --resume", f"models/{name}.*", **how)


TOKENIZE = "tokenize --preset speck --data shards/{0..1}.tar --weights models --out new"
JOBS = [
    *map(train, ("bpe", *things.MODELS)),
    *(train(name, f" --share {share}", ranks=2) for share in ("ddp", "fsdp")
      for name in ("dvae", "clip", "dalle", "decoder")),
    train("dalle", " --workers 1"),
    Job(TOKENIZE),
    Job(f"draw something {DRAW}"),
    Job(f"draw something {DRAW} --model dalle2"),
    Job(f"draw something {DRAW} --model mini"),
    Job(f"evaluate --weights models --captions 1 --candidates 1 {SPLITS} --into new.json"),
    Job("bench attention --preset speck --repeat 1 --batch 1 --into bench.md"),
]  # fmt: skip
SLOW = [  # begun as in a shell, which takes seconds
    Job(TOKENIZE + " --processes 2"),
    train("dvae", program=NEW),
    Job(f"draw something {DRAW}", program=NEW),
    Job(TOKENIZE + " --processes 2", program=NEW),
    train("dalle", " --share fsdp", program=TORCHRUN),
    train("clip", " --share ddp", program=TORCHRUN),
]


def trial(place: Path, rng: Random, number: int) -> tuple[str, str, str]:
    """Kill a command one to three times; a column of the table, what was wrong, and the command."""
    try:
        return killed(place, rng, number)
    finally:
        shutil.rmtree(place / "trial", ignore_errors=True)


def killed(place: Path, rng: Random, number: int) -> tuple[str, str, str]:
    """The same, leaving its folder."""
    job = SLOW[number // 10 % len(SLOW)] if number % 10 == 9 else JOBS[number % len(JOBS)]
    whole, seconds = run_whole(job, place)
    folder, what = begin_with(job, place, "trial"), job.line
    for again in range(rng.choice((1, 1, 2, 3))):
        blow = Blow(rng.choice(SIGNALS), rng.uniform(0.05, max(0.1, seconds)), bool(job.program))
        what += f", {blow.signal.name} after {blow.delay:.2f} s of {seconds:.2f}"
        more = job.again if again else ""
        for trial, ended in run(job, folder, more, blow):
            if ended.code in (0, -signal.SIGKILL) or job.program and ended.code is not None:
                continue
            found, said = judge(trial, ended._replace(stopped=True))
            if found != "stopped":
                return found, said, what
        if "SIGKILL" not in what and not job.program and (left := left_behind(folder)):
            return "left behind", " ".join(left), what
    for trial, ended in run(job, folder, job.again):
        found, said = judge(trial, ended)
        if found != "accepted":
            return found, f"when run again: {said}", what
    if left := left_behind(folder):
        return "left behind", " ".join(left), what
    if other := differences(folder, whole):
        return "differing", ", ".join(other), what
    return "accepted", "", what


class Blow(NamedTuple):
    """A signal, and the seconds before it comes."""

    signal: signal.Signals
    delay: float
    to_all: bool  # to the children, too

    def __call__(self, processes: list) -> None:
        """Send it: Ctrl-C reaches all processes of a terminal, others those that are named."""
        time.sleep(self.delay)
        for process in processes:
            if self.to_all and self.signal == signal.SIGKILL:
                kill_tree(process.pid)
            else:
                send = os.killpg if self.signal == signal.SIGINT else os.kill
                send(process.pid, self.signal)


def kill_tree(pid: int) -> None:
    """Kill a process and all that it has started, before it can start others."""
    os.kill(pid, signal.SIGSTOP)
    children = Path(f"/proc/{pid}/task/{pid}/children")
    for child in children.read_text().split() if children.exists() else ():
        kill_tree(int(child))
    os.kill(pid, signal.SIGKILL)


def run_whole(job: Job, place: Path) -> tuple[Path, float]:
    """The folder in which a job was never stopped, and how long it took."""
    name = f"whole {(JOBS + SLOW).index(job)}"
    clock = place / f"{name}.seconds"
    if not clock.exists():
        folder, begin = begin_with(job, place, name), time.monotonic()
        for trial, ended in run(job, folder):
            assert judge(trial, ended)[0] == "accepted", ended
        clock.write_text(str(time.monotonic() - begin))
    return place / name, float(clock.read_text())


def begin_with(job: Job, place: Path, name: str) -> Path:
    """A folder of things, without what the job makes."""
    folder = place / name
    shutil.copytree(place / "things", folder, symlinks=True, dirs_exist_ok=True)
    for path in folder.glob(job.removed.replace("bpe.*", "bpe.json")) if job.removed else ():
        path.unlink()
    return folder


def run(job: Job, folder: Path, more: str = "", blow=lambda processes: None) -> list:
    """Run a job, in one process or in two that meet as under torchrun; [(trial, its end)]."""
    words = (job.line + more).split()
    if job.ranks == 1:
        trials = [Trial(words, program=job.program)]
        return list(zip(trials, run_together(trials, folder, blow, 120)))
    shared = things.alone() | {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    shared["TORCHELASTIC_USE_AGENT_STORE"] = "True"
    ranks = [Trial(words, shared | {"RANK": n, "LOCAL_RANK": n}) for n in "01"]

    def meet_then(processes: list) -> None:
        nonlocal store
        port = int(shared["MASTER_PORT"])
        store = TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False)
        blow(processes)

    store = None
    return list(zip(ranks, run_together(ranks, folder, meet_then, 120)))


# ---- what is the same -------------------------------------------------------------------


def differences(folder: Path, whole: Path) -> list[str]:
    """The files that are not the same in two folders, or only in one."""
    ours, theirs = (
        {str(path.relative_to(place)): path for path in place.rglob("*") if path.is_file()}
        for place in (folder, whole)
    )
    names = [name for name in ours.keys() | theirs.keys() if not passing(name, whole)]
    return sorted(
        name for name in names
        if name not in ours or name not in theirs or essence(ours[name]) != essence(theirs[name])
    )  # fmt: skip


def passing(name: str, whole: Path) -> bool:
    """Whether a file belongs to a checkpoint that is not the last one."""
    *_, place, step, _ = ("", "", *name.split("/"))
    latest = whole / "models" / place / "latest"
    return step.startswith("step-") and latest.exists() and latest.read_text() != step


def essence(path: Path) -> object:
    """What is in a file, but for dates and times."""
    if path.suffix == ".safetensors" and path.stat().st_size:
        tensors = load_file(path)
        about = {} if "step-" in str(path) else weights.read_about(path)
        values = {n: (t.dtype, t.shape, t.numpy().tobytes()) for n, t in tensors.items()}
        return values, {n: about[n] for n in about.keys() - OF_A_RUN}
    if path.suffix == ".csv":
        rows = csv.DictReader(path.read_text().splitlines())
        return [{n: row[n] for n in row.keys() - OF_A_MOMENT} for row in rows]
    if path.name in ("new.json", "about.json"):
        found = json.loads(path.read_text())
        return {name: found[name] for name in found.keys() - OF_A_RUN}
    if path.name == "bench.md":
        text = path.read_text()
        return text[: text.index("<!--")], text[text.rindex("-->") :]
    return path.read_bytes()
