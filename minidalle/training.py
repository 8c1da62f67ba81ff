"""One plain loop for every model.

A step is: take the batch of that step, compute the loss, step the optimiser. Everything the
loop draws at random is a function of (seed, step), so nothing random has to be saved: a run
that was stopped goes on to exactly the numbers it would have had. Whatever depends on how many
processes take part is asked of a team, which is `Alone` here or a `Team` of scale/runtime.py.

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
from contextlib import contextmanager, nullcontext
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
    batch: Callable[..., Batch]  # of (step, part)
    loss: Callable[..., tuple[Tensor, dict]]  # of (model, batch, t, step, gather)
    log: Callable[[dict[str, Tensor]], dict[str, float]] = lambda parts: {
        name: float(value) for name, value in parts.items()
    }
    settle: float = 1.0  # at this share of the run the weights become their averages
    compares: bool = False  # the loss compares the batch with itself, so it cannot be cut into rounds


class Alone:
    """The answers of a process that trains by itself to what the loop asks of its team."""

    rank, size, group, splits = 0, 1, 1, False  # group: how many share one copy; splits: if any do

    def __init__(self, device: torch.device | str = "cpu", bf16: bool = False, compile: bool = False,
                 recompute: bool = False, rounds: int = 1):
        """bf16: matrix products of blocks in bfloat16; compile: blocks; recompute: activations of
        blocks in the backward pass, instead of keeping them; rounds: a step takes its batch in so
        many parts, one after the other."""
        self.device, self.bf16, self.compile = torch.device(device), bf16, compile
        self.recompute, self.rounds = recompute, rounds

    def share(self, model: nn.Module, learns: bool = True) -> nn.Module:
        """Make a model ready, in place; returns what is to be called."""
        model.to(self.device)
        for block in getattr(model, "blocks", ()):
            if self.bf16:  # gains, embeddings, heads and losses stay in float32
                block.forward = torch.autocast(self.device.type, torch.bfloat16)(block.forward)
            if self.compile:
                block.compile()
        if self.recompute:
            model.recompute = True
        return model

    def part(self, batch: int, round: int) -> slice:
        """Which examples of a batch this process takes in a round."""
        pieces = self.size * self.rounds
        if batch % pieces:
            raise ValueError(f"a batch of {batch} cannot be shared evenly by {self.size} processes in "
                             f"{self.rounds} rounds: it must be a multiple of {pieces}")
        first = (self.rank * self.rounds + round) * (batch // pieces)
        return slice(first, first + batch // pieces)

    def round(self, called: nn.Module, last: bool):
        """A context around the loss and gradient of one round."""
        return nullcontext()

    def clip(self, model: nn.Module, most: float) -> Tensor:
        """Scale the gradient down to norm `most`; returns its norm before."""
        return nn.utils.clip_grad_norm_(model.parameters(), most)

    def gather(self, rows: Tensor) -> Tensor:
        """The rows of all processes."""
        return rows

    def mean(self, numbers: Tensor) -> Tensor:
        """Each number's mean over the processes."""
        return numbers

    def anybody(self, here: bool) -> bool:
        """Is it so in any process?"""
        return here

    def whole(self, model: nn.Module) -> dict[str, Tensor]:
        """All weights in full."""
        return model.state_dict()

    def save(self, place: Path, tensors: dict[str, Tensor], about: dict) -> None:
        """Write a checkpoint, all or nothing."""
        weights.write_tensors(checkpoint_file(place), tensors, about)

    def load(self, place: Path) -> tuple[Path, dict]:
        """The checkpoint of a place, and what it says about itself."""
        file = checkpoint_file(place)
        if not file.is_file():
            others = f"; {place} is one for `torchrun`" if place.is_dir() else ""
            raise FileNotFoundError(f"there is no {file} to resume: leave out --resume{others}")
        return file, weights.read_about(file)

    def fill(self, tensors: dict[str, Tensor], file: Path) -> None:
        """Read a checkpoint into these tensors."""
        stored, _ = weights.read_tensors(file)
        for name, tensor in tensors.items():
            if name not in stored or stored[name].shape != tensor.shape:
                raise ValueError(f"{file} belongs to a model of another size")
            tensor.copy_(stored[name])

    def farewell(self, done: Path) -> str:
        """What to say at the end."""
        return str(done)

    def close(self) -> None:
        """Nobody to say goodbye to."""


