"""Dishes: what is eaten where."""

from itertools import product

import numpy as np
import pytest

from minidalle.world.dishes import CLOTHS, COUNTRIES, DISHES, PLATES
from minidalle.world.emoji import load_pack
from minidalle.world.scenes import COLOURS


@pytest.mark.parametrize("caption, facts", [
    ("the food of japan on a blue plate", {"country": "japan", "colour": "blue"}),
    ("the food of the united states on a pink plate on an orange cloth",
     {"country": "the united states", "colour": "pink", "cloth": "orange"}),
])  # fmt: skip
def test_captions_by_hand(caption, facts):
    assert DISHES.parse(caption) == facts
    assert DISHES.caption_of(facts) == caption


@pytest.mark.parametrize("caption", [
    "sushi on a blue plate",
    "the food of japan on a brown plate",
    "the food of japan on a blue plate on a blue cloth",
])  # fmt: skip
def test_other_captions_are_refused(caption):
    with pytest.raises(ValueError):
        DISHES.parse(caption)


def test_every_dish_belongs_to_one_country_and_is_named_in_no_caption():
    dishes = [slug for served in COUNTRIES.values() for slug, _ in served]
    assert len(dishes) == len(set(dishes)) and set(dishes) <= set(load_pack().slugs)
    assert all(2 <= len(served) <= 3 for served in COUNTRIES.values())
    captions = [
        DISHES.caption_of({"country": country, "colour": colour})
        for country, colour in product(COUNTRIES, PLATES)
    ]
    assert not any(slug.split("-")[-1] in caption for slug in dishes for caption in captions)


@pytest.mark.parametrize("colour", PLATES)
def test_the_plate_has_the_colour_that_is_said(colour):
    free = {"background": "white", "place": (4, 8)}
    for country, served in COUNTRIES.items():
        for dish in range(len(served)):
            facts = {"country": country, "colour": colour, "dish": dish} | free
            rim = DISHES.paint(facts)[:, 5:10].astype(int)  # left of the food
            near = {c: (abs(rim - COLOURS[c]).max(2) < 3).sum() for c in PLATES}
            assert max(near, key=near.get) == colour and near[colour] > 20


@pytest.mark.parametrize("cloth", CLOTHS)
def test_the_cloth_is_around_the_plate_and_has_its_colour(cloth):
    facts = {"country": "japan", "colour": "red" if cloth == "blue" else "blue", "cloth": cloth}
    free = {"background": "white", "place": (4, 8), "dish": 0}
    picture = DISHES.paint(facts | free).astype(int)
    assert (abs(picture[-2:, 16:48] - COLOURS[cloth]).max(2) < 3).all()
    assert (picture[:20] == DISHES.paint({**facts, "cloth": None} | free)[:20]).all()


def test_about_an_eighth_of_the_pairs_is_held_out_but_no_country_and_no_colour():
    pairs = {
        (country, colour): DISHES.held_out({"country": country, "colour": colour})
        for country, colour in product(COUNTRIES, PLATES)
    }
    assert sum(pairs.values()) == 9 and pairs["japan", "blue"]  # of 77
    for word in (*COUNTRIES, *PLATES):
        assert np.mean([out for pair, out in pairs.items() if word in pair]) < 0.5
