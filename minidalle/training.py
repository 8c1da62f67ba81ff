"""One plain loop for every model.

A step takes its batch, computes the loss and its gradient, and steps the optimiser. All
randomness is a function of (seed, step), so no random state is saved, and a resumed run gives
exactly the same numbers as one that was never stopped. Everything that depends on the number of
processes is left to a `Runtime`.

Learning rate, temperature and KL weight are pure functions of the progress t in [0, 1] of the
run; none of them is stored or updated.
"""

import copy
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from minidalle import weights
from minidalle.config import Ramp, TrainConfig
from minidalle.logs import append_row, cut_table
from minidalle.optimizers import make_optimizers
from minidalle.runtime import Checkpoint, Numbers, Runtime, SingleProcess, Start, share_of

Batch = tuple[Tensor, ...]


# ---- schedules --------------------------------------------------------------------------


def half_cosine(start: float, end: float, t: float) -> float:
    """From start (t = 0) to end (t ≥ 1), flat at both ends; halfway at t = ½."""
    return end + (start - end) * (1 + math.cos(math.pi * min(t, 1))) / 2


def at(ramp: Ramp, t: float) -> float:
    """The value of a ramp at time t."""
    return half_cosine(ramp.start, ramp.end, t / ramp.until)


def learning_rate(config: TrainConfig, step: int) -> float:
    """Linear warm-up, then a half-cosine that reaches config.final_lr when the run ends."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    end = config.lr_until * config.steps
    return half_cosine(
        config.lr, config.final_lr, (step - config.warmup) / max(1, end - config.warmup)
    )


# ---- jobs -------------------------------------------------------------------------------


def plain_loss(
    model: nn.Module, batch: Batch, t: float, gather: Callable
) -> tuple[Tensor, Numbers]:
    """The loss that the model's `forward` computes, and its parts."""
    return model(*batch)


def plain_log(parts: Numbers) -> dict[str, float]:
    """Every part as a number."""
    return {name: float(value) for name, value in parts.items()}


def as_loaded(step: int, part: slice, examples: Batch) -> Batch:
    """The examples themselves."""
    return examples


@dataclass
class Job:
    """What differs between models: the batch of a step, the loss, and what to log.

    A batch is made in two halves. `load` chooses and paints the examples, on the CPU: it may run
    in other processes, ahead of time (scale/ahead.py). `prepare` does what needs a trained model
    or large random tensors, on the device where the examples are by then.
    """

    name: str
    model: nn.Module
    load: Callable[[int, slice], Batch]  # of (step, which of its examples)
    loss: Callable[..., tuple[Tensor, Numbers]] = plain_loss  # of (model, batch, t, gather)
    log: Callable[[Numbers], dict[str, float]] = plain_log
    prepare: Callable[[int, slice, Batch], Batch] = as_loaded  # of (step, part, loaded examples)
    load_ema_at: float = 1.0  # at this share of the run the weights are set to their EMA
    whole_batch: bool = False  # the loss couples all examples: no gradient accumulation
    partly_frozen: bool = False  # in some steps some parameters get no gradient
    start: Start | None = None  # initial values, for a model that was made without any
    about: Mapping[str, str] = field(default_factory=dict)  # sha256 of what it is made of

    def batch(self, step: int, part: slice = slice(None)) -> Batch:
        """The batch of a step, or a part of it, on the CPU."""
        return self.prepare(step, part, self.load(step, part))


# ---- the state of a run -----------------------------------------------------------------


