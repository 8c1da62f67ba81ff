"""Many processes: the same numbers as one, checkpoints that outlive kills, errors on every rank.

Processes are forked, have one thread each and talk through gloo on this machine.
"""

import multiprocessing
import os
import resource
import signal
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from toys import free_port, mini_speck

from minidalle import recipes, training, weights
from minidalle.__main__ import main
from minidalle.bpe import BPE
from minidalle.clip import CLIP
from minidalle.config import CLIPConfig, DALLEConfig, DVAEConfig, DVAELoss, Ramp, TrainConfig
from minidalle.dalle2 import recipes as recipes_2
from minidalle.dalle2.config import DecoderConfig, PriorConfig, TextConfig, UNetConfig
from minidalle.dalle_mini import recipes as recipes_mini
from minidalle.dalle_mini.vqgan import VQGAN
from minidalle.dvae import DVAE
from minidalle.models import MODELS
from minidalle.runtime import SingleProcess
from minidalle.scale.attention import fast_attention
from minidalle.scale.blocks import tune_blocks
from minidalle.scale.checkpoints import folders_in, whole_checkpoints
from minidalle.scale.runtime import Distributed
from minidalle.training import State, take_step, train
from minidalle.transformer import DALLE

pytestmark = pytest.mark.slow

# A larger ε than in life: where a gradient is 0, Adam would magnify its rounding.
CONFIG = TrainConfig(steps=6, batch_size=12, lr=1e-2, warmup=2, weight_decay=0.1, eps=1e-3)
SIZES = DVAEConfig(32, 16, width=8, blocks=1, code_width=8, patch=4)


def rank_of(pipe, environment, work, *args):
    os.environ |= environment
    torch.set_num_threads(1)
    try:
        pipe.send((work(*args), None))
    except Exception as error:
        pipe.send((None, error))
    pipe.poll(60)  # for the end of the others: rank 0 keeps the store by which they meet


def together(size, work, *args, patience=120):
    """What `work(*args)` returns in each of `size` processes; raises what rank 0 raises."""
    fork, port, running = multiprocessing.get_context("fork"), str(free_port()), []
    for rank in range(size):
        here, there = fork.Pipe()
        environment = {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
            "WORLD_SIZE": str(size),
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "LOCAL_WORLD_SIZE": str(size),
        }
        process = fork.Process(target=rank_of, args=(there, environment, work, *args), daemon=True)
        process.start()
        running.append((process, here))
    results = []
    for _, here in running:
        assert here.poll(patience), "a process hangs"
        results.append(here.recv())
    for _, here in running:
        here.send("finished")
    for process, _ in running:
        process.join(patience)
    assert [process.exitcode for process, _ in running] == [0] * size
    if any(error for _, error in results):
        assert all(error for _, error in results), "only some processes failed"
        raise results[0][1]
    return [result for result, _ in results]


@pytest.fixture(scope="module")
def bpe():
    return BPE.train(recipes.bpe_captions("scenes", 0, 200), 300)


@pytest.fixture(scope="module")
def dvae():
    torch.manual_seed(0)
    return DVAE(SIZES).eval().requires_grad_(False)


