"""How speed is measured, so that the figures are meaningful on a busy machine.

Our code, its peers (other packages that do the same) and the machine's limits take turns in one
process, so a slow minute affects all of them; what counts is the median ratio within a turn. A
limit is the most that the machine can do: a product of two square matrices for arithmetic, a copy
for memory.
"""

import re
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from minidalle.config import DALLEConfig
from minidalle.runtime import SingleProcess


@dataclass(frozen=True)
class Setting:
    """The options of a benchmark; each uses those that apply to it."""

    config: DALLEConfig
    batch: int | None = None  # if not the benchmark's default
    repeat: int = 5
    runtime: SingleProcess = field(default_factory=SingleProcess)
    bf16: bool = False
    peer: bool = False  # also time the peers that `make bench-peers` installs
    profile: bool = False  # also print where the time goes


@dataclass(frozen=True)
class Row:
    """One figure: units per second, with those of a limit or a peer."""

    what: str
    unit: str
    rates: list[float]  # in each turn
    # The limit or the peer in the same turns, or a single measurement.
    limits: list[float] | None = None
    why: str = ""  # which limit or peer

    def figures(self) -> dict:
        """Median, p10 and p90; the median of the limit and of the ratio to it over turns."""
        p10, median, p90 = np.quantile(self.rates, (0.1, 0.5, 0.9)).tolist()
        limit = share = None
        if self.limits:
            limit = float(np.median(self.limits))
            share = float(np.median(np.divide(self.rates, self.limits)))
        return {
            "what": self.what,
            "unit": self.unit,
            "median": median,
            "p10": p10,
            "p90": p90,
            "limit": limit,
            "share": share,
            "why": self.why,
        }


Works = Mapping[str, Callable[[], object]]
Limits = Mapping[str, Callable[[], float]]


def beside(
    asked: Setting,
    what: str,
    unit: str,
    many: float,
    ours: Callable[[], object],
    theirs: Works,
    limits: Limits | None = None,
) -> list[Row]:
    """A row for each limit and for each peer. A call of `ours` or of theirs handles `many` units; a
    limit returns its own units per second. All take turns, after one turn of warm-up."""
    if asked.profile:
        print(profile(what, ours), end="\n\n")
    works, limits = {"ours": ours, **theirs}, limits or {}
    turns = [
        {name: many / once(work, asked.runtime.device) for name, work in works.items()}
        | {name: measure() for name, measure in limits.items()}
        for _ in range(asked.repeat + 1)
    ][1:]
    rates = {name: [turn[name] for turn in turns] for name in turns[0]}
    others: list[tuple] = [(rates[name], name) for name in [*limits, *theirs]]
    return [Row(what, unit, rates["ours"], *other) for other in others or [()]]


def once(work: Callable[[], object], device: torch.device) -> float:
    """Seconds that `work` takes."""
    begin = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def usual(work: Callable[[], object], device: torch.device) -> float:
    """Median seconds of ten calls of `work`."""
    return statistics.median([once(work, device) for _ in range(11)][1:])


def profile(what: str, work: Callable[[], object], most: int = 8) -> str:
    """The operations that take most of the CPU's time, as a Markdown table."""
    work()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as found:
        work()
    ops = sorted(found.key_averages(), key=lambda op: -op.self_cpu_time_total)
    total = sum(op.self_cpu_time_total for op in ops)
    rows = [(op.key, op.count, op.self_cpu_time_total / total) for op in ops[:most]]
    rest = sum(op.count for op in ops[most:]), 1 - sum(share for _, _, share in rows)
    lines = [f"| {what} | calls | share of the CPU's time |", "|---|---|---|"]
    lines += [
        f"| {name} | {calls:,} | {share:.0%} |"
        for name, calls, share in [*rows, ("the rest", *rest)]
    ]
    return "\n".join(lines)


def matmul_limit(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of a product of two large square matrices of random numbers."""
    n = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in "ab")
    return 2 * n**3 / usual(lambda: a @ b, device)


def copy_limit(device: torch.device) -> float:
    """Bytes/s of a large copy, reads plus writes."""
    source = torch.zeros(2**28 if device.type == "cuda" else 2**24, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / usual(lambda: target.copy_(source), device)


def watched(work: Callable[[], object]) -> tuple[float, int]:
    """Seconds that `work` takes, and the bytes by which the process's peak memory grows."""
    before = peak_memory()
    return once(work, torch.device("cpu")), peak_memory() - before


def peak_memory() -> int:
    """Peak memory of this process, in bytes."""
    status = Path("/proc/self/status")  # Linux, where `getrusage` includes the parent
    if status.is_file():
        return 1024 * int(re.search(r"VmHWM:\s*(\d+) kB", status.read_text())[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS


def table(rows: list[dict]) -> str:
    """The figures as a Markdown table; the ratio is to the limit, or to the peer."""
    lines = [
        "| what | median | p10 | p90 | beside | ratio | which is |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        figures = [
            f"{row[name]:,.4g}" if row[name] else "" for name in ("median", "p10", "p90", "limit")
        ]
        share = f"{row['share']:.3g}" if row["share"] else ""
        lines.append(
            f"| {row['what']}, {row['unit']} | {' | '.join(figures)} | {share} | {row['why']} |"
        )
    return "\n".join(lines)
