"""From a caption to ranked pictures: all the parts, called one after another.

B batch, T text tokens, N = h·w image tokens, M candidates, H W pixels of a picture.

    caption ─ BPE → (T,) ids ─ transformer → (M, N) codes ─ dVAE → (M, 3, H, W) ─ CLIP → best

Ramesh et al. 2021, sections 2 and 2.6. The paper keeps the best of 512 candidates.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from minidalle import DATA, weights
from minidalle.bpe import BPE
from minidalle.clip import CLIP, preprocess, rerank
from minidalle.dvae import DVAE
from minidalle.plots import to_uint8
from minidalle.sampling import complete
from minidalle.scale.cache import fast_sampling
from minidalle.transformer import DALLE

# Chosen on data/diversity.png. More guidance draws combinations that training never showed a little
# better, but takes variety away; 1 is no guidance. Lower temperatures err less, and vary less.
TEMPERATURE, GUIDANCE = 0.7, 1.25
CHUNK = 64  # candidates drawn at a time: memory grows with this, not with M


class Pretrained(NamedTuple):
    """The four trained parts."""

    bpe: BPE
    dvae: DVAE
    dalle: DALLE
    clip: CLIP


def load_pretrained(source: str | Path = "tiny") -> Pretrained:
    """Load the four parts from a folder, or those shipped under data/ by preset name."""
    folder = DATA / source if (DATA / source).is_dir() else Path(source)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder of weights called {source}, nor data/{source}")
    return Pretrained(
        BPE.load(folder / "bpe.json"),
        weights.load(folder / "dvae.safetensors", DVAE),
        weights.load(folder / "dalle.safetensors", DALLE),
        weights.load(folder / "clip.safetensors", CLIP),
    )


@dataclass(frozen=True)
class Drawing:
    """The result of `draw`, with the output of every stage."""

    caption: str
    tokens: list[str]  # the caption's tokens, as text
    codes: Tensor  # (M, N) int64, all candidates
    pictures: Tensor  # (M, 3, H, W) in [0, 1], all candidates
    order: Tensor  # (keep,) indices of the candidates kept, best first
    scores: Tensor  # (keep,) their CLIP scores: the cosine of picture and caption
    seconds: dict[str, float]  # stage → how long it took

    @property
    def best(self) -> Tensor:
        """The pictures kept, best first: (keep, 3, H, W)."""
        return self.pictures[self.order]


def draw(
    models: Pretrained,
    caption: str,
    candidates: int = 32,
    keep: int = 8,
    seed: int = 0,
    temperature: float = TEMPERATURE,
    top_k: int | None = None,
    top_p: float | None = None,
    guidance: float = GUIDANCE,
    truncate: bool = False,
    ranker: tuple[BPE, CLIP] | None = None,
    progress=lambda positions: positions,
    given: Tensor | None = None,
    box: tuple[int, int] = (0, 0),
) -> Drawing:
    """Draw `candidates` pictures of the caption and rank the best `keep` with CLIP.

    Of a `given` picture (3, H, W) only the rectangle from box = (top, left), in codes, to the
    bottom-right corner is drawn; the rest is kept, as the dVAE sees it.

    Candidate i of a seed is the same picture whatever `candidates` is. `truncate` cuts a caption
    that is too long; `ranker` replaces the models' own CLIP (pictures are resized for it);
    `progress` may wrap the iterator over image positions, which runs once per 64 candidates.
    Raises ValueError, in one sentence, for bad input.
    """
    check_numbers(candidates, keep, seed)
    check_fit(models)
    bpe, dvae, dalle, clip = models
    caption, T, grid = caption.strip(), dalle.config.text_len, dalle.config.grid
    clock = [time.perf_counter()]

    text = torch.tensor([bpe.frame(caption, T, truncate)])  # (1, T)
    how = dict(temperature=temperature, top_k=top_k, top_p=top_p, progress=progress)
    if guidance != 1:
        how |= dict(guidance=guidance, null_text=torch.tensor(bpe.null_text(T)))
    counts = {first: min(CHUNK, candidates - first) for first in range(0, candidates, CHUNK)}
    kept = torch.zeros(1, grid**2, dtype=torch.long)
    if given is not None:
        kept = dvae.encode(given[None]).flatten(1)
    with fast_sampling(dalle) as cache:  # `sampling.Cache` would do the same, slower
        parts = [
            complete(dalle, text, kept.expand(n, -1), box, seed, first, cache=cache, **how)
            for first, n in counts.items()
        ]
    codes = torch.cat(parts)
    clock.append(time.perf_counter())

    pictures = torch.cat([dvae.decode(part.view(-1, grid, grid)) for part in codes.split(CHUNK)])
    clock.append(time.perf_counter())

    ranker_bpe, clip = ranker or (bpe, clip)
    question = torch.tensor(ranker_bpe.frame(caption, clip.config.text_len, truncate))
    order, scores = rerank(clip, question, resized(pictures, clip.config.image_size), keep)
    clock.append(time.perf_counter())

    stages = ("text and sampling", "decode", "rerank")
    seconds = {name: end - begin for name, begin, end in zip(stages, clock, clock[1:])}
    return Drawing(caption, bpe.tokens(caption)[: T - 1], codes, pictures, order, scores, seconds)


def resized(pictures: Tensor, size: int) -> Tensor:
    """Pictures (M, 3, H, W) at the size another CLIP expects: (M, 3, size, size)."""
    if pictures.shape[2:] == (size, size):
        return pictures
    return torch.stack([preprocess(Image.fromarray(p), size) for p in to_uint8(pictures).numpy()])


def check_numbers(candidates: int, keep: int, seed: int) -> None:
    """Raise ValueError about the first bad number; `sampling` checks the others."""
    if candidates < 1:
        raise ValueError(f"the number of candidates must be 1 or more, not {candidates}")
    if not 1 <= keep <= candidates:
        raise ValueError(
            f"of {candidates} candidates between 1 and {candidates} can be kept, "
            f"not {keep}: lower --keep or raise --candidates"
        )
    if not 0 <= seed < 2**32:
        raise ValueError(f"the seed must be from 0 to {2**32 - 1}, not {seed}")


def check_fit(models: Pretrained) -> None:
    """Raise ValueError if the four parts do not fit together."""
    bpe, dvae, dalle, clip = models.bpe, models.dvae.config, models.dalle.config, models.clip.config
    pairs = [
        ("vocabularies", "BPE", bpe.vocab_size, "DALL·E", dalle.vocab_size),
        ("vocabularies with pads", "BPE", bpe.pad(clip.text_len), "CLIP", clip.vocab_size),
        ("codebooks", "dVAE", dvae.codebook_size, "DALL·E", dalle.codebook_size),
        ("grids", "dVAE", dvae.grid, "DALL·E", dalle.grid),
        ("picture sizes", "dVAE", dvae.image_size, "CLIP", clip.image_size),
    ]  # fmt: skip
    for what, one, a, other, b in pairs:
        if a != b:
            raise ValueError(
                f"these weights do not belong together: the {what} of {one} and "
                f"{other} differ ({a} and {b})"
            )
