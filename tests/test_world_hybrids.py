"""Invented combinations: chairs like fruit, things of other materials, halves and walks."""

import numpy as np

from minidalle.world.bodies import BODIES, palette
from minidalle.world.halves import ANIMALS, HALVES
from minidalle.world.hybrids import CHAIRS
from minidalle.world.materials import MATERIALS
from minidalle.world.walks import WALKS

PLACED = {"background": "white", "left": 4}


def near(pixel, colour):
    return np.abs(pixel.astype(int) - colour).max() < 40


def test_captions():
    avocado = {"thing": "armchair", "shape": "avocado"}
    assert CHAIRS.caption_of(avocado) == "an armchair in the shape of an avocado"
    snail = {"thing": "snail", "material": "watermelon"}
    assert MATERIALS.parse("a snail made of watermelon") == snail
    assert HALVES.parse("half giraffe, half turtle") == {"front": "giraffe", "rear": "turtle"}
    said = {"walker": "radish", "garment": "tutu", "companion": "dog"}
    assert WALKS.caption_of(said) == "a radish in a tutu walking a dog"


def test_the_pictures_of_the_announcement_are_held_out():
    assert CHAIRS.held_out({"thing": "armchair", "shape": "avocado"})
    assert HALVES.held_out({"front": "giraffe", "rear": "turtle"})
    assert not HALVES.held_out({"front": "turtle", "rear": "giraffe"})
    assert all(
        WALKS.held_out({"walker": "radish", "garment": "tutu", "companion": companion})
        for companion in WALKS.values("companion")
    )


def test_an_avocado_armchair_has_a_stone_in_its_back_and_legs():
    picture = CHAIRS.paint({"thing": "armchair", "shape": "avocado", **PLACED})
    assert near(picture[28, 34], (135, 75, 35)) and near(picture[58, 13], (110, 65, 35))


def test_a_palette_is_found_in_the_body():
    red, dark, black = palette("ladybug")
    assert red[0] > 2 * red[2] and max(black) < 80 and dark[0] < red[0]
    assert palette("avocado")[2] == (135, 75, 35)
    for shape in BODIES:
        main, _, accent = palette(shape)
        assert np.abs(np.subtract(main, accent)).max() > 35, shape


def test_a_material_keeps_to_the_outline_of_the_thing():
    """Of another material, other colours in the same places."""
    wood, ice = (
        MATERIALS.paint({"thing": "house", "material": material, **PLACED})
        for material in ("wood", "ice")
    )
    outside = (wood == 255).all(2)
    assert 0.3 < outside.mean() < 0.8 and (ice[outside] == 255).all()
    assert (wood[~outside] != ice[~outside]).any(1).mean() > 0.99


def test_every_material_is_seen_inside_the_rim():
    for thing in MATERIALS.values("thing"):
        watermelon = MATERIALS.paint({"thing": thing, "material": "watermelon", **PLACED})
        flesh = (np.abs(watermelon.astype(int) - (240, 70, 80)).max(2) < 80).sum()
        assert flesh > 0.04 * (watermelon != 255).any(2).sum(), thing


def test_the_front_does_not_depend_on_the_rear():
    turtle = HALVES.paint({"front": "giraffe", "rear": "turtle", **PLACED})
    fish = HALVES.paint({"front": "giraffe", "rear": "fish", **PLACED})
    differs = (turtle != fish).any(2)
    assert not differs[:, :32].any() and differs[:, 32:].mean() > 0.2


def test_all_animals_have_their_body_at_the_cut():
    for name, animal in ANIMALS.items():
        cut = animal.art(100, 100)[46:71, 48:52, 3]
        assert (cut > 0.99).all(), name


def test_every_walker_has_its_face_at_the_same_place():
    said = {"garment": "sweater", "companion": "dog", "background": "blue", "goes": "right"}
    for walker in WALKS.values("walker"):
        picture = WALKS.paint(said | {"walker": walker})
        assert near(picture[26, 13], (255, 255, 255)) and near(picture[26, 15], (45, 40, 50))


def test_a_walk_mirrored_is_the_same_walk():
    said = {"walker": "pear", "garment": "scarf", "companion": "duck", "background": "blue"}
    right, left = (WALKS.paint(said | {"goes": way}) for way in ("right", "left"))
    assert (right[:, ::-1] == left).all()
