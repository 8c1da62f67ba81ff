"""The figures, on drawings whose truth is known."""

from random import Random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from minidalle import evaluate
from minidalle.world import painting, scenes
from minidalle.datasets import to_tensor


def test_psnr_of_a_tenth_is_20_db():
    black = torch.zeros(2, 3, 4, 4)
    assert evaluate.psnr(black + 0.1, black).tolist() == pytest.approx([20, 20])


def test_exact_rates_follow_the_ranking(monkeypatch):
    """Of two candidates the second is right, and the ranking puts it first."""

    def draw(models, caption, candidates, keep, seed):
        right = scenes.parse(caption)
        wrong = scenes.variation(right, Random(0))
        painted = np.stack([painting.draw(scene, Random(seed)) for scene in (wrong, right)])
        return SimpleNamespace(pictures=to_tensor(painted), order=torch.tensor([1, 0]))

    monkeypatch.setattr(evaluate.pipeline, "draw", draw)
    figures = evaluate.evaluate(None, ["unseen"], captions=5, candidates=2)["unseen"]
    assert figures == {"single samples": 0.5, "best of 1": 0, "best of 2": 1, "any of 2": 1}


def test_the_judge_reads_what_was_painted():
    assert all(rate > 0.97 for rate in evaluate.evaluate(None, ["judge"], captions=60)["judge"].values())
