"""How good is the second DALL·E? Each figure of its table in docs/results.md, from one function.

As in minidalle/evaluate.py: what chose a picture does not judge it, and every rate has its standard
error. The judges are those of the first DALL·E, with the same limits (`worlds.py`).
"""

import time
from collections.abc import Callable, Sequence
from random import Random

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from minidalle import pipeline as first_pipeline
from minidalle.clip import rerank
from minidalle.dalle2 import ar_prior, meaning, pipeline
from minidalle.dalle2.decoder import decode
from minidalle.dalle2.pipeline import GUIDANCE, PRIOR_GUIDANCE, PRIOR_STEPS, STEPS, sample
from minidalle.dalle2.prior import draw_embeddings
from minidalle.dalle2.ranking import explained
from minidalle.dalle2.recipes import fit, shrunk
from minidalle.dalle2.upsample import enlarged
from minidalle.dalle2_measures import uses
from minidalle.dalle2_measures.asking import frames, in_chunks, judged, streams_of
from minidalle.dalle2_measures.worlds import Asked, World, worlds_of
from minidalle.datasets import open_data, to_tensor
from minidalle.plots import to_uint8
from minidalle.rates import Figures, entropy, gradient, mean, psnr, summary
from minidalle.world import spoil

GUIDANCES, STEP_COUNTS = (1.0, 1.5, 2.0, 3.0, 5.0, 8.0), (5, 10, 15, 25, 50, 100)
CURVE, OPEN = 100, 4  # captions of a curve, and drawings of each, whose variety is measured
Models = pipeline.Pretrained


# ---- the judges, and the decoder alone --------------------------------------------------


def judges(models: Models, captions: int, candidates: int, seed: int) -> Figures:
    """What the judges make of real pictures, and of spoilt ones."""
    figures = {}
    for name, world in worlds_of(models.data).items():
        rng = Random(f"{seed} judge {name}")
        asked = world.ask(rng, captions)
        real = world.paintings(asked)
        shown = {
            "real": real,
            "near misses": world.paintings([world.miss(one, rng) for one in asked]),
            "blurred 3×3": spoil.blur(real, 3),
            "a quarter painted over": spoil.paint_over(real, rng),
            "a patch erased": spoil.erase(real, rng),
        }
        for what, pictures in shown.items():
            exact = [not world.faults(a.said, r) for a, r in zip(asked, world.examine(pictures))]
            figures |= mean(f"{name}: {what}", exact)
    return figures


def told_the_truth(
    models: Models, world: World, asked: Sequence[Asked], seed: int, seen: bool, read: bool
) -> Tensor:
    """Drawings (B, 3, 32, 32) by the decoder alone, told each picture's own embedding and caption.

    Either is hidden if it is not to be `seen` or `read`.
    """
    text = frames(models, [one.caption for one in asked])
    embedding = meaning.look(models.clip, to_tensor(world.paintings(list(asked))))

    def draw(chunk: slice) -> Tensor:
        told = embedding[chunk] if seen else None, text[chunk] if read else None
        return decode(models.decoder, *told, streams_of(seed, chunk), STEPS, GUIDANCE)

    return in_chunks(world.name, draw, len(asked))


def of_true_embedding(models: Models, captions: int, candidates: int, seed: int) -> Figures:
    """The decoder alone: it is told the embedding of a picture, and its caption."""
    figures = {}
    for name, world in worlds_of(models.data).items():
        asked = world.ask(Random(f"{seed} {name}"), captions)
        pictures = told_the_truth(models, world, asked, seed, seen=True, read=True)
        figures |= judged(name, world, asked, pictures)
    return figures


def what_binds(models: Models, captions: int, candidates: int, seed: int) -> Figures:
    """The decoder told an embedding alone, a caption alone, or both (paper, section 7)."""
    figures = {}
    ways = {
        "embedding alone": (True, False),
        "caption alone": (False, True),
        "both": (True, True),
    }
    for name, world in worlds_of(models.data).items():
        asked = world.ask(Random(f"{seed} {name}"), captions)
        for way, (seen, read) in ways.items():
            pictures = told_the_truth(models, world, asked, seed, seen, read)
            figures |= judged(f"{name}, {way}", world, asked, pictures)
            figures |= fields_right(f"{name}, {way}", world, asked, pictures)
    return figures


def fields_right(name: str, world: World, asked: Sequence[Asked], pictures: Tensor) -> Figures:
    """Of the drawings that show as many things as asked, how often each attribute is right."""
    wrong = [
        world.differences(one.said, seen)
        for one, seen in zip(asked, world.examine(to_uint8(pictures).numpy()))
    ]
    wrong = [one for one in wrong if not {"unclear", "number of things"} & set(one)]
    names = sorted({field for one in wrong for field in one})
    figures: Figures = {}
    for field in names:
        figures |= mean(f"{name}: {field} right", [field not in one for one in wrong])
    return figures


