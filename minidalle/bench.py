"""How fast, and how near to what the machine can do: each figure beside a limit measured with it.

B images at a time, N image tokens, P parameters. A limit is measured in the same process, on the
same threads, just before what it is compared with: a product of two square matrices for the
arithmetic, a copy for the memory. Only FLOPs that the model needs count (`plan.forward_flops`),
whatever was computed besides. Random tokens and weights are as fast as learned ones.

A peer is what one would otherwise take. The two take turns, so that a slow minute of the machine
hits both, and what counts is the ratio.
"""

import statistics
import sysconfig
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from random import Random

import torch
import torch.nn.functional as F
from torch import Tensor

from minidalle.bpe import BPE, WORD, train_by_recounting
from minidalle.config import DALLEConfig, TrainConfig
from minidalle.datasets import Scenes, draw_batch
from minidalle.factored import factored
from minidalle.masks import mask_of
from minidalle.plan import forward_flops
from minidalle.sampling import sample
from minidalle.training import Alone, Job, State, take_step
from minidalle.transformer import DALLE
from minidalle.weights import DATA

# The size at which CPUs are compared: 64 text and 256 image tokens.
MIDDLE = DALLEConfig(vocab=1024, text_len=64, codebook=1024, grid=16, width=256, depth=6, heads=8, kernel=5)
LETTERS, MERGES = 5_000_000, 16_384  # of the text that a vocabulary is learned from, and what is learned
SCENES = 4000  # captions to cut, pictures to paint
STREAMS = ((64, 32), (32, 8))  # text tokens, and side of the grid: middle and tiny


@dataclass(frozen=True)
class Setting:
    """What a benchmark is asked for; each takes what concerns it."""

    config: DALLEConfig
    batch: int = 8
    repeat: int = 5
    team: Alone = field(default_factory=Alone)


@dataclass(frozen=True)
class Row:
    """One figure: how many units a second, beside what the limit would allow or what a peer does."""

    what: str
    unit: str
    rates: list[float]  # of each repetition
    limit: float | None = None  # in the same unit: what the machine could do, or what the peer did
    why: str = ""  # what the limit is, or who the peer

    def figures(self) -> dict:
        """Median, p10 and p90 of the rates, and the share of the limit."""
        tenths = statistics.quantiles(self.rates, n=10, method="inclusive")
        median = statistics.median(self.rates)
        share = median / self.limit if self.limit else None
        return {"what": self.what, "unit": self.unit, "median": median, "p10": tenths[0], "p90": tenths[-1],
                "limit": self.limit, "share": share, "why": self.why}


def beside(what: str, unit: str, many: float, ours: Callable, theirs: dict[str, Callable], repeat: int,
           device: torch.device = torch.device("cpu")) -> list[Row]:
    """One row for each peer: `many` units in each call of `ours` and of theirs, which take turns."""
    works = {"ours": ours, **theirs}
    turns = [{name: once(work, device) for name, work in works.items()} for _ in range(repeat + 1)][1:]
    rates = {name: [many / turn[name] for turn in turns] for name in works}
    return [Row(what, unit, rates["ours"], statistics.median(rates[name]), name) for name in theirs]


def once(work: Callable[[], object], device: torch.device) -> float:
    """How long `work` takes, in seconds."""
    begin = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def seconds(work: Callable[[], object], repeat: int, device: torch.device) -> list[float]:
    """How long `work` takes, each of `repeat` times, after once that does not count."""
    return [once(work, device) for _ in range(repeat + 1)][1:]


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


def bench_train(asked: Setting) -> list[Row]:
    """Steps of training: the batch's codes are given; forward, backward, optimiser, average."""
    config, batch, team = asked.config, asked.batch, asked.team
    how = TrainConfig(steps=10**6, batch=batch, lr=1e-4)
    job = Job("dalle", DALLE(config), lambda step, part: tuple(t[part] for t in given),
              lambda model, batch, t, step, gather: model(*batch))
    given, state = tokens(config, batch, team.device), State(job, how, team)
    limit = matmul_limit(team.device, torch.bfloat16 if team.bf16 else torch.float32)
    spent = seconds(lambda: take_step(job, how, state), asked.repeat, team.device)
    most = limit / (3 * forward_flops(config))
    return [Row(f"training, batch {batch}", "images/s", [batch / s for s in spent], most,
                f"{limit / 1e9:,.0f} GFLOP/s of a matrix product, {3 * forward_flops(config) / 1e9:,.1f} GFLOP an image")]


@torch.no_grad()
def bench_sample(asked: Setting) -> list[Row]:
    """Drawing a batch of candidates of one caption."""
    config, batch, team = asked.config, asked.batch, asked.team
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
    spent = seconds(lambda: sample(model, text, batch), asked.repeat, team.device)
    limit = min(by_matmul, by_memory)
    why = (f"2 · {P / 1e6:,.1f} M FLOP a token at {arithmetic / 1e9:,.0f} GFLOP/s" if limit == by_matmul
           else f"{P * dtype.itemsize / 1e6:,.1f} MB of weights a step at {memory / 1e9:,.1f} GB/s")
    return [Row(f"sampling, batch {batch}", "tokens/s", [batch * config.image_len / s for s in spent], limit, why)]


