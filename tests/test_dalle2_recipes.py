"""What the second DALL·E is trained on: pure functions of (seed, step), whole or in parts."""

from dataclasses import replace

import pytest
import torch

from minidalle import models, recipes, training
from minidalle.bpe import BPE
from minidalle.clip import CLIP
from minidalle.config import CLIPConfig, TrainConfig
from minidalle.dalle2.config import PRESETS, TextConfig, UNetConfig

LENGTH = TrainConfig(steps=4, batch_size=4, lr=1e-3)
UNET = UNetConfig(32, 0, 4, (8, 16), 1, (4,), 8, 4, context=8)


@pytest.fixture(scope="module")
def before():
    torch.manual_seed(0)
    bpe = BPE.train(recipes.bpe_captions("lit", 0, 200), 300)
    V, T = bpe.vocab_size, 32
    clip = CLIP(CLIPConfig(8, 32, 8, 16, 1, 2, V + 1 + T, T, 16, 1, 2, end=V + 1))
    return {"bpe": bpe, "clip": clip.requires_grad_(False)}


@pytest.fixture(scope="module")
def sizes():
    tiny = PRESETS["tiny"]
    up = [replace(c.unet, widths=(8, 8), groups=4) for c in (tiny.up64, tiny.up128)]
    return replace(
        tiny,
        prior=replace(tiny.prior, width=16, depth=1, heads=2),
        ar_prior=replace(tiny.ar_prior, components=4, width=16, depth=1, heads=2),
        decoder=replace(tiny.decoder, unet=UNET, text=TextConfig(width=16, depth=1, heads=2)),
        up64=replace(tiny.up64, unet=up[0]),
        up128=replace(tiny.up128, unet=up[1]),
    )


@pytest.fixture(scope="module", params=["prior", "ar_prior", "decoder", "up64", "up128"])
def job(request, before, sizes):
    row = models.MODELS[request.param]
    needed = {name: before[name] for name in row.needs}
    return row.recipe(models.Request(sizes, LENGTH, "lit", 3), **needed)


def test_parts_of_a_batch_make_up_the_batch(job):
    whole, halves = job.batch(5), [job.batch(5, part) for part in (slice(0, 2), slice(2, 4))]
    for of_all, *of_parts in zip(whole, *halves):
        assert torch.allclose(of_all.float(), torch.cat(of_parts).float(), atol=1e-5)
    assert not whole[0].equal(job.batch(6)[0])


def test_a_model_is_trained_saved_and_read_with_its_statistics(job, before, tmp_path):
    training.train(job, LENGTH, tmp_path, seed=3, data="lit")
    path = tmp_path / f"{job.name}.safetensors"
    loaded = models.load(job.name, tmp_path)
    assert path.exists() and loaded.config == job.model.config
    buffers = dict(job.model.named_buffers())
    for name, value in loaded.named_buffers():
        assert torch.allclose(value.float(), buffers[name].float(), atol=2e-3), name
