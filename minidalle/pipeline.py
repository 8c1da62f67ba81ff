"""From a caption to ranked pictures: all the parts, called one after another.

B batch, T text tokens, N = h·w image tokens, M candidates, H W pixels of a picture.

    caption ─ BPE → (T,) ids ─ transformer → (M, N) codes ─ dVAE → (M, 3, H, W) ─ CLIP → best

Ramesh et al. 2021, sections 2 and 2.6. The paper keeps the best of 512 candidates.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor, nn

from minidalle import DATA, weights
from minidalle.bpe import BPE
from minidalle.clip import CLIP, preprocess, rerank
from minidalle.dalle_mini.config import Seq2SeqConfig
from minidalle.dalle_mini.seq2seq import Seq2Seq
from minidalle.dalle_mini.vqgan import VQGAN
from minidalle.dvae import DVAE
from minidalle.plots import to_uint8
from minidalle.sampling import check_finite, check_numbers, complete, not_finite
from minidalle.scale.cache import fast_sampling
from minidalle.transformer import DALLE

# Chosen on data/diversity.png. More guidance draws combinations that training never showed a little
# better, but takes variety away; 1 is no guidance. Lower temperatures err less, and vary less.
TEMPERATURE, GUIDANCE = 0.7, 1.25
CHUNK = 64  # candidates drawn at a time: memory grows with this, not with M
AT_ONCE = {"cuda": 4096}  # the same on other devices than the CPU


class Pretrained(NamedTuple):
    """The four trained parts; DALL·E Mini has a VQGAN and an encoder–decoder in the middle."""

    bpe: BPE
    dvae: DVAE | VQGAN
    dalle: DALLE | Seq2Seq
    clip: CLIP

    @property
    def device(self) -> torch.device:
        """Where the models are."""
        return next(self.dalle.parameters()).device

    def to(self, device: torch.device | str) -> "Pretrained":
        """The same models on another device."""
        return Pretrained(self.bpe, *(model.to(device) for model in self[1:]))


def load_pretrained(source: str | Path = "tiny", model: str | None = None) -> Pretrained:
    """Load the four parts from a folder, or those shipped under data/ by preset name.

    model: "dalle", or "mini" for DALL·E Mini's; by default the one that is there.
    """
    folder = DATA / source if (DATA / source).is_dir() else Path(source)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder of weights called {source}, nor data/{source}")
    kinds: dict[str, type[nn.Module]] = {"dvae": DVAE, "dalle": DALLE, "clip": CLIP}
    if (model or which(folder)) == "mini":
        kinds = {"vqgan": VQGAN, "mini": Seq2Seq, "clip": CLIP}
    files = [folder / f"{name}.safetensors" for name in kinds]
    networks = [weights.load(file, kind) for file, kind in zip(files, kinds.values())]
    models = Pretrained(BPE.load(folder / "bpe.json"), *networks)
    bpe, codes = models.bpe.fingerprint(), weights.fingerprint(models.dvae)
    weights.check_made_of(files[1], {"bpe": bpe, next(iter(kinds)): codes})
    weights.check_made_of(files[2], {"bpe": bpe})  # any dVAE will do
    return models


def which(folder: Path) -> str:
    """Which model's weights a folder holds, "mini" or "dalle", which may also be missing."""
    there = [name for name in ("dalle", "mini") if (folder / f"{name}.safetensors").is_file()]
    return there[0] if there else "dalle"


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


class Request(NamedTuple):
    """What to draw: a caption and, if part of a picture is given, which part is to be redrawn."""

    caption: str
    seed: int = 0
    given: Tensor | None = None  # (3, H, W) in [0, 1]
    box: tuple[int, int] = (0, 0)  # (top, left) in codes; from there to the bottom-right corner


def draw(
    models: Pretrained,
    caption: str,
    candidates: int = 32,
    keep: int = 8,
    seed: int = 0,
    given: Tensor | None = None,
    box: tuple[int, int] = (0, 0),
    **how,
) -> Drawing:
    """Draw `candidates` pictures of the caption and rank the best `keep` with CLIP.

    Of a `given` picture (3, H, W) only the rectangle from box = (top, left), in codes, to the
    bottom-right corner is drawn; the rest is kept, as the dVAE sees it. `how` is passed on to
    `draw_each`. Raises ValueError, in one sentence, for bad input.
    """
    return next(draw_each(models, [Request(caption, seed, given, box)], candidates, keep, **how))


def draw_each(
    models: Pretrained,
    requests: list[Request],
    candidates: int = 32,
    keep: int = 8,
    truncate: bool = False,
    ranker: tuple[BPE, CLIP] | None = None,
    **how,
) -> Iterator[Drawing]:
    """The same for many captions, as many at a time as the device takes.

    Candidate i of a seed is the same picture whatever else is drawn. `truncate` cuts a caption
    that is too long; `ranker` replaces the models' own CLIP (pictures are resized for it); `how`
    is passed on to `sample_each`. Raises ValueError, in one sentence, for bad input.
    """
    check_fit(models)
    for request in requests:
        check_numbers(candidates, keep, request.seed)
    for request, codes, seconds in sample_each(models, requests, candidates, truncate, **how):
        yield ranked(models, request.caption, codes, keep, seconds, truncate, ranker)


