"""The loop: stopping and resuming changes no bit, nothing bad is saved, and it learns."""

import csv
import os
import signal
import subprocess
import sys
from dataclasses import replace
from random import Random

import numpy as np
import pytest
import torch
from torch import nn

from minidalle import files, optimizers, training, weights
from minidalle.config import DALLEConfig, DVAEConfig, TrainConfig
from minidalle.dvae import DVAE, codebook_use, gumbel_noise
from minidalle.logs import append_row, cut_table
from minidalle.sampling import sample
from minidalle.scale.blocks import tune_blocks
from minidalle.training import (
    Job,
    half_cosine,
    learning_rate,
    steps_in,
    train,
)
from minidalle.transformer import DALLE
from minidalle.world import painting, scenes

CONFIG = TrainConfig(
    steps=6, batch_size=4, lr=1e-2, final_lr=1e-3, warmup=2, weight_decay=0.1, muon=True
)
TIMES = ("data_share", "examples_per_second")  # what a stop may change in the log


def dvae_job(before_step=lambda step: None):
    """A tiny dVAE on noise, in the memory layout that recipes use."""
    torch.manual_seed(0)
    config = DVAEConfig(8, 10, 8, groups=2, blocks=1, code_width=6)
    model = DVAE(config).to(memory_format=torch.channels_last)

    def batch(step, part):
        before_step(step)
        generator = torch.Generator().manual_seed(step)
        return torch.rand(4, 3, 8, 8, generator=generator), gumbel_noise((4, 10, 4, 4), generator)

    def loss(model, batch, t, gather):
        images, noise = batch
        loss, parts = model(images, half_cosine(1, 0.1, t), 1.0, noise)
        return loss, {name: parts[name] for name in ("kl", "counts")}

    def log(parts):
        return {"kl": float(parts["kl"]), "perplexity": codebook_use(parts["counts"])[0]}

    return Job("dvae", model, batch, loss, log)


def dalle_job(before_step=lambda step: None):
    torch.manual_seed(0)
    model = DALLE(DALLEConfig(10, 5, 7, 3, width=16, depth=3, heads=2, kernel=3))

    def batch(step, part):
        before_step(step)
        generator = torch.Generator().manual_seed(step)
        return tuple(torch.randint(7, size, generator=generator) for size in ((4, 5), (4, 9)))

    return Job("dalle", model, batch)


JOBS = {"dvae": dvae_job, "dalle": dalle_job}


def press_ctrl_c_at(step):
    return lambda now: os.kill(os.getpid(), signal.SIGINT) if now == step else None


def results(folder, name):
    """The final weights, and the log without its times."""
    tensors, _ = weights.read_tensors(folder / f"{name}.safetensors")
    with open(folder / f"{name}.csv") as file:
        rows = [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file)]
    return tensors, rows


def assert_same_run(a, b, name):
    (tensors, rows), (others, other_rows) = results(a, name), results(b, name)
    assert rows == other_rows
    assert tensors.keys() == others.keys()
    assert [n for n in tensors if not tensors[n].equal(others[n])] == []


@pytest.fixture(params=JOBS)
def name(request):
    return request.param


@pytest.fixture
def whole(tmp_path, name):
    """An uninterrupted run."""
    train(JOBS[name](), CONFIG, tmp_path / "whole", log_every=4)
    return tmp_path / "whole"


# ---- stopping and going on --------------------------------------------------------------


def test_stopped_by_ctrl_c_and_resumed_equals_uninterrupted_bit_for_bit(tmp_path, name, whole):
    out, before = tmp_path / "stopped", signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):  # in the middle of a row of the log
        train(JOBS[name](press_ctrl_c_at(2)), CONFIG, out, log_every=4)
    _, header = weights.read_tensors(out / f"{name}.checkpoint.safetensors")
    assert header["step"] == 3, "the step under way is finished"
    assert not (out / f"{name}.safetensors").exists()
    assert signal.getsignal(signal.SIGINT) is before
    train(JOBS[name](), CONFIG, out, resume=True, log_every=4)
    assert_same_run(whole, out, name)
    assert [row["step"] for row in results(out, name)[1]] == ["4", "6"]


def test_stopped_at_the_last_step(tmp_path, name, whole):
    out = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        train(JOBS[name](press_ctrl_c_at(5)), CONFIG, out, log_every=4)
    train(JOBS[name](), CONFIG, out, resume=True, log_every=4)
    assert_same_run(whole, out, name)


