"""The table of models: a row and a file of its own are all that a new model takes."""

from dataclasses import dataclass, field

import pytest
import torch
from torch import nn

from minidalle import models, weights
from minidalle.__main__ import main
from minidalle.bpe import BPE
from minidalle.config import TrainConfig
from minidalle.training import Job

# ---- what the file of a fifth model would hold ------------------------------------------


@dataclass(frozen=True)
class LineConfig:
    """A line through points: slope and intercept."""

    width: int = 1


@dataclass(frozen=True)
class LineSizes:
    line: LineConfig = LineConfig()
    train: dict = field(default_factory=lambda: {"line": TrainConfig(60, 8, lr=0.3, warmup=1)})


class Line(nn.Module):
    config_class = LineConfig

    def __init__(self, config: LineConfig):
        super().__init__()
        self.config, self.linear = config, nn.Linear(config.width, 1)

    def forward(self, x, y):
        loss = (self.linear(x) - y).square().mean()
        return loss, {"squares": loss.detach()}


def train_line(request: models.Request, bpe: BPE) -> Job:
    """Points on y = 2 x + number of tokens in "a"."""

    def batch(step, part=slice(None)):
        generator = torch.Generator().manual_seed(request.seed * 1000 + step)
        x = torch.rand(request.train.batch_size, 1, generator=generator)[part]
        return x, 2 * x + len(bpe.encode("a"))

    return Job("line", Line(request.sizes.line), batch)


ROW = models.Row("line", Line, train_line, ("bpe",), nn.Linear, {"tiny": LineSizes()})


@pytest.fixture
def table(monkeypatch):
    monkeypatch.setitem(models.MODELS, "line", ROW)


# ---- the tests --------------------------------------------------------------------------


def train(*words) -> int:
    return main(["train", "line", "--data", "scenes", *map(str, words)])


def test_a_fifth_model_takes_one_row(table, tmp_path, capsys):
    assert train("--out", tmp_path) == 2
    assert "run `minidalle train bpe` first" in capsys.readouterr().err
    BPE.train(["a b"], 256).save(tmp_path / "bpe.json")
    assert train("--out", tmp_path, "--steps", 30) == 0
    assert train("--out", tmp_path, "--steps", 60, "--resume") == 0
    line = models.load("line", tmp_path)
    assert (
        isinstance(line, Line) and weights.read_about(tmp_path / "line.safetensors")["steps"] == 60
    )
    assert line(torch.tensor([[0.5]]), torch.tensor([[2.0]]))[0] < 0.1


def test_an_unknown_model_is_one_sentence(capsys, tmp_path):
    assert train("--out", tmp_path) == 2
    assert "unknown model 'line': choose from bpe, dvae, clip, dalle" in capsys.readouterr().err


def test_what_a_row_needs_comes_before_it():
    names = ["bpe"]
    for row in models.ROWS:
        assert set(row.needs) <= set(names)
        names.append(row.name)


def test_memory_that_runs_out_is_one_sentence(table, tmp_path, capsys, monkeypatch):
    BPE.train(["a b"], 256).save(tmp_path / "bpe.json")

    def full(self, x, y):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 32.00 MiB.")

    monkeypatch.setattr(Line, "forward", full)
    assert train("--out", tmp_path, "--steps", 1) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "--grad-accum-steps" in said and "--recompute" in said


def test_more_processes_than_gpus_is_one_sentence(table, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    assert train("--out", tmp_path) == 2
    assert "process 2 of this machine, which has 1 GPU:" in capsys.readouterr().err
