"""The plan against what torch counts: built models, their masks, FlopCounterMode, FSDPMemTracker.

No test computes with numbers: tensors are on the meta device or fake, and so are the processes.
"""

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
from torch.utils.flop_counter import FlopCounterMode

from minidalle.__main__ import main
from minidalle.config import PRESETS, DALLEConfig
from minidalle.masks import layer_kinds, layer_masks
from minidalle.scale.attention import attend
from minidalle.scale.blocks import tune_blocks
from minidalle.scale.plan import (
    GPUS,
    Layout,
    forward_flops,
    hardware_flops,
    memory,
    numbers,
    pairs,
    parameters,
    plan,  # fmt: skip
    shapes,
    smallest,
)
from minidalle.scale.runtime import Distributed
from minidalle.scale.sharding import shard
from minidalle.transformer import DALLE, Block


def built(config):
    with torch.device("meta"):
        return DALLE(config)


def apart(work, *args):
    """What work(*args) returns in a process of its own, which ends with its process group."""
    fork = multiprocessing.get_context("fork")
    here, there = fork.Pipe(duplex=False)
    process = fork.Process(target=lambda: there.send(work(*args)), daemon=True)
    process.start()
    there.close()
    result = here.recv()  # EOFError if it failed
    process.join()
    return result


def fake_group(size):
    """The mesh of a process group of which only rank 0 is there, and nothing is sent."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", rank=0, world_size=size, store=FakeStore())
    return dist.device_mesh.init_device_mesh("cpu", (size,))


# ---- parameters -------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
def test_parameters_are_those_of_the_built_model(preset):
    config = PRESETS[preset].dalle
    model = built(config)
    assert parameters(config) == sum(p.numel() for p in model.parameters())
    assert numbers(shapes(config)["block"]) + numbers(shapes(config)["norms"]) == sum(
        p.numel() for p in model.blocks[0].parameters()
    )


def test_facts_of_the_paper():
    config = PRESETS["paper"].dalle
    assert parameters(config) == pytest.approx(12.29e9, rel=1e-3)
    assert 94e12 < 3 * forward_flops(config) < 96e12
    assert 3 * forward_flops(config) * 430_000 * 1024 == pytest.approx(4.15e22, rel=2e-3)
    need = memory(config, Layout())
    assert sum(need[name] for name in ("weights", "gradients", "optimiser")) == pytest.approx(
        197e9, rel=2e-3
    )


def shard_of_rank_0(config, size):
    model, mesh = built(config), fake_group(size)
    shard(model, mesh, Block, bf16=True)
    return sum(p.to_local().numel() for p in model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("size", [8, 1024])
def test_the_papers_shards(size):
    config = PRESETS["paper"].dalle
    assert memory(config, Layout(size))["weights"] == 4 * apart(shard_of_rank_0, config, size)


# ---- FLOPs ------------------------------------------------------------------------------


@pytest.mark.parametrize("grid, kernel, text_len", [(4, 3, 2), (3, 7, 5), (8, 5, 32), (2, 1, 1)])
def test_pairs_are_those_of_the_masks(grid, kernel, text_len):
    for attention in ("sparse", "dense"):
        config = DALLEConfig(
            text_len=text_len, grid=grid, kernel=kernel, depth=5, attention=attention
        )
        assert pairs(config) == [int(mask.sum()) for mask in layer_masks(config)]


def test_pairs_of_the_paper():
    config = PRESETS["paper"].dalle
    assert pairs(config) == [int(mask.sum()) for mask in layer_masks(config)]
    assert set(layer_kinds(config)) == {"row", "column", "convolutional"}


@pytest.mark.parametrize("recompute", [False, True])
def test_flops_are_those_torch_counts(recompute):
    config = DALLEConfig(300, 16, 64, 4, width=128, depth=3, heads=4, kernel=3)
    every = [32 * 32] * 3
    model = built(config)
    tune_blocks(model, recompute=recompute)
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        loss, _ = model(torch.zeros(1, 16, dtype=torch.long), torch.zeros(1, 16, dtype=torch.long))
        forward = counter.get_total_flops()
        loss.backward()
    assert forward == forward_flops(config, every)
    assert counter.get_total_flops() == hardware_flops(config, recompute)
    assert forward_flops(config) < 0.99 * forward


# ---- bytes ------------------------------------------------------------------------------

FEW_WORDS = DALLEConfig(1024, 64, 512, 16, width=1024, depth=2, heads=16, kernel=7)
MANY_WORDS = replace(FEW_WORDS, vocab_size=16384, codebook_size=8192, width=256, heads=4)
CASES = [
    (FEW_WORDS, Layout(8, images=1)),  # the worst moment: gradients of the last block are sent
    (FEW_WORDS, Layout(8, images=8)),  # the last block's backward pass
    (FEW_WORDS, Layout(8, images=8, recompute=True)),  # that of the block before
    (MANY_WORDS, Layout(8, images=8)),  # the losses
    (replace(MANY_WORDS, width=1024), Layout(8, images=1)),  # the embeddings' gradients
    (FEW_WORDS, Layout(1, images=1)),
    (FEW_WORDS, Layout(1, images=8, recompute=True)),
]


def peak(mesh, config, layout):
    """The most bytes in two parts of a step and the optimiser's step, after a first step."""
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.distributed._tools.fsdp2_mem_tracker import FSDPMemTracker
    from torch.distributed._tools.mem_tracker import MemTracker

    model, split = built(config), layout.gpus > 1
    with FakeTensorMode(allow_non_fake_inputs=True):
        if split:
            shard(model, mesh, Block, bf16=True)
        model.to_empty(device="cpu")
        model.make_masks()
        model.attends = [attend] * config.depth  # all scores, as on a GPU
        tune_blocks(model, bf16=True, recompute=layout.recompute)
        text = torch.zeros(layout.images, config.text_len, dtype=torch.long)
        image = torch.zeros(layout.images, config.image_len, dtype=torch.long)
        optimizer = torch.optim.AdamW(model.parameters(), foreach=False)
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        optimizer.zero_grad()
        tracker = FSDPMemTracker(model, optimizer) if split else MemTracker()
        tracker.track_external(model, optimizer)
        with tracker:
            for last in (False, True):
                with Distributed.accumulate(
                    SimpleNamespace(mesh=mesh if split else None), model, last
                ):
                    model(text, image)[0].backward()
                tracker.reset_mod_stats()
            optimizer.step()
    (device,) = tracker.get_tracker_snapshot("peak").values()
    return device["Total"]