def test_killed_between_checkpoints_logs_no_step_twice(tmp_path, name, whole, monkeypatch):
    """Power fails at step 6, after the row of step 4; the last checkpoint is of step 2."""

    def dies(step):
        monkeypatch.setattr(
            training.weights, "write_tensors", write if step < 2 else lambda *a: None
        )
        if step == 5:
            raise MemoryError

    write, out = weights.write_tensors, tmp_path / "killed"
    with pytest.raises(MemoryError):
        train(JOBS[name](dies), CONFIG, out, save_every=-1, log_every=4)
    monkeypatch.undo()
    assert weights.read_tensors(out / f"{name}.checkpoint.safetensors")[1]["step"] == 2
    train(JOBS[name](), CONFIG, out, resume=True, log_every=4)
    assert_same_run(whole, out, name)


LOG = "step,lr,loss\r\n4,1,1.5\r\n8,1,1.25\r\n"


@pytest.mark.parametrize("more", ["", "12,1,1\r\n", "8,1", "12,1,0.7", "\r\n", "\r\n12,1,1\r"])
def test_later_and_torn_rows_are_dropped(tmp_path, more):
    table = tmp_path / "a.csv"
    table.write_bytes((LOG + more).encode())
    cut_table(table, 9)
    append_row(table, {"step": 9, "lr": 1, "loss": 1})
    assert table.read_bytes().decode() == LOG + "9,1,1\r\n"
    cut_table(table, 3)
    assert not table.exists()


def test_a_kill_while_rows_are_dropped_loses_none(tmp_path, monkeypatch):
    table = tmp_path / "a.csv"
    table.write_bytes(LOG.encode())

    def killed(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "to_disk", killed)
    with pytest.raises(KeyboardInterrupt):
        cut_table(table, 5)
    assert table.read_bytes() == LOG.encode() and list(tmp_path.iterdir()) == [table]


@pytest.mark.parametrize(
    "edited",
    [
        "step;lr;loss\r\n1;0,006;0,35\r\n",
        "lr,step\n1,4\n",
        "step,lr,loss\n4 1\n8 1\n",
        "step,name,city\n1,2,3\n",
        "step,lr,loss\n1,2,3\nnotes\n",
        "ein Lied\xff",
    ],
)
def test_a_file_that_is_no_log_is_set_aside(tmp_path, edited, capsys):
    table = tmp_path / "a.csv"
    for name in ("a.csv.old", "a.csv.old2"):  # and the second does not replace the first
        table.write_text(edited, "latin-1", newline="")
        cut_table(table, 9)
        assert not table.exists() and (tmp_path / name).read_bytes() == edited.encode("latin-1")
        assert f"{table} is not as it was written: renamed to {name}" in capsys.readouterr().err


def test_a_log_that_is_an_endless_device_is_set_aside(tmp_path, capsys):
    table = tmp_path / "a.csv"
    table.symlink_to("/dev/zero")
    cut_table(table, 9)
    assert not table.exists() and (tmp_path / "a.csv.old").is_symlink()


def test_a_run_can_be_lengthened(tmp_path, name, whole):
    train(JOBS[name](), replace(CONFIG, steps=8), whole, resume=True, log_every=4)
    assert [row["step"] for row in results(whole, name)[1]] == ["4", "6", "8"]


def test_resume_refuses_another_run(tmp_path, name, whole):
    with pytest.raises(ValueError, match="another run: lr 0.01, not 0.001"):
        train(JOBS[name](), replace(CONFIG, lr=1e-3), whole, resume=True)
    with pytest.raises(FileNotFoundError, match="there is no weight file"):
        train(JOBS[name](), CONFIG, tmp_path / "nothing", resume=True)


# ---- what is not finite -----------------------------------------------------------------


def assert_stops_and_keeps_the_checkpoint(tmp_path, name, loss_of):
    """Three good steps and a checkpoint; then `loss_of(loss, model)` must stop the run."""
    with pytest.raises(KeyboardInterrupt):
        train(JOBS[name](press_ctrl_c_at(2)), CONFIG, tmp_path)
    checkpoint = tmp_path / f"{name}.checkpoint.safetensors"
    before, job = checkpoint.read_bytes(), JOBS[name]()

    def loss(model, batch, t, gather):
        value, parts = job.loss(model, batch, t, gather)
        return loss_of(value, model), parts

    with pytest.raises(FloatingPointError, match=f"{name}.*step 4.*not finite"):
        train(replace(job, loss=loss), CONFIG, tmp_path, resume=True, save_every=-1)
    assert checkpoint.read_bytes() == before
    assert sorted(file.suffix for file in tmp_path.iterdir()) == [".safetensors"]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, name, bad):
    assert_stops_and_keeps_the_checkpoint(tmp_path, name, lambda loss, model: loss * bad)


