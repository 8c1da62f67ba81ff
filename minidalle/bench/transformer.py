"""Benchmarks of the transformer: training, sampling, candidates of a caption, attention.

B images at a time, N image tokens, P parameters. As in paths.py.
"""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context

import torch
import torch.nn.functional as F
from torch import Tensor

from minidalle import DATA, pipeline
from minidalle.bench import peers
from minidalle.bench.timing import (
    Row,
    Setting,
    beside,
    copy_limit,
    matmul_limit,
    once,
    watched,
)
from minidalle.bpe import BPE
from minidalle.clip import CLIP
from minidalle.config import PRESETS, CLIPConfig, DALLEConfig, DVAEConfig, TrainConfig
from minidalle.dvae import DVAE
from minidalle.masks import mask_of
from minidalle.pipeline import Pretrained
from minidalle.sampling import sample
from minidalle.scale.attention import Pattern, attend, fast_attention
from minidalle.scale.cache import fast_sampling
from minidalle.scale.plan import forward_flops
from minidalle.training import Job, State, take_step
from minidalle.transformer import DALLE

# The size for benchmarks on CPUs: 64 text and 256 image tokens.
MIDDLE = DALLEConfig(
    vocab_size=1024, text_len=64, codebook_size=1024, grid=16, width=256, depth=6, heads=8, kernel=5
)
BATCHES = (1, 8, 32, 64)  # candidates drawn at a time
CANDIDATES, KEPT = 512, 32
STREAMS = ((64, 32, 1), (32, 8, 20))  # text tokens, side of the grid, passes per turn