def bench_attention(asked: Setting) -> list[Row]:
    """Forward and backward of attention alone: each kind of layer, beside a dense causal one."""
    c, rows = asked.config, []
    for T, side in STREAMS:
        shape = asked.batch, c.heads, T + side**2, c.width // c.heads
        qkv = [torch.randn(shape, device=asked.team.device, requires_grad=True) for _ in "qkv"]

        def passes(attend, **how):
            return lambda: torch.autograd.grad(attend(*qkv, **how).sum(), qkv)

        for kind in ("row", "column", "convolutional"):
            mask = mask_of(kind, T, side, side, c.kernel).to(asked.team.device)
            peers = {
                "dense causal": passes(F.scaled_dot_product_attention, is_causal=True),
                "the same mask, whole": passes(F.scaled_dot_product_attention, attn_mask=mask),
            }
            ours = passes(factored, kind=kind, text_len=T, width=side, kernel=c.kernel)
            rows += beside(f"{kind} attention, {T} + {side**2} tokens", "passes/s", 1, ours, peers, asked.repeat,
                           asked.team.device)
    return rows


def bench_bpe(asked: Setting) -> list[Row]:
    """Learning merges from five megabytes, and cutting captions, one by one."""
    if find_spec("tokenizers") is None:
        raise ValueError("tokenizers, the peer, is not installed: run `pip install -e '.[peers]'`")
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    texts = corpus(LETTERS).splitlines(keepends=True)

    def theirs():
        rust, level = Tokenizer(models.BPE()), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        rust.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(WORD.pattern), "isolated"), level])
        how = dict(vocab_size=256 + MERGES, min_frequency=2, initial_alphabet=level.alphabet(), show_progress=False)
        rust.train_from_iterator([text.lower() for text in texts], trainers.BpeTrainer(**how))

    rows = beside("BPE, learning", "merges/s", MERGES, lambda: BPE.train(texts, 256 + MERGES),
                  {"tokenizers (Rust)": theirs}, asked.repeat)
    few = 4
    slow = few / once(lambda: train_by_recounting(texts, 256 + few), torch.device("cpu"))
    rows.append(Row("BPE, learning", "merges/s", rows[0].rates, slow, f"recounting, its first {few} merges"))
    captions, path = draw_batch(Scenes(), Random(0), SCENES)[0], DATA / "tiny" / "bpe.json"
    bpe, rust = BPE.load(path), Tokenizer.from_file(str(path))
    return rows + beside("BPE, cutting captions", "captions/s", len(captions), lambda: [bpe.encode(c) for c in captions],
                         {"tokenizers (Rust)": lambda: [rust.encode(c).ids for c in captions]}, asked.repeat)


def corpus(size: int) -> str:
    """So many letters of English and Python: the standard library, from its first file on."""
    text, library = "", Path(sysconfig.get_path("stdlib"))
    for path in [*sorted(library.glob("*.py")), *sorted(library.glob("*/*.py"))]:
        text += path.read_text("utf-8", errors="replace")
        if len(text) >= size:
            return text[:size]
    raise ValueError(f"the standard library has only {len(text)} letters")


def bench_scenes(asked: Setting) -> list[Row]:
    """Painting captioned scenes of 32×32 pixels, by one process and by two."""
    rows = []
    for processes in (1, 2):
        with ProcessPoolExecutor(processes) as pool:
            spent = seconds(lambda: list(pool.map(paint_some, [SCENES // processes] * processes)), asked.repeat,
                            torch.device("cpu"))
        rows.append(Row(f"scenes, {processes} process{'es' * (processes > 1)}", "pictures/s", [SCENES / s for s in spent]))
    return rows


def paint_some(count: int) -> None:
    """Paint scenes and forget them."""
    for _ in range(count // 100):
        draw_batch(Scenes(), Random(count), 100)


BENCHES = {"sample": bench_sample, "train": bench_train, "attention": bench_attention, "bpe": bench_bpe,
           "scenes": bench_scenes}


def table(rows: list[dict]) -> str:
    """The figures as a Markdown table; the ratio is to the limit, or to the peer."""
    lines = ["| what | median | p10 | p90 | beside | ratio | which is |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        figures = [f"{row[name]:,.4g}" if row[name] else "" for name in ("median", "p10", "p90", "limit")]
        share = f"{row['share']:.3g}" if row["share"] else ""
        lines.append(f"| {row['what']}, {row['unit']} | {' | '.join(figures)} | {share} | {row['why']} |")
    return "\n".join(lines)
