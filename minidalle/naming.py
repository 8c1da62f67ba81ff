"""One model for many data sets: what CLIP names without having been trained for it.

B pictures, C things, size pixels a side.

A classifier is trained for one data set and is good at that one. CLIP compares a picture with a
sentence for each thing, "a drawing of a snail", and so names things in any data set. Radford et
al. 2021 (section 3.3) set it against a ResNet trained on ImageNet: both name its photographs
equally well, but sketches and unusual views of the same things only CLIP. Here is the same
experiment in miniature: the ResNet learns the drawings of one vendor, and is asked about those of
four others, about sketches, negatives, drawings at night, and small ones in scenes.

CLIP can also be asked for what nobody ever showed it, by a description of its parts.
"""

from collections.abc import Callable
from functools import cache
from itertools import product
from random import Random

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from minidalle import pipeline
from minidalle.bpe import BPE
from minidalle.clip import CLIP, features
from minidalle.datasets import to_tensor
from minidalle.pipeline import Pretrained
from minidalle.rates import Figures, mean
from minidalle.resnet import ResNet
from minidalle.world import copies, emoji
from minidalle.world.abilities import ABILITIES
from minidalle.world.ability import Ability
from minidalle.world.canvas import Canvas, Drawing
from minidalle.world.objects import emoji as thing_of
from minidalle.world.scenes import BACKGROUNDS, COLOURS
from minidalle.world.shapes import figure

STYLE = "twemoji"  # the one that the ResNet is trained on
STEPS, BATCH, RATE = 600, 42, 2e-3
WHITE = (255, 255, 255)
ASKED = {  # what captions call them → slug of the emoji
    name.replace("-", " "): name
    for name in """
    snail whale octopus crab penguin butterfly rooster elephant dolphin duck rabbit fish turtle
    snake camel parrot swan mouse t-rex kangaroo
    banana carrot strawberry mushroom pear pizza hamburger cupcake pineapple avocado hot-dog
    tractor rocket sailboat locomotive guitar umbrella teapot key house cactus sunflower
    """.split()
}


@cache
def things() -> dict[str, str]:
    """What is to be named, and its slug in the emoji pack: all that every vendor has drawn."""
    pack = emoji.load_pack()
    drawn = {(pack.slugs[c], pack.styles[s]) for c, s in zip(pack.concept, pack.style)}
    return {
        name: slug
        for name, slug in ASKED.items()
        if all((slug, style) in drawn for style in pack.styles)
    }


# ---- the data sets ----------------------------------------------------------------------


def one_thing(thing: Drawing, ground, left: int = 8, top: int = 8, side: int = 48) -> np.ndarray:
    """A thing alone: uint8 (64, 64, 3)."""
    canvas = Canvas(64, ground)
    canvas.put(thing, left, top, side)
    return canvas.picture()


def in_scene(thing: Drawing, rng: Random) -> np.ndarray:
    """A small thing on one side and a shape on the other, on a coloured background."""
    canvas = Canvas(64, BACKGROUNDS[rng.choice(list(BACKGROUNDS))])
    left = rng.choice((4, 36))
    canvas.put(thing, left, rng.randrange(4, 37), 24)
    shape, colour = rng.choice(("star", "heart", "circle")), rng.choice(list(COLOURS))
    canvas.put(figure(shape, "filled", COLOURS[colour]), 40 - left, rng.randrange(4, 37), 24)
    return canvas.picture()


def data_sets(rng: Random) -> dict[str, np.ndarray]:
    """The same things in each: uint8 (C, 64, 64, 3), in the order of `things()`."""
    slugs = things().values()
    own = [thing_of(slug, STYLE) for slug in slugs]
    drawings = {
        style: [one_thing(thing_of(slug, style), WHITE) for slug in slugs]
        for style in emoji.STYLE_WORDS
    }
    drawings |= {
        "sketches": [one_thing(copies.sketched(thing), copies.SKETCH) for thing in own],
        "negatives": [255 - one_thing(thing, WHITE) for thing in own],
        "at night": [one_thing(copies.darkened(thing), copies.NIGHT) for thing in own],
        "in scenes": [in_scene(thing, rng) for thing in own],
    }
    return {name: np.stack(pictures) for name, pictures in drawings.items()}


