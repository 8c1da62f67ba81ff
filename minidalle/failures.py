"""Where it fails: "without" and colours that change places.

Both are asked about outfits, because whether an animal wears gloves, and in which colour, can be
read from a picture. No caption of training denies anything, so a model that only listens for the
word "gloves" draws them all the more when it is told to leave them out.
"""

from collections.abc import Callable, Iterable, Iterator
from random import Random

import numpy as np
from tqdm import tqdm

from minidalle import pipeline
from minidalle.pipeline import Pretrained, Request
from minidalle.plots import to_uint8
from minidalle.rates import Figures, mean
from minidalle.understanding import real_ones
from minidalle.world import reader
from minidalle.world.ability import Facts
from minidalle.world.outfits import GARMENTS, OUTFITS

SAMPLES = 8  # of each caption, at most

Read = Callable[[list[Request]], Iterable[list[Facts]]]  # what is seen in each drawing of each


def failures(
    models: Pretrained,
    captions: int,
    candidates: int,
    seed: int,
    draw: Callable = pipeline.draw_each,
) -> Figures:
    """Rates of two kinds of failure, in single samples."""

    def read(requests: list[Request]) -> Iterator[list[Facts]]:
        drawings = draw(models, requests, min(candidates, SAMPLES), keep=1)
        for drawing in tqdm(drawings, desc="failures", total=len(requests)):
            pictures = to_uint8(drawing.pictures).numpy()
            yield [seen.facts for seen in reader.examine(OUTFITS, pictures)]

    rng = Random(f"{seed} failures")
    said, _ = real_ones(OUTFITS, rng, captions)
    return negation(rng, said, read, seed) | exchange(said, read, seed)


def negation(rng: Random, said: list[Facts], read: Read, seed: int) -> Figures:
    """How often a garment is worn that the caption names, does not name, or denies."""
    worn: dict[str, list[float]] = {"named": [], "not named": [], "denied": []}
    others, requests = [], []
    for i, facts in enumerate(said):
        hat, other = rng.sample(list(GARMENTS), 2)
        colour, animal = rng.choice(OUTFITS.values(hat)), {"animal": facts["animal"]}
        plain = OUTFITS.caption_of(animal | {hat: colour})
        asked = {
            "named": OUTFITS.caption_of(
                animal | {hat: colour, other: rng.choice(OUTFITS.values(other))}
            ),
            "not named": plain,
            "denied": f"{plain} without {'a ' if other in ('hat', 'shirt') else ''}{other}",
        }
        others += [(how, other) for how in worn]
        requests += [Request(asked[how], seed + i) for how in worn]
    for (how, other), seen in zip(others, read(requests)):
        worn[how].append(float(np.mean([other in one for one in seen])))
    figures: Figures = {}
    for how, rates in worn.items():
        figures |= mean(f"negation: a garment {how} is worn", rates)
    return figures


def exchange(said: list[Facts], read: Read, seed: int) -> Figures:
    """Of two garments in two colours: how often both are right, or have changed places.

    And of all colours that are wrong, how many are the other garment's; of eight colours, one in
    seven would be by chance.
    """
    right, exchanged, stolen, pairs, requests = [], [], [], [], []
    for i, facts in enumerate(said):
        one, other, *_ = (garment for garment in GARMENTS if garment in facts)
        if facts[one] == facts[other]:
            continue
        asked = {"animal": facts["animal"], one: facts[one], other: facts[other]}
        pairs.append(((one, other), (facts[one], facts[other])))
        requests.append(Request(OUTFITS.caption_of(asked), seed + i))
    for ((one, other), wanted), drawn in zip(pairs, read(requests)):
        seen = [(facts.get(one), facts.get(other)) for facts in drawn]
        right.append(np.mean([pair == wanted for pair in seen]))
        exchanged.append(np.mean([pair == wanted[::-1] for pair in seen]))
        wrong = [
            (s, w, o) for pair in seen for s, w, o in zip(pair, wanted, wanted[::-1]) if s != w
        ]
        stolen += [s == o for s, w, o in wrong]
    figures = mean("two garments: both colours right", right)
    figures |= mean("two garments: colours exchanged", exchanged)
    return figures | mean("two garments: a wrong colour is the other's", stolen)
