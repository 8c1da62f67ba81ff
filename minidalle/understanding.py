"""How well does a model of 64×64 pictures understand? Rates for each ability, and for emoji.

As in evaluate.py, what chose a drawing does not judge it: abilities are read by `world.reader`,
emoji by the two readers of `world.emoji_readers`, and each is measured on real pictures first.
Only captions that training never showed are asked.
"""

from collections import defaultdict
from collections.abc import Callable
from random import Random

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from minidalle import pipeline
from minidalle.datasets import to_tensor
from minidalle.pipeline import Pretrained, Request
from minidalle.plots import to_uint8
from minidalle.rates import Figures, entropy, favourites, mean, powers, summary, through
from minidalle.world import emoji, emoji_judge, emoji_readers, objects, reader, spoil
from minidalle.world.abilities import ABILITIES
from minidalle.world.ability import Ability, Facts
from minidalle.world.canvas import UNITS
from minidalle.world.relations import RELATIONS

GRID = 16  # codes a side
JUDGED = 16  # candidates of each caption that are judged besides CLIP's favourites
Readings = list[list[reader.Reading | None]]  # of each caption, of each candidate that is judged


def real_ones(ability: Ability, rng: Random, count: int) -> tuple[list[Facts], list[Facts]]:
    """Facts that training never showed, of each kind equally often, said and settled."""
    kinds = defaultdict(list)
    for _ in range(20 * count):
        facts = ability.sample(rng, held_out=True)
        kinds[ability.kind_of(facts)].append(facts)
    rows = [kinds[kind] for kind in sorted(kinds)]
    said = [rows[i % len(rows)][i // len(rows) % len(rows[i % len(rows)])] for i in range(count)]
    return said, [ability.settle(facts, rng) for facts in said]


def paintings(ability: Ability, settled: list[Facts]) -> np.ndarray:
    """The pictures of settled facts."""
    return np.stack([ability.paint(facts) for facts in settled])


def ability_limits(
    models: Pretrained,
    captions: int,
    candidates: int,
    seed: int,
    draw: Callable = pipeline.draw_each,
) -> Figures:
    """What `reader.LIMITS` would be with this dVAE."""
    figures = {}
    for name, ability in ABILITIES.items():
        said, settled = real_ones(ability, Random(f"{seed} limits"), captions)
        decoded = through(models.dvae, paintings(ability, settled))
        readings = reader.examine(ability, decoded)
        right = [r for s, r in zip(said, readings) if not reader.differences(ability, s, r.facts)]
        figures[f"{name}, worst"] = float(np.quantile([r.worst for r in right], 0.995))
        figures[f"{name}, detail"] = float(np.quantile([r.detail for r in right], 0.01))
    return figures


def ability_judge(
    models: Pretrained,
    captions: int,
    candidates: int,
    seed: int,
    draw: Callable = pipeline.draw_each,
) -> Figures:
    """How many real pictures of each ability its judge calls exact, and how many spoilt ones."""
    figures = {}
    for name, ability in ABILITIES.items():
        rng = Random(f"{seed} judge")
        said, settled = real_ones(ability, rng, captions)
        near = [ability.settle(ability.near_miss(facts, rng), rng) for facts in said]
        real, missed = (through(models.dvae, paintings(ability, some)) for some in (settled, near))
        shown = {
            "real, through the dVAE": real,
            "near misses, through the dVAE": missed,
            "through the dVAE, then a quarter painted over": spoil.paint_over(real, rng),
            "through the dVAE, then blurred 3×3": spoil.blur(real, 3),
        }
        for what, pictures in shown.items():
            readings = reader.examine(ability, pictures)
            exact = [not reader.faults(ability, s, r) for s, r in zip(said, readings)]
            figures |= mean(f"{name}: {what}", exact)
    return figures


@torch.no_grad()
def code_losses(
    models: Pretrained,
    captions: int,
    candidates: int,
    seed: int,
    draw: Callable = pipeline.draw_each,
) -> Figures:
    """The transformer's loss in nats a code, for combinations that training showed and others.

    Of a picture that is begun for the model, only what it draws counts. If the second is many
    times the first, the model knows its combinations by heart and cannot make new ones.
    """
    figures = {}
    for name, ability in ABILITIES.items():
        top, left = (side * GRID // UNITS for side in ability.box or (0, 0))
        for what, held_out in (("shown", False), ("held out", True)):
            rng = Random(f"{seed} losses {name}")
            said = [ability.sample(rng, held_out) for _ in range(captions)]
            pictures = paintings(ability, [ability.settle(facts, rng) for facts in said])
            sentences = [ability.caption_of(facts) for facts in said]
            text = models.bpe.frames(sentences, models.dalle.config.text_len, truncate=True)
            losses = []
            for some, words in zip(to_tensor(pictures).split(32), text.split(32)):
                codes = models.dvae.encode(some.to(models.device)).flatten(1)
                _, logits = models.dalle.logits(words.to(models.device), codes)
                loss = F.cross_entropy(logits.mT, codes, reduction="none")
                losses += loss.view(-1, GRID, GRID)[:, top:, left:].mean((1, 2)).tolist()
            figures |= mean(f"{name}, {what}", losses)
    return figures


def understanding(ability: Ability) -> Callable[..., Figures]:
    """The measure of one ability: how often drawings of held-out captions are exact, and more."""

    def measure(
        models: Pretrained,
        captions: int,
        candidates: int,
        seed: int,
        draw: Callable = pipeline.draw_each,
    ) -> Figures:
        rng = Random(f"{seed} {ability.name}")
        said, settled = real_ones(ability, rng, captions)
        readings, order, first = [], [], []
        requests = [
            Request(ability.caption_of(facts), seed + i, *given_part(ability, settled[i]))
            for i, facts in enumerate(said)
        ]
        drawings = draw(models, requests, candidates, keep=candidates)
        for drawing in tqdm(drawings, desc=ability.name, total=captions):
            pictures = to_uint8(drawing.pictures).numpy()
            order.append(drawing.order.numpy())
            first.append(pictures[0])
            chosen = to_judge(order[-1])
            row = dict(zip(chosen, reader.examine(ability, pictures[chosen])))
            readings.append([row.get(i) for i in range(candidates)])
        real = through(models.dvae, paintings(ability, settled))
        wrong = wrong_fields(ability, said, readings)
        figures = rates(ability, said, readings, wrong, np.array(order))
        figures |= rates_of_fields(ability, said, wrong)
        if ability is RELATIONS:
            figures |= visor(said, readings)
        figures |= variety(ability, said, readings, wrong, rng)
        return figures | near_copies(ability, np.stack(first), real, rng)

    return measure


def best_of_many(
    models: Pretrained,
    captions: int,
    candidates: int,
    seed: int,
    draw: Callable = pipeline.draw_each,
) -> Figures:
    """CLIP's favourite among 1 to 512 candidates in place of 32, of a sixth of the captions.

    Words are the ability in which a small mistake is easiest to overlook.
    """
    measure = understanding(ABILITIES["words"])
    figures = measure(models, max(captions // 6, 2), 16 * candidates, seed, draw)
    return {name: value for name, value in figures.items() if name.startswith("best of")}


def to_judge(order: np.ndarray) -> list[int]:
    """The first few candidates, and CLIP's favourites among the first 1, 2, 4, …, from its order.

    >>> to_judge(np.arange(20)[::-1])
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
    >>> to_judge(np.arange(32)[::-1])[-2:]
    [15, 31]
    """
    count = len(order)
    best = [int(favourites(order[None], n)[0]) for n in powers(count)]
    return sorted({*range(min(JUDGED, count)), *best})


def rates(
    ability: Ability, said: list[Facts], readings: Readings, wrong: np.ndarray, order: np.ndarray
) -> Figures:
    """How often drawings are exact: all, of each kind, and of another caption of the same kind."""
    exact = np.array(
        [
            [r is not None and not reader.faults(ability, facts, r) for r in row]
            for facts, row in zip(said, readings)
        ]
    )
    figures = summary(exact, wrong == set(), order, JUDGED)
    kinds = np.array([ability.kind_of(facts) for facts in said])
    step = len(set(kinds))  # to the next caption of the same kind
    other = [
        not reader.faults(ability, facts, row[0])
        for facts, row in zip(said[step:] + said[:step], readings)
    ]
    figures |= mean("single samples, of another caption", other)
    for kind in sorted(set(kinds)) if step > 1 else ():
        figures |= mean(f"single samples, {kind}", exact[kinds == kind, :JUDGED].mean(1))
        best = exact[np.arange(len(exact)), order[:, 0]][kinds == kind]
        figures |= mean(f"best of {exact.shape[1]}, {kind}", best)
    return figures


def wrong_fields(ability: Ability, said: list[Facts], readings: Readings) -> np.ndarray:
    """The set of fields in which each of the first drawings differs from its caption.

    (captions, up to JUDGED)
    """
    first = [[seen for seen in row[:JUDGED] if seen] for row in readings]
    wrong = np.empty((len(said), len(first[0])), object)
    for i, (facts, row) in enumerate(zip(said, first)):
        for j, seen in enumerate(row):
            wrong[i, j] = set(reader.differences(ability, facts, seen.facts))
    return wrong


def rates_of_fields(ability: Ability, said: list[Facts], wrong: np.ndarray) -> Figures:
    """How often each field is read right: always, and where all the others are.

    If the fields succeeded independently, the product of their rates would be the rate of the
    whole (Okawa et al. 2023).
    """
    figures: Figures = {}
    product = 1.0
    for field in ability.fields:
        rows = wrong[[i for i, facts in enumerate(said) if field in facts]]
        if not rows.size:
            continue
        right = np.array([[field not in one for one in row] for row in rows])
        others = np.array([[not one - {field} for one in row] for row in rows])
        figures |= mean(f"single samples, {field} read right", right.mean(1))
        if others.any():
            figures[f"single samples, {field} read right if the rest is"] = right[others].mean()
        product *= right.mean()
    return figures | ({"single samples, product of the fields": product} if figures else {})


def visor(said: list[Facts], readings: Readings) -> Figures:
    """How often both things are there, in any order, and how often the relation is right then.

    These are the two rates of VISOR (Gokhale et al. 2022).
    """

    def both(facts: Facts) -> set[str]:
        return {facts["first"], facts["second"]}

    there: list[float] = []
    right: list[float] = []
    for facts, row in zip(said, readings):
        seen = [one.facts for one in row[:JUDGED] if one]
        found = [one for one in seen if both(one) == both(facts)]
        there.append(len(found) / len(seen))
        if found:
            each = [not reader.differences(RELATIONS, facts, one) for one in found]
            right.append(float(np.mean(each)))
    figures = mean("single samples, both things are there", there)
    return figures | mean("single samples, relation right if both are", right)


def variety(
    ability: Ability, said: list[Facts], readings: Readings, wrong: np.ndarray, rng: Random
) -> Figures:
    """The entropy in bits of what captions leave open, over the drawings read right.

    "As painted" is that of as many paintings, which choose evenly: the most that there can be.
    """
    drawn, painted = [], []
    for facts, row, faults in zip(said, readings, wrong):
        right = [seen.facts for seen, some in zip(row, faults) if seen and not some]
        world = [ability.settle(facts, rng) for _ in right]
        is_open = [f for f in ability.free if f != "background" and f not in facts]
        if len(right) >= 8 and is_open and ability.box is None:
            for some, bits in ((right, drawn), (world, painted)):
                bits.append(entropy([tuple(one.get(f) for f in is_open) for one in some]))
    if not drawn:
        return {}
    figures = mean("variety of places", drawn) | mean("variety of places, as painted", painted)
    return figures | {"variety of places, share": sum(drawn) / sum(painted)}


def near_copies(ability: Ability, drawn: np.ndarray, real: np.ndarray, rng: Random) -> Figures:
    """How many drawings are as near a training picture as the nearest twentieth of real ones.

    A model that had learnt pictures by heart would come nearer to them than the world does.
    """
    shown = [ability.settle(ability.sample(rng), rng) for _ in range(2000)]
    shown = coarse(paintings(ability, shown))
    nearest = [torch.cdist(coarse(pictures), shown).amin(1).numpy() for pictures in (drawn, real)]
    return mean("near copies", nearest[0] <= np.quantile(nearest[1], 0.05))


def coarse(pictures: np.ndarray) -> Tensor:
    """Pictures, uint8 (B, 64, 64, 3), as vectors of means of 4×4 pixels from 0 to 1: (B, 768)."""
    return F.avg_pool2d(to_tensor(pictures), 4).flatten(1)


def given_part(ability: Ability, settled: Facts) -> tuple:
    """For an ability in which part of the picture is given: the picture, and the box to draw."""
    if ability.box is None:
        return ()
    top, left = ability.box
    picture = to_tensor(ability.paint(settled)[None])[0]
    return picture, (top * GRID // UNITS, left * GRID // UNITS)


# ---- emoji ------------------------------------------------------------------------------


def recognition_at_64(
    models: Pretrained,
    captions: int,
    candidates: int,
    seed: int,
    draw: Callable = pipeline.draw_each,
) -> Figures:
    """How many drawings the fitted readers recognise: the thing, the style, and both.

    Of pairs of thing and style that training showed, and of pairs that it did not. Beside them
    what the readers make of the real pictures, sent through the dVAE.
    """
    pack, figures = emoji.load_pack(), {}
    drawn = np.isin(pack.concept, emoji_readers.concepts_drawn(pack))
    pixels = objects.pixels()
    for name, split in (("shown", emoji.TRAIN), ("not shown", emoji.UNSEEN_COMBINATION)):
        rng = Random(f"{seed} emoji {name}")
        pairs = np.flatnonzero(drawn & (pack.split == split)).tolist()
        asked = np.array(rng.sample(pairs, min(captions, len(pairs))))
        wanted = pack.concept[asked], pack.style[asked]
        real = through(models.dvae, emoji.compose(pixels[asked], emoji_judge.WHITE))
        copy = np.quantile(emoji_judge.nearest(real)[1], 0.95)
        figures |= shares_read(f"{name}, real", emoji_readers.read(real), wanted)
        chosen, copies, singles = [], [], []
        requests = [
            Request(emoji.caption(pack, i, template=3, background="white"), seed + int(i))
            for i in asked
        ]
        drawings = draw(models, requests, candidates, keep=1)
        for drawing in tqdm(drawings, desc=f"emoji {name}", total=len(asked)):
            pictures = to_uint8(drawing.pictures).numpy()
            chosen.append(pictures[int(drawing.order[0])])
            singles.append(pictures[0])
            copies.append(emoji_judge.nearest(chosen[-1][None])[1][0] <= copy)
        for what, some in (("single", singles), (f"best of {candidates}", chosen)):
            figures |= shares_read(f"{name}, {what}", emoji_readers.read(np.stack(some)), wanted)
        figures |= mean(f"{name}, near copies", copies)
    return figures


def shares_read(name: str, seen: tuple, wanted: tuple) -> Figures:
    """How often the readers name the concept, the style, and both."""
    concept, style = (found == right for found, right in zip(seen, wanted))
    figures = mean(f"{name}: concept", concept) | mean(f"{name}: style", style)
    return figures | mean(f"{name}: both", concept & style)
