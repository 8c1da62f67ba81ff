"""How good are the four models? Each figure of the README's table, from one function each.

Scenes have an outside truth: `judge.read` says what is in a picture, so "exact" means that
every attribute is the one the caption asked for. Emoji have none, so there CLIP is asked which
of all concepts it sees, for the drawn picture and for the real one.
"""

from random import Random

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from minidalle import pipeline
from minidalle.world import emoji, judge, painting, scenes
from minidalle.clip import features
from minidalle.datasets import Scenes, draw_batch, emoji_pictures, to_tensor
from minidalle.dvae import codebook_use
from minidalle.pipeline import Pretrained


def evaluate(models: Pretrained, parts: list[str], captions: int = 500, candidates: int = 32,
             seed: int = 0) -> dict[str, dict[str, float]]:
    """The figures of each part named, as {part: {measure: number}}; PARTS lists the parts."""
    return {part: PARTS[part](models, captions, candidates, seed) for part in parts}


def reading(models, captions: int, candidates: int, seed: int) -> dict[str, float]:
    """How often the judge reads freshly painted scenes exactly, without and with emoji."""
    rng, exact = Random(f"{seed} judge"), {"geometric": [], "with emoji": []}
    painted = [scenes.sample_scene(rng, rng.choice(("unseen", "combination"))) for _ in range(captions)]
    seen = judge.read(np.stack([painting.draw(scene, rng) for scene in painted]))
    for scene, read in zip(painted, seen):
        plain = all(thing.name in scenes.SHAPES for thing in scene.things)
        exact["geometric" if plain else "with emoji"].append(not judge.differences(scene, read))
    return {f"exact, {kind}": float(np.mean(rates)) for kind, rates in exact.items()}


def reconstruction(models: Pretrained, captions: int, candidates: int, seed: int) -> dict[str, float]:
    """Mean PSNR in dB of held-out pictures through the dVAE, and its use of the codebook on them."""
    held_out = {
        "scenes": Scenes(models.dvae.config.image_size, "unseen"),
        "emoji": emoji_pictures((emoji.UNSEEN_CONCEPT, emoji.UNSEEN_COMBINATION), coloured=0),
    }
    figures, K = {}, models.dvae.config.codebook_size
    use = torch.zeros(K)
    for name, source in held_out.items():
        images = to_tensor(draw_batch(source, Random(f"{seed} dvae"), captions)[1])
        for chunk in images.split(64):
            codes = models.dvae.encode(chunk)
            figures.setdefault(name, []).append(psnr(models.dvae.decode(codes), chunk))
            use += torch.bincount(codes.flatten(), minlength=K)
    perplexity, dead = codebook_use(use)
    figures = {f"PSNR, {name}": float(torch.cat(rows).mean()) for name, rows in figures.items()}
    return figures | {"perplexity": perplexity, "perplexity / K": perplexity / K, "dead codes": dead}


def psnr(pictures: Tensor, originals: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each picture (B, 3, H, W) in [0, 1], in dB: (B,)."""
    return -10 * (pictures - originals).square().mean((1, 2, 3)).log10()


def exactness(wanted: str):
    """The exact rate of captions of one split: of single samples, and of CLIP's best of n."""

    def measure(models: Pretrained, captions: int, candidates: int, seed: int) -> dict[str, float]:
        rng, asked = Random(f"{seed} {wanted}"), {}
        while len(asked) < captions:  # all different
            scene = scenes.sample_scene(rng, wanted)
            asked[scenes.caption_of(scene)] = scene
        sizes = [n for n in (1, 2, 4, 8, 16, 32, 64, 128) if n <= candidates]
        exact, picked = [], {n: [] for n in sizes}
        for i, (caption, scene) in enumerate(tqdm(asked.items(), desc=wanted)):
            drawing = pipeline.draw(models, caption, candidates, candidates, seed=seed + i)
            pictures = (drawing.pictures.permute(0, 2, 3, 1) * 255).round().byte().numpy()
            right = [not judge.differences(scene, seen) for seen in judge.read(pictures)]
            exact.append(right)
            for n in sizes:  # CLIP's favourite among the first n
                picked[n].append(right[next(int(k) for k in drawing.order if k < n)])
        figures = {"single samples": float(np.mean(exact))}
        figures |= {f"best of {n}": float(np.mean(picked[n])) for n in sizes}
        return figures | {f"any of {candidates}": float(np.mean([any(right) for right in exact]))}

    return measure


def retrieval(models: Pretrained, captions: int, candidates: int, seed: int) -> dict[str, float]:
    """How often CLIP names the concept of a drawn emoji, out of all concepts, and of a real one."""
    pack, rng = emoji.load_pack(), Random(f"{seed} emoji")
    train = np.flatnonzero(pack.split == emoji.TRAIN)
    concepts = rng.sample(sorted(set(pack.concept[train].tolist())), min(captions, 200))
    firsts = {int(c): int(np.flatnonzero(pack.concept == c)[0]) for c in np.unique(pack.concept)}
    names = models.bpe.frames([emoji.caption(pack, i, 1) for i in firsts.values()], models.clip.config.text_len)
    named = features(models.clip.encode_text, names)
    order, right = list(firsts), {"drawn": [], "real": []}
    for concept in tqdm(concepts, desc="emoji"):
        i = next(i for i in train if pack.concept[i] == concept)
        drawing = pipeline.draw(models, emoji.caption(pack, i, 1), candidates, keep=1, seed=seed)
        real = to_tensor(emoji.compose(pack.pixels[i], scenes.BACKGROUNDS["white"])[None])
        for kind, picture in (("drawn", drawing.best), ("real", real)):
            nearest = (features(models.clip.encode_image, picture) @ named.T).argmax()
            right[kind].append(order[int(nearest)] == concept)
    drawn, real = float(np.mean(right["drawn"])), float(np.mean(right["real"]))
    return {"drawn": drawn, "real": real, "drawn / real": drawn / max(real, 1e-9)}


PARTS = {
    "judge": reading,
    "dvae": reconstruction,
    "unseen": exactness("unseen"),
    "combination": exactness("combination"),
    "emoji": retrieval,
}
