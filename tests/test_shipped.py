"""The weights under data/tiny and data/small: whole, described, and able to draw."""

import hashlib
import importlib.util
import json
import re
from pathlib import Path

import pytest

from minidalle import DATA, evaluate, pipeline, weights

ROOT = Path(__file__).parents[1]
LARGEST = {"tiny": 12_000_000, "small": 24_000_000}  # bytes, all files together
FILES = ("bpe.json", "clip.safetensors", "dalle.safetensors", "dvae.safetensors")
MODELS = [DATA / preset / name for preset in LARGEST for name in FILES[1:]]


@pytest.fixture(scope="module")
def models():
    return pipeline.load_pretrained("tiny")


@pytest.mark.parametrize("preset", LARGEST)
def test_they_are_small_and_listed_with_their_checksums(preset):
    files = sorted((DATA / preset).iterdir())
    readme = (DATA / "README.md").read_text("utf-8")
    assert [path.name for path in files] == list(FILES)
    assert sum(path.stat().st_size for path in files) <= LARGEST[preset]
    for path in files:
        assert hashlib.sha256(path.read_bytes()).hexdigest() in readme, path.name


@pytest.mark.parametrize("path", MODELS, ids=lambda path: f"{path.parent.name}, {path.stem}")
def test_each_says_how_it_was_made(path: Path):
    _, about = weights.read_tensors(path)
    assert about["command"].startswith(f"minidalle train {path.stem} --preset {path.parent.name} ")
    assert {"seed", "steps", "minutes", "machine", "date"} <= about.keys()


@pytest.mark.parametrize("preset", LARGEST)
def test_the_same_seed_draws_the_same_candidates(preset):
    models = pipeline.load_pretrained(preset)
    few = pipeline.draw(models, "a red star above a blue circle", candidates=2, keep=1)
    more = pipeline.draw(models, "a red star above a blue circle", candidates=3, keep=3)
    assert few.codes.tolist() == more.codes[:2].tolist()


def test_the_dvae_has_not_collapsed(models):
    figures = evaluate.reconstruction(models, captions=64, candidates=1, seed=0)
    assert figures["PSNR, scenes"] > 26 and figures["PSNR, emoji"] > 20
    assert figures["perplexity / K"] > 0.25


def test_the_readme_repeats_what_evaluate_printed():
    """Each row has `part: measure` and a figure, which is rounded but not otherwise changed."""
    measured = json.loads((DATA / "evaluation_tiny.json").read_text("utf-8"))
    readme = (ROOT / "README.md").read_text("utf-8")
    rows = re.findall(r"`(\w+): ([^`]+)` \| ([\d.]+)(?: ± [\d.]+)?( %)? \|", readme)
    assert len(rows) >= 5
    for part, measure, figure, percent in rows:
        figures = len(figure.partition(".")[2])
        value = measured[part][measure] * (100 if percent else 1)
        assert f"{value:.{figures}f}" == figure, (part, measure)
    assert measured["date"] in readme and measured["machine"] in readme


def test_all_results_are_in_docs():
    """What `python data/draw_figures.py --table` prints, which marks what missed its goal."""
    spec = importlib.util.spec_from_file_location("draw_figures", DATA / "draw_figures.py")
    spec.loader.exec_module(figures := importlib.util.module_from_spec(spec))
    table = figures.results_table(json.loads((DATA / "evaluation_tiny.json").read_text("utf-8")))
    assert table in (ROOT / "docs" / "results.md").read_text("utf-8")
    made_up = {"date": "", "machine": "", "captions": 4, "candidates": 1, "seed": 0,
               "unseen": {"single samples": 0.5, "single samples ±": 0.25}}  # fmt: skip
    last = figures.results_table(made_up).splitlines()[-1]
    assert last == "| `unseen: single samples` | 50.0 ± 25.0 % | ≥ 75 % | **missed** |"
