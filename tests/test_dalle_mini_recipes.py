"""What DALL·E Mini is trained on: pure functions of (seed, step), whole or in parts."""

import pytest
import torch
from toys import mini_dalle, mini_speck

from minidalle import models, training
from minidalle.config import TrainConfig

LENGTH = TrainConfig(steps=4, batch_size=4, lr=1e-3)
WAYS = {
    "vqgan": {}, "vqgan, even": {"evenness": 0.1},
    "vqgan, adversarial": {"discriminator": 4}, "vqgan, perceptual": {"perceptual": 0.1},
    "mini": {},
}  # fmt: skip


@pytest.fixture(scope="module")
def before():
    parts = mini_dalle()
    return {"bpe": parts.bpe, "vqgan": parts.dvae}


@pytest.fixture(scope="module", params=WAYS)
def job(request, before):
    row = models.MODELS[request.param.split(",")[0]]
    needed = {name: before[name] for name in row.needs}
    sizes = mini_speck(before["bpe"].vocab_size, 16, 32, **WAYS[request.param])
    return row.recipe(models.Request(sizes, LENGTH, "scenes", 3), **needed)


def test_parts_of_a_batch_make_up_the_batch(job):
    whole, halves = job.batch(5), [job.batch(5, part) for part in (slice(0, 2), slice(2, 4))]
    for of_all, *of_parts in zip(whole, *halves):
        assert torch.equal(of_all, torch.cat(of_parts))
    assert not whole[0].equal(job.batch(6)[0])


def test_it_is_trained_saved_and_read(job, tmp_path):
    before = {name: value.clone() for name, value in job.model.state_dict().items()}
    training.train(job, LENGTH, tmp_path, seed=3, data="scenes")
    loaded = models.load(job.name, tmp_path)
    assert loaded.config == job.model.config
    after = job.model.state_dict()
    moved = [name for name in before if not after[name].equal(before[name])]
    assert len(moved) > 0.9 * len(before)


def test_some_captions_are_dropped(before):
    """An encoder–decoder that never saw the empty caption could not be guided by it."""
    row, train = models.MODELS["mini"], TrainConfig(1, 64, 1e-3)
    sizes = mini_speck(before["bpe"].vocab_size, 16, 32)
    job = row.recipe(models.Request(sizes, train, "scenes", 0), **before)
    text, codes = job.batch(0)
    empty = (text == torch.tensor(before["bpe"].null_text(16))).all(1)
    assert 1 <= empty.sum() <= 16 and codes.shape == (64, 64)
    assert torch.equal(job.model.read(text[empty])[0], job.model.read(text[empty])[-1])
