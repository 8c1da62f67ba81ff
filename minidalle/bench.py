"""How fast, and how near to what the machine can do: each figure beside a limit measured with it.

B images at a time, N image tokens, P parameters. A limit is measured in the same process, on the
same threads, just before what it is compared with: a product of two square matrices for the
arithmetic, a copy for the memory. Only FLOPs that the model needs count (`plan.forward_flops`),
whatever was computed besides. Random tokens and weights are as fast as learned ones.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from minidalle.config import DALLEConfig, TrainConfig
from minidalle.plan import forward_flops
from minidalle.sampling import sample
from minidalle.training import Alone, Job, State, take_step
from minidalle.transformer import DALLE

# The size at which CPUs are compared: 64 text and 256 image tokens.
MIDDLE = DALLEConfig(vocab=1024, text_len=64, codebook=1024, grid=16, width=256, depth=6, heads=8, kernel=5)


@dataclass(frozen=True)
class Row:
    """One figure: how many units a second, and what the limit would allow."""

    what: str
    unit: str
    rates: list[float]  # of each repetition
    limit: float | None = None  # in the same unit
    why: str = ""  # what the limit is

    def figures(self) -> dict:
        """Median, p10 and p90 of the rates, and the share of the limit."""
        tenths = statistics.quantiles(self.rates, n=10, method="inclusive")
        median = statistics.median(self.rates)
        share = median / self.limit if self.limit else None
        return {"what": self.what, "unit": self.unit, "median": median, "p10": tenths[0], "p90": tenths[-1],
                "limit": self.limit, "share": share, "why": self.why}


def seconds(work: Callable[[], object], repeat: int, device: torch.device) -> list[float]:
    """How long `work` takes, each of `repeat` times, after once that does not count."""
    spent = []
    for _ in range(repeat + 1):
        begin = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        spent.append(time.perf_counter() - begin)
    return spent[1:]


def matmul_limit(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of a product of two large square matrices of random numbers."""
    n = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in "ab")
    return 2 * n**3 / statistics.median(seconds(lambda: a @ b, 10, device))


def copy_limit(device: torch.device) -> float:
    """Bytes/s that can be read, from a copy (which reads and writes)."""
    source = torch.zeros(2**28 if device.type == "cuda" else 2**24, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / statistics.median(seconds(lambda: target.copy_(source), 10, device))


def tokens(config: DALLEConfig, batch: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Random text (B, T) and codes (B, N)."""
    return (torch.randint(config.vocab, (batch, config.text_len), device=device),
            torch.randint(config.codebook, (batch, config.image_len), device=device))


def bench_train(config: DALLEConfig, batch: int, repeat: int, team: Alone) -> list[Row]:
    """Steps of training: the batch's codes are given; forward, backward, optimiser, average."""
    how = TrainConfig(steps=10**6, batch=batch, lr=1e-4)
    job = Job("dalle", DALLE(config), lambda step, part: tuple(t[part] for t in given),
              lambda model, batch, t, step, gather: model(*batch))
    given, state = tokens(config, batch, team.device), State(job, how, team)
    limit = matmul_limit(team.device, torch.bfloat16 if team.bf16 else torch.float32)
    spent = seconds(lambda: take_step(job, how, state), repeat, team.device)
    most = limit / (3 * forward_flops(config))
    return [Row(f"training, batch {batch}", "images/s", [batch / s for s in spent], most,
                f"{limit / 1e9:,.0f} GFLOP/s of a matrix product, {3 * forward_flops(config) / 1e9:,.1f} GFLOP an image")]


@torch.no_grad()
def bench_sample(config: DALLEConfig, batch: int, repeat: int, team: Alone) -> list[Row]:
    """Drawing a batch of candidates of one caption."""
    dtype = torch.bfloat16 if team.bf16 else torch.float32
    with torch.device("meta"):
        model = DALLE(config).to(dtype)
    model.to_empty(device=team.device)
    with team.device:
        model.make_masks()
    for parameter in model.parameters():
        parameter.normal_(std=config.width**-0.5)
    P = sum(p.numel() for name, p in model.named_parameters() if "blocks" in name or "image_head" in name)
    arithmetic, memory = matmul_limit(team.device, dtype), copy_limit(team.device)
    by_matmul, by_memory = arithmetic / (2 * P), batch * memory / (P * dtype.itemsize)
    text = tokens(config, 1, team.device)[0]
    spent = seconds(lambda: sample(model, text, batch), repeat, team.device)
    limit = min(by_matmul, by_memory)
    why = (f"2 · {P / 1e6:,.1f} M FLOP a token at {arithmetic / 1e9:,.0f} GFLOP/s" if limit == by_matmul
           else f"{P * dtype.itemsize / 1e6:,.1f} MB of weights a step at {memory / 1e9:,.1f} GB/s")
    return [Row(f"sampling, batch {batch}", "tokens/s", [batch * config.image_len / s for s in spent], limit, why)]


BENCHES = {"train": bench_train, "sample": bench_sample}


def table(rows: list[dict]) -> str:
    """The figures as a Markdown table."""
    lines = ["| what | median | p10 | p90 | limit | share | limited by |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        figures = [f"{row[name]:,.4g}" for name in ("median", "p10", "p90", "limit")]
        lines.append(f"| {row['what']}, {row['unit']} | {' | '.join(figures)} | {row['share']:.1%} | {row['why']} |")
    return "\n".join(lines)