def job_of(name, bpe, dvae, meta=False):
    V, T = bpe.vocab_size, 32
    if name == "dvae":
        return recipes.dvae_job(
            SIZES,
            CONFIG,
            "scenes",
            4,
            DVAELoss(kl=Ramp(0.1, 0.1), evenness=Ramp(0.1, 0.1), hard_from=0.6),
        )
    clip = CLIPConfig(8, 32, 8, 16, 1, 2, V + 1 + T, T, 16, 1, 2, end=V + 1)
    if name == "clip":
        return recipes.clip_job(clip, replace(CONFIG, batch_size=8), "scenes", 3, bpe, dvae)
    if name in ("prior", "decoder"):
        torch.manual_seed(1)
        asked = CONFIG, "scenes", 3, bpe, CLIP(clip).requires_grad_(False)
        if name == "prior":
            return recipes_2.prior_job(PriorConfig(8, 16, T, 16, 2, 2), *asked)
        unet = UNetConfig(32, 0, 4, (8, 16), 1, (4,), 8, 4, context=8)
        text = TextConfig(V + 1 + T, V + 1, T, 16, 1, 2)
        return recipes_2.decoder_job(DecoderConfig(unet, text, 8), *asked)
    if name in ("vqgan", "mini"):
        mini = mini_speck(V, T, 32, evenness=0.01)  # more would magnify the rounding of distances
        if name == "vqgan":
            return recipes_mini.vqgan_job(mini.vqgan, CONFIG, "scenes", 3)
        torch.manual_seed(1)
        codes = VQGAN(mini.vqgan).requires_grad_(False)
        return recipes_mini.mini_job(mini.mini, CONFIG, "scenes", 3, bpe, codes)
    sizes = DALLEConfig(V, T, 16, 8, width=16, depth=2, heads=2, kernel=3)
    return recipes.dalle_job(sizes, CONFIG, "scenes", 3, bpe, dvae, 0.1, meta)


def six_steps(runtime, job, muon=False):
    """Loss, gradient norm and a sum over the averaged weights, after each of six steps."""
    config = replace(CONFIG, muon=muon)
    if job.name == "clip":  # whose steps magnify rounding more
        config = replace(config, batch_size=8, eps=1e-2)
    state, seen, norms, clip = State(job, config, runtime), [], [], runtime.clip_grad
    runtime.clip_grad = lambda *args: norms.append(clip(*args)) or norms[-1]
    for _ in range(CONFIG.steps):
        take_step(job, config, state)
        total = sum(
            float(t.double().abs().sum()) for t in runtime.full_state_dict(state.ema).values()
        )
        seen.append((float(state.sums["loss"]), float(norms[-1]), total))
        state.sums = {}
    return seen


def distributed(name, share="fsdp", recompute=False, bf16=False, **how):
    tune = partial(tune_blocks, recompute=recompute, bf16=bf16)
    return Distributed(MODELS[name].block, share, bf16=bf16, tune=tune, **how)


def single(recompute=False, bf16=False, **how):
    return SingleProcess(tune=partial(tune_blocks, recompute=recompute, bf16=bf16), **how)


def in_processes(name, how, bpe, dvae, muon=False):
    runtime = distributed(name, **how)
    meta = name == "dalle" and how["share"] != "ddp"
    seen = six_steps(runtime, job_of(name, bpe, dvae, meta=meta), muon)
    runtime.close()
    return seen


WAYS = {
    "ddp 2": (2, dict(share="ddp")),
    "fsdp 2": (2, dict(share="fsdp")),
    "fsdp 4, recomputed": (4, dict(share="fsdp", recompute=True)),
    "hsdp 2 × 2": (4, dict(share="hsdp", shard_size=2)),
    "fsdp 2, 2 parts": (2, dict(share="fsdp", grad_accum_steps=2)),
    "ddp 2, 2 parts": (2, dict(share="ddp", grad_accum_steps=2)),
    "hsdp 2 × 2, 3 parts": (4, dict(share="hsdp", shard_size=2, grad_accum_steps=3)),
}


@pytest.mark.parametrize("name", ["dvae", "clip", "dalle"])
def test_many_processes_compute_what_one_does(name, bpe, dvae):
    alone = np.array(six_steps(single(), job_of(name, bpe, dvae)))
    if name == "dalle":
        assert np.array(
            six_steps(single(grad_accum_steps=4, recompute=True), job_of(name, bpe, dvae))
        ) == pytest.approx(alone, rel=1e-5)
    for way, (size, how) in WAYS.items():
        if name != "dalle" and ("grad_accum_steps" in how or "recompute" in how):
            continue
        seen = np.array(together(size, in_processes, name, how, bpe, dvae)[0])
        assert seen == pytest.approx(alone, rel=1e-5), way


