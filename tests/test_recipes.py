"""What each model is trained on: pure functions of (seed, step)."""

from random import Random

import numpy as np
import pytest
import torch

from minidalle import recipes
from minidalle.bpe import BPE
from minidalle.config import PRESETS, CLIPConfig, DALLEConfig, DVAEConfig, TrainConfig
from minidalle.datasets import Scenes, draw_batch, to_tensor
from minidalle.dvae import DVAE
from minidalle.scale.ahead import Ahead

LENGTH = TrainConfig(steps=100, batch_size=8, lr=1e-3)


@pytest.fixture(scope="module")
def bpe():
    return BPE.train(recipes.bpe_captions("scenes", 0, 200), 300)


@pytest.fixture(scope="module")
def dvae():
    torch.manual_seed(0)
    return DVAE(DVAEConfig(32, 16, width=8, code_width=8, patch=4)).eval()


def jobs(bpe, dvae, bpe_dropout=0.0):
    yield recipes.dvae_job(dvae.config, LENGTH, "scenes", 3, PRESETS["tiny"].dvae_loss)
    V, T = bpe.vocab_size, 32
    clip = CLIPConfig(8, 32, 8, 16, 1, 2, V + 1 + T, T, 16, 1, 2, end=V + 1)
    yield recipes.clip_job(clip, LENGTH, "scenes", 3, bpe, dvae)
    dalle = DALLEConfig(V, T, 16, 8, width=16, depth=2, heads=2)
    yield recipes.dalle_job(dalle, LENGTH, "scenes", 3, bpe, dvae, bpe_dropout)


def test_a_batch_depends_on_seed_and_step_alone(bpe, dvae):
    """Asked in another order and by another run, step 9 has the same batch."""
    for one, other in zip(jobs(bpe, dvae), jobs(bpe, dvae)):
        forwards, backwards = [one.batch(s) for s in (7, 8, 9)], [other.batch(s) for s in (9, 8, 7)]
        for a, b in zip(forwards, backwards[::-1]):
            assert all(x.equal(y) for x, y in zip(a, b)), one.name
        assert not forwards[0][0].equal(forwards[1][0])


def test_parts_of_a_batch_make_up_the_batch(bpe, dvae):
    """Parts loaded separately have the same pictures, words and codes."""
    for job in jobs(bpe, dvae, bpe_dropout=0.3):
        whole, halves = job.batch(5), [job.batch(5, part) for part in (slice(0, 4), slice(4, 8))]
        for of_all, *of_parts in zip(whole, *halves):
            if job.name == "clip" and not of_all.is_floating_point() and of_all.ndim == 2:
                width = max(text.shape[1] for text in of_parts)  # captions are cut at the longest
                assert width == of_all.shape[1]
                assert all(
                    text.equal(of_all[n : n + 4, : text.shape[1]])
                    for n, text in zip((0, 4), of_parts)
                )
            else:
                assert of_all.equal(torch.cat(of_parts)), job.name


def test_every_job_learns_a_step(bpe, dvae):
    for job in jobs(bpe, dvae):
        loss, parts = job.loss(job.model, job.batch(0), 0.0, lambda rows: rows)
        loss.backward()
        assert torch.isfinite(loss) and all(np.isfinite(v) for v in job.log(parts).values())


def test_spoilt_codes_have_pieces_of_others():
    codes = torch.arange(6)[:, None, None].expand(6, 8, 8)  # every grid a code of its own
    spoils = recipes.plan_spoils(Random(2), 6, 4, 8)
    assert len({i for i, _, _ in spoils}) == 4
    for i, j, pieces in spoils:
        pasted = recipes.spoil(codes[i], codes[j], pieces) != i
        assert (
            1 <= len(pieces) <= 3 and bool(pasted.any()) == (i != j) and pasted.sum() <= 3 * 3 * 3
        )
    assert codes.equal(torch.arange(6)[:, None, None].expand(6, 8, 8))


