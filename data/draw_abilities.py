"""Draw the sheet of abilities: `python data/draw_abilities.py [--weights DIR] [--out FILE]`.

A row for each ability: a caption that training never showed, and CLIP's best eight of 32
candidates of seed 0, picked by nobody. Where a picture is begun for the model, the first of the
row is the real one that it was given a part of.
"""

import argparse
from pathlib import Path
from random import Random

import torch
from PIL import Image

from minidalle import DATA, pipeline, plots
from minidalle.understanding import given_part
from minidalle.world.abilities import ABILITIES, parse
from minidalle.world.ability import Ability, Facts

COLUMNS = 2
CAPTIONS = (  # of the announcement, or near it; of the other abilities a random one
    "a penguin with a red hat, yellow gloves, a blue shirt and green trousers",
    "an armchair in the shape of an avocado",
    "a radish in a tutu walking a dog",
    "half giraffe, half turtle",
    "a capybara in a field at sunrise",
    "a shop front that says 'dog'",
    "a red block on a green block on a blue block",
    "a clock in the shape of a pentagon",
    "a purple banana",
    "five red apples",
    "a telephone from the 1920s",
    "a cross-section of a kiwi",
    "the food of japan on a blue plate",
)
EMOJI = ("a panda in the style of noto on a white background", "a fluent drawing of a snail")


def asked() -> list[tuple[str, Ability | None, Facts]]:
    """Captions, each with its ability and settled facts; emoji have neither."""
    rng, rows = Random(0), []
    chosen = {parse(caption)[0].name: parse(caption)[1] for caption in CAPTIONS}
    for name, ability in ABILITIES.items():
        facts = chosen.get(name) or ability.sample(rng, held_out=True)
        rows.append((ability.caption_of(facts), ability, ability.settle(facts, rng)))
    return rows + [(caption, None, {}) for caption in EMOJI]


def row(models: pipeline.Pretrained, caption: str, ability: Ability | None, settled: Facts):
    """A caption and eight drawings."""
    given, *box = given_part(ability, settled) or (None,) if ability else (None,)
    best = pipeline.draw(models, caption, 32, 8, 0, given, *box).best
    if given is not None:
        best = torch.cat([given[None], best[:7]])
    return plots.sheet(best, caption, scale=2)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the sheet of abilities.")
    parser.add_argument("--weights", type=Path, default=DATA / "small")
    parser.add_argument("--out", type=Path, default=DATA / "abilities.png")
    args = parser.parse_args()
    models = pipeline.load_pretrained(args.weights)
    rows = [row(models, *some) for some in asked()]
    width, height = max(r.width for r in rows), max(r.height for r in rows)
    page = Image.new("RGB", (COLUMNS * width, -(-len(rows) // COLUMNS) * height), "white")
    for i, some in enumerate(rows):
        page.paste(some, (i % COLUMNS * width, i // COLUMNS * height))
    plots.save_image(page, args.out)
    print(args.out)


if __name__ == "__main__":
    main()