@pytest.mark.parametrize("name", ["prior", "decoder", "vqgan", "mini"])
def test_the_others_in_two_processes(name, bpe, dvae, monkeypatch):
    monkeypatch.setattr(recipes_2, "FITTED", 64)
    alone = np.array(six_steps(single(), job_of(name, bpe, dvae)))
    for share in ("ddp", "fsdp"):
        seen = together(2, in_processes, name, {"share": share}, bpe, dvae)[0]
        assert np.array(seen) == pytest.approx(alone, rel=1e-5), share


@pytest.mark.parametrize("name", ["dalle", "decoder"])
def test_muon_in_shards(name, bpe, dvae, monkeypatch):
    """Its iteration in float32: bfloat16 would round sums of another order to other numbers."""
    monkeypatch.setattr(recipes_2, "FITTED", 64)
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.float)
    alone = np.array(six_steps(single(), job_of(name, bpe, dvae), muon=True))
    seen = together(2, in_processes, name, {"share": "fsdp"}, bpe, dvae, True)[0]
    assert np.array(seen) == pytest.approx(alone, rel=1e-5)


def three_steps(runtime, job):
    state = State(job, CONFIG, runtime)
    for _ in range(3):
        take_step(job, CONFIG, state)
    return float(state.sums["loss"]), {parameter.dtype for parameter in state.model.parameters()}


def low_precision(share, bpe, dvae):
    runtime = distributed("dalle", share, bf16=True)
    found = three_steps(runtime, job_of("dalle", bpe, dvae, meta=share != "ddp"))
    runtime.close()
    return found


def test_bfloat16_is_near_and_what_is_kept_stays_float32(bpe, dvae):
    (wanted, _), (low, _) = [
        three_steps(single(bf16=bf16), job_of("dalle", bpe, dvae)) for bf16 in (False, True)
    ]
    assert 0 < abs(low - wanted) < 0.01 * wanted
    for share in ("ddp", "fsdp"):
        loss, kinds = together(2, low_precision, share, bpe, dvae)[0]
        assert loss == pytest.approx(wanted, rel=0.01) and kinds == {torch.float32}


# ---- checkpoints ------------------------------------------------------------------------


def run(out, resume, stop_at, bpe, dvae, share="fsdp", save_every=60, name="dalle", keep=2):
    """Train to the end, or to a Ctrl-C in rank 0; the losses on the way."""
    runtime = distributed(name, share, keep=keep)
    job = job_of(name, bpe, dvae, meta=name == "dalle" and share != "ddp")
    fast_attention(job.model)
    if stop_at is not None and runtime.rank == 0:
        load = job.load

        def interrupted(step, part):
            if step == stop_at:
                os.kill(os.getpid(), 2)
            return load(step, part)

        job = replace(job, load=interrupted)
    losses, next_row = [], training.next_row
    training.next_row = lambda state, *rest: (
        losses.append(float(state.sums["loss"])),
        next_row(state, *rest),
    )[1]
    try:
        config = replace(CONFIG, batch_size=8) if name == "clip" else CONFIG  # as in `job_of`
        train(job, config, out, resume, save_every, log_every=1, runtime=runtime, seed=0)
    except KeyboardInterrupt:
        assert stop_at is not None
    runtime.close()
    return losses