def test_pictures_that_are_not_visibly_spoilt_do_not_count(bpe, dvae, monkeypatch):
    monkeypatch.setattr(
        recipes, "plan_spoils", lambda *_: [(0, 0, []), (1, 2, [[slice(0, 8)] * 4])]
    )
    job = list(jobs(bpe, dvae))[1]
    pictures, text, spoilt, visible = job.batch(0)
    assert len(text) == len(pictures) == LENGTH.batch_size and len(spoilt) == 2
    assert visible.tolist() == [False, True]


def test_the_transformer_is_given_the_codes_of_the_pictures_captioned(bpe, dvae):
    *_, job = jobs(bpe, dvae)
    captions, pictures = draw_batch(Scenes(), recipes.seeded(3, 5)[0], 8)
    text, codes = job.batch(5)
    assert codes.equal(dvae.encode(to_tensor(pictures)).flatten(1))
    said = (text != torch.tensor(bpe.null_text(32))).any(1)
    assert said.any() and text[said].equal(bpe.frames(captions, 32, truncate=True)[said])


def test_examples_made_ahead_are_the_same(bpe, dvae):
    """In order, begun anew in the middle, and in two parts."""
    for job in jobs(bpe, dvae):
        whole, halves = [slice(0, 8)], [slice(0, 4), slice(4, 8)]
        for parts, steps in ((whole, (0, 1, 2, 7, 8)), (halves, (3, 4))):
            ahead = Ahead(job.load, parts, workers=2)
            for step in steps:
                for part in parts:
                    wanted, made = job.load(step, part), ahead(step, part)
                    assert all(a.equal(b) for a, b in zip(wanted, made, strict=True)), job.name


def test_some_captions_are_left_out(bpe, dvae):
    *_, job = jobs(bpe, dvae)
    null_text = torch.tensor(bpe.null_text(32))
    share = np.mean([(text == null_text).all() for s in range(60) for text in job.batch(s)[0]])
    assert 0.05 < share < 0.16


def test_the_dvae_is_trained_by_the_schedules_of_its_preset(dvae, monkeypatch):
    """The paper's: τ from 1 to 1/16 in 150 000 of 3 000 000 steps, β from 0 to 6.6 in 5 000."""
    job = recipes.dvae_job(dvae.config, LENGTH, "scenes", 3, PRESETS["paper"].dvae_loss)
    seen = []

    def model(images, temperature, kl_weight, noise):
        seen.append((temperature, kl_weight))
        return torch.tensor(1.0), {"probabilities": torch.ones(16) / 16}

    for step in (0, 2_500, 5_000, 75_000, 150_000, 2_999_999):
        job.loss(model, job.batch(0), step / 3_000_000, lambda rows: rows)
    taus, betas = zip(*seen)
    assert taus == pytest.approx((1, 0.99936, 0.99743, 0.53125, 1 / 16, 1 / 16), abs=1e-5)
    assert betas == pytest.approx((0, 3.3, 6.6, 6.6, 6.6, 6.6))


def test_an_even_use_of_the_codebook_costs_nothing():
    even, one = torch.ones(4) / 4, torch.tensor([1.0, 0, 0, 0])
    assert recipes.unevenness(even).item() == pytest.approx(0, abs=1e-6)
    assert recipes.unevenness(one).item() == pytest.approx(np.log(4), rel=1e-4)


def test_a_collapsed_codebook_has_a_loss_and_a_way_back(dvae):
    job = next(jobs(None, dvae))
    with torch.no_grad():
        job.model.codebook.weight[:] = 100 * torch.randn(
            8, 1, 1, 1
        )  # one code is as good as another
        job.model.codebook.weight[:, 0] = 0
    loss, parts = job.loss(job.model, job.batch(0), 0.0, lambda rows: rows)
    loss.backward()
    assert parts["uneven"].item() == pytest.approx(np.log(16), rel=1e-3) and loss.isfinite()
    assert all(p.grad.isfinite().all() for p in job.model.parameters())


def test_mirroring_and_gumbel_noise_draw_from_different_streams():
    batch, noise = (recipes.seeded(3, 7, use)[1] for use in ("batch", "noise"))
    assert not torch.rand(8, generator=batch).equal(torch.rand(8, generator=noise))
