"""The second DALL·E from a caption to large pictures, with models that know nothing."""

from dataclasses import replace

import pytest
import torch
import toys

from minidalle import weights
from minidalle.dalle2 import pipeline
from minidalle.dalle2.prior import Prior


@pytest.fixture(scope="module")
def models():
    return toys.second_dalle()


def draw(models, **how):
    return pipeline.draw(models, "a red ball on grass", steps=2, **{"keep": 2} | how)


def test_the_best_candidates_are_enlarged(models):
    drawing = draw(models, candidates=3)
    assert drawing.pictures.shape == (3, 3, 32, 32) and drawing.large.shape == (2, 3, 128, 128)
    assert drawing.scores[0] >= drawing.scores[1] and len(drawing.order) == 2
    assert set(drawing.seconds) == {"prior", "decoder", "rerank", "upsamplers"}


def test_candidate_i_of_a_seed_is_always_the_same(models, monkeypatch):
    few, more = draw(models, candidates=2, seed=3), draw(models, candidates=4, seed=3)
    assert torch.allclose(few.pictures, more.pictures[:2], atol=1e-5)
    monkeypatch.setattr(pipeline, "CHUNK", 3)  # and however many are drawn at a time
    assert torch.allclose(draw(models, candidates=4, seed=3).pictures, more.pictures, atol=1e-5)


def test_a_folder_of_weights(models, tmp_path):
    toys.save_second(models, tmp_path)
    loaded = pipeline.load_pretrained(tmp_path)
    assert torch.equal(draw(loaded, candidates=2).large, draw(models, candidates=2).large)
    weights.save(tmp_path / "up64.safetensors", models.up128)
    with pytest.raises(ValueError, match="the large sizes of up64 and decoder differ .128 and 64"):
        pipeline.load_pretrained(tmp_path)
    weights.save(tmp_path / "up64.safetensors", models.up64)
    weights.save(tmp_path / "prior.safetensors", models.prior, clip="another's fingerprint")
    with pytest.raises(ValueError, match="prior.safetensors was trained with another clip than"):
        pipeline.load_pretrained(tmp_path)
    other = Prior(replace(models.prior.config, embed=4))
    weights.save(tmp_path / "prior.safetensors", other)
    with pytest.raises(ValueError, match="the embeddings of prior and CLIP differ \\(4 and 8\\)"):
        pipeline.load_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match="no folder of weights called nowhere"):
        pipeline.load_pretrained("nowhere")