def peaks():
    mesh = fake_group(8)
    return [peak(mesh, *case) for case in CASES]


@pytest.mark.slow
def test_memory_is_what_torch_tracks():
    for case, tracked in zip(CASES, apart(peaks)):
        need = memory(*case)
        not_tracked = need["average"] + need["masks"] / 2
        assert sum(need.values()) - not_tracked == pytest.approx(tracked, rel=0.02), case


def test_ddp_shares_nothing_and_hsdp_in_a_machine():
    config = PRESETS["small"].dalle
    alone, ddp = memory(config, Layout()), memory(config, Layout(16, "ddp"))
    assert ddp["in flight"] - alone["in flight"] == ddp["gradients"] == 4 * parameters(config)
    assert memory(config, Layout(16, "hsdp")) == memory(config, Layout(8))
    assert memory(config, Layout(16, "hsdp", shard_size=2)) == memory(config, Layout(2))


# ---- the plan ---------------------------------------------------------------------------


def value(rows, name):
    return next(value for what, value, _, _ in rows if what == name)


def test_days():
    rows = plan(PRESETS["paper"], "h100", Layout(64, recompute=True), mfu=0.5)
    assert 960 < value(rows, "GPU-days") < 980 and value(rows, "days") * 64 == value(
        rows, "GPU-days"
    )
    assert value(rows, "images at a time") == 16
    assert value(rows, "executed") / value(rows, "forward") == pytest.approx(3.8, abs=0.1)
    assert {source for *_, source in rows} == {"given", "published", "computed"}


def test_the_fewest_gpus_fit_and_half_of_them_do_not():
    for layout in (Layout(), Layout(recompute=True), Layout(8, "hsdp", recompute=True)):
        few = smallest(PRESETS["paper"].dalle, 1024, GPUS["a100-40"], layout)
        plan(PRESETS["paper"], "a100-40", replace(layout, gpus=few))
        with pytest.raises(ValueError, match="more than it has"):
            plan(PRESETS["paper"], "a100-40", replace(layout, gpus=few // 2))


@pytest.mark.parametrize("preset", PRESETS)
def test_table(preset, capsys):
    assert main(["plan", "--preset", preset, "--gpus", "8"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} == {"given", "published", "computed"}
    assert main(["plan", "--preset", preset, "--gpus", "8", "--json"]) == 0
    assert [
        row["what"] in line
        for row, line in zip(json.loads(capsys.readouterr().out), lines, strict=True)
    ]


@pytest.mark.parametrize("options, words", [
    ("--gpus 0", "1 GPU"),
    ("--gpus 7", "cannot be shared evenly by 7"),
    ("--gpus 64 --image-batch 5", "5 images at a time"),
    ("--gpu abacus", "choose from h100, h200"),
    ("--preset huge", "choose from tiny"),
    ("--mfu 40", "not 40"),
    ("--gpus 16 --share hsdp --shard-size 3", "groups of 3"),
    ("--gpus 1", "it fits with --gpus 4"),
    ("--gpus 64 --image-batch 16", "it fits with --recompute or --image-batch 4"),
    ("--gpus 16 --share ddp", "it fits with --share fsdp"),
    ("--gpus 2 --share ddp", "it fits with --share fsdp --recompute --image-batch 1 --gpus 4"),
])  # fmt: skip
def test_refusals(options, words, capsys):
    assert main(["plan", "--preset", "paper", *options.split()]) == 2
    printed = capsys.readouterr()
    assert not printed.out and len(printed.err.splitlines()) == 1 and words in printed.err


def test_what_is_advised_is_enough():
    paper = PRESETS["paper"]
    plan(paper, "h100", Layout(4))
    plan(paper, "h100", Layout(64), images=4)
    plan(paper, "h100", Layout(64, recompute=True), images=16)
    plan(paper, "h100", Layout(16))


def test_the_docs_show_what_the_command_prints(capsys):
    assert main(["plan", "--gpus", "8", "--recompute"]) == 0
    printed = "".join(f"    {line}\n" for line in capsys.readouterr().out.splitlines())
    assert printed in (Path(__file__).parents[1] / "docs" / "scale.md").read_text("utf-8")