def sample_each(
    models: Pretrained,
    requests: list[Request],
    candidates: int = 32,
    truncate: bool = False,
    guidance: float = GUIDANCE,
    **how,
) -> Iterator[tuple[Request, Tensor, float]]:
    """The codes (M, N) of each request's candidates, and the seconds that they took.

    `how` is passed on to `sampling.complete`: temperature, top_k, top_p, progress.
    """
    bpe, dalle, device = models.bpe, models.dalle, models.device
    T, size = dalle.config.text_len, AT_ONCE.get(device.type, CHUNK)
    how = {"temperature": TEMPERATURE} | how
    if guidance != 1:
        how |= dict(guidance=guidance, null_text=torch.tensor(bpe.null_text(T), device=device))
    for box, group in groupby(requests, lambda request: request.box):
        while some := list(islice(group, max(1, size // candidates))):
            begin, parts = time.perf_counter(), []
            frames = [bpe.frame(one.caption.strip(), T, truncate) for one in some]
            text, seeds = torch.tensor(frames, device=device), [one.seed for one in some]
            kept = torch.stack([kept_codes(models.dvae, one.given) for one in some])
            with fast_sampling(dalle) as cache:  # `sampling.Cache` would do the same, slower
                for first in range(0, candidates, size):
                    given = kept.repeat_interleave(min(size, candidates - first), 0)
                    try:
                        codes = complete(dalle, text, given, box, seeds, first, cache=cache, **how)
                    except IndexError:  # there is no code whose cumulative probability exceeds u
                        raise not_finite("the transformer's logits") from None
                    parts.append(codes.view(len(some), -1, codes.shape[1]))
            seconds = (time.perf_counter() - begin) / len(some)
            for one, codes in zip(some, torch.cat(parts, 1)):
                yield one, codes, seconds


def kept_codes(dvae: DVAE | VQGAN, given: Tensor | None) -> Tensor:
    """The codes (N,) of a given picture (3, H, W); zeros if there is none."""
    device = dvae.codebook.weight.device
    if given is None:
        return torch.zeros(dvae.config.grid**2, dtype=torch.long, device=device)
    return dvae.encode(given[None].to(device)).flatten()


def ranked(
    models: Pretrained,
    caption: str,
    codes: Tensor,
    keep: int,
    sampling_seconds: float = 0.0,
    truncate: bool = False,
    ranker: tuple[BPE, CLIP] | None = None,
) -> Drawing:
    """Decode the codes (M, N) of a caption's candidates and rank them with CLIP."""
    clock, caption = [time.perf_counter()], caption.strip()
    grid, device = models.dalle.config.grid, models.device
    chunks = codes.to(device).view(-1, grid, grid).split(CHUNK)
    pictures = torch.cat([models.dvae.decode(part) for part in chunks])
    check_finite("the pictures", pictures)
    clock.append(time.perf_counter())

    bpe, clip = ranker or (models.bpe, models.clip)
    judge = clip.logit_scale.device  # a ranker may be elsewhere
    question = torch.tensor(bpe.frame(caption, clip.config.text_len, truncate), device=judge)
    shown = resized(pictures, clip.config.image_size).to(judge)
    order, scores = rerank(clip, question, shown, keep)
    clock.append(time.perf_counter())
    check_finite("CLIP's scores", scores)

    tokens = models.bpe.tokens(caption)[: models.dalle.config.text_len - 1]
    stages = [sampling_seconds, *(end - begin for begin, end in zip(clock, clock[1:]))]
    seconds = dict(zip(("text and sampling", "decode", "rerank"), stages))
    return Drawing(caption, tokens, codes.cpu(), pictures.cpu(), order.cpu(), scores.cpu(), seconds)


def resized(pictures: Tensor, size: int) -> Tensor:
    """Pictures (M, 3, H, W) at the size another CLIP expects: (M, 3, size, size)."""
    if pictures.shape[2:] == (size, size):
        return pictures
    images = [Image.fromarray(p) for p in to_uint8(pictures).cpu().numpy()]
    return torch.stack([preprocess(image, size) for image in images]).to(pictures.device)


def check_fit(models: Pretrained) -> None:
    """Raise ValueError if the four parts do not fit together."""
    bpe, dvae, dalle, clip = models.bpe, models.dvae.config, models.dalle.config, models.clip.config
    words = dalle.pad - 1 if isinstance(dalle, Seq2SeqConfig) else dalle.vocab_size
    pairs = [
        ("vocabularies", "BPE", bpe.vocab_size, "DALL·E", words),
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
