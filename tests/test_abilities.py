"""What must hold for every ability: its captions, its splits, its pictures and its reader."""

import time
from random import Random

import numpy as np
import pytest

from minidalle.world import abilities, reader
from minidalle.world.abilities import ABILITIES
from minidalle.world.lit import LIT

NEVER_SHOWN = {("stacks", "third"), ("stacks", "fourth")}
ALL = ABILITIES | {"lit": LIT}  # the last one is drawn by the second DALL·E, at 32×32
EACH = pytest.mark.parametrize("ability", ALL.values(), ids=ALL)


def some(ability, count, seed=0):
    """Facts, half of them held out."""
    rng = Random(seed)
    return [ability.sample(rng, held_out=i % 2 == 1) for i in range(count)]


@EACH
def test_a_caption_says_its_facts(ability):
    for facts in some(ability, 200):
        caption = ability.caption_of(facts)
        said = {field: value for field, value in facts.items() if field not in ability.given}
        if ability is not LIT:
            assert abilities.parse(caption) == (ability, said)
        assert ability.parse(caption.capitalize() + ".") == said


@EACH
def test_the_splits_are_disjoint_and_training_has_every_word(ability):
    rng = Random(0)
    train = [ability.sample(rng) for _ in range(3000)]
    shown = {tuple(sorted(facts.items())) for facts in train}
    held_out = {tuple(sorted(facts.items())) for facts in some(ability, 400)[1::2]}
    assert not shown & held_out
    for field in ability.fields:
        shown = {word for facts in train for word in facts.get(field, "").split()}
        never = set(" ".join(ability.values(field)).split()) - shown
        assert not never or (ability.name, field) in NEVER_SHOWN


@EACH
def test_near_misses_look_different(ability):
    rng = Random(0)
    for facts in some(ability, 50):
        settled = ability.settle(facts, rng)
        other = settled | ability.near_miss(facts, rng)
        assert (ability.paint(settled) != ability.paint(other)).mean() > 0.003


@EACH
@pytest.mark.parametrize("size", [32, 64, 128])
def test_a_picture_is_the_same_every_time(ability, size):
    facts = ability.settle(some(ability, 1)[0], Random(0))
    picture = ability.draw(size, **facts)
    assert picture.shape == (size, size, 3) and picture.dtype == np.uint8
    assert (picture == ability.draw(size, **facts)).all()


@pytest.mark.slow
@EACH
def test_paintings_are_read_back(ability):
    """Also with noise; and nothing is read as exact that was painted over."""
    rng, noise = Random(1), np.random.default_rng(0)
    asked = some(ability, 20, seed=1)
    size = 32 if ability is LIT else 64
    clean = np.stack([ability.paint(ability.settle(facts, rng), size) for facts in asked])
    noisy = clean + noise.integers(-20, 21, clean.shape)
    readings = reader.examine(ability, noisy.clip(0, 255).astype(np.uint8))
    wrong = [reader.differences(ability, f, seen.facts) for f, seen in zip(asked, readings)]
    assert not any(wrong)


@EACH
def test_enough_pictures_a_second(ability):
    """1 500 on one core once the parts are drawn; half of that here, as machines differ."""
    rng = Random(0)
    settled = [ability.settle(facts, rng) for facts in some(ability, 300)]
    for facts in settled:
        ability.draw(64, **facts)
    start = time.perf_counter()
    for facts in settled:
        ability.draw(64, **facts)
    assert 300 / (time.perf_counter() - start) > 750
