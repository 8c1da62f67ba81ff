"""How good are the four models? Each figure of docs/results.md, from one function each.

A measure must not grade itself. CLIP chooses drawings, so others judge them: scenes
`world.judge`, which reads a picture and paints it again, and emoji `world.emoji_judge`, which
looks for the nearest real picture. Each judge is itself measured, on real and on spoilt pictures.

Every rate comes with its standard error, under the same name and " ±". Drawings of one caption
resemble each other, so it is the captions that are counted, not the drawings.
"""

from collections.abc import Callable
from random import Random

import numpy as np
import torch
from tqdm import tqdm

from minidalle import pipeline
from minidalle.datasets import Scenes, draw_batch, emoji_pictures, to_tensor
from minidalle.dvae import codebook_use
from minidalle.failures import failures
from minidalle.naming import description, naming
from minidalle.pipeline import Pretrained, Request
from minidalle.plots import to_uint8
from minidalle.rates import Figures, entropy, mean, psnr, summary, through
from minidalle.understanding import (
    ability_judge,
    ability_limits,
    best_of_many,
    code_losses,
    recognition_at_64,
    understanding,
)
from minidalle.world import emoji, emoji_judge, judge, painting, scenes, spoil
from minidalle.world.abilities import ABILITIES

GUIDANCES, TEMPERATURES = (1.0, 1.25, 1.5, 2.0), (0.5, 0.7, 0.85, 1.0)  # of `diversity`


# ---- the dVAE, and the judge on pictures that went through it ----------------------------


def reconstruction(
    models: Pretrained,
    captions: int,
    candidates: int,
    seed: int,
    draw: Callable = pipeline.draw_each,
) -> Figures:
    """Mean PSNR in dB of held-out pictures through the dVAE, and how it uses its codebook."""
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
    figures |= {"perplexity": perplexity, "perplexity / K": perplexity / K}
    return figures | {"dead codes": dead}


def fresh(rng: Random, count: int) -> tuple[list[scenes.Scene], np.ndarray]:
    """Scenes that training never showed, and their paintings (count, 32, 32, 3)."""
    asked = [scenes.sample_scene(rng, rng.choice(("unseen", "combination"))) for _ in range(count)]
    return asked, np.stack([painting.paint(scene, rng) for scene in asked])


def calibration(
    models: Pretrained,
    captions: int,
    candidates: int,
    seed: int,
    draw: Callable = pipeline.draw_each,
) -> Figures:
    """How many real pictures the judge of scenes calls exact, and how many spoilt ones.

    Beside it how many it merely reads right ("reading only"): that alone would be too lenient.
    """
    rng, dvae = Random(f"{seed} judge"), models.dvae
    asked, real = fresh(rng, captions)
    near = np.stack([painting.paint(scenes.variation(scene, rng), rng) for scene in asked])
    over, missing = spoil.paint_over(real, rng), spoil.erase(real, rng)
    shown = {
        "real": real,
        "real, through the dVAE": through(dvae, real),
        "near misses": near,
        "near misses, through the dVAE": through(dvae, near),
        "a quarter painted over": over,
        "a quarter painted over, through the dVAE": through(dvae, over),
        "through the dVAE, then painted over": spoil.paint_over(through(dvae, real), rng),
        "a patch erased": missing,
        "a patch erased, through the dVAE": through(dvae, missing),
        "blurred 3×3": spoil.blur(real, 3),
        "blurred 5×5": spoil.blur(real, 5),
        "through the dVAE, then blurred 3×3": spoil.blur(through(dvae, real), 3),
    }
    figures = {}
    for name, pictures in shown.items():
        readings = judge.examine(pictures)
        exact = [not judge.faults(*pair) for pair in zip(asked, readings)]
        read = [not judge.differences(scene, seen.scene) for scene, seen in zip(asked, readings)]
        figures |= mean(name, exact) | {f"{name}, reading only": float(np.mean(read))}
    return figures