def test_two_then_one_then_three(tmp_path, bpe, dvae):
    """Stopped and resumed on another number of processes; on the same number, bit for bit."""
    whole = together(2, run, tmp_path / "whole", False, None, bpe, dvae)[0]
    same = together(2, run, tmp_path / "same", False, 1, bpe, dvae)[0]
    assert not (tmp_path / "same" / "dalle.safetensors").exists()
    same += together(2, run, tmp_path / "same", True, None, bpe, dvae)[0]
    assert same == whole and len(whole) == CONFIG.steps
    one, other = (
        weights.read_tensors(tmp_path / d / "dalle.safetensors")[0] for d in ("whole", "same")
    )
    assert all(one[name].equal(other[name]) for name in one)

    others = together(2, run, tmp_path / "other", False, 1, bpe, dvae)[0]
    others += together(1, run, tmp_path / "other", True, 3, bpe, dvae)[0]
    others += together(3, run, tmp_path / "other", True, None, bpe, dvae)[0]
    assert others == pytest.approx(whole, abs=1e-6)
    weights.load(tmp_path / "other" / "dalle.safetensors", DALLE)  # one file, as `draw` wants it


@pytest.mark.parametrize("share", ["ddp", "fsdp", "hsdp"])
@pytest.mark.parametrize("name", ["dvae", "clip", "dalle", "prior", "decoder", "vqgan", "mini"])
def test_every_model_is_saved_and_resumed_in_every_share(
    tmp_path, name, share, bpe, dvae, monkeypatch
):
    monkeypatch.setattr(recipes_2, "FITTED", 64)
    more = bpe, dvae, share, 60, name
    whole = together(2, run, tmp_path / "whole", False, None, *more)[0]
    same = together(2, run, tmp_path / "same", False, 1, *more)[0]
    same += together(2, run, tmp_path / "same", True, None, *more)[0]
    assert same == whole
    one, other = (
        weights.read_tensors(tmp_path / d / f"{name}.safetensors")[0] for d in ("whole", "same")
    )
    assert all(one[part].equal(other[part]) for part in one)


def test_what_was_just_saved_is_kept_whatever_lies_beside_it(tmp_path, bpe, dvae):
    """Torn folders of later steps, as kills leave them, are swept; so are folders half made."""
    place = tmp_path / "dalle.checkpoint"
    for step in (7, 8, 9):
        (place / f"step-{step:09}").mkdir(parents=True)
    for step in (1, 2):
        (place / f".step-00000000{step}.0.part").mkdir()
    together(2, run, tmp_path, False, 1, bpe, dvae, "fsdp", 60, "dalle", 1)
    assert sorted(path.name for path in place.iterdir()) == ["latest", "step-000000002"]
    assert (place / "latest").read_text() == "step-000000002"
    together(2, run, tmp_path, True, None, bpe, dvae)


def test_a_latest_without_end_is_not_read_to_it(tmp_path):
    for name in ("step-000000001", "step-000000002"):
        (tmp_path / name).mkdir()
    (tmp_path / "latest").symlink_to("/dev/zero")
    assert [folder.name[-1] for folder in folders_in(tmp_path)] == ["2", "1"]


def test_an_incomplete_checkpoint_is_skipped(tmp_path, bpe, dvae, capfd):
    together(2, run, tmp_path, False, 3, bpe, dvae, "fsdp", -1)  # a checkpoint after every step
    place = tmp_path / "dalle.checkpoint"
    older, newest = sorted(place.glob("step-*"))  # two are kept
    assert (place / "latest").read_text() == newest.name == "step-000000004"
    file = next(newest.glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:-100])
    assert next(whole_checkpoints(place))[0] == older
    said = capfd.readouterr().err
    assert f"{newest.name} is incomplete" in said and said.endswith(f": using {older.name}\n")
    together(2, run, tmp_path, True, None, bpe, dvae)
    assert (tmp_path / "dalle.safetensors").exists()


def resumable(out):
    runtime = distributed("dalle")
    try:
        return runtime.checkpoint(out / "dalle.checkpoint").exists()
    finally:
        runtime.close()