def checkpoint_file(place: Path) -> Path:
    """Where a process alone keeps its checkpoint."""
    return place.with_name(place.name + ".safetensors")


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW; only matrices and kernels decay, not biases, gains or embeddings."""
    decay, keep, numbers = [], [], []
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            is_matrix = name == "weight" and parameter.ndim > 1 and not isinstance(module, nn.Embedding)
            (decay if is_matrix else keep if parameter.ndim else numbers).append(parameter)
    groups = [{"params": decay, "weight_decay": config.decay}, {"params": keep, "weight_decay": 0.0}]
    if numbers:  # (not to be mixed with what may be split over processes)
        groups.append({"params": numbers, "weight_decay": 0.0})
    return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, eps=config.eps, fused=True)


class State:
    """Everything a stopped run needs to go on: weights, their average, the optimiser's memory,
    and the sums of the log's unfinished row."""

    def __init__(self, job: Job, config: TrainConfig, team: Alone = Alone()):
        self.step, self.team = 0, team
        self.model, self.ema = job.model, copy.deepcopy(job.model).requires_grad_(False)
        self.called = team.share(self.model)  # the same, or a wrapper that exchanges gradients
        team.share(self.ema, learns=False)
        self.optimizer = make_optimizer(self.model, config)
        self.sums: dict[str, Tensor] = {}

    def tensors(self) -> dict[str, Tensor]:
        """All of it as named tensors, or this process's shards of them."""
        named = {f"model.{name}": t for name, t in self.model.state_dict().items()}
        named |= {f"ema.{name}": t for name, t in self.ema.state_dict().items()}
        named |= {f"sums.{name}": t for name, t in self.sums.items()}
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        for i, parameter in enumerate(parameters):
            named |= {f"optimizer.{i}.{name}": t for name, t in self.optimizer.state[parameter].items()}
        return named

    @torch.no_grad()
    def restore(self, place: Path, run: dict) -> float:
        """Take up the run whose checkpoint lies there; returns the seconds it has taken.

        ValueError if it is not the run that `run` describes.
        """
        found, about = self.team.load(place)
        if {name: about.get(name) for name in run} != run:
            raise ValueError(f"{found} belongs to a run with other settings: {about}")
        for group in self.optimizer.param_groups:
            for p in group["params"]:
                self.optimizer.state[p] = {"step": torch.zeros((), device=self.team.device)}
                self.optimizer.state[p] |= {n: torch.zeros_like(p) for n in ("exp_avg", "exp_avg_sq")}
        self.sums = {name: torch.zeros(size, dtype=torch.float64) for name, size in about["sums"].items()}
        self.team.fill(self.tensors(), found)
        self.step = about["step"]
        return about["seconds"]

    @torch.no_grad()
    def settle(self) -> None:
        """Let the weights be their averages."""
        for ours, theirs in zip(self.model.parameters(), self.ema.parameters()):
            ours.copy_(theirs)

    @torch.no_grad()
    def average(self, decay: float) -> None:
        """Move the averaged weights towards the current ones, faster in the first steps."""
        decay = min(decay, (1 + self.step) / (10 + self.step))
        for kind in (lambda p: p.ndim > 0, lambda p: p.ndim == 0):
            ours, theirs = ([p for p in model.parameters() if kind(p)] for model in (self.ema, self.model))
            if ours:
                torch._foreach_lerp_(ours, theirs, 1 - decay)


def take_step(job: Job, config: TrainConfig, state: State) -> None:
    """One step of training; adds its loss, parts and times to state.sums."""
    team, begin, waited, found = state.team, time.perf_counter(), 0.0, {}
    state.optimizer.zero_grad()
    if state.step == round(job.settle * config.steps):
        state.settle()
    for part in range(team.rounds):
        asked = time.perf_counter()
        batch = job.batch(state.step, team.part(config.batch, part))
        batch = tuple(tensor.to(team.device, non_blocking=True) for tensor in batch)
        waited += time.perf_counter() - asked
        with team.round(state.called, last=part == team.rounds - 1):
            loss, parts = job.loss(state.called, batch, state.step / config.steps, state.step, team.gather)
            (loss / team.rounds).backward()
        for name, value in ({"loss": loss.detach()} | parts).items():
            found[name] = found.get(name, 0) + value.double() / team.rounds
    norm = team.clip(state.model, config.clip)
    seconds = torch.tensor([time.perf_counter() - begin, waited])
    means = agree(team, found | {"seconds": seconds[0], "data": seconds[1]})
    if not math.isfinite(means["loss"]):
        raise FloatingPointError(f"{job.name}: the loss of step {state.step + 1} is not finite")
    if not math.isfinite(norm.item()):
        raise FloatingPointError(f"{job.name}: the gradient of step {state.step + 1} is not finite")
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate(config, state.step)
    state.optimizer.step()
    state.average(config.ema)
    state.step += 1
    sums = means | {"steps": torch.tensor(1.0, dtype=torch.float64)}
    state.sums = {name: state.sums.get(name, 0) + value for name, value in sums.items()}