def limits(
    models: Pretrained,
    captions: int,
    candidates: int,
    seed: int,
    draw: Callable = pipeline.draw_each,
) -> Figures:
    """What `judge.LIMITS` would be with this dVAE; the ones in force are of the shipped one.

    The scenes are others than those of `calibration`. NaN if none of them can be read any more.
    """
    asked, real = fresh(Random(f"{seed} limits"), captions)
    readings = judge.examine(through(models.dvae, real))
    right = [r for s, r in zip(asked, readings) if not judge.differences(s, r.scene)]
    worst, detail = ([getattr(r, name) for r in right] or [np.nan] for name in ("worst", "detail"))
    return {"worst": float(np.quantile(worst, 0.995)), "detail": float(np.quantile(detail, 0.01))}


# ---- drawings of scenes -----------------------------------------------------------------


def exactness(wanted: str) -> Callable[..., Figures]:
    """The exact rate of captions of one split: of single samples, and of CLIP's best of n."""

    def measure(
        models: Pretrained,
        captions: int,
        candidates: int,
        seed: int,
        draw: Callable = pipeline.draw_each,
    ) -> Figures:
        rng, asked = Random(f"{seed} {wanted}"), {}
        while len(asked) < captions:  # all different
            scene = scenes.sample_scene(rng, wanted)
            asked[scenes.caption_of(scene)] = scene
        exact, read, order = [], [], []
        requests = [Request(caption, seed + i) for i, caption in enumerate(asked)]
        drawings = draw(models, requests, candidates, keep=candidates)
        for scene, drawing in zip(tqdm(asked.values(), desc=wanted), drawings):
            readings = judge.examine(to_uint8(drawing.pictures).numpy())
            exact.append([not judge.faults(scene, seen) for seen in readings])
            read.append([not judge.differences(scene, seen.scene) for seen in readings])
            order.append(drawing.order.numpy())
        return summary(np.array(exact), np.array(read), np.array(order), candidates)

    return measure


# ---- drawings of emoji ------------------------------------------------------------------


def recognition(
    models: Pretrained,
    captions: int,
    candidates: int,
    seed: int,
    draw: Callable = pipeline.draw_each,
) -> Figures:
    """How many drawings of an emoji look most like a real picture of that emoji.

    Beside it what the judge makes of real pictures. "near copies" are drawings as near to some
    picture of the pack as 95 % of real pictures, sent through the dVAE, are to themselves.
    """
    pack, rng = emoji.load_pack(), Random(f"{seed} emoji")
    train = np.flatnonzero(pack.split == emoji.TRAIN).tolist()
    rng.shuffle(train)
    shown = {pack.concept[i]: i for i in train}  # one picture of each concept
    shown = np.array(list(shown.values())[: min(captions, 100)])
    concepts = pack.concept[shown]
    real = emoji.compose(pack.pixels[shown], emoji_judge.WHITE)
    decoded = through(models.dvae, real)
    copy = np.quantile(emoji_judge.nearest(decoded)[1], 0.95)
    names = "real", "real, itself not in the pack", "real, through the dVAE, itself not in the pack"
    figures = {}
    for name, pictures, without in zip(names, (real, real, decoded), (None, shown, shown)):
        which, _ = emoji_judge.nearest(pictures, without)
        figures |= mean(name, pack.concept[which] == concepts)
    read, copies, first = [], [], []
    requests = [
        Request(emoji.caption(pack, i, template=1, background="white"), seed + int(i))
        for i in shown
    ]
    drawings = draw(models, requests, candidates, keep=1)
    for drawing in tqdm(drawings, desc="emoji", total=len(requests)):
        which, distance = emoji_judge.nearest(to_uint8(drawing.pictures).numpy())
        read.append(pack.concept[which])
        copies.append(distance <= copy)
        first.append(int(drawing.order[0]))
    right = np.array(read) == concepts[:, None]  # (captions, candidates)
    chosen = np.arange(len(right)), np.array(first)
    figures |= mean("single samples", right.mean(1)) | mean(f"best of {candidates}", right[chosen])
    figures |= mean(f"any of {candidates}", right.any(1))
    figures |= mean("near copies", np.array(copies).mean(1))
    shuffled = np.array(read) == np.roll(concepts, 1)[:, None]
    return figures | mean("single samples, another's caption", shuffled.mean(1))


