"""The decoder as a judge: on pictures whose truth is known."""

from random import Random

import pytest
import torch
import toys

from minidalle.dalle2 import pipeline
from minidalle.dalle2.ranking import explained
from minidalle.dalle2_measures.asking import frames
from minidalle.dalle2_measures.worlds import worlds_of
from minidalle.datasets import to_tensor


def test_a_decoder_that_knows_nothing_explains_nothing():
    models = toys.second_dalle()  # its last layer begins with zeros
    text = frames(models, ["a red ball on grass"] * 2)
    assert explained(models.decoder, torch.rand(2, 3, 32, 32), text).tolist() == [0, 0]


@pytest.mark.slow
def test_a_caption_explains_its_picture_better_than_a_near_miss():
    models = pipeline.load_pretrained("dalle2")
    world, rng = worlds_of(models.data)["unseen"], Random(0)
    asked = world.ask(rng, 24)
    text = frames(models, [one.caption for one in asked])
    right = to_tensor(world.paintings(asked))
    wrong = to_tensor(world.paintings([world.miss(one, rng) for one in asked]))
    gains = [explained(models.decoder, pictures, text) for pictures in (right, wrong)]
    assert (gains[0] > gains[1]).float().mean() >= 0.9
    alone = explained(models.decoder, right[3:4], text[3:4])
    assert torch.allclose(alone, gains[0][3:4], atol=1e-5)