def test_a_checkpoint_that_cannot_be_used_is_one_sentence(tmp_path, bpe, dvae, capfd):
    together(2, run, tmp_path, False, 1, bpe, dvae)
    (folder,) = (tmp_path / "dalle.checkpoint").glob("step-*")
    file = next(folder.glob("*.safetensors"))
    content = file.read_bytes()
    file.write_bytes(content.replace(b"dtype", b"d\xffype"))
    assert together(2, resumable, tmp_path) == [True, True]
    with pytest.raises(ValueError, match=f"{file} is damaged .*invalid UTF-8"):
        together(2, run, tmp_path, True, None, bpe, dvae)
    file.write_bytes(content.replace(b"ema.", b"emb.", 1))  # in the list of shards, or of tensors
    with pytest.raises(ValueError, match="belongs to a model of another size, or is damaged"):
        together(2, run, tmp_path, True, None, bpe, dvae)
    file.write_bytes(content[:-1])
    with pytest.raises(ValueError, match=r"is truncated\), and there is no other: --overwrite"):
        together(2, resumable, tmp_path)
    assert "Traceback" not in capfd.readouterr().err


def on_a_full_disk(out, bpe, dvae):
    """A run whose files may be no larger than a checkpoint's header."""
    runtime = distributed("dalle")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    train(job_of("dalle", bpe, dvae, meta=True), CONFIG, out, runtime=runtime, seed=0)


def test_a_full_disk_is_one_sentence_and_the_last_checkpoint_is_whole(tmp_path, bpe, dvae):
    together(2, run, tmp_path, False, 2, bpe, dvae)
    place = tmp_path / "dalle.checkpoint"
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    with pytest.raises(OSError, match="step-000000006 cannot be written .*File too large") as error:
        together(2, on_a_full_disk, tmp_path, bpe, dvae)
    assert "\n" not in str(error.value)
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before
    together(2, run, tmp_path, True, None, bpe, dvae)


# ---- errors -----------------------------------------------------------------------------


def make_runtime(how):
    distributed("dalle", **how).close()


@pytest.mark.parametrize(
    "size, how, message",
    [
        (3, dict(share="hsdp", shard_size=2), "3 processes cannot be split into groups of 2"),
        (2, dict(share="fsdp", powersgd=2), "compresses the gradients of --share ddp, not of fsdp"),
    ],
)
def test_what_does_not_fit_is_one_sentence_in_every_process(size, how, message):
    with pytest.raises(ValueError, match=message) as error:
        together(size, make_runtime, how)
    assert "\n" not in str(error.value)


def share_unevenly(bpe, dvae, out):
    train(job_of("dalle", bpe, dvae), CONFIG, out, runtime=distributed("dalle"))


def test_a_batch_that_cannot_be_shared_evenly(bpe, dvae, tmp_path):
    with pytest.raises(ValueError, match="a batch of 12 cannot be shared evenly by 5 processes"):
        together(5, share_unevenly, bpe, dvae, tmp_path)


def test_processes_that_are_missing(monkeypatch, capfd, tmp_path):
    for name, value in dict(
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(free_port()),
        WORLD_SIZE="2",
        RANK="1",
        LOCAL_RANK="1",
    ).items():
        monkeypatch.setenv(name, value)
    words = ["train", "dalle", "--data", "scenes", "--out", str(tmp_path), "--wait", "0.02"]
    begin = time.monotonic()
    assert main(words) == 2 and time.monotonic() - begin < 60
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("minidalle: ")]
    assert len(said) == 1 and "the 2 processes did not meet at 127.0.0.1:" in said[0]


def with_powersgd(rank, bpe, dvae):
    runtime = distributed("dalle", "ddp", powersgd=rank)
    job = job_of("dalle", bpe, dvae)
    seen, share = six_steps(runtime, job), runtime.compression()
    runtime.close()
    return seen, share


def test_powersgd_sends_less_and_learns_nearly_the_same(bpe, dvae):
    exact = np.array(six_steps(single(), job_of("dalle", bpe, dvae)))[:, 0]
    seen, share = together(2, with_powersgd, 1, bpe, dvae)[0]
    assert np.array(seen)[:, 0] == pytest.approx(exact, abs=0.1)
    assert 0 < share < 0.6
