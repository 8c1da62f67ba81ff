"""How well does a model of 64×64 pictures understand? A rate for each ability, and for emoji.

As in evaluate.py, what chose a drawing does not judge it: abilities are read by `world.reader`,
emoji by the two readers of `world.emoji_readers`, and each is measured on real pictures first.
Only captions that training never showed are asked.
"""

from collections.abc import Callable
from random import Random

import numpy as np
from tqdm import tqdm

from minidalle import pipeline
from minidalle.datasets import to_tensor
from minidalle.pipeline import Pretrained
from minidalle.plots import to_uint8
from minidalle.rates import Figures, mean, summary, through
from minidalle.world import emoji, emoji_judge, emoji_readers, objects, reader, spoil
from minidalle.world.abilities import ABILITIES
from minidalle.world.ability import Ability, Facts
from minidalle.world.canvas import UNITS


def real_ones(ability: Ability, rng: Random, count: int) -> tuple[list[Facts], list[Facts]]:
    """Facts that training never showed, said and settled."""
    said = [ability.sample(rng, held_out=True) for _ in range(count)]
    return said, [ability.settle(facts, rng) for facts in said]


def paintings(ability: Ability, settled: list[Facts]) -> np.ndarray:
    """The pictures of settled facts."""
    return np.stack([ability.paint(facts) for facts in settled])


def ability_limits(
    models: Pretrained, captions: int, candidates: int, seed: int, draw: Callable = pipeline.draw
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
    models: Pretrained, captions: int, candidates: int, seed: int, draw: Callable = pipeline.draw
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


def understanding(ability: Ability) -> Callable[..., Figures]:
    """The exact rate of held-out captions of an ability, and the rate of each of its fields."""

    def measure(
        models: Pretrained,
        captions: int,
        candidates: int,
        seed: int,
        draw: Callable = pipeline.draw,
    ) -> Figures:
        rng = Random(f"{seed} {ability.name}")
        said, settled = real_ones(ability, rng, captions)
        exact, read, order = [], [], []
        fields = {field: [] for field in ability.fields}
        for i, facts in enumerate(tqdm(said, desc=ability.name)):
            how = given_part(ability, settled[i], models.dvae.config.grid)
            drawing = draw(
                models, ability.caption_of(facts), candidates, candidates, seed=seed + i, **how
            )
            readings = reader.examine(ability, to_uint8(drawing.pictures).numpy())
            wrong = [reader.differences(ability, facts, seen.facts) for seen in readings]
            exact.append([not reader.faults(ability, facts, seen) for seen in readings])
            read.append([not some for some in wrong])
            for field in fields:
                if field in facts:
                    fields[field].append(np.mean([field not in some for some in wrong]))
            order.append(drawing.order.numpy())
        figures = summary(np.array(exact), np.array(read), np.array(order))
        rates = {field: float(np.mean(values)) for field, values in fields.items() if values}
        figures |= {f"single samples, {field} read right": rate for field, rate in rates.items()}
        # Composition often succeeds as the product of its parts (Okawa et al. 2023).
        return figures | {
            "single samples, product of the fields": float(np.prod(list(rates.values())))
        }

    return measure


def given_part(ability: Ability, settled: Facts, grid: int) -> dict:
    """For an ability in which part of the picture is given: that part, for `pipeline.draw`."""
    if ability.box is None:
        return {}
    box = tuple(side * grid // UNITS for side in ability.box)
    return {"given": to_tensor(ability.paint(settled)[None])[0], "box": box}


# ---- emoji ------------------------------------------------------------------------------


def recognition_at_64(
    models: Pretrained, captions: int, candidates: int, seed: int, draw: Callable = pipeline.draw
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
        for i in tqdm(asked, desc=f"emoji {name}"):
            caption = emoji.caption(pack, i, template=3, background="white")
            drawing = draw(models, caption, candidates, keep=1, seed=seed + int(i))
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
