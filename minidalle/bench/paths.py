"""Benchmarks of everything that takes time, compared with peers and with the machine's limits.

B images at a time, N image tokens, P parameters. The transformer's are in transformer.py, the
method is in timing.py, the peers (other packages for the same task) in peers.py. Only FLOPs that
the model needs are counted (`plan.forward_flops`). Random tokens and weights are as fast as
learned ones.
"""

import sysconfig
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from random import Random

import torch
import torch.nn.functional as F

from minidalle import DATA
from minidalle.bench import peers, transformer
from minidalle.bench.timing import (
    Row,
    Setting,
    beside,
    once,
)
from minidalle.bpe import BPE, train_by_recounting
from minidalle.clip import CLIP, CLIP_MEAN, CLIP_STD
from minidalle.config import OPENAI_CLIP, PRESETS
from minidalle.datasets import Scenes, draw_batch
from minidalle.dvae import DVAE, map_pixels
from minidalle.openai import load_bpe

LETTERS, MERGES = 5_000_000, 16_384  # of the corpus, and learned from it
SCENES = 4000  # captions to encode, pictures to paint
DVAE_SIZE, CLIP_SIZE = PRESETS["paper"].dvae, OPENAI_CLIP["ViT-B/32"]


# ---- the dVAE and CLIP ------------------------------------------------------------------


@torch.no_grad()
def bench_dvae(asked: Setting) -> list[Row]:
    """The paper's dVAE: pictures to codes and codes to pictures."""
    c, batch, device = DVAE_SIZE, asked.batch or 1, asked.runtime.device
    ours = DVAE(c).to(device).eval()
    pictures = torch.rand(batch, 3, c.image_size, c.image_size, device=device)
    codes, encodes, paints = ours.encode(pictures), {}, {}
    if asked.peer:
        encoder, decoder = (part.to(device) for part in peers.dall_e(c))
        encodes["dall_e"] = lambda: encoder(map_pixels(pictures)).argmax(1)
        paints["dall_e"] = lambda: decoder(
            F.one_hot(codes, c.codebook_size).permute(0, 3, 1, 2).float()
        )
    size = f"{c.image_size}×{c.image_size}, batch {batch}"
    return beside(
        asked, f"dVAE, encoding {size}", "images/s", batch, lambda: ours.encode(pictures), encodes
    ) + beside(
        asked, f"dVAE, decoding {size}", "images/s", batch, lambda: ours.decode(codes), paints
    )


@torch.no_grad()
def bench_clip(asked: Setting) -> list[Row]:
    """CLIP's features of pictures and captions."""
    c, batch, device = CLIP_SIZE, asked.batch or 8, asked.runtime.device
    ours = CLIP(c).to(device).eval()
    pictures = torch.rand(batch, 3, c.image_size, c.image_size, device=device)
    text = torch.randint(1, c.end, (batch, c.text_len), device=device)
    text[:, -1] = c.end
    mean, std = (
        torch.tensor(numbers, device=device).view(3, 1, 1) for numbers in (CLIP_MEAN, CLIP_STD)
    )
    others = (
        {"clip-anytorch": peers.clip_anytorch, "open_clip": peers.open_clip} if asked.peer else {}
    )
    see, read = {}, {}
    for name, make in others.items():
        model = make(c).to(device)
        see[name] = lambda model=model: model.encode_image((pictures - mean) / std)
        read[name] = lambda model=model: model.encode_text(text)
    rows = beside(
        asked,
        f"CLIP, pictures, batch {batch}",
        "images/s",
        batch,
        lambda: ours.encode_image(pictures),
        see,
    )
    return rows + beside(
        asked,
        f"CLIP, captions, batch {batch}",
        "captions/s",
        batch,
        lambda: ours.encode_text(text),
        read,
    )


# ---- words and scenes -------------------------------------------------------------------


def bench_bpe(asked: Setting) -> list[Row]:
    """Learning merges from five megabytes of text, and encoding captions one by one."""
    texts = corpus(LETTERS).splitlines(keepends=True)
    rows = beside(
        asked,
        "BPE, learning",
        "merges/s",
        MERGES,
        lambda: BPE.train(texts, 256 + MERGES),
        {"tokenizers (Rust)": lambda: peers.train_tokenizers(texts, 256 + MERGES)},
    )
    few = 4
    slow = few / once(lambda: train_by_recounting(texts, 256 + few), asked.runtime.device)
    rows.append(replace(rows[0], limits=[slow], why=f"recounting, its first {few} merges"))
    captions, path = draw_batch(Scenes(), Random(0), SCENES)[0], DATA / "tiny" / "bpe.json"
    bpe, rust = BPE.load(path), peers.load_tokenizers(path)
    rows += beside(
        asked,
        "BPE, cutting captions",
        "captions/s",
        len(captions),
        lambda: [bpe.encode(c) for c in captions],
        {"tokenizers (Rust)": lambda: [rust.encode(c).ids for c in captions]},
    )
    if asked.peer:
        simple, words = peers.simple_tokenizer()
        official = load_bpe(words)
        rows += beside(
            asked,
            "BPE, cutting captions with CLIP's words",
            "captions/s",
            len(captions),
            lambda: [official.encode(c) for c in captions],
            {"clip-anytorch, SimpleTokenizer": lambda: [simple.encode(c) for c in captions]},
        )
    return rows


def corpus(size: int) -> str:
    """`size` letters of English and Python: the source of the standard library."""
    text, library = "", Path(sysconfig.get_path("stdlib"))
    for path in [*sorted(library.glob("*.py")), *sorted(library.glob("*/*.py"))]:
        text += path.read_text("utf-8", errors="replace")
        if len(text) >= size:
            return text[:size]
    raise ValueError(f"the standard library has only {len(text)} letters")


def bench_scenes(asked: Setting) -> list[Row]:
    """Painting captioned scenes of 32×32 pixels, in one process and in two."""
    rows = []
    for processes in (1, 2):
        with ProcessPoolExecutor(processes) as pool:
            rows += beside(
                asked,
                f"scenes, {processes} process{'es' * (processes > 1)}",
                "pictures/s",
                SCENES,
                lambda: list(pool.map(paint_some, [SCENES // processes] * processes)),
                {},
            )
    return rows


def paint_some(count: int) -> None:
    """Paint scenes and discard them."""
    for _ in range(count // 100):
        draw_batch(Scenes(), Random(count), 100)


BENCHES = {
    "sample": transformer.bench_sample,
    "candidates": transformer.bench_candidates,
    "train": transformer.bench_train,
    "attention": transformer.bench_attention,
    "bpe": bench_bpe,
    "dvae": bench_dvae,
    "clip": bench_clip,
    "scenes": bench_scenes,
}
