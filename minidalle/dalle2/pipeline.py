"""From a caption to ranked pictures of 128×128, through every model of the second DALL·E.

    caption ─ BPE, CLIP → (E,) ─ prior → (M, E) ─ decoder → (M, 3, 32, 32) ─ CLIP → best
                                                     ─ upsamplers → (K, 3, 128, 128)

B batch, M candidates, K of them kept, E size of CLIP's space. Ramesh et al. 2022, section 2.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from minidalle import DATA, weights
from minidalle.bpe import BPE
from minidalle.clip import CLIP, rerank
from minidalle.dalle2 import meaning
from minidalle.dalle2.ar_prior import ARPrior
from minidalle.dalle2.decoder import Decoder, decode
from minidalle.dalle2.edit import redraw
from minidalle.dalle2.prior import Prior, draw_embeddings
from minidalle.dalle2.upsample import Upsampler, upsample
from minidalle.sampling import MOST_GUIDANCE, check_finite, check_numbers

STEPS, PRIOR_STEPS, UP_STEPS = 25, 25, 5
GUIDANCE, PRIOR_GUIDANCE = 2.0, 1.0
CHUNK = 32  # pictures drawn at a time


class Pretrained(NamedTuple):
    """The seven trained parts, and what the decoder was trained on."""

    bpe: BPE
    clip: CLIP
    prior: Prior
    ar_prior: ARPrior
    decoder: Decoder
    up64: Upsampler
    up128: Upsampler
    data: str = ""

    @property
    def device(self) -> torch.device:
        """Where the models are."""
        return self.clip.logit_scale.device

    def to(self, device: torch.device | str) -> "Pretrained":
        """The same models on another device."""
        moved = (model.to(device) for model in self[1:-1])
        return Pretrained(self.bpe, *moved)._replace(data=self.data)


def load_pretrained(source: str | Path = "dalle2") -> Pretrained:
    """Load the parts from a folder, or those shipped under data/ by name."""
    folder = DATA / source if (DATA / source).is_dir() else Path(source)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder of weights called {source}, nor data/{source}")
    kinds = {
        "clip": CLIP,
        "prior": Prior,
        "ar_prior": ARPrior,
        "decoder": Decoder,
        "up64": Upsampler,
        "up128": Upsampler,
    }
    files = {name: folder / f"{name}.safetensors" for name in kinds}
    networks = [weights.load(files[name], kind) for name, kind in kinds.items()]
    data = weights.read_about(files["decoder"]).get("data", "")
    models = Pretrained(BPE.load(folder / "bpe.json"), *networks)._replace(data=data)
    check_fit(models)
    bpe, clip = models.bpe.fingerprint(), weights.fingerprint(models.clip)
    weights.check_made_of(files["clip"], {"bpe": bpe})
    for name in ("prior", "ar_prior", "decoder"):
        weights.check_made_of(files[name], {"bpe": bpe, "clip": clip})
    return models


def check_fit(models: Pretrained) -> None:
    """Raise ValueError, in one sentence, if the parts do not fit together."""
    clip, prior, decoder = models.clip.config, models.prior.config, models.decoder.config
    side, up64, up128 = decoder.unet.image_size, models.up64.config, models.up128.config
    pairs = [
        ("vocabularies", "BPE", models.bpe.pad(clip.text_len), "CLIP", clip.vocab_size),
        ("embeddings", "prior", prior.embed, "CLIP", clip.embed),
        ("embeddings", "ar_prior", models.ar_prior.config.embed, "CLIP", clip.embed),
        ("embeddings", "decoder", decoder.embed, "CLIP", clip.embed),
        ("captions", "decoder", decoder.text.vocab_size, "CLIP", clip.vocab_size),
        ("picture sizes", "decoder", side, "CLIP", clip.image_size),
        ("large sizes", "up64", up64.unet.image_size, "decoder", up64.factor * side),
        ("large sizes", "up128", up128.unet.image_size, "up64", up128.factor * up64.factor * side),
    ]
    for what, one, a, other, b in pairs:
        if a != b:
            raise ValueError(
                f"these weights do not belong together: the {what} of {one} and "
                f"{other} differ ({a} and {b})"
            )


def generators(seed: int, first: int, count: int) -> list[Generator]:
    """One for each candidate, so that candidate i of a seed is always the same picture."""
    return [Generator().manual_seed(seed * 1_000_003 + i) for i in range(first, first + count)]


@dataclass(frozen=True)
class Drawing:
    """The result of `draw`."""

    caption: str
    pictures: Tensor  # (M, 3, 32, 32) in [0, 1]
    order: Tensor  # (K,) indices of the candidates kept, best first
    scores: Tensor  # (K,) their CLIP scores
    large: Tensor  # (K, 3, 128, 128), best first
    seconds: dict[str, float]  # stage → how long it took


@torch.no_grad()
def draw(
    models: Pretrained,
    caption: str,
    candidates: int = 16,
    keep: int = 8,
    seed: int = 0,
    steps: int = STEPS,
    guidance: float = GUIDANCE,
    given: Tensor | None = None,
    mask: Tensor | None = None,
    truncate: bool = False,
    progress: Callable[[list], Iterator] = iter,
) -> Drawing:
    """Draw `candidates` pictures of a caption, and enlarge the best `keep`.

    Of a `given` picture (3, 32, 32) only what is True in the mask (1, 32, 32) is drawn, from the
    caption alone, without the prior. Raises ValueError, in one sentence, for bad input.
    """
    clip, seconds = models.clip, {}
    check_numbers(candidates, keep, seed)
    if not 0 <= guidance <= MOST_GUIDANCE:
        raise ValueError(f"guidance must be from 0 to {MOST_GUIDANCE:g}, not {guidance}")

    @contextmanager
    def timed(stage: str):
        begin = time.perf_counter()
        yield
        seconds[stage] = seconds.get(stage, 0) + time.perf_counter() - begin

    frame = models.bpe.frame(caption.strip(), clip.config.text_len, truncate)
    text = torch.tensor([frame], device=models.device)
    pictures = []
    for first in progress(list(range(0, candidates, CHUNK))):
        streams = generators(seed, first, min(CHUNK, candidates - first))
        many = text.expand(len(streams), -1)
        how = many, streams, steps, guidance
        if given is None:
            with timed("prior"):
                embedding = imagined(models, many, streams)
            with timed("decoder"):
                pictures.append(decode(models.decoder, embedding, *how))
        else:
            with timed("decoder"):
                alike = given.expand(len(streams), -1, -1, -1)
                pictures.append(redraw(models.decoder, alike, mask, None, *how))
    small = torch.cat(pictures)
    check_finite("the pictures", small)
    with timed("rerank"):
        order, scores = rerank(clip, text, small, keep)
    with timed("upsamplers"):
        large = enlarge(models, small[order], [generators(seed, int(i), 1)[0] for i in order])
    check_finite("CLIP's scores", scores)
    check_finite("the large pictures", large)
    return Drawing(caption, small, order, scores, large, seconds)


def imagined(models: Pretrained, text: Tensor, streams: list[Generator]) -> Tensor:
    """The embedding (B, E) that the prior draws of each caption (B, T)."""
    said = meaning.read(models.clip, text)
    return draw_embeddings(models.prior, said, streams, PRIOR_STEPS, PRIOR_GUIDANCE)


def sample(
    models: Pretrained,
    text: Tensor,
    streams: list[Generator],
    steps: int = STEPS,
    guidance: float = GUIDANCE,
) -> tuple[Tensor, Tensor]:
    """An embedding (B, E) and a picture (B, 3, 32, 32) of each caption (B, T)."""
    embedding = imagined(models, text, streams)
    return embedding, decode(models.decoder, embedding, text, streams, steps, guidance)


def enlarge(models: Pretrained, small: Tensor, streams: list[Generator]) -> Tensor:
    """Pictures (B, 3, 32, 32) in [0, 1] → (B, 3, 128, 128)."""
    middle = upsample(models.up64, small, streams, UP_STEPS)
    return upsample(models.up128, middle, streams, UP_STEPS)