class State:
    """The state of a run: weights, their exponential moving average (EMA), the optimiser's
    moments, and the sums for the next row of the log."""

    def __init__(self, job: Job, config: TrainConfig, runtime: Runtime = SingleProcess()):
        self.step, self.runtime = 0, runtime
        self.model, self.ema = job.model, copy.deepcopy(job.model).requires_grad_(False)
        self.called = runtime.prepare(self.model, True, job.start, job.partly_frozen)
        runtime.prepare(self.ema, False, job.start)
        self.optimizers = make_optimizers(self.model, config)
        self.sums: Numbers = {}
        self.clock = time.perf_counter()  # when the last step had its gradient

    def moments(self) -> Iterator[tuple[nn.Parameter, dict[str, Tensor], bool]]:
        """Each parameter that is trained, its moments so far, and whether Muon has it."""
        for optimizer in self.optimizers:
            for parameter in (p for group in optimizer.param_groups for p in group["params"]):
                yield parameter, optimizer.state[parameter], isinstance(optimizer, torch.optim.Muon)

    def tensors(self) -> Numbers:
        """The state as named tensors, or this process's shards of them."""
        named = {f"model.{name}": t for name, t in self.model.state_dict().items()}
        named |= {f"ema.{name}": t for name, t in self.ema.state_dict().items()}
        named |= {f"sums.{name}": t for name, t in self.sums.items()}
        for i, (_, moments, _) in enumerate(self.moments()):
            named |= {f"optimizer.{i}.{name}": t for name, t in moments.items()}
        return named

    def save(self, checkpoint: Checkpoint, run: dict, seconds: float) -> None:
        """Write a checkpoint of the run that `run` describes, which has taken so many seconds.

        Raises FloatingPointError, and writes nothing, if it holds a number that is not finite.
        """
        sums = {name: list(value.shape) for name, value in self.sums.items()}
        tensors = self.tensors()
        if bad := self.not_finite(tensors):
            raise FloatingPointError(
                f"after step {self.step} {bad} is not finite: nothing is saved"
            )
        checkpoint.save(tensors, run | {"step": self.step, "sums": sums, "seconds": seconds})

    def not_finite(self, tensors: Numbers) -> str | None:
        """The first tensor that is not finite, in this or another process."""
        shards = ((name, getattr(t, "to_local", lambda t=t: t)()) for name, t in tensors.items())
        bad = next((name for name, shard in shards if not weights.is_finite(shard)), None)
        return (bad or "a tensor") if self.runtime.any_rank(bad is not None) else None

    @torch.no_grad()
    def restore(self, checkpoint: Checkpoint, run: dict) -> float:
        """Continue the run of a checkpoint; returns the seconds it has taken so far.

        Raises ValueError if it is not the run that `run` describes.
        """
        about = checkpoint.about()
        if different := differences(run, about):
            raise ValueError(f"{checkpoint.path} belongs to another run: {', '.join(different)}")
        for parameter, moments, by_muon in self.moments():
            if not by_muon:
                moments["step"] = torch.zeros((), device=self.runtime.device)
            for name in ["momentum_buffer"] if by_muon else ["exp_avg", "exp_avg_sq"]:
                moments[name] = torch.zeros_like(parameter)
        self.sums = {n: torch.zeros(size, dtype=torch.float64) for n, size in about["sums"].items()}
        checkpoint.fill(tensors := self.tensors())
        if bad := self.not_finite(tensors):
            raise ValueError(f"{checkpoint.path} is damaged: {bad} is not finite")
        self.step = about["step"]
        return about["seconds"]

    @torch.no_grad()
    def load_ema(self) -> None:
        """Set the weights to their EMA."""
        for parameter, average in zip(self.model.parameters(), self.ema.parameters()):
            parameter.copy_(average)

    @torch.no_grad()
    def update_ema(self, decay: float) -> None:
        """Move the EMA towards the current weights, faster in the first steps."""
        decay = min(decay, (1 + self.step) / (10 + self.step))
        pairs = list(zip(self.ema.parameters(), self.model.parameters()))
        for is_scalar in (False, True):
            chosen = [pair for pair in pairs if (pair[0].ndim == 0) == is_scalar]
            if chosen:
                torch._foreach_lerp_(*map(list, zip(*chosen)), 1 - decay)


def differences(run: dict, about: dict) -> list[str]:
    """Where a checkpoint differs: {"seed": 1} and {"seed": 2} → ["seed 2, not 1"].

    Of what is known by its sha256, such as another CLIP, only that it is another.
    """
    found = []
    for name, value in run.items():
        other = about.get(name)
        if isinstance(value, dict) and isinstance(other, dict):
            found += differences(value, other)
        elif value != other:
            is_hash = isinstance(value, str) and len(value) == 64
            found.append(f"another {name}" if is_hash else f"{name} {other}, not {value}")
    return found


# ---- the loop ---------------------------------------------------------------------------


def take_step(job: Job, config: TrainConfig, state: State) -> None:
    """One training step; adds its loss, parts and times to state.sums."""
    runtime, waited, found = state.runtime, 0.0, {}
    for optimizer in state.optimizers:
        optimizer.zero_grad()
    if state.step == round(job.load_ema_at * config.steps):
        state.load_ema()
    for part in range(runtime.grad_accum_steps):
        asked = time.perf_counter()
        which = share_of(runtime, config.batch_size, part)
        batch = tuple(
            tensor.to(runtime.device, non_blocking=True) for tensor in job.load(state.step, which)
        )
        batch = job.prepare(state.step, which, batch)
        waited += time.perf_counter() - asked
        with runtime.accumulate(state.called, last=part == runtime.grad_accum_steps - 1):
            loss, parts = job.loss(state.called, batch, state.step / config.steps, runtime.gather)
            (loss / runtime.grad_accum_steps).backward()
        for name, value in ({"loss": loss.detach()} | parts).items():
            found[name] = found.get(name, 0) + value.double() / runtime.grad_accum_steps
    norm = runtime.clip_grad(state.model, config.grad_clip)
    now = time.perf_counter()
    times, state.clock = {"seconds": now - state.clock, "data": waited}, now
    means = runtime.mean(
        found | {name: torch.tensor(value).double() for name, value in times.items()}
    )
    for what, value in (("loss", means["loss"]), ("gradient", norm)):
        if not math.isfinite(value):
            raise FloatingPointError(
                f"{job.name}: the {what} of step {state.step + 1} is not finite"
            )
    for optimizer in state.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, state.step)
        optimizer.step()
    state.update_ema(config.ema_decay)
    state.step += 1
    means["steps"] = torch.tensor(1.0, dtype=torch.float64)
    state.sums = {name: state.sums.get(name, 0) + value for name, value in means.items()}