def tokens(config: DALLEConfig, batch: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Random text (B, T) and codes (B, N)."""
    return (
        torch.randint(1, config.vocab_size, (batch, config.text_len), device=device),
        torch.randint(config.codebook_size, (batch, config.image_len), device=device),
    )


def bench_train(asked: Setting) -> list[Row]:
    """Training steps from given codes: forward, backward, optimiser, weight average."""
    config, batch, runtime = asked.config, asked.batch or 8, asked.runtime
    how = TrainConfig(steps=10**6, batch_size=batch, lr=1e-4)
    job = Job("dalle", DALLE(config), lambda step, part: tuple(t[part] for t in given))
    fast_attention(job.model)
    given, state, theirs = tokens(config, batch, runtime.device), State(job, how, runtime), {}
    if asked.peer:
        for sparse, kinds in ((False, "all dense"), (True, "rows and columns")):
            model = peers.dalle_pytorch(config, sparse=sparse).to(runtime.device)
            theirs[f"DALLE-pytorch, {kinds}"] = partial(
                step_of, model, torch.optim.Adam(model.parameters()), given
            )
    flops, dtype = 3 * forward_flops(config), torch.bfloat16 if asked.bf16 else torch.float32
    limits = {f"{flops / 1e9:,.1f} GFLOP an image, as in a large product":
              lambda: matmul_limit(runtime.device, dtype) / flops}  # fmt: skip
    ours = partial(take_step, job, how, state)
    return beside(asked, f"training, batch {batch}", "images/s", batch, ours, theirs, limits)


def step_of(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer, given: tuple[Tensor, Tensor]
) -> None:
    """One training step of DALLE-pytorch."""
    optimizer.zero_grad()
    model(*given, return_loss=True).backward()
    optimizer.step()


@torch.no_grad()
def bench_sample(asked: Setting) -> list[Row]:
    """Sampling candidates of one caption, code by code."""
    config, device, rows = asked.config, asked.runtime.device, []
    dtype = torch.bfloat16 if asked.bf16 else torch.float32
    model = random_model(config, device, dtype)
    P = sum(
        p.numel()
        for name, p in model.named_parameters()
        if "blocks" in name or "image_head" in name
    )
    text = tokens(config, 1, device)[0]
    for batch in [asked.batch] if asked.batch else BATCHES:
        theirs = {}
        if asked.peer:
            patched, llamagen = peers.dalle_pytorch(config, patched=True), peers.llamagen(config)
            theirs["LlamaGen"] = partial(llamagen, batch)
            theirs["DALLE-pytorch, its cache patched"] = partial(draw_all, patched, text, batch)
        theirs["the same products in a bare loop"] = partial(bare_loop, model, batch)
        # Per image.
        flops, bytes_read = 2 * P * config.image_len, P * dtype.itemsize * config.image_len / batch
        limits = {
            f"2 · {P / 1e6:,.1f} M FLOP a code, as in a large product":
                lambda: matmul_limit(device, dtype) / flops,
            f"{P * dtype.itemsize / 1e6:,.1f} MB of weights for each {batch} codes, as in a copy":
                lambda: copy_limit(device) / bytes_read,
        }  # fmt: skip
        ours = partial(draw_fast, model, text, batch)
        new = beside(asked, f"sampling, batch {batch}", "images/s", batch, ours, theirs, limits)
        if asked.peer and batch == 8:  # takes minutes, so once only
            slow = batch / once(partial(draw_all, peers.dalle_pytorch(config), text, batch), device)
            new.append(replace(new[0], limits=[slow], why="DALLE-pytorch, as shipped"))
        rows += new
    return rows


def draw_fast(model: DALLE, text: Tensor, batch: int) -> Tensor:
    """The steps of `pipeline.draw` from a caption's ids to codes."""
    with fast_sampling(model) as cache:
        return sample(model, text, batch, cache=cache)


def bare_loop(model: DALLE, batch: int) -> None:
    """The products of sampling alone, with fixed keys: no cache, no choice of codes."""
    c, x = model.config, model.places()[0].expand(batch, 1, -1)
    keys = x.new_zeros(batch, c.heads, c.text_len + c.grid, c.width // c.heads)
    mask = x.new_ones(1, 1, dtype=torch.bool)

    def attend(q, k, v, mask):
        return F.scaled_dot_product_attention(q, keys, keys)

    with fast_sampling(model):
        for _ in range(c.image_len):
            for block in model.blocks:
                block(x, mask, attend)
            model.image_head(model.norm(x))


def random_model(config: DALLEConfig, device: torch.device, dtype: torch.dtype) -> DALLE:
    """A transformer with random weights, made on its device, which is faster at full size."""
    with torch.device("meta"):
        model = DALLE(config).to(dtype)
    model.to_empty(device=device)
    with device:
        model.make_masks()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=config.width**-0.5)
    return model


def draw_all(model: torch.nn.Module, text: Tensor, batch: int, **how):
    """DALLE-pytorch's pictures for one caption (1, T)."""
    return model.generate_images(text.repeat(batch, 1), use_cache=True, **how)


def bench_candidates(asked: Setting) -> list[Row]:
    """Many candidates of one caption, of which CLIP keeps some; each contender runs in a process of
    its own, whose memory is measured."""
    # With the shipped vocabulary.
    config = replace(asked.config, vocab_size=PRESETS["tiny"].dalle.vocab_size)
    works, spent = {"ours": draw_and_keep}, {}
    if asked.peer:
        works["DALLE-pytorch, its cache patched, and its CLIP"] = draw_and_keep_theirs
    for name, work in works.items():
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            spent[name] = pool.submit(
                work, config, CANDIDATES, KEPT, torch.get_num_threads()
            ).result()
    what, (mine, grown) = f"{CANDIDATES} candidates, {KEPT} kept", spent.pop("ours")
    rows = [
        Row(what, "images/s", [CANDIDATES / mine], [CANDIDATES / took], name)
        for name, (took, _) in spent.items()
    ]
    rows = rows or [Row(what, "images/s", [CANDIDATES / mine])]
    return rows + [
        Row(
            f"{what}: memory above the weights",
            "GB",
            [grown / 1e9],
            [1.5],
            "what it may take at most",
        )
    ]


def draw_and_keep(
    config: DALLEConfig, candidates: int, kept: int, threads: int
) -> tuple[float, int]:
    """Seconds and bytes that our pipeline takes."""
    torch.set_num_threads(threads)
    bpe, dvae, clip = BPE.load(DATA / "tiny" / "bpe.json"), *judges(config)
    models = Pretrained(bpe, DVAE(dvae), DALLE(config), CLIP(clip))
    drawing = partial(pipeline.draw, models, "a star", temperature=1, guidance=1, truncate=True)
    return watched(lambda: drawing(candidates=candidates, keep=kept))


@torch.no_grad()
def draw_and_keep_theirs(
    config: DALLEConfig, candidates: int, kept: int, threads: int
) -> tuple[float, int]:
    """The same for DALLE-pytorch, which draws all candidates at once."""
    torch.set_num_threads(threads)
    model, clip = (
        peers.dalle_pytorch(config, patched=True),
        peers.dalle_pytorch_clip(judges(config)[1]),
    )
    text = tokens(config, 1, torch.device("cpu"))[0]
    return watched(lambda: draw_all(model, text, candidates, clip=clip)[1].topk(kept))


def judges(config: DALLEConfig) -> tuple[DVAEConfig, CLIPConfig]:
    """The configs of a dVAE and a CLIP that fit a transformer."""
    size, K, text = 4 * config.grid, config.codebook_size, config.vocab_size + 1
    dvae = DVAEConfig(size, K, width=128, blocks=4, code_width=128, patch=4)
    clip = CLIPConfig(
        embed=256,
        image_size=size,
        patch=config.grid // 2,
        vision_width=256,
        vision_depth=6,
        vision_heads=4,
        vocab_size=text + config.text_len,
        text_len=config.text_len,
        text_width=256,
        text_depth=6,
        text_heads=4,
        end=text,
    )
    return dvae, clip


def bench_attention(asked: Setting) -> list[Row]:
    """Forward and backward of attention alone: each kind of layer against dense causal."""
    c, device, rows = asked.config, asked.runtime.device, []
    for T, side, times in STREAMS:
        shape = asked.batch or 8, c.heads, T + side**2, c.width // c.heads
        qkv = [torch.randn(shape, device=device, requires_grad=True) for _ in "qkv"]

        def passes(attend, **how):
            return lambda: [
                torch.autograd.grad(attend(*qkv, **how).sum(), qkv) for _ in range(times)
            ]

        for kind in ("row", "column", "convolutional"):
            mask = mask_of(kind, T, side, side, c.kernel).to(device)
            theirs = {
                "dense causal": passes(F.scaled_dot_product_attention, is_causal=True),
                "the same mask, whole": passes(F.scaled_dot_product_attention, attn_mask=mask),
            }
            ours = passes(attend, mask=mask, pattern=Pattern(kind, T, side, c.kernel))
            rows += beside(
                asked, f"{kind} attention, {T} + {side**2} tokens", "passes/s", times, ours, theirs
            )
    return rows