# ---- the priors -------------------------------------------------------------------------


def priors(models: Models, captions: int, candidates: int, seed: int) -> Figures:
    """The cosine of what is predicted and the picture's embedding, for either prior and others.

    Also of both whitened, as the decoder sees them. A caption leaves much open, so no prediction
    can reach 1. The regression predicts the mean; shuffled captions show how much is the same in
    all embeddings.
    """
    asked, pictures = [], []
    for name, world in worlds_of(models.data).items():
        asked += world.ask(Random(f"{seed} {name}"), captions)
        pictures.append(world.paintings(asked[-captions:]))
    truth = meaning.look(models.clip, to_tensor(np.concatenate(pictures)))
    said = meaning.read(models.clip, frames(models, [one.caption for one in asked]))

    def by_diffusion(chunk: slice) -> Tensor:
        how = streams_of(seed, chunk), PRIOR_STEPS, PRIOR_GUIDANCE
        return draw_embeddings(models.prior, part_of(said, chunk), *how)

    def code_by_code(chunk: slice) -> Tensor:
        return ar_prior.draw_embeddings(
            models.ar_prior, part_of(said, chunk), streams_of(seed, chunk)
        )

    drawn = {
        "the caption's own embedding": said.meaning,
        "regression": regression(models, seed)(said.meaning),
        "diffusion prior": in_chunks("diffusion prior", by_diffusion, len(asked)),
        "autoregressive prior": in_chunks("autoregressive prior", code_by_code, len(asked)),
    }
    figures = {}
    for name, embedding in drawn.items():
        for what, drawing in (
            (name, embedding),
            (f"{name}, of another caption", embedding.roll(1, 0)),
        ):
            white = F.cosine_similarity(*map(models.prior.whiten, (drawing, truth)), dim=-1)
            figures |= mean(what, (drawing * truth).sum(-1)) | mean(f"{what}, whitened", white)
    return figures


def part_of(said: meaning.Said, chunk: slice) -> meaning.Said:
    """Some of the captions."""
    return meaning.Said(*(part[chunk] for part in said))


def regression(models: Models, seed: int) -> Callable[[Tensor], Tensor]:
    """A linear map from captions' embeddings to their pictures', fitted to training pairs."""
    source = open_data(models.data, models.clip.config.image_size)
    images, said = fit(source, seed, models.bpe, models.clip)

    def with_one(x: Tensor) -> Tensor:
        return F.pad(x, (0, 1), value=1.0)

    x = with_one(said.meaning).double()
    ridge = 1e-4 * len(x) * torch.eye(x.shape[1], dtype=torch.double)
    weights = torch.linalg.solve(x.T @ x + ridge, x.T @ images.double()).float()
    return lambda captions: F.normalize(with_one(captions) @ weights, dim=-1)


# ---- from caption to picture ------------------------------------------------------------


def chain(models: Models, captions: int, candidates: int, seed: int) -> Figures:
    """From captions alone, as a user draws: single samples, and the best of n.

    Chosen by CLIP, as in the paper, and by what the decoder itself makes of them (ranking.py).
    """
    figures = {}
    for name, world in worlds_of(models.data).items():
        asked = world.ask(Random(f"{seed} {name}"), captions)
        exact, read, order, own = [], [], [], []
        for i, one in enumerate(tqdm(asked, desc=name)):
            text = frames(models, [one.caption]).expand(candidates, -1)
            streams = pipeline.generators(seed + i, 0, candidates)
            _, pictures = sample(models, text, streams)
            readings = world.examine(to_uint8(pictures).numpy())
            exact.append([not world.faults(one.said, seen) for seen in readings])
            read.append([not world.differences(one.said, seen) for seen in readings])
            order.append(rerank(models.clip, text[:1], pictures, candidates)[0].numpy())
            gains = explained(models.decoder, pictures, text)
            own.append(gains.argsort(descending=True, stable=True).numpy())
        right = np.array(exact), np.array(read)
        rates = summary(*right, np.array(own), candidates)
        rates = {f"{n}, by the decoder": v for n, v in rates.items() if n.startswith("best of")}
        rates = summary(*right, np.array(order), candidates) | rates
        figures |= {f"{name}: {what}": value for what, value in rates.items()}
    return figures


