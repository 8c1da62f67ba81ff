"""One thing with several attributes, in an unusual outline, and in an unusual colour."""

from itertools import product

import numpy as np
import pytest

from minidalle.world.attributes import ATTRIBUTES, HABITS, OUTLINES
from minidalle.world.coloured import COLOURED, HABITUAL, colours_of, recoloured
from minidalle.world.objects import emoji
from minidalle.world.scenes import BACKGROUNDS, COLOURS
from minidalle.world.shapes import SHAPES, figure


@pytest.mark.parametrize("ability, caption, facts", [
    (ATTRIBUTES, "a small striped blue star",
     {"scale": "small", "fill": "striped", "colour": "blue", "shape": "star"}),
    (ATTRIBUTES, "a large orange hexagon",
     {"scale": "large", "colour": "orange", "shape": "hexagon"}),
    (OUTLINES, "a clock in the shape of a pentagon", {"thing": "clock", "shape": "pentagon"}),
    (HABITS, "an orange school bus", {"colour": "orange", "thing": "school bus"}),
])  # fmt: skip
def test_captions_by_hand(ability, caption, facts):
    assert ability.parse(caption) == facts
    assert ability.caption_of(facts) == caption


@pytest.mark.parametrize("ability", [ATTRIBUTES, OUTLINES, HABITS], ids=lambda a: a.name)
def test_about_an_eighth_is_held_out_whatever_the_value(ability):
    choices = {field: ability.choices(field) for field in ability.fields}
    every = [dict(zip(choices, values)) for values in product(*choices.values())]
    every = [{k: v for k, v in facts.items() if v is not None} for facts in every]
    held_out = [ability.held_out(facts) for facts in every]
    assert 0.08 < np.mean(held_out) < 0.17
    for field, values in ability.fields.items():
        for value in values:
            shown = [not out for f, out in zip(every, held_out) if f.get(field) == value]
            assert np.mean(shown) > 0.5, value


def test_famous_captions_are_held_out():
    for ability, caption in (
        (OUTLINES, "a clock in the shape of a pentagon"),
        (HABITS, "a purple banana"),
        (HABITS, "a pink crocodile"),
    ):
        assert ability.held_out(ability.parse(caption))


def test_a_bear_in_the_shape_of_a_star_is_all_brown():
    picture = OUTLINES.draw(64, "white", (4, 4), "bear", "star").astype(int)
    star = (picture < 250).any(2)
    brown = (picture[..., 0] > picture[..., 1]) & (picture[..., 1] >= picture[..., 2])
    assert star.mean() > 0.2 and brown[star].mean() > 0.8


def test_a_habitual_colour_is_never_held_out():
    assert not any(HABITS.held_out({"thing": t, "colour": c}) for t, c in HABITUAL.items())


def test_no_colour_is_put_on_its_own_pastel():
    facts = {"colour": "green", "shape": "star", "scale": "large", "place": (1, 1)}
    assert not ATTRIBUTES.can_paint(facts | {"background": "green"})
    assert ATTRIBUTES.can_paint(facts | {"background": "blue"})


def test_an_outlined_shape_can_be_seen_through_and_a_filled_one_cannot():
    facts = {"colour": "red", "shape": "square", "scale": "large"}
    facts |= {"background": "grey", "place": (1, 1)}
    middle = {
        fill: ATTRIBUTES.draw(64, **facts, fill=fill)[32, 32].tolist()
        for fill in ("filled", "outlined")
    }
    assert middle == {"filled": list(COLOURS["red"]), "outlined": list(BACKGROUNDS["grey"])}


def test_every_shape_fills_its_box_and_lies_inside_it():
    for name in SHAPES:
        cover = figure(name, "filled", COLOURS["red"]).art(64, 64)[..., 3]
        ys, xs = np.nonzero(cover > 0.3)
        assert max(np.ptp(ys), np.ptp(xs)) > 58, name
        assert 0.2 < cover.mean() < 0.98, name


def test_a_thing_has_the_colour_that_is_asked_for():
    for (thing, colour_of), (name, colour) in product(COLOURED.items(), COLOURS.items()):
        art = colour_of(colour).art(56, 56)
        same = (np.abs(art[..., :3] - np.float32(colour)).max(-1) < 12) & (art[..., 3] > 0.99)
        assert same.sum() > 0.2 * (art[..., 3] > 0.5).sum(), (name, thing)


def test_little_of_a_thing_keeps_another_colour():
    for thing in HABITUAL:
        red, blue = (COLOURED[thing](COLOURS[colour]).art(56, 56) for colour in ("red", "blue"))
        vivid = (np.ptp(red[..., :3], axis=-1) > 60) & (red[..., 3] > 0.99)
        kept = np.abs(red - blue).max(-1) < 30
        assert (vivid & kept).sum() < 0.3 * vivid.sum(), thing


def test_a_thing_in_the_colour_that_it_has_is_unchanged():
    frog = emoji("frog")
    colour, share = next(iter(colours_of(frog).items()))
    assert max(colour) == colour[1] and share > 0.4
    assert np.abs(recoloured(frog, colour).art(56, 56) - frog.art(56, 56)).max() < 1
