"""The benchmarks run, at a toy size, and their figures are what they say."""

import json

import pytest
import torch

from minidalle import bench
from minidalle.__main__ import main
from minidalle.config import DALLEConfig

TOY = DALLEConfig(vocab=10, text_len=4, codebook=8, grid=3, width=16, depth=2, heads=2, kernel=3)


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    sizes = {"MIDDLE": TOY, "LETTERS": 20_000, "MERGES": 50, "SCENES": 200, "STREAMS": ((4, 4),)}
    for name, size in sizes.items():
        monkeypatch.setattr(bench, name, size)
    monkeypatch.setattr(bench, "matmul_limit", lambda device, dtype: 1e9)
    monkeypatch.setattr(bench, "copy_limit", lambda device: 1e9)


@pytest.mark.parametrize("words", [["train"], ["train", "--bf16", "--recompute", "--rounds", "2"], ["sample"],
                                   ["sample", "--preset", "tiny", "--depth", "1", "--bf16"], ["attention"],
                                   ["bpe"], ["scenes"]], ids=" ".join)
def test_a_benchmark_prints_a_table_and_a_line_of_json(words, capsys):
    assert main(["bench", *words, "--batch", "2", "--repeat", "2"]) == 0
    *table, last = capsys.readouterr().out.splitlines()
    for row in json.loads(last)["rows"]:
        assert 0 < row["p10"] <= row["median"] <= row["p90"]
        assert not row["limit"] or row["share"] == pytest.approx(row["median"] / row["limit"])
        assert any(row["what"] in line and f"{row['median']:,.4g}" in line and row["why"] in line for line in table)


def test_turns_are_taken(monkeypatch):
    """What a slow machine costs one of the two it costs the other."""
    order, clock = [], iter(range(100))
    monkeypatch.setattr(bench.time, "perf_counter", lambda: next(clock))
    (row,) = bench.beside("x", "y", 3, lambda: order.append("ours"), {"peer": lambda: order.append("theirs")}, 2)
    assert order == ["ours", "theirs"] * 3 and row.rates == [3, 3] and row.limit == 3 and row.why == "peer"


def test_limits_of_this_machine_are_of_a_credible_size(monkeypatch):
    monkeypatch.undo()
    assert 1e8 < bench.matmul_limit(torch.device("cpu"), torch.float32) < 1e13
    assert 1e8 < bench.copy_limit(torch.device("cpu")) < 1e12
