"""The weights under data/: whole, described, and able to draw."""

import hashlib
import importlib.util
import json
from pathlib import Path

import pytest

from minidalle import DATA, evaluate, pipeline, weights
from minidalle.commands_evaluate import fingerprint
from minidalle.dalle2 import pipeline as second
from minidalle.dalle2.recipes import shrunk
from minidalle.plots import to_uint8
from minidalle.world import judge, reader, scenes
from minidalle.world.lit import LIT

LARGEST = {  # bytes, all files together
    "tiny": 12_000_000,
    "small": 24_000_000,
    "dalle2": 24_000_000,
    "dalle_mini": 10_000_000,
}
ROOT = Path(__file__).parents[1]
FIRST = ("clip", "dalle", "dvae")
SECOND = ("ar_prior", "clip", "decoder", "prior", "up128", "up64")
MINI = ("clip", "mini", "vqgan")
PARTS = {"tiny": FIRST, "small": FIRST, "dalle2": SECOND, "dalle_mini": MINI}
MODELS = [DATA / folder / f"{part}.safetensors" for folder in PARTS for part in PARTS[folder]]


@pytest.fixture(scope="module")
def models():
    return pipeline.load_pretrained("tiny")


@pytest.mark.parametrize("folder", LARGEST)
def test_they_are_small_and_listed_with_their_checksums(folder):
    files = sorted((DATA / folder).iterdir())
    readme = (DATA / "README.md").read_text("utf-8")
    names = [f"{part}.safetensors" for part in PARTS[folder]]
    assert [path.name for path in files] == sorted(["bpe.json", *names])
    assert sum(path.stat().st_size for path in files) <= LARGEST[folder]
    for path in files:
        assert hashlib.sha256(path.read_bytes()).hexdigest() in readme, path.name


@pytest.mark.parametrize("path", MODELS, ids=lambda path: f"{path.parent.name}, {path.stem}")
def test_each_says_how_it_was_made(path: Path):
    _, about = weights.read_tensors(path)
    preset = "small" if path.parent.name == "small" else "tiny"
    assert about["command"].startswith(f"minidalle train {path.stem} --preset {preset} ")
    assert {"seed", "steps", "minutes", "machine", "date"} <= about.keys()


@pytest.mark.parametrize("preset", ["tiny", "small", "dalle_mini"])
def test_the_same_seed_draws_the_same_candidates(preset):
    models = pipeline.load_pretrained(preset)
    few = pipeline.draw(models, "a red star above a blue circle", candidates=2, keep=1)
    more = pipeline.draw(models, "a red star above a blue circle", candidates=3, keep=3)
    assert few.codes.tolist() == more.codes[:2].tolist()


def test_dalle_mini_draws_what_the_judge_reads():
    """Of eight drawings of a caption that training never showed."""
    caption = "a small red star above a blue circle"
    drawing = pipeline.draw(pipeline.load_pretrained("dalle_mini"), caption, candidates=8)
    read = judge.examine(to_uint8(drawing.pictures).numpy())
    wrong = [judge.faults(scenes.parse(caption), one) for one in read]
    assert wrong.count([]) >= 5, wrong


def test_the_second_dalle_draws_what_its_judge_reads():
    """Of eight drawings at 128×128 of a held-out caption, averaged to 32×32, some are right."""
    models = second.load_pretrained()
    caption = "a blue cone to the left of an orange cylinder on grass, lit from the left"
    drawing = second.draw(models, caption, candidates=8, keep=8)
    small = to_uint8(shrunk(drawing.large, 4)).numpy()
    wrong = [
        reader.differences(LIT, LIT.parse(caption), r.facts) for r in reader.examine(LIT, small)
    ]
    assert wrong.count([]) >= 4, wrong


def test_the_dvae_has_not_collapsed(models):
    figures = evaluate.reconstruction(models, captions=64, candidates=1, seed=0)
    assert figures["PSNR, scenes"] > 26 and figures["PSNR, emoji"] > 20
    assert figures["perplexity / K"] > 0.25


@pytest.fixture
def tables():
    spec = importlib.util.spec_from_file_location("tables", DATA / "tables.py")
    spec.loader.exec_module(module := importlib.util.module_from_spec(spec))
    return module


def test_all_results_are_in_the_readme_and_in_docs(tables):
    """What `python data/tables.py --write` writes, which marks what missed its goal."""
    for path, own in tables.tables().items():
        text = path.read_text("utf-8")
        for name, table in own.items():
            assert tables.with_table(text, name, table) == text, f"{path.name}, {name}"
    measured = json.loads((DATA / "evaluation.json").read_text("utf-8"))
    readme = (ROOT / "README.md").read_text("utf-8")
    assert measured["date"] in readme and measured["machine"] in readme


def test_a_figure_in_a_table(tables):
    made_up = {"date": "", "machine": "", "captions": 4, "candidates": 1, "seed": 0,
               "unseen": {"single samples": 0.5, "single samples ±": 0.25}}  # fmt: skip
    last = tables.every_measure(made_up, tables.GOALS_OF_TINY)[-1]
    assert last == "| `unseen: single samples` | 50.0 ± 25.0 % | ≥ 75 % | **missed** |"
    assert tables.goal(0.8, 0.8) == "80 %" and tables.goal(0.79, 0.8) == "80 %, **missed**"


def test_the_figures_are_of_the_shipped_weights():
    measured = json.loads((DATA / "evaluation.json").read_text("utf-8"))
    assert measured["weights"] == fingerprint(pipeline.load_pretrained("small"))
    measured = json.loads((DATA / "evaluation_dalle2.json").read_text("utf-8"))
    assert measured["weights"] == fingerprint(second.load_pretrained())
    measured = json.loads((DATA / "evaluation_mini.json").read_text("utf-8"))
    assert measured["weights"] == fingerprint(pipeline.load_pretrained("dalle_mini"))
