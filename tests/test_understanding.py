"""The rates of abilities, on drawings whose truth is known."""

import math
from random import Random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from minidalle import understanding
from minidalle.bpe import BPE
from minidalle.config import DALLEConfig, DVAEConfig
from minidalle.datasets import to_tensor
from minidalle.dvae import DVAE
from minidalle.pipeline import Pretrained
from minidalle.transformer import DALLE
from minidalle.world import reader
from minidalle.world.abilities import ABILITIES


@pytest.fixture
def models(monkeypatch):
    monkeypatch.setattr(reader, "LIMITS", dict.fromkeys(ABILITIES, reader.Limits(0.5, 0.5)))
    config = DVAEConfig(64, codebook_size=8, width=8, blocks=1, code_width=4, patch=4)
    return SimpleNamespace(dvae=DVAE(config))


def draws(ability, right: int):
    """Like `pipeline.draw_each`: the first `right` of four are right, the others grey."""

    def draw(models, requests, candidates, keep):
        for request in requests:
            facts = ability.parse(request.caption)
            real = ability.paint({f: values[0] for f, values in ability.free.items()} | facts)
            grey = np.full_like(real, 128)
            pictures = np.stack([real] * right + [grey] * (candidates - right))
            yield SimpleNamespace(pictures=to_tensor(pictures), order=torch.arange(candidates))

    return draw


def test_every_kind_is_asked_equally_often():
    said, _ = understanding.real_ones(ABILITIES["stacks"], Random(0), 30)
    assert [len(facts) for facts in said] == 10 * [2, 3, 4]


def test_rates_of_drawings_half_of_which_are_right(models):
    ability = ABILITIES["stacks"]
    figures = understanding.understanding(ability)(models, 6, 4, 0, draws(ability, right=2))
    assert figures["single samples"] == 0.5 and figures["best of 4"] == 1
    assert figures["single samples, 3 blocks"] == 0.5 and figures["best of 4, 4 blocks"] == 1
    assert figures["single samples, of another caption"] == 0
    assert figures["single samples, bottom read right"] >= 0.5
    assert "variety of places" not in figures  # too few are right


def test_a_favourite_beyond_the_first_candidates_is_judged(models):
    ability = ABILITIES["stacks"]

    def last_is_right(models, requests, candidates, keep):
        for one in draws(ability, right=1)(models, requests, candidates, keep):
            yield SimpleNamespace(pictures=one.pictures.flip(0), order=one.order.flip(0))

    figures = understanding.understanding(ability)(models, 3, 32, 0, last_is_right)
    assert figures["best of 32"] == 1 and figures["best of 16"] == 0
    assert figures["single samples"] == 0 and figures["any of 16"] == 0


def test_the_rate_of_a_field_alone_and_where_the_rest_is_right():
    ability = ABILITIES["relations"]
    said = {"first": "frog", "relation": "above", "second": "fox"}
    seen = [said, said | {"relation": "to the left of"}, said | {"first": "owl"}]
    seen.append(said | {"relation": "to the left of", "first": "owl"})
    readings = [[reader.Reading(facts, 0, 1) for facts in seen]]
    wrong = understanding.wrong_fields(ability, [said], readings)
    figures = understanding.rates_of_fields(ability, [said], wrong)
    assert figures["single samples, relation read right"] == 0.5
    assert figures["single samples, relation read right if the rest is"] == 0.5
    assert figures["single samples, second read right if the rest is"] == 1
    assert figures["single samples, product of the fields"] == 0.25


def test_a_relation_is_right_or_wrong_only_if_both_things_are_there():
    """Things that have changed places are there; asked "above", "below" is then what is seen."""
    said = {"first": "frog", "relation": "above", "second": "fox"}
    same = {"first": "fox", "relation": "below", "second": "frog"}
    seen = [said, same, same | {"relation": "above"}, said | {"first": "owl"}]
    figures = understanding.visor([said], [[reader.Reading(facts, 0, 1) for facts in seen]])
    assert figures["single samples, both things are there"] == 0.75
    assert figures["single samples, relation right if both are"] == pytest.approx(2 / 3)


def test_variety_is_that_of_the_world_or_none():
    ability, rng = ABILITIES["stacks"], Random(0)
    facts = {"bottom": "red"}
    painted = [reader.Reading(ability.settle(facts, rng), 0, 1) for _ in range(300)]
    none_wrong = np.full((1, 300), set(), object)

    def share(readings):
        figures = understanding.variety(ability, [facts], [readings], none_wrong, rng)
        return figures["variety of places, share"]

    assert share(painted) == pytest.approx(1, abs=0.1) and share(painted[:1] * 300) == 0


def test_pictures_of_training_are_near_copies_and_new_ones_are_not():
    ability = ABILITIES["matrices"]
    _, settled = understanding.real_ones(ability, Random(1), 60)
    real = understanding.paintings(ability, settled)
    rng = Random(0)
    shown = [ability.settle(ability.sample(rng), rng) for _ in range(2000)][::100]
    shown = understanding.paintings(ability, shown)
    assert understanding.near_copies(ability, shown, real, Random(0))["near copies"] == 1
    assert understanding.near_copies(ability, real, real, Random(0))["near copies"] <= 0.1


def test_what_is_given_is_the_upper_half():
    ability = ABILITIES["copies"]
    settled = {f: v[0] for f, v in (ability.free | ability.fields).items()}
    given, box = understanding.given_part(ability, settled)
    assert box == (8, 0) and given.shape == (3, 64, 64)
    assert understanding.given_part(ABILITIES["stacks"], {}) == ()


def test_limits_and_judges_name_every_ability(models, monkeypatch):
    few = {name: ABILITIES[name] for name in ("stacks", "matrices")}
    monkeypatch.setattr(understanding, "ABILITIES", few)
    monkeypatch.setattr(understanding, "through", lambda dvae, pictures: pictures)
    limits = understanding.ability_limits(models, 4, 1, 0)
    assert limits["stacks, worst"] == 0 and limits["matrices, detail"] == pytest.approx(1)
    figures = understanding.ability_judge(models, 8, 1, 0)
    assert figures["stacks: real, through the dVAE"] == 1
    assert figures["stacks: near misses, through the dVAE"] == 0
    assert figures["matrices: through the dVAE, then a quarter painted over"] < 1


def test_a_model_that_knows_nothing_loses_ln_k_a_code(models, monkeypatch):
    few = {name: ABILITIES[name] for name in ("stacks", "copies")}
    monkeypatch.setattr(understanding, "ABILITIES", few)
    dalle = DALLE(DALLEConfig(300, 16, 8, 16, width=8, depth=1, heads=1))
    torch.nn.init.zeros_(dalle.image_head.weight)
    bpe = BPE.train(["a"], 256)
    whole = Pretrained(bpe, models.dvae, dalle, None)
    losses = understanding.code_losses(whole, 3, 1, 0)
    assert losses["copies, held out"] == pytest.approx(math.log(8))
    assert losses["stacks, shown"] == pytest.approx(math.log(8)) and len(losses) == 8


def test_a_judge_without_limits_says_so(monkeypatch):
    monkeypatch.setattr(reader, "LIMITS", {})
    with pytest.raises(ValueError, match="stacks has no limits yet"):
        reader.faults(ABILITIES["stacks"], {}, reader.Reading({}, 0, 1))
