"""The benchmarks run at a toy size, and their figures are right."""

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError
from multiprocessing import get_context

import pytest
import torch

from minidalle.__main__ import main
from minidalle.bench import paths as bench
from minidalle.bench import peers, timing, transformer
from minidalle.config import DALLEConfig

TOY = DALLEConfig(
    vocab_size=10, text_len=4, codebook_size=8, grid=4, width=32, depth=2, heads=2, kernel=3
)


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    sizes = {
        "LETTERS": 20_000,
        "MERGES": 50,
        "SCENES": 200,
        "DVAE_SIZE": replace(bench.DVAE_SIZE, image_size=16, width=8, codebook_size=16),
        "CLIP_SIZE": replace(bench.CLIP_SIZE, image_size=32, vision_depth=1, text_depth=1),
    }
    for name, size in sizes.items():
        monkeypatch.setattr(bench, name, size)
    sizes = {"MIDDLE": TOY, "STREAMS": ((4, 4, 1),), "BATCHES": (1, 2), "CANDIDATES": 3, "KEPT": 2}
    for name, size in sizes.items():
        monkeypatch.setattr(transformer, name, size)
    monkeypatch.setattr(transformer, "matmul_limit", lambda device, dtype: 1e9)
    monkeypatch.setattr(transformer, "copy_limit", lambda device: 1e9)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["train"],
        ["train", "--bf16", "--recompute", "--grad-accum-steps", "2"],
        ["sample"],
        ["sample", "--preset", "tiny", "--depth", "1", "--bf16"],
        ["candidates"],
        ["attention"],
        ["bpe"],
        ["dvae"],
        ["clip"],
        ["scenes"],
    ],
    ids=" ".join,
)
def test_a_benchmark_prints_a_table_and_a_line_of_json(words, capsys):
    assert (
        main(["bench", *words, *(["--batch", "2"] if len(words) > 1 else []), "--repeat", "2"]) == 0
    )
    *table, last = capsys.readouterr().out.splitlines()
    for row in json.loads(last)["rows"]:
        assert 0 < row["p10"] <= row["median"] <= row["p90"]
        assert row["share"] > 0 if row["limit"] else row["share"] is None
        assert any(
            row["what"] in line and f"{row['median']:,.4g}" in line and row["why"] in line
            for line in table
        )


@pytest.mark.slow
@pytest.mark.parametrize("path", ["sample", "candidates", "train", "bpe", "dvae", "clip"])
def test_peers_run_too_where_they_are_installed(path, capsys):
    if path in ("sample", "candidates", "train") and not peers.LLAMAGEN.exists():
        pytest.skip("make bench-peers did not run here")
    assert main(["bench", path, "--repeat", "2", "--peer"]) == 0
    assert len(json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]) >= 2


def test_a_peer_that_is_missing_is_one_sentence(monkeypatch, capsys):
    def nothing(package):
        raise PackageNotFoundError

    monkeypatch.setattr(peers, "distribution", nothing)
    assert main(["bench", "train", "--peer"]) == 2
    error = capsys.readouterr().err
    assert "make bench-peers" in error and error.count("\n") == 1


def test_the_table_is_put_between_the_marks(tmp_path):
    text = tmp_path / "text.md"
    text.write_text(
        "before\n<!-- minidalle bench -->\nold\n<!-- end of minidalle bench -->\nafter\n", "utf-8"
    )
    assert main(["bench", "attention", "--repeat", "2", "--into", str(text)]) == 0
    lines = text.read_text("utf-8").splitlines()
    assert lines[:2] == ["before", "<!-- minidalle bench -->"] and lines[-2:] == [
        "<!-- end of minidalle bench -->",
        "after",
    ]
    assert any("row attention" in line for line in lines) and "old" not in lines
    text.write_text("no place", "utf-8")
    assert (
        main(["bench", "attention", "--into", str(text)]) == 2
        and text.read_text("utf-8") == "no place"
    )


def test_turns_are_taken(monkeypatch):
    """A slow machine slows both sides alike."""
    order, clock = [], iter(range(100))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    peers = {"peer": lambda: order.append("theirs")}
    rows = timing.beside(
        timing.Setting(TOY, repeat=2),
        "x",
        "y",
        3,
        lambda: order.append("ours"),
        peers,
        {"limit": lambda: order.append("limit") or 6},
    )
    assert order == ["ours", "theirs", "limit"] * 3
    assert [(row.rates, row.limits, row.why) for row in rows] == [
        ([3, 3], [6, 6], "limit"),
        ([3, 3], [3, 3], "peer"),
    ]


def test_figures_by_hand():
    """Both sides are slow in the slow turn; a single measurement of a peer serves all turns."""
    row = timing.Row("x", "y", [10, 1, 12], [5, 0.5, 4])
    assert row.figures() | {"p10": 0, "p90": 0} == {
        "what": "x",
        "unit": "y",
        "median": 10,
        "p10": 0,
        "p90": 0,
        "limit": 4,
        "share": 2,
        "why": "",
    }
    assert (row.figures()["p10"], row.figures()["p90"]) == pytest.approx((2.8, 11.6))
    assert timing.Row("x", "y", [10, 12], [5]).figures()["share"] == pytest.approx(2.2)


def test_limits_of_this_machine_are_of_a_credible_size():
    assert 1e8 < timing.matmul_limit(torch.device("cpu"), torch.float32) < 1e13
    assert 1e8 < timing.copy_limit(torch.device("cpu")) < 1e12


@pytest.mark.slow
def test_memory_use_is_measured():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        _, grown = pool.submit(timing.watched, partial(torch.zeros, 100_000_000)).result()
    assert 3.6e8 < grown < 5e8