def agree(team: Alone, numbers: dict[str, Tensor]) -> dict[str, Tensor]:
    """The means over the processes of some tensors of any shape, sent as one."""
    flat = torch.cat([value.double().flatten().to(team.device) for value in numbers.values()])
    parts = team.mean(flat).cpu().split([value.numel() for value in numbers.values()])
    return {name: part.view(value.shape) for (name, value), part in zip(numbers.items(), parts)}


def train(job: Job, config: TrainConfig, out: Path, resume: bool = False, save_every: float = 60,
          log_every: int = 50, team: Alone = Alone(), **about) -> None:
    """Train job.model for config.steps steps and leave its averaged weights in `out`.

    Writes NAME.csv (a row per log_every steps), a checkpoint (every save_every seconds, and on
    Ctrl-C) and at the end NAME.safetensors, with `about` in its header. With `resume` the run goes
    on from the checkpoint. A loss that is not finite raises FloatingPointError and leaves the last
    checkpoint as it was.
    """
    place, table = out / f"{job.name}.checkpoint", out / f"{job.name}.csv"
    team.part(config.batch, 0)  # fails here if it cannot be shared
    state, spent = State(job, config, team), 0.0
    run = {"config": weights.plain(config), "run": {"seed": about.get("seed"), "data": about.get("data")}}
    if resume:
        spent = state.restore(place, run)
    if team.rank == 0:
        out.mkdir(parents=True, exist_ok=True)
        cut_table(table, state.step)
    begin = saved = time.monotonic()

    def save():
        sums = {name: list(value.shape) for name, value in state.sums.items()}
        header = run | {"step": state.step, "sums": sums, "seconds": spent + time.monotonic() - begin}
        team.save(place, state.tensors(), header)

    bar = tqdm(total=config.steps, initial=state.step, desc=job.name, unit="step",
               **({"disable": True} if team.rank else {}))
    with bar, asked_to_stop() as stop:
        stopped = False
        while state.step < config.steps and not stopped:
            take_step(job, config, state)
            bar.update()
            if state.step % log_every == 0 or state.step == config.steps:
                row = add_row(table, state, config, job)
                bar.set_postfix({name: row[name] for name in list(row)[2:]})
            if team.anybody(time.monotonic() - saved > save_every):
                save()
                saved = time.monotonic()
            stopped = team.anybody(stop.is_set())
    save()
    if stopped:
        raise KeyboardInterrupt
    minutes = round((spent + time.monotonic() - begin) / 60, 1)
    tensors = team.whole(state.ema)
    if team.rank == 0:
        done = out / f"{job.name}.safetensors"
        weights.save(done, state.ema, tensors, half=True, steps=state.step, minutes=minutes, **about)


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
    state.sums = {}
    if state.team.rank == 0:
        new = not table.exists()
        with open(table, "a", newline="") as file:
            writer = csv.DictWriter(file, row)
            if new:
                writer.writeheader()
            writer.writerow(row)
    return row


def cut_table(table: Path, step: int) -> None:
    """Drop rows later than `step`: a killed run may have logged more than it saved."""
    if not table.exists():
        return
    lines = table.read_text().splitlines(keepends=True)
    kept = [line for line in lines[1:] if int(line.split(",")[0]) <= step]
    table.unlink() if not kept else table.write_text("".join(lines[:1] + kept))


def steps_in(minutes: float, job: Job, config: TrainConfig, team: Alone = Alone()) -> int:
    """How many steps fit into the minutes, by timing some on a copy that is thrown away."""
    start = time.monotonic()
    trial = replace(job, model=copy.deepcopy(job.model))
    state = State(trial, config, team)
    take_step(trial, config, state)  # the first one is slower
    begin, first = time.monotonic(), state.step
    while not team.anybody(time.monotonic() - begin >= 10 and state.step - first >= 10):
        take_step(trial, config, state)
    rate = (state.step - first) / (time.monotonic() - begin)
    steps = rate * (minutes * 60 - (time.monotonic() - start))  # timing took some
    return max(1, int(team.mean(torch.tensor([steps], dtype=torch.float64, device=team.device))))
