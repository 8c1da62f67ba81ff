"""Naming things in many data sets, with a CLIP whose features are known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from minidalle import naming
from minidalle.world.abilities import ABILITIES


class OneHot:
    """Of both encoders: picture i is red to the degree i, and sentence i has i words more."""

    config, logit_scale = SimpleNamespace(text_len=4), torch.tensor(0.0)

    def encode_image(self, images):
        return torch.eye(5)[(images[:, 0, 0, 0] * 4).round().long()]

    def encode_text(self, text):
        return torch.eye(5)[text[:, 0]]


def test_a_picture_is_named_by_the_sentence_nearest_to_it():
    bpe = SimpleNamespace(frames=lambda some, length: torch.tensor([[len(s)] for s in some]))
    pictures = np.zeros((3, 64, 64, 3), np.uint8)
    pictures[1], pictures[2] = 255, 128
    assert naming.named(bpe, OneHot(), pictures, ["", "a", "aa", "aaa", "aaaa"]).tolist() == [
        0,
        4,
        2,
    ]


def test_every_data_set_shows_the_same_things_differently():
    sets = naming.data_sets(naming.Random(0))
    assert len(sets) == 9 and {len(pictures) for pictures in sets.values()} == {
        len(naming.things())
    }
    own = sets.pop(naming.STYLE)
    assert all((pictures != own).mean((1, 2, 3)).min() > 0.05 for pictures in sets.values())


def test_a_supervised_resnet_learns_its_own_style(monkeypatch):
    monkeypatch.setattr(naming, "things", lambda: {"frog": "frog", "pizza": "pizza"})
    monkeypatch.setattr(naming, "STEPS", 100)
    monkeypatch.setattr(naming, "BATCH", 8)
    classifier = naming.supervised(seed=0)
    own = naming.standardised(naming.data_sets(naming.Random(0))[naming.STYLE])
    assert classifier(own).argmax(1).tolist() == [0, 1]


@pytest.mark.parametrize("name", ["halves", "chairs"])
def test_all_descriptions_of_an_ability(name):
    ability = ABILITIES[name]
    captions = naming.every_caption(ability)
    assert len(set(captions)) == len(captions)
    assert ability.caption_of(ability.sample(naming.Random(0), held_out=True)) in captions
    values = [len(values) for values in ability.fields.values()]
    assert len(captions) == np.prod(values) - (values[0] if name == "halves" else 0)
