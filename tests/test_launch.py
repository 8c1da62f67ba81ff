"""The lines that start many processes: parsed, dry-run, and killed in the middle."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from torch.distributed.run import get_args_parser
from toys import free_port

from minidalle import recipes, weights
from minidalle.bpe import BPE
from minidalle.config import PRESETS, DVAEConfig
from minidalle.dvae import DVAE
from minidalle.options import parser
from minidalle.scale.plan import GPUS, Layout, fits

ROOT = Path(__file__).parents[1]


def commands_in(text):
    """Every torchrun command, with its continued lines, as words."""
    text = re.sub(r"\\\n\s*", " ", text)
    return [
        shlex.split(line.strip().removeprefix("srun "))
        for line in text.splitlines()
        if line.strip().removeprefix("srun ").startswith("torchrun ")
    ]


def understood(words):
    """A command as parsed by torchrun and then by minidalle."""
    theirs = get_args_parser().parse_args(words[1:])
    assert theirs.module and theirs.training_script == "minidalle"
    return theirs, parser().parse_args(theirs.training_script_args)


def test_the_lines_in_the_docs_are_understood():
    lines = commands_in((ROOT / "docs" / "scale.md").read_text("utf-8"))
    assert len(lines) >= 2
    for words in lines:
        theirs, ours = understood(words)
        assert ours.model == "dalle" and int(theirs.nproc_per_node) >= 2
        gpus, preset = (
            int(theirs.nnodes.split(":")[0]) * int(theirs.nproc_per_node),
            PRESETS[ours.preset],
        )
        images = preset.train["dalle"].batch_size // (gpus * ours.grad_accum_steps)
        assert ours.preset == "tiny" or fits(
            preset.dalle, GPUS["h100"], Layout(gpus, ours.share, None, images, True)
        )


def test_the_slurm_script_starts_one_torchrun_on_each_machine(tmp_path):
    """Run with a `srun` that only prints its arguments."""
    for name, body in {
        "srun": 'printf "%s\\n" "$*"',
        "scontrol": "echo first; echo second",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "SLURM_JOB_NODELIST": "n[1-2]",
        "SLURM_NNODES": "2",
        "SLURM_JOB_ID": "7",
    }
    asked = ["--preset", "paper", "--data", "shards/{0..9}.tar", "--out", str(tmp_path / "out")]
    script = ["bash", str(ROOT / "launch" / "slurm.sh"), *asked]
    said = subprocess.run(
        script, env=environment, capture_output=True, text=True, check=True
    ).stdout
    theirs, ours = understood(shlex.split(said))
    assert theirs.nnodes == "2" and theirs.rdzv_endpoint == "first:29500"
    assert ours.share == "hsdp" and ours.data == "shards/{0..9}.tar" and not ours.resume
    (tmp_path / "out" / "dalle.checkpoint").mkdir(parents=True)
    (tmp_path / "out" / "dalle.checkpoint" / "latest").write_text("step-000000001")
    said = subprocess.run(
        script, env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert understood(shlex.split(said))[1].resume


def test_one_gpu_trains_what_is_missing(tmp_path):
    """With a Python that only prints its arguments, and says no to the word `fails`."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$@"; case "$*" in *"$NO"*) exit 1;; esac\n')
    python.chmod(0o755)
    (tmp_path / "dvae.safetensors").touch()
    script = ["bash", str(ROOT / "launch" / "one_gpu.sh"), str(tmp_path)]
    for bad, code, names in (("fails", 0, ["bpe", "dalle"]), ("train clip", 1, ["bpe", "dalle"])):
        environment = os.environ | {"PYTHON": str(python), "NO": bad}
        done = subprocess.run(script, env=environment, capture_output=True, text=True)
        lines = done.stdout.splitlines() + (tmp_path / "clip.log").read_text().splitlines()
        asked = [parser().parse_args(shlex.split(line)[2:]) for line in lines]
        assert done.returncode == code and [a.model for a in asked] == [*names, "clip"]
        assert all(a.data == "world" and a.preset == "small" for a in asked)


# ---- killed -----------------------------------------------------------------------------


def start(out, port, steps):
    """Two processes under torchrun, which starts them again when one dies."""
    words = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node=2",
        "--max-restarts=2",
        f"--master-port={port}",
        "-m",
        "minidalle",
        "train",
        "dalle",
        "--data",
        "scenes",
        "--out",
        str(out),
        "--steps",
        str(steps),
        "--save-every",
        "0.005",
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    return subprocess.Popen(
        words, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )


def children(pid):
    """The processes that a process has started."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="finds the processes through /proc"
)
def test_a_killed_process_is_started_again_and_the_weights_are_the_same(tmp_path):
    bpe = BPE.train(recipes.bpe_captions("scenes", 0, 200), 300)
    sizes = DVAEConfig(32, 16, width=8, blocks=1, code_width=8, patch=4)
    runs = [tmp_path / name for name in ("killed", "whole")]
    for out in runs:
        out.mkdir()
        bpe.save(out / "bpe.json")
        weights.save(out / "dvae.safetensors", DVAE(sizes)) if out == runs[0] else None
    (runs[1] / "dvae.safetensors").write_bytes((runs[0] / "dvae.safetensors").read_bytes())

    killed, whole = start(runs[0], free_port(), 40), start(runs[1], free_port(), 40)
    latest, begin = runs[0] / "dalle.checkpoint" / "latest", time.monotonic()
    while not latest.exists():
        assert time.monotonic() - begin < 120 and killed.poll() is None
        time.sleep(0.05)
    victim = children(killed.pid)[-1]
    os.kill(victim, signal.SIGKILL)
    assert killed.wait(timeout=240) == 0 and whole.wait(timeout=240) == 0
    ours, theirs = (weights.read_tensors(out / "dalle.safetensors")[0] for out in runs)
    assert all(ours[name].equal(theirs[name]) for name in ours)