# ---- a classifier of one of them --------------------------------------------------------


def supervised(seed: int) -> ResNet:
    """A ResNet of 0.8 M parameters, trained on one style: moved, scaled, on any background."""
    torch.manual_seed(seed)
    rng = Random(seed)
    own = [thing_of(slug, STYLE) for slug in things().values()]
    model = ResNet((1, 1, 1, 1), width=12, heads=8, image_size=64, embed=len(things()))
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS)
    for _ in tqdm(range(STEPS), desc="ResNet"):
        labels = [rng.randrange(len(things())) for _ in range(BATCH)]
        pictures = np.stack([moved(own[label], rng) for label in labels])
        loss = F.cross_entropy(model(standardised(pictures)), torch.tensor(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def moved(thing: Drawing, rng: Random) -> np.ndarray:
    """A thing somewhere, at half to full size, on a random background."""
    side = rng.randrange(32, 65)
    left, top = rng.randint(0, 64 - side), rng.randint(0, 64 - side)
    return one_thing(thing, BACKGROUNDS[rng.choice(list(BACKGROUNDS))], left, top, side)


def standardised(pictures: np.ndarray) -> Tensor:
    """uint8 (B, 64, 64, 3) → (B, 3, 64, 64) from -1 to 1."""
    return to_tensor(pictures) * 2 - 1


# ---- CLIP -------------------------------------------------------------------------------


@torch.no_grad()
def named(bpe: BPE, clip: CLIP, pictures: np.ndarray, sentences: list[str]) -> Tensor:
    """The number of the sentence that fits each picture best: (B,)."""
    device = clip.logit_scale.device
    text = bpe.frames(sentences, clip.config.text_len).to(device)
    seen = features(clip.encode_image, to_tensor(pictures).to(device))
    return (seen @ features(clip.encode_text, text).T).argmax(1).cpu()


def naming(
    models: Pretrained,
    captions: int,
    candidates: int,
    seed: int,
    draw: Callable = pipeline.draw_each,
) -> Figures:
    """The share of things that CLIP and a supervised ResNet name rightly, in each data set."""
    classifier, right = supervised(seed), torch.arange(len(things()))
    sentences = [f"a drawing of {emoji.with_article(thing)}" for thing in things()]
    figures: Figures = {"chance": 1 / len(things())}
    for name, pictures in data_sets(Random(seed)).items():
        with torch.no_grad():
            learnt = classifier(standardised(pictures)).argmax(1)
        figures |= mean(f"{name}: supervised ResNet", learnt == right)
        said = named(models.bpe, models.clip, pictures, sentences)
        figures |= mean(f"{name}: CLIP", said == right)
    return figures


def description(
    models: Pretrained,
    captions: int,
    candidates: int,
    seed: int,
    draw: Callable = pipeline.draw_each,
) -> Figures:
    """How often CLIP finds the description of a thing never shown among all those like it."""
    figures: Figures = {}
    for name in ("halves", "materials", "chairs"):
        ability, rng = ABILITIES[name], Random(f"{seed} {name}")
        said = [ability.sample(rng, held_out=True) for _ in range(captions)]
        pictures = np.stack([ability.paint(ability.settle(facts, rng)) for facts in said])
        sentences = every_caption(ability)
        found = named(models.bpe, models.clip, pictures, sentences)
        right = torch.tensor([sentences.index(ability.caption_of(facts)) for facts in said])
        figures |= mean(name, found == right) | {f"{name}, chance": 1 / len(sentences)}
    return figures


def every_caption(ability: Ability) -> list[str]:
    """All captions that name every field."""
    every = (dict(zip(ability.fields, values)) for values in product(*ability.fields.values()))
    return [ability.caption_of(facts) for facts in every if ability.valid(facts)]