def test_a_gradient_that_is_not_finite_stops_the_run(tmp_path, name):
    """√0 is 0, but its gradient is infinite."""

    def loss_of(loss, model):
        weight = next(model.parameters())
        return loss + (weight - weight.detach()).square().sum().sqrt()

    assert_stops_and_keeps_the_checkpoint(tmp_path, name, loss_of)


# ---- alone ------------------------------------------------------------------------------


@pytest.mark.slow
def test_alone_needs_no_other_process(tmp_path):
    """Nothing of torch's process groups is set up, nor is scale/runtime.py even read."""
    code = (
        "import sys, torch.distributed as dist; from minidalle.__main__ import main\n"
        f"main(['train', 'dvae', '--data', 'scenes', '--out', {str(tmp_path)!r}, '--steps', '1'])\n"
        "print(dist.is_initialized(), 'minidalle.scale.runtime' in sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert said.endswith("False False\n")


def test_blocks_are_compiled_in_place(monkeypatch):
    compiled = []
    monkeypatch.setattr(nn.Module, "compile", lambda module, *_, **__: compiled.append(module))
    job = dalle_job()
    names = list(job.model.state_dict())
    tune_blocks(job.model, compile=True)
    assert compiled == list(job.model.blocks) and list(job.model.state_dict()) == names


# ---- schedules, optimiser, average ------------------------------------------------------


def test_learning_rate_by_hand():
    config = TrainConfig(steps=12, batch_size=1, lr=1.0, final_lr=0.2, warmup=4)
    rates = [learning_rate(config, step) for step in range(13)]
    assert rates[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert rates[8] == pytest.approx(0.6)  # half-way from 4 to 12
    assert rates[6] == pytest.approx(0.2 + 0.8 * (1 + 0.5**0.5) / 2)
    assert rates[12] == pytest.approx(0.2)
    assert learning_rate(replace(config, warmup=0), 0) == 1.0
    assert learning_rate(replace(config, warmup=50), 11) == pytest.approx(12 / 50)
    early = replace(config, lr_until=0.5)  # from step 6 on
    assert [learning_rate(early, step) for step in (5, 6, 11)] == pytest.approx([0.6, 0.2, 0.2])


def test_only_matrices_and_kernels_decay():
    class Everything(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.conv = nn.Linear(2, 3), nn.Conv2d(2, 3, 3)
            self.embedding, self.norm = nn.Embedding(4, 2), nn.LayerNorm(2)
            self.positional_embedding = nn.Parameter(torch.zeros(1, 2))
            self.attention = nn.MultiheadAttention(2, 1, bias=False)

    model = Everything()
    [adamw] = optimizers.make_optimizers(model, CONFIG)
    decay, keep = adamw.param_groups
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    attention = {"attention.in_proj_weight", "attention.out_proj.weight"}
    assert {names[id(p)] for p in decay["params"]} == {"linear.weight", "conv.weight"} | attention
    assert {names[id(p)] for p in keep["params"]} == set(names.values()) - {
        names[id(p)] for p in decay["params"]
    }
    assert (decay["weight_decay"], keep["weight_decay"]) == (0.1, 0)


def test_muon_moves_all_directions_of_a_hidden_matrix_alike():
    """An update's singular values are about 0.2 lr √(longer side); AdamW has the other matrices."""
    job, config = dalle_job(), replace(CONFIG, warmup=0, weight_decay=0.0)
    state = training.State(job, config)
    before = {name: p.detach().clone() for name, p in job.model.named_parameters()}
    training.take_step(job, config, state)
    moved = {name: p.detach() - before[name] for name, p in job.model.named_parameters()}
    for name in ("qkv", "out", "up", "down"):
        update = moved[f"blocks.1.{name}.weight"]
        size = torch.linalg.svdvals(update) / (0.2 * config.lr * max(update.shape) ** 0.5)
        assert size.max() < 1.25 and size.quantile(0.1) > 0.6, name
    assert moved["image_head.weight"].abs().max().item() == pytest.approx(config.lr, rel=1e-3)


def test_stacked_matrices_move_as_those_of_torch():
    shapes = ((6, 2), (2, 6), (6, 2), (3, 3))
    ours, theirs = ([nn.Parameter(torch.ones(shape)) for shape in shapes] for _ in range(2))
    how = {"lr": 0.1, "weight_decay": 0.1, "adjust_lr_fn": "match_rms_adamw"}
    pair = optimizers.StackedMuon(ours, **how), torch.optim.Muon(theirs, **how)
    for step in range(3):
        generator = torch.Generator().manual_seed(step)
        for one, other in zip(ours, theirs):
            one.grad = other.grad = torch.randn(one.shape, generator=generator)
        for optimizer in pair:
            optimizer.step()
    assert all(one.allclose(other, rtol=1e-4) for one, other in zip(ours, theirs))


def test_a_kernel_moves_as_the_matrix_of_its_rows():
    kernel, matrix = nn.Parameter(torch.ones(4, 2, 3, 3)), nn.Parameter(torch.ones(4, 18))
    kernel.grad = torch.randn(4, 2, 3, 3)
    matrix.grad = kernel.grad.view(4, 18).clone()
    for parameter in (kernel, matrix):
        optimizers.StackedMuon([parameter], lr=0.1, adjust_lr_fn="match_rms_adamw").step()
    assert torch.equal(kernel.view(4, 18), matrix) and not torch.equal(matrix, torch.ones(4, 18))


def test_one_step_equals_adamw_by_hand():
    """The first step of Adam is lr · sign(gradient); decay shrinks first by lr · decay."""
    model = nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, -2.0]]))
        model.bias.fill_(0.5)
    job = Job(
        "line",
        model,
        lambda step, part: (torch.tensor([[3.0, -4.0]]),),
        lambda model, batch, t, gather: (model(*batch).sum(), {}),
    )
    config = TrainConfig(steps=10, batch_size=1, lr=0.1, warmup=0, weight_decay=0.1, ema_decay=0.99)
    state = training.State(job, config)
    training.take_step(job, config, state)
    assert model.weight[0].tolist() == pytest.approx([0.99 - 0.1, -1.98 + 0.1])
    assert model.bias.item() == pytest.approx(0.5 - 0.1)  # no decay
    # The average starts fast: it moves by 1 - min(0.99, 1 / 10) = 0.9 of the way.
    assert state.ema.bias.item() == pytest.approx(0.1 * 0.5 + 0.9 * 0.4)


