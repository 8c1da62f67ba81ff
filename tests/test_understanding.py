"""The rates of abilities, on drawings whose truth is known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from minidalle import understanding
from minidalle.config import DVAEConfig
from minidalle.datasets import to_tensor
from minidalle.dvae import DVAE
from minidalle.world import reader
from minidalle.world.abilities import ABILITIES


@pytest.fixture
def models(monkeypatch):
    monkeypatch.setattr(reader, "LIMITS", dict.fromkeys(ABILITIES, reader.Limits(0.5, 0.5)))
    config = DVAEConfig(64, codebook_size=8, width=8, blocks=1, code_width=4, patch=4)
    return SimpleNamespace(dvae=DVAE(config))


def draws(ability, right: int):
    """Like `pipeline.draw`: the first `right` of four candidates are right, the others grey."""

    def draw(models, caption, candidates, keep, seed, given=None, box=None):
        facts = ability.parse(caption)
        real = ability.paint({f: values[0] for f, values in ability.free.items()} | facts)
        grey = np.full_like(real, 128)
        pictures = np.stack([real] * right + [grey] * (candidates - right))
        return SimpleNamespace(pictures=to_tensor(pictures), order=torch.arange(candidates))

    return draw


def test_an_exact_rate_and_that_of_each_field(models):
    ability = ABILITIES["stacks"]
    figures = understanding.understanding(ability)(models, 5, 4, 0, draws(ability, right=2))
    assert figures["single samples"] == 0.5 and figures["best of 4"] == 1
    assert figures["single samples, bottom read right"] >= 0.5
    product = np.prod([v for k, v in figures.items() if k.endswith("read right")])
    assert figures["single samples, product of the fields"] == pytest.approx(product)


def test_what_is_given_is_the_upper_half():
    ability = ABILITIES["copies"]
    settled = {f: v[0] for f, v in (ability.free | ability.fields).items()}
    how = understanding.given_part(ability, settled, grid=16)
    assert how["box"] == (8, 0) and how["given"].shape == (3, 64, 64)
    assert understanding.given_part(ABILITIES["stacks"], {}, 16) == {}


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


def test_a_judge_without_limits_says_so(monkeypatch):
    monkeypatch.setattr(reader, "LIMITS", {})
    with pytest.raises(ValueError, match="stacks has no limits yet"):
        reader.faults(ABILITIES["stacks"], {}, reader.Reading({}, 0, 1))
