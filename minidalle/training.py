"""One plain loop for every model.

A step is: take the batch of that step, compute the loss, step the optimiser. Everything the
loop draws at random is a function of (seed, step), so nothing random has to be saved: a run
that was stopped goes on to exactly the numbers it would have had.

Learning rate, temperature and KL weight are pure functions of how far the run has come, t in
[0, 1]; none of them is stored or multiplied along the way.
"""

import copy
import csv
import math
import signal
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from minidalle import weights
from minidalle.config import Ramp, TrainConfig

Batch = tuple[Tensor, ...]


# ---- schedules --------------------------------------------------------------------------


def half_cosine(start: float, end: float, t: float) -> float:
    """From start (t = 0) to end (t ≥ 1), flat at both ends; halfway at t = ½."""
    return end + (start - end) * (1 + math.cos(math.pi * min(t, 1))) / 2


def at(ramp: Ramp, t: float) -> float:
    """Where a ramp has got to at time t."""
    return half_cosine(ramp.start, ramp.end, t / ramp.until)


def learning_rate(config: TrainConfig, step: int) -> float:
    """Linear warm-up, then a half-cosine that reaches config.final_lr when the run ends."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    end = config.lr_until * config.steps
    return half_cosine(config.lr, config.final_lr, (step - config.warmup) / max(1, end - config.warmup))


# ---- the loop ---------------------------------------------------------------------------


@dataclass
class Job:
    """What differs between the models: the batch of a step, its loss, and what to log."""

    name: str
    model: nn.Module
    batch: Callable[[int], Batch]
    loss: Callable[..., tuple[Tensor, dict]]  # of (model, batch, t, step, gather)
    log: Callable[[dict[str, Tensor]], dict[str, float]] = lambda parts: {
        name: float(value) for name, value in parts.items()
    }


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW; only matrices and kernels decay, not biases, gains or embeddings."""
    decay, keep = [], []
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            is_matrix = name == "weight" and parameter.ndim > 1 and not isinstance(module, nn.Embedding)
            (decay if is_matrix else keep).append(parameter)
    groups = [{"params": decay, "weight_decay": config.decay}, {"params": keep, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, eps=config.eps, fused=True)


class State:
    """Everything a stopped run needs to go on: weights, their average, the optimiser's memory,
    and the sums of the log's unfinished row."""

    def __init__(self, job: Job, config: TrainConfig):
        self.step = 0
        self.model = job.model
        self.ema = copy.deepcopy(job.model).requires_grad_(False)
        self.optimizer = make_optimizer(job.model, config)
        self.sums: dict[str, Tensor] = {}

    def tensors(self) -> dict[str, Tensor]:
        """All of it as named tensors."""
        named = {f"model.{name}": t for name, t in self.model.state_dict().items()}
        named |= {f"ema.{name}": t for name, t in self.ema.state_dict().items()}
        named |= {f"sums.{name}": t for name, t in self.sums.items()}
        for i, memory in self.optimizer.state_dict()["state"].items():
            named |= {f"optimizer.{i}.{name}": t for name, t in memory.items()}
        return named

    def restore(self, named: dict[str, Tensor], step: int) -> None:
        """Take up what `tensors` gave at that step."""
        def under(prefix):
            return {n.removeprefix(prefix): t for n, t in named.items() if n.startswith(prefix)}

        self.step, self.sums = step, under("sums.")
        self.model.load_state_dict(under("model."))
        self.ema.load_state_dict(under("ema."))
        memory = {}
        for name, tensor in under("optimizer.").items():
            i, key = name.split(".")
            memory.setdefault(int(i), {})[key] = tensor
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": memory, "param_groups": groups})
        for parameter, kept in self.optimizer.state.items():  # in the same memory layout
            for name in ("exp_avg", "exp_avg_sq"):
                kept[name] = torch.empty_like(parameter).copy_(kept[name])

    @torch.no_grad()
    def average(self, decay: float) -> None:
        """Move the averaged weights towards the current ones, faster in the first steps."""
        decay = min(decay, (1 + self.step) / (10 + self.step))
        ours, theirs = list(self.ema.parameters()), list(self.model.parameters())
        torch._foreach_lerp_(ours, theirs, 1 - decay)


def take_step(job: Job, config: TrainConfig, state: State) -> None:
    """One step of training; adds its loss, parts and times to state.sums."""
    begin = time.perf_counter()
    batch = job.batch(state.step)
    ready = time.perf_counter()
    loss, parts = job.loss(job.model, batch, state.step / config.steps, state.step, lambda rows: rows)
    if not math.isfinite(loss.item()):
        raise FloatingPointError(f"{job.name}: the loss of step {state.step + 1} is not finite")
    state.optimizer.zero_grad()
    loss.backward()
    norm = nn.utils.clip_grad_norm_(job.model.parameters(), config.clip)
    if not math.isfinite(norm.item()):
        raise FloatingPointError(f"{job.name}: the gradient of step {state.step + 1} is not finite")
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate(config, state.step)
    state.optimizer.step()
    state.average(config.ema)
    state.step += 1
    end = time.perf_counter()
    sums = {"loss": loss.detach(), **parts, "steps": 1, "seconds": end - begin, "data": ready - begin}
    state.sums = {  # a new dict, because after a resume the old one is in another order
        name: state.sums.get(name, 0) + torch.as_tensor(value, dtype=torch.float64)
        for name, value in sums.items()
    }


def train(job: Job, config: TrainConfig, out: Path, resume: bool = False, save_every: float = 60,
          log_every: int = 50, **about) -> None:
    """Train job.model for config.steps steps and leave its averaged weights in `out`.

    Writes NAME.csv (a row per log_every steps), NAME.checkpoint.safetensors (every save_every
    seconds, and on Ctrl-C) and at the end NAME.safetensors, with `about` in its header. With
    `resume` the run goes on from the checkpoint. A loss that is not finite raises
    FloatingPointError and leaves the last checkpoint as it was.
    """
    checkpoint, table = out / f"{job.name}.checkpoint.safetensors", out / f"{job.name}.csv"
    state, spent = State(job, config), 0.0
    run = {"seed": about.get("seed"), "data": about.get("data")}
    if resume:
        tensors, header = weights.read_tensors(checkpoint)
        if header["config"] != weights.plain(config) or header["run"] != run:
            raise ValueError(f"{checkpoint} belongs to a run with other settings: {header}")
        try:
            state.restore(tensors, header["step"])
        except (RuntimeError, ValueError):
            raise ValueError(f"{checkpoint} belongs to a model of another size") from None
        spent = header["seconds"]
    out.mkdir(parents=True, exist_ok=True)
    cut_table(table, state.step)
    begin = saved = time.monotonic()

    def save():
        header = {"step": state.step, "config": weights.plain(config), "run": run}
        header["seconds"] = spent + time.monotonic() - begin
        weights.write_tensors(checkpoint, state.tensors(), header)

    bar = tqdm(total=config.steps, initial=state.step, desc=job.name, unit="step")
    with bar, asked_to_stop() as stop:
        while state.step < config.steps and not stop.is_set():
            take_step(job, config, state)
            bar.update()
            if state.step % log_every == 0 or state.step == config.steps:
                row = add_row(table, state, config, job)
                bar.set_postfix({name: row[name] for name in list(row)[2:]})
            if time.monotonic() - saved > save_every:
                save()
                saved = time.monotonic()
    save()
    if stop.is_set():
        raise KeyboardInterrupt
    minutes = round((spent + time.monotonic() - begin) / 60, 1)
    done = out / f"{job.name}.safetensors"
    weights.save(done, state.ema, half=True, steps=state.step, minutes=minutes, **about)


# ---- around the loop --------------------------------------------------------------------


@contextmanager
def asked_to_stop():
    """An event that Ctrl-C sets, so that the step under way is finished and nothing is torn."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread may listen to signals
        return
    before = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def add_row(table: Path, state: State, config: TrainConfig, job: Job) -> dict[str, float]:
    """Average the sums since the last row, append them to the CSV, and begin new sums."""
    sums = state.sums
    mean = {name: value / sums["steps"] for name, value in sums.items()}
    timing = {
        "data_share": float(sums["data"] / sums["seconds"]),
        "examples_per_second": float(config.batch * sums["steps"] / sums["seconds"]),
    }
    parts = {n: mean[n] for n in mean if n not in ("loss", "steps", "seconds", "data")}
    row = {"step": state.step, "lr": learning_rate(config, state.step - 1), "loss": float(mean["loss"])}
    row |= job.log(parts) | timing
    row = {name: float(f"{value:.6g}") if name != "step" else value for name, value in row.items()}
    new = not table.exists()
    with open(table, "a", newline="") as file:
        writer = csv.DictWriter(file, row)
        if new:
            writer.writeheader()
        writer.writerow(row)
    state.sums = {}
    return row


def cut_table(table: Path, step: int) -> None:
    """Drop rows later than `step`: a killed run may have logged more than it saved."""
    if not table.exists():
        return
    lines = table.read_text().splitlines(keepends=True)
    kept = [line for line in lines[1:] if int(line.split(",")[0]) <= step]
    table.unlink() if not kept else table.write_text("".join(lines[:1] + kept))


def steps_in(minutes: float, job: Job, config: TrainConfig) -> int:
    """How many steps fit into the minutes, by timing some on a copy that is thrown away."""
    start = time.monotonic()
    trial = replace(job, model=copy.deepcopy(job.model))
    state = State(trial, config)
    take_step(trial, config, state)  # the first one is slower
    begin, first = time.monotonic(), state.step
    while time.monotonic() - begin < 10 or state.step - first < 10:
        take_step(trial, config, state)
    rate = (state.step - first) / (time.monotonic() - begin)
    return max(1, int(rate * (minutes * 60 - (time.monotonic() - start))))  # timing took some