def test_steps_in_measures_on_a_copy(monkeypatch, name):
    clock = iter(range(10**6))
    monkeypatch.setattr(training.time, "monotonic", lambda: next(clock))  # a second per look
    job = JOBS[name]()
    before = {n: tensor.clone() for n, tensor in job.model.state_dict().items()}
    assert steps_in(1e-9, job, CONFIG) == 1
    assert 30 <= steps_in(1, job, CONFIG) <= 60  # nearly a step per look
    for n, tensor in job.model.state_dict().items():
        assert tensor.equal(before[n]), n
    assert all(parameter.grad is None for parameter in job.model.parameters())


def test_steps_in_times_whole_steps(monkeypatch, name):
    """The optimiser must have something to do while it is timed."""
    clock, moved = iter(range(10**6)), []
    monkeypatch.setattr(training.time, "monotonic", lambda: next(clock))
    step = torch.optim.AdamW.step

    def watched(self):
        moved.append(
            any(p.grad is not None for group in self.param_groups for p in group["params"])
        )
        return step(self)

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    steps_in(1, JOBS[name](), CONFIG)
    assert moved and all(moved)


# ---- learning ---------------------------------------------------------------------------


@pytest.mark.slow
def test_learns_16_captioned_pictures_by_heart_and_draws_them(tmp_path):
    """Codes here are the nearest colour of each 4×4 patch. About 5 seconds on one core."""
    rng = Random(1)
    drawn = {scenes.caption_of(s): s for s in (scenes.sample_scene(rng) for _ in range(16))}
    pictures = np.stack([painting.paint(scene, rng) for scene in drawn.values()])
    patches = pictures.reshape(-1, 8, 4, 8, 4, 3).mean((2, 4)).reshape(-1, 64, 1, 3)
    palette = np.array([*scenes.COLOURS.values(), *scenes.BACKGROUNDS.values()])
    codes = torch.from_numpy(np.square(patches - palette).sum(-1).argmin(-1))

    words = sorted({word for caption in drawn for word in caption.split()})
    V, T = len(words), 1 + max(len(caption.split()) for caption in drawn)
    frames = [[V] + [words.index(word) for word in caption.split()] for caption in drawn]
    text = torch.tensor([ids + [V + 1 + p for p in range(len(ids), T)] for ids in frames])

    config = DALLEConfig(V, T, len(palette), 8, width=64, depth=2, heads=2, kernel=3)
    model = DALLE(config)
    job = Job("dalle", model, lambda step, part: (text, codes))
    train(
        job, TrainConfig(150, len(text), lr=5e-3, warmup=10, ema_decay=0.9), tmp_path, log_every=10
    )
    _, rows = results(tmp_path, "dalle")
    assert float(rows[0]["image"]) > 0.5 and float(rows[-1]["image"]) < 0.02
    learned = weights.load(tmp_path / "dalle.safetensors", DALLE)
    assert (sample(learned, text, temperature=0) == codes).float().mean() > 0.99
