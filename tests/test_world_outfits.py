"""Outfits: who wears what, and what is held out."""

from random import Random

import pytest

from minidalle.world.outfits import ANIMALS, GARMENTS, OUTFITS
from minidalle.world.scenes import COLOURS

WHERE = {"hat": (5, 32), "gloves": (50, 10), "shirt": (44, 24), "trousers": (53, 24)}  # row, column


@pytest.mark.parametrize(
    ("caption", "worn"),
    [
        ("a bear with a red hat and green trousers", {"hat": "red", "trousers": "green"}),
        ("a cat with an orange shirt", {"shirt": "orange"}),
        (
            "a penguin with a red hat, yellow gloves, a blue shirt and green trousers",
            {"hat": "red", "gloves": "yellow", "shirt": "blue", "trousers": "green"},
        ),
    ],
)
def test_captions(caption, worn):
    facts = {"animal": caption.split()[1]} | worn
    assert OUTFITS.parse(caption) == facts
    assert OUTFITS.caption_of(facts) == caption


def test_there_is_a_caption_for_all_15_ways_to_dress():
    assert len(OUTFITS.templates) == 15


@pytest.mark.parametrize("animal", ANIMALS)
def test_every_garment_has_its_colour(animal):
    rng = Random(0)
    for _ in range(10):
        worn = {garment: rng.choice(list(COLOURS)) for garment in GARMENTS}
        picture = OUTFITS.paint({"animal": animal, "middle": 32, "background": "grey"} | worn)
        for garment, colour in worn.items():
            assert tuple(picture[WHERE[garment]]) == COLOURS[colour]


def test_held_out_outfits():
    rng = Random(0)
    drawn = [
        {garment: rng.choice(list(COLOURS)) for garment in GARMENTS} | {"animal": "cat"}
        for _ in range(4000)
    ]
    assert 0.2 < sum(map(OUTFITS.held_out, drawn)) / len(drawn) < 0.26
    of_the_announcement = "a penguin with a red hat, yellow gloves, a blue shirt and green trousers"
    assert OUTFITS.held_out(OUTFITS.parse(of_the_announcement))
    held = next(facts for facts in drawn if OUTFITS.held_out(facts))
    assert OUTFITS.held_out(held | {"animal": "frog"})  # whoever wears it
    single = [{"animal": "cat", garment: "red"} for garment in GARMENTS]
    assert not any(map(OUTFITS.held_out, single))