def curves(models: Models, captions: int, candidates: int, seed: int) -> Figures:
    """Exactness and variety over guidance, and over the number of steps.

    Variety is the entropy in bits of what a caption leaves open, over some drawings of it.
    """
    figures, captions = {}, min(captions, CURVE)
    settings = [(STEPS, guidance) for guidance in GUIDANCES]
    settings += [(steps, GUIDANCE) for steps in STEP_COUNTS if steps != STEPS]
    for name, world in worlds_of(models.data).items():
        asked = world.ask(Random(f"{seed} {name}"), captions)
        text = frames(models, [one.caption for one in asked]).repeat_interleave(OPEN, 0)
        for steps, guidance in settings:
            setting = f"{name}, {steps} steps, guidance {guidance:g}"

            def draw(chunk: slice, text=text, steps=steps, guidance=guidance) -> Tensor:
                streams = streams_of(seed, chunk)
                return sample(models, text[chunk], streams, steps, guidance)[1]

            pictures = in_chunks(setting, draw, len(text))
            seen = world.examine(to_uint8(pictures).numpy())
            rows = [seen[i : i + OPEN] for i in range(0, len(seen), OPEN)]
            pairs = list(zip(asked, rows))
            exact = [np.mean([not world.faults(a.said, r) for r in row]) for a, row in pairs]
            figures |= mean(f"{setting}: exact", exact)
            right = [[r for r in row if not world.differences(a.said, r)] for a, row in pairs]
            varied = [entropy([world.left_open(r) for r in row]) for row in right if row]
            figures |= mean(f"{setting}: variety", varied or [0.0])
    return figures


# ---- four times the size ----------------------------------------------------------------


def upsamplers(models: Models, captions: int, candidates: int, seed: int) -> Figures:
    """PSNR and sharpness of enlarged real pictures, beside bicubic interpolation.

    Sharpness is a picture's mean squared gradient over that of the true one: 1 is as sharp. (The
    mean itself does not fall when an edge is blurred.) And how many pictures, real and drawn, that
    were exact still are when they are averaged down again.
    """
    figures = {}
    for name, world in worlds_of(models.data).items():
        asked = world.ask(Random(f"{seed} {name}"), captions)
        large = to_tensor(world.paintings(asked, 128))
        small = shrunk(large, 4)
        text = frames(models, [one.caption for one in asked])

        def draw(chunk: slice, text=text) -> Tensor:
            return sample(models, text[chunk], streams_of(seed, chunk))[1]

        ours = in_chunks(f"{name}, drawings", draw, captions)
        both = torch.cat([small, ours])

        def enlarge(chunk: slice, both=both) -> Tensor:
            return pipeline.enlarge(models, both[chunk], streams_of(seed, chunk))

        drawn, ours_large = in_chunks(f"{name}, to 128×128", enlarge, len(both)).split(captions)
        for what, pictures in (("upsampled", drawn), ("bicubic", enlarged(small, 4))):
            figures |= mean(f"{name}: PSNR, {what}", psnr(pictures, large))
            figures |= mean(f"{name}: sharpness, {what}", gradient(pictures) / gradient(large))
        for what, before, after in (("real", small, drawn), ("drawn", ours, ours_large)):
            was, still = (
                [not world.faults(a.said, r) for a, r in zip(asked, world.examine(pictures))]
                for pictures in (to_uint8(x).numpy() for x in (before, shrunk(after, 4)))
            )
            kept = [s for w, s in zip(was, still) if w]
            figures |= mean(f"{name}: {what}, still exact", kept) if kept else {}
    return figures


# ---- what it costs ----------------------------------------------------------------------


def costs(models: Models, captions: int, candidates: int, seed: int) -> Figures:
    """Parameters in millions, minutes of training, and seconds for a picture, beside the first.

    Seconds on this machine, CLIP's ranking included: 16 candidates, of which 8 are kept.
    """
    first = first_pipeline.load_pretrained("tiny")
    figures: Figures = {}
    kinds: dict[str, tuple] = {
        "DALL·E 2": (models, pipeline.draw),
        "DALL·E, tiny": (first, first_pipeline.draw),
    }
    for name, (whole, draw) in kinds.items():
        networks = [part for part in whole if isinstance(part, nn.Module)]
        count = sum(p.numel() for network in networks for p in network.parameters())
        figures[f"{name}: million parameters"] = count / 1e6
        times, stages = [], {}
        for i in range(3):
            begin = time.perf_counter()
            stages = draw(whole, "a red circle above a blue square", 16, 8, seed + i).seconds
            times.append(time.perf_counter() - begin)
        figures |= mean(f"{name}: seconds for 16 candidates", times)
        figures |= {f"{name}: seconds, {stage}": spent for stage, spent in stages.items()}
    return figures


PARTS: dict[str, Callable[[Models, int, int, int], Figures]] = {
    "dalle2 judges": judges,
    "dalle2 decoder": of_true_embedding,
    "dalle2 priors": priors,
    "dalle2 chain": chain,
    "dalle2 binding": what_binds,
    "dalle2 curves": curves,
    "dalle2 upsamplers": upsamplers,
    "dalle2 edits": uses.edits,
    "dalle2 variations": uses.variations,
    "dalle2 ways": uses.ways,
    "dalle2 costs": costs,
}