def train(
    job: Job,
    config: TrainConfig,
    out: Path,
    resume: bool = False,
    save_every: float = 60,
    log_every: int = 50,
    runtime: Runtime = SingleProcess(),
    **about,
) -> None:
    """Train job.model for config.steps steps and save the EMA of its weights in `out`.

    Writes NAME.csv (a row every log_every steps), a checkpoint (every save_every seconds, and on
    Ctrl-C or SIGTERM) and at the end NAME.safetensors, with `about` in its header. `resume`
    continues from the checkpoint. Raises FloatingPointError, and keeps the last checkpoint, if the
    loss or the gradient is not finite.
    """
    share_of(runtime, config.batch_size)  # fails here if it cannot be split evenly
    state, spent = State(job, config, runtime), 0.0
    checkpoint, table = runtime.checkpoint(out / f"{job.name}.checkpoint"), out / f"{job.name}.csv"
    run = {
        "config": weights.plain(config),
        "run": {name: about.get(name) for name in ("seed", "data", "bf16", "start")},
        "made of": dict(job.about),
    }
    told = {"rounding": about.get("rounding", {})}  # may change in a run
    if resume:
        without_steps = {name: value for name, value in run["config"].items() if name != "steps"}
        spent = state.restore(checkpoint, run | {"config": without_steps})
    if runtime.rank == 0:
        out.mkdir(parents=True, exist_ok=True)
        cut_table(table, state.step)
    begin = saved = time.monotonic()

    def seconds() -> float:
        return spent + time.monotonic() - begin

    quiet = {"disable": True} if runtime.rank else {}
    bar = tqdm(total=config.steps, initial=state.step, desc=job.name, unit="step", **quiet)
    with bar, asked_to_stop() as stop:
        stopped = False
        while state.step < config.steps and not stopped:
            take_step(job, config, state)
            bar.update()
            if state.step % log_every == 0 or state.step == config.steps:
                row = next_row(state, config, job)
                if runtime.rank == 0:
                    append_row(table, row)
                bar.set_postfix({name: row[name] for name in list(row)[2:]})
            stopped = runtime.any_rank(stop.is_set())
            due = stopped or state.step == config.steps or time.monotonic() - saved > save_every
            if runtime.any_rank(due):
                state.save(checkpoint, run | told, seconds())
                saved = time.monotonic()
    if stopped:
        raise KeyboardInterrupt
    about |= {"steps": state.step, "minutes": round(seconds() / 60, 1), **job.about}
    tensors = runtime.full_state_dict(state.ema)
    if runtime.rank == 0:
        weights.save(out / f"{job.name}.safetensors", state.ema, tensors, half=True, **about)


# ---- around the loop --------------------------------------------------------------------


@contextmanager
def asked_to_stop():
    """An event that Ctrl-C or SIGTERM sets, so that the loop can finish its step first."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread can handle signals
        return
    both = signal.SIGINT, signal.SIGTERM
    before = [signal.signal(number, lambda *_: stop.set()) for number in both]
    try:
        yield stop
    finally:
        for number, handler in zip(both, before):
            signal.signal(number, handler)


def next_row(state: State, config: TrainConfig, job: Job) -> dict[str, float]:
    """The averages since the last row of the log; the sums begin again."""
    steps, seconds = state.sums["steps"], state.sums["seconds"]
    mean = {name: value / steps for name, value in state.sums.items()}
    parts = {n: mean[n] for n in mean if n not in ("loss", "steps", "seconds", "data")}
    row = {"lr": learning_rate(config, state.step - 1), "loss": float(mean["loss"])}
    row |= job.log(parts)
    row["data_share"] = float(state.sums["data"] / seconds)
    row["examples_per_second"] = float(config.batch_size * steps / seconds)
    state.sums = {}
    return {"step": state.step} | {name: float(f"{value:.6g}") for name, value in row.items()}


def steps_in(
    minutes: float, job: Job, config: TrainConfig, runtime: Runtime = SingleProcess()
) -> int:
    """The number of steps that fit into `minutes`, from timing some on a copy of the model."""
    start = time.monotonic()
    trial = replace(job, model=copy.deepcopy(job.model))
    state = State(trial, config, runtime)
    take_step(trial, config, state)  # the first one is slower
    begin, first = time.monotonic(), state.step
    while not runtime.any_rank(time.monotonic() - begin >= 10 and state.step - first >= 10):
        take_step(trial, config, state)
    rate = (state.step - first) / (time.monotonic() - begin)
    steps = torch.tensor(rate * (minutes * 60 - (time.monotonic() - start)))  # less the timing
    return max(1, int(runtime.mean({"steps": steps.double()})["steps"]))