# ---- how varied the drawings are --------------------------------------------------------


def open_scenes(rng: Random, count: int) -> list[scenes.Scene]:
    """Scenes whose caption leaves the background open and some thing at least four places."""
    found = []
    while len(found) < count:
        scene = scenes.sample_scene(rng, "unseen")
        settled = [painting.arrange(scene, rng) for _ in range(64)]
        if scene.background is None and len({places for _, places in settled}) >= 4:
            found.append(scene)
    return found


def diversity(
    models: Pretrained,
    captions: int,
    candidates: int,
    seed: int,
    draw: Callable = pipeline.draw_each,
) -> Figures:
    """Exactness and variety over guidance and temperature, of captions that leave much open.

    The variety of place and of background is an entropy in bits over a caption's drawings; "as
    painted" is that of as many paintings, in which both are chosen evenly: the most there can be.
    """
    rng = Random(f"{seed} diversity")
    asked = open_scenes(rng, min(captions, 40))
    painted = [[painting.arrange(scene, rng) for _ in range(candidates)] for scene in asked]
    figures = mean("place, as painted", [entropy([p for _, p in row]) for row in painted])
    figures |= mean(
        "background, as painted",
        [entropy([scene.background for scene, _ in row]) for row in painted],
    )
    settings = [(guidance, temperature) for guidance in GUIDANCES for temperature in TEMPERATURES]
    for guidance, temperature in tqdm(settings, desc="diversity"):
        rows = []
        requests = [Request(scenes.caption_of(scene), seed + i) for i, scene in enumerate(asked)]
        how = {"temperature": temperature, "guidance": guidance}
        for scene, drawing in zip(asked, draw(models, requests, candidates, keep=1, **how)):
            rows.append(varieties(scene, judge.examine(to_uint8(drawing.pictures).numpy())))
        for name, values in zip(("exact", "place", "background"), zip(*rows)):
            figures |= mean(f"{name}, guidance {guidance:g}, temperature {temperature:g}", values)
    return figures


def varieties(wanted: scenes.Scene, readings: list[judge.Reading]) -> tuple[float, float, float]:
    """The share of exact drawings, and the entropies of place and background of those read."""
    right = [seen for seen in readings if not judge.differences(wanted, seen.scene)]
    exact = np.mean([not judge.faults(wanted, seen) for seen in readings])
    if not right:
        return float(exact), 0.0, 0.0
    places = [tuple(map(painting.square_of, seen.places)) for seen in right]
    return float(exact), entropy(places), entropy([seen.scene.background for seen in right])


SCENES = {  # measured with models of 32×32 pixels
    "judge": calibration,
    "limits": limits,
    "dvae": reconstruction,
    "unseen": exactness("unseen"),
    "combination": exactness("combination"),
    "emoji": recognition,
    "diversity": diversity,
}
WORLD = {  # with models of 64×64
    "ability limits": ability_limits,
    "ability judge": ability_judge,
    "code losses": code_losses,
    "emoji at 64": recognition_at_64,
    "naming": naming,
    "description": description,
    "failures": failures,
    **{name: understanding(ability) for name, ability in ABILITIES.items()},
    "best of many": best_of_many,
}
PARTS = SCENES | WORLD


def parts_of(models: Pretrained) -> list[str]:
    """The names of the parts that these models can be measured by."""
    return list(WORLD if models.dvae.config.image_size >= 64 else SCENES)
