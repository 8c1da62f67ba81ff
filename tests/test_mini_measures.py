"""The figures of DALL·E Mini, with models that know nothing: their shape, bounds and truth."""

import json

import pytest
import toys

from minidalle import evaluate, mini_measures, pipeline
from minidalle.__main__ import main


@pytest.fixture(scope="module")
def models():
    return toys.mini_dalle()


@pytest.fixture
def small(monkeypatch, models):
    """Beside them stand others that know nothing, instead of tiny; two scales."""
    monkeypatch.setattr(mini_measures, "beside", lambda one: {"mini": one, "tiny": one})
    monkeypatch.setattr(mini_measures, "SCALES", (1.0, 4.0))


@pytest.mark.parametrize("part", [p for p in mini_measures.PARTS if p != "mini limits"])
def test_every_part_measures_both_alike(part, models, small):
    figures = mini_measures.PARTS[part](models, 2, 2, 0)
    mini = {name.partition(": ")[2]: value for name, value in figures.items() if "mini" in name}
    tiny = {name.partition(": ")[2]: value for name, value in figures.items() if "tiny" in name}
    assert mini.keys() == tiny.keys() and len(mini) + len(tiny) == len(figures)
    if part != "mini costs":  # the same models
        assert mini == pytest.approx(tiny, nan_ok=True)


def test_what_the_shipped_tokenizer_keeps_is_what_evaluate_says(models):
    """`tiny` stands beside: its PSNR is the one that its own table has."""
    figures = mini_measures.codes(models, 20, 1, 0)
    tiny = pipeline.load_pretrained("tiny")
    own = evaluate.reconstruction(tiny, 20, 1, 0)
    assert figures["tiny: PSNR, scenes"] == pytest.approx(own["PSNR, scenes"], rel=1e-5)
    assert 0.5 < figures["tiny: sharpness, scenes"] < 1.2


def test_the_command(models, small, tmp_path, capsys):
    folder = tmp_path / "mini"
    toys.save_mini(models, folder)
    words = ["evaluate", "--weights", str(folder), "--captions", "2", "--candidates", "2"]
    assert main([*words, "--split", "mini unseen", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert 0 <= found["mini unseen"]["mini: single samples"] <= 1
    assert main([*words, "--split", "mini unseen", "--split", "unseen"]) == 2
    assert "measure one at a time" in capsys.readouterr().err
