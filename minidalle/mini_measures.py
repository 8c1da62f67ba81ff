"""How good is DALL·E Mini, beside the first DALL·E? The figures of its table in docs/results.md.

Most are those of evaluate.py, with its models: the same captions, seeds and judges. What is
compared here is the recipe, so both have 32×32 pixels, 64 codes of 512, the same data and the same
CLIP, and `tiny` stands beside it in every part that names it.
"""

import time
from collections.abc import Callable
from random import Random

import numpy as np
import torch
from tqdm import tqdm

from minidalle import evaluate, pipeline
from minidalle.dalle_mini.vqgan import VQGAN
from minidalle.datasets import Scenes, draw_batch, emoji_pictures, to_tensor
from minidalle.dvae import DVAE, codebook_use
from minidalle.pipeline import Pretrained, Request
from minidalle.plots import to_uint8
from minidalle.rates import Figures, gradient, mean, psnr
from minidalle.world import emoji, emoji_judge, judge, scenes

SCALES = (1.0, 1.25, 2.0, 4.0, 8.0, 16.0)  # of super-conditioning
FEW = 40  # captions whose drawings are drawn at every scale


def beside(models: Pretrained) -> dict[str, Pretrained]:
    """The models that are compared, by name."""
    return {"mini": models, "tiny": pipeline.load_pretrained("tiny").to(models.device)}


# ---- the tokenizers ---------------------------------------------------------------------


def tokenizer(dvae: DVAE | VQGAN, captions: int, seed: int) -> Figures:
    """What is left of held-out pictures: PSNR in dB, sharpness, and how the codes are used.

    Sharpness is the mean squared gradient over that of the picture itself: 1 is as sharp.
    """
    held_out = {
        "scenes": Scenes(dvae.config.image_size, "unseen"),
        "emoji": emoji_pictures((emoji.UNSEEN_CONCEPT, emoji.UNSEEN_COMBINATION), coloured=0),
    }
    figures: Figures = {}
    use, device = torch.zeros(dvae.config.codebook_size), next(dvae.parameters()).device
    for what, source in held_out.items():
        images = to_tensor(draw_batch(source, Random(f"{seed} dvae"), captions)[1])
        found = [dvae.encode(chunk.to(device)) for chunk in images.split(64)]
        painted = torch.cat([dvae.decode(chunk).cpu() for chunk in found])
        use += torch.bincount(torch.cat(found).flatten().cpu(), minlength=len(use))
        figures |= mean(f"PSNR, {what}", psnr(painted, images))
        figures |= mean(f"sharpness, {what}", gradient(painted) / gradient(images))
    perplexity, dead = codebook_use(use)
    return figures | {"perplexity": perplexity, "dead codes": dead}


def codes(models: Pretrained, captions: int, candidates: int, seed: int) -> Figures:
    """The two tokenizers."""
    return {
        f"{name}: {what}": value
        for name, one in beside(models).items()
        for what, value in tokenizer(one.dvae, captions, seed).items()
    }


# ---- what is drawn ----------------------------------------------------------------------


def super_conditioning(models: Pretrained, captions: int, candidates: int, seed: int) -> Figures:
    """Exactness and variety over the scale of super-conditioning, as in `evaluate.diversity`."""
    figures: Figures = {}
    asked = evaluate.open_scenes(Random(f"{seed} diversity"), min(captions, FEW))
    requests = [Request(scenes.caption_of(scene), seed + i) for i, scene in enumerate(asked)]
    for name, one in beside(models).items():
        for scale in tqdm(SCALES, desc=name):
            drawings = pipeline.draw_each(one, requests, candidates, keep=1, guidance=scale)
            read = [judge.examine(to_uint8(drawing.pictures).numpy()) for drawing in drawings]
            rows = [evaluate.varieties(*pair) for pair in zip(asked, read)]
            for what, values in zip(("exact", "place", "background"), zip(*rows)):
                figures |= mean(f"{name}: {what}, scale {scale:g}", values)
    return figures


def styles(models: Pretrained, captions: int, candidates: int, seed: int) -> Figures:
    """How often an emoji is drawn in the hand of the vendor who is asked for.

    The judge names the vendor of the nearest real picture of that emoji. Beside it, how often it
    names him for another vendor's caption, and of real pictures sent through the tokenizer.
    """
    pack, rng, figures = emoji.load_pack(), Random(f"{seed} styles"), {}
    shown = np.flatnonzero(pack.split == emoji.TRAIN).tolist()
    shown = np.array(rng.sample(shown, min(captions, 100)))
    requests = [
        Request(emoji.caption(pack, i, template=1, background="white"), seed + int(i))
        for i in shown
    ]
    for name, one in beside(models).items():
        drawings = pipeline.draw_each(one, requests, candidates, keep=1)
        hands = []
        for drawing in tqdm(drawings, desc=name, total=len(requests)):
            which, _ = emoji_judge.nearest(to_uint8(drawing.pictures).numpy())
            hands.append(pack.style[which])
        right = np.array(hands) == pack.style[shown][:, None]
        other = np.array(hands) == np.roll(pack.style[shown], 1)[:, None]
        figures |= mean(f"{name}: the vendor's hand", right.mean(1))
        figures |= mean(f"{name}: the vendor's hand, another's caption", other.mean(1))
    return figures


# ---- what it costs ----------------------------------------------------------------------


def costs(models: Pretrained, captions: int, candidates: int, seed: int) -> Figures:
    """Parameters in millions, and seconds for a picture, drawn without ranking, 64 at a time."""
    figures: Figures = {}
    for name, one in beside(models).items():
        for part, network in zip(("tokenizer", "transformer"), one[1:3]):
            count = sum(p.numel() for p in network.parameters())
            figures[f"{name}: million parameters, {part}"] = count / 1e6
        times = []
        for i in range(3):
            begin = time.perf_counter()
            pipeline.draw(one, "a red circle above a blue square", 64, 1, seed + i)
            times.append((time.perf_counter() - begin) / 64)
        figures |= mean(f"{name}: seconds for a picture", times)
    return figures


def of_evaluate(name: str) -> Callable[[Pretrained, int, int, int], Figures]:
    """A part of evaluate.py, for both."""

    def measure(models: Pretrained, captions: int, candidates: int, seed: int) -> Figures:
        return {
            f"{which}: {what}": value
            for which, one in beside(models).items()
            for what, value in evaluate.PARTS[name](one, captions, candidates, seed).items()
        }

    return measure


PARTS: dict[str, Callable[[Pretrained, int, int, int], Figures]] = {
    "mini codes": codes,
    "mini judge": of_evaluate("judge"),
    "mini limits": of_evaluate("limits"),
    "mini unseen": of_evaluate("unseen"),
    "mini combination": of_evaluate("combination"),
    "mini emoji": of_evaluate("emoji"),
    "mini super-conditioning": super_conditioning,
    "mini styles": styles,
    "mini costs": costs,
}
