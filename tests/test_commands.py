"""What people type: the sheet comes out, and bad input ends in one sentence with nothing lost.

All models here have random weights and a few thousand parameters.
"""

import json
import math
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
import types
from collections import Counter
from pathlib import Path
from random import Random

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from toys import damaged_bytes, edited, speck

from minidalle import DATA, config, pipeline, plots, rates, training, weights
from minidalle.__main__ import main
from minidalle.bpe import BPE
from minidalle.commands import valid
from minidalle.commands_evaluate import table
from minidalle.datasets.identity import identity
from minidalle.files import only_one
from minidalle.models import MODELS
from minidalle.scale import launch

T = 16
CAPTION = "a red star"
FEW = ("--candidates", "3", "--keep", "2")


@pytest.fixture(autouse=True)
def speck_preset(monkeypatch):
    monkeypatch.setitem(config.PRESETS, "speck", speck(300))


@pytest.fixture
def refused(capsys):
    """Run a command that must fail: one line on stderr, which is returned without its head."""

    def run(*argv, code=2) -> str:
        assert main([str(word) for word in argv]) == code
        out, err = capsys.readouterr()
        assert err.startswith("minidalle: ") and err.count("\n") == 1 and err.endswith("\n"), err
        assert "Traceback" not in err and "rank" not in out
        return err.removeprefix("minidalle: ")

    return run


def draw(folder: Path, out: Path, *more: str, caption: str = CAPTION) -> int:
    return main(["draw", "--weights", str(folder), "--out", str(out), *FEW, *more, "--", caption])


# ---- draw -------------------------------------------------------------------------------


@pytest.fixture
def picture(tmp_path):
    Image.new("RGB", (20, 10), "red").save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


@pytest.mark.parametrize("part", [(), ("--keep-rows", "1"), ("--box", "1", "1")])
def test_part_of_a_picture_is_drawn(shipped, tmp_path, picture, part):
    assert draw(shipped, tmp_path / "sheet.png", "--image", str(picture), *part) == 0


def test_bad_parts_of_a_picture(shipped, tmp_path, picture, refused):
    command = "draw", CAPTION, "--weights", shipped, "--out", tmp_path / "sheet.png"
    assert "name a picture" in refused(*command, "--keep-rows", 1)
    assert "begin inside the" in refused(*command, "--image", picture, "--box", 99, 0)
    assert "missing.png" in refused(*command, "--image", tmp_path / "missing.png")


def test_draw(shipped, tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    assert draw(shipped, sheet) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("tokens") and "'a'" in printed[0]
    assert printed[1].split() == ["sheet", str(sheet)]
    rows = [line.split() for line in printed[3:5]]
    assert [row[0] for row in rows] == ["1", "2"] and {row[1] for row in rows} < {"0", "1", "2"}
    assert float(rows[0][2]) >= float(rows[1][2])
    for stage in ("load", "sampling", "decode", "rerank", "models"):
        assert stage in printed[-1]
    with Image.open(sheet) as image:
        assert image.width == 2 * (4 * 16 + plots.GAP) + plots.GAP
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]


def test_the_same_seed_draws_the_same_sheet(shipped, tmp_path):
    sheets = [tmp_path / f"{i}.png" for i in range(3)]
    for sheet, seed in zip(sheets, "110"):
        assert draw(shipped, sheet, "--seed", seed) == 0
    first, second, other = [sheet.read_bytes() for sheet in sheets]
    assert first == second != other


def test_default_sheet(shipped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["draw", CAPTION, "--weights", str(shipped), *FEW]) == 0
    assert Path("sheet.png").is_file()


def test_every_option(shipped, tmp_path):
    options = "--temperature 0.5 --top-k 3 --top-p 0.9 --guidance 1".split()
    assert draw(shipped, tmp_path / "sheet.jpg", *options) == 0


UNUSUAL = ["🐙", "\x1b[31m a\tred\x07star", "--help", "é\n漢字", "«»" * 3]


@pytest.mark.parametrize("caption", UNUSUAL)
def test_unusual_captions(shipped, tmp_path, capsys, caption):
    assert draw(shipped, tmp_path / "sheet.png", "--truncate", caption=caption) == 0
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("caption", ["", "  ", "\n\t"])
def test_empty_caption(shipped, tmp_path, refused, caption):
    said = refused("draw", "--weights", shipped, "--out", tmp_path / "sheet.png", caption)
    assert "empty" in said and not list(tmp_path.iterdir())


def test_long_caption(shipped, tmp_path, refused):
    long, count = "q " * 30, 59  # "q", and 29 times a space and a q, no merge for which exists
    said = refused("draw", "--weights", shipped, "--out", tmp_path / "sheet.png", long)
    assert f"{count} tokens" in said and f"limit is {T - 1}" in said and "--truncate" in said
    assert not list(tmp_path.iterdir())
    assert draw(shipped, tmp_path / "sheet.png", "--truncate", caption=long) == 0


@pytest.mark.parametrize("options, words", [
    ("--keep 4 --candidates 3", "3 candidates"),
    ("--keep 0", "not 0"),
    ("--candidates 0", "not 0"),
    ("--candidates many", "--candidates"),
    ("--seed -1", "--seed"),
    ("--seed 99999999999999999999", "--seed"),
    ("--temperature -1", "temperature"),
    ("--temperature nan", "temperature"),
    ("--top-k 0", "top-k"),
    ("--top-p 1.5", "top-p"),
    ("--guidance nan", "guidance"),
    ("--guidance 1e39", "guidance"),
    ("--colour blue", "--colour"),
])  # fmt: skip
def test_bad_numbers(shipped, tmp_path, refused, options, words):
    out = tmp_path / "sheet.png"
    said = refused("draw", CAPTION, "--weights", shipped, "--out", out, *options.split())
    assert words in said and not out.exists()


def test_no_command(refused):
    assert "required" in refused()
    assert "paint" in refused("paint", CAPTION)


def test_unknown_preset(refused, tmp_path):
    new = tmp_path / "new"
    for words in (["draw", CAPTION], ["train", "bpe", "--data", "emoji", "--out", new]):
        said = refused(*words, "--preset", "huge")
        assert "'huge'" in said and "tiny" in said
    assert not list(tmp_path.iterdir())


# ---- where the sheet goes ---------------------------------------------------------------


@pytest.mark.parametrize("name, words", [
    ("nowhere/sheet.png", "no folder"), (".", "is a folder"), ("file/sheet.png", "no folder"),
    ("sheet", "does not end like"), ("sheet.txt", "does not end like"), ("a.h5", "does not end"),
])  # fmt: skip
def test_unwritable_sheet(shipped, tmp_path, refused, monkeypatch, name, words):
    (tmp_path / "file").write_text("kept")
    monkeypatch.setattr(pipeline, "draw", None)  # it is not even begun
    assert words in refused("draw", CAPTION, "--weights", shipped, "--out", tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# ---- weights ----------------------------------------------------------------------------

PARTS = ["bpe.json", "dvae.safetensors", "dalle.safetensors", "clip.safetensors"]


@pytest.mark.parametrize("name", PARTS)
def test_missing_weights(copy, refused, name):
    (copy / name).unlink()
    assert name in refused("draw", CAPTION, "--weights", copy, "--out", copy / "sheet.png")
    assert not (copy / "sheet.png").exists()


@pytest.mark.parametrize("name", PARTS)
def test_truncated_weights(copy, refused, name):
    whole = (copy / name).read_bytes()
    for length in (0, 4, len(whole) // 2, len(whole) - 3):
        (copy / name).write_bytes(whole[:length])
        assert name in refused("draw", CAPTION, "--weights", copy, "--out", copy / "sheet.png")


class Trap:
    """Runs code when it is unpickled."""

    def __init__(self, sprung: Path):
        self.sprung = sprung

    def __reduce__(self):
        return Path.touch, (self.sprung,)


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("write", [pickle.dump, torch.save])
def test_a_weight_file_runs_no_code(copy, tmp_path, refused, name, write):
    sprung = tmp_path / "sprung"
    with open(copy / name, "wb") as file:
        write(Trap(sprung), file)
    assert name in refused("draw", CAPTION, "--weights", copy, "--out", copy / "sheet.png")
    assert not sprung.exists()
    if write is pickle.dump:  # the trap works
        pickle.loads((copy / name).read_bytes())
        assert sprung.exists()


def test_foreign_weights(copy, refused):
    from safetensors.torch import save_file

    dvae = copy / "dvae.safetensors"
    save_file({"weight": torch.zeros(2)}, dvae)
    assert "minidalle did not write it" in refused("draw", CAPTION, "--weights", copy)
    shutil.copy(copy / "clip.safetensors", dvae)
    assert "holds a CLIP" in refused("draw", CAPTION, "--weights", copy)


def test_weights_that_do_not_belong_together(copy, refused):
    BPE([]).save(copy / "bpe.json")
    said = refused("draw", CAPTION, "--weights", copy, "--out", copy / "sheet.png")
    assert "do not belong together" in said


def test_no_such_weights(tmp_path, refused):
    assert "no folder" in refused("draw", CAPTION, "--weights", tmp_path / "none")
    assert "not allowed with" in refused(
        "draw", CAPTION, "--weights", tmp_path, "--preset", "speck"
    )


# ---- caption ----------------------------------------------------------------------------


def test_captions_of_a_picture(shipped, picture, tmp_path, capsys, refused):
    among = tmp_path / "captions.txt"
    among.write_text("a red star\n\na blue circle\ntwo green squares\n")
    command = ["caption", str(picture), "--weights", str(shipped), "--keep", "2"]
    assert main([*command, "--among", str(among)]) == 0
    lines = capsys.readouterr().out.splitlines()
    scores = [float(line.split()[0]) for line in lines]
    assert len(lines) == 2 and scores == sorted(scores, reverse=True)
    assert {line.split("  ")[1] for line in lines} < {*among.read_text().split("\n")}
    among.write_text("\n")
    assert "no captions" in refused(*command, "--among", among)
    assert "is too large: more than" in refused(*command, "--among", "/dev/zero")


# ---- train ------------------------------------------------------------------------------


def train(model: str, data: str, out: Path, *more: str) -> int:
    return main(["train", model, "--preset", "speck", "--data", data, "--out", str(out), *more])


def test_train_all_four_then_draw(photos, tmp_path, capsys):
    out = tmp_path / "runs" / "photos"
    assert train("bpe", photos, out) == 0
    assert "tokens, from 12 captions" in capsys.readouterr().out
    for model in ("dvae", "clip", "dalle"):
        assert train(model, photos, out, "--steps", "3", "--seed", "7") == 0
        assert capsys.readouterr().out.splitlines()[-1] == str(out / f"{model}.safetensors")
    _, about = weights.read_tensors(out / "dalle.safetensors")
    assert about["steps"] == 3 and about["seed"] == 7 and "torch" in about["machine"]
    assert about["command"].startswith("minidalle train dalle --preset speck --data photos")
    assert str(tmp_path) not in json.dumps(about)
    assert not list(out.glob("*.part"))
    assert draw(out, tmp_path / "sheet.png") == 0


def test_a_resumed_run_reaches_the_same_weights(photos, tmp_path, capsys, monkeypatch):
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    assert train("dvae", photos, straight, "--steps", "4") == 0
    with monkeypatch.context() as patch:
        one_step = training.take_step

        def interrupted(job, how, state):
            one_step(job, how, state)
            if state.step == 2:
                signal.raise_signal(signal.SIGINT)

        patch.setattr(training, "take_step", interrupted)
        capsys.readouterr()
        assert train("dvae", photos, stopped, "--steps", "4") == 130
    assert (
        capsys.readouterr().err.splitlines()[-1] == "minidalle: stopped; add --resume to continue"
    )
    assert not (stopped / "dvae.safetensors").exists()
    assert train("dvae", photos, stopped, "--steps", "1", "--resume") == 2  # it has done two
    assert train("dvae", photos, stopped, "--resume") == 0
    ours, theirs = [weights.read_tensors(f / "dvae.safetensors")[0] for f in (straight, stopped)]
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_bf16_is_left_out_where_it_is_slow_and_kept_by_a_resumed_run(
    photos, tmp_path, capsys, monkeypatch
):
    for out, speed, kept in ((tmp_path / "slow", 0.7, False), (tmp_path / "fast", 2.5, True)):
        monkeypatch.setattr(launch, "bf16_speed", lambda speed=speed: speed)
        assert train("dvae", photos, out, "--steps", "1", "--bf16") == 0
        said = capsys.readouterr().out
        assert f"{speed} times as fast" in said and ("left out" in said) is not kept
        assert train("dvae", photos, out, "--steps", "2", "--resume") == 0
        about = weights.read_about(out / "dvae.safetensors")
        assert about["bf16"] is kept and about["command"].endswith("--bf16") is kept
        assert "times as fast" not in capsys.readouterr().out


def test_a_training_may_begin_with_trained_weights(photos, tmp_path, refused, capsys):
    first, second = tmp_path / "first", tmp_path / "second"
    assert train("dvae", photos, first, "--steps", "3") == 0
    assert train("dvae", photos, second, "--steps", "1", "--lr", "5e-4", "--start", str(first)) == 0
    begun, gone_on = (weights.read_tensors(f / "dvae.safetensors") for f in (first, second))
    assert gone_on[1]["command"].endswith("--steps 1 --lr 0.0005 --start first")
    moved = [(begun[0][name] - gone_on[0][name]).abs().max() for name in begun[0]]
    assert 0 < max(moved) < 2e-3  # one warm-up step away, and not a random start
    assert train("dvae", photos, second, "--steps", "2", "--resume", "--lr", "2e-3") == 2
    assert "began with --lr 0.0005" in capsys.readouterr().err
    assert train("dvae", photos, second, "--steps", "2", "--resume") == 0
    about = weights.read_about(second / "dvae.safetensors")
    assert about["command"].endswith("--steps 2 --lr 0.0005 --start first")
    capsys.readouterr()
    for folder, words in ((tmp_path, "no weight file"), (DATA / "tiny", "another size")):
        said = refused(
            "train", "dvae", "--preset", "speck", "--data", photos, "--out", tmp_path / "third",
            "--start", folder,
        )  # fmt: skip
        assert words in said


def test_minutes_become_steps(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "steps_in", lambda minutes, job, how, runtime: round(2 * minutes))
    assert train("dvae", photos, tmp_path, "--minutes", "1.5") == 0
    assert weights.read_tensors(tmp_path / "dvae.safetensors")[1]["steps"] == 3
    # The same words and --resume are the same run, though the machine may be faster by now.
    assert train("dvae", photos, tmp_path, "--minutes", "9", "--resume") == 0


def test_a_training_may_be_longer_than_its_preset(photos, tmp_path):
    assert train("dvae", photos, tmp_path, "--steps", "7") == 0  # its preset has five
    assert train("dvae", photos, tmp_path, "--steps", "9", "--resume") == 0


def test_nothing_is_overwritten_unasked(photos, copy, refused, capsys):
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    for model in ("bpe", "dvae", "clip", "dalle"):
        said = refused("train", model, "--data", photos, "--out", copy, "--preset", "speck")
        assert "already exists" in said and "--overwrite" in said
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == before
    assert train("bpe", photos, copy, "--resume") == 0  # it is complete
    assert (copy / "bpe.json").read_bytes() == before["bpe.json"]
    assert train("bpe", photos, copy, "--overwrite") == 0
    assert (copy / "bpe.json").read_bytes() != before["bpe.json"]


def test_the_models_before(photos, tmp_path, refused, capsys):
    out = tmp_path / "out"
    for model in ("clip", "dalle"):
        said = refused("train", model, "--data", photos, "--out", out, "--preset", "speck")
        assert "minidalle train bpe" in said
    assert not out.exists()
    assert train("bpe", photos, out) == 0
    capsys.readouterr()
    for model in ("clip", "dalle"):
        said = refused("train", model, "--data", photos, "--out", out, "--preset", "speck")
        assert "minidalle train dvae" in said


@pytest.mark.parametrize("model", ["bpe", "dvae"])
def test_bad_data(tmp_path, refused, model):
    out, folder = tmp_path / "out", tmp_path / "folder"
    folder.mkdir()
    words = ["train", model, "--preset", "speck", "--out", out, "--data"]
    assert "not a data set" in refused(*words, "photographs")
    assert "holds no picture" in refused(*words, folder)
    (folder / "a.png").write_text("not a picture")
    (folder / "a.txt").write_text("a caption")
    assert "a.png" in refused(*words, folder)
    assert not out.exists()


def test_bad_training_options(photos, tmp_path, refused):
    words = ["train", "dvae", "--preset", "speck", "--data", photos, "--out"]
    assert "--steps" in refused(*words, tmp_path, "--steps", "0")
    assert "--minutes" in refused(*words, tmp_path, "--minutes", "-1")
    assert "not allowed with" in refused(*words, tmp_path, "--minutes", "1", "--steps", "2")
    assert "not allowed with" in refused(*words, tmp_path, "--resume", "--overwrite")
    file = tmp_path / "file"
    file.write_text("kept")
    assert str(file) in refused(*words, file, "--steps", "2") and file.read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


OF_NETWORKS = """
    --start=x --minutes=1 --steps=2 --lr=1 --batch-size=2 --workers=1 --save-every=2 --share=ddp
    --shard-size=1 --powersgd=1 --keep-checkpoints=1 --wait=1 --threads=1 --device=cuda --bf16
    --compile --recompute --grad-accum-steps=2
"""


def test_options_that_would_be_ignored_are_refused(tmp_path, refused):
    bpe = "train", "bpe", "--preset", "speck", "--data", "scenes", "--out", tmp_path / "out"
    for option in OF_NETWORKS.split():
        assert f"leave out {option.split('=')[0]}\n" in refused(*bpe, option)
    for option in "--share=ddp", "--shard-size=1", "--image-batch=1", "--recompute":
        said = refused("plan", "--model", "dalle2", "--preset", "tiny", option)
        assert f"leave out {option.split('=')[0]}\n" in said
    assert "leave out --bf16, --lr\n" in refused(*bpe, "--lr=1", "--bf16", "--seed=1")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["bpe.json", "dvae.safetensors", "dvae.checkpoint.safetensors"])
def test_a_device_is_refused_before_the_first_step(photos, tmp_path, refused, monkeypatch, name):
    monkeypatch.setattr(training, "take_step", None)  # it is not even begun
    monkeypatch.setattr(BPE, "train", None)
    (tmp_path / name).symlink_to(os.devnull)
    words = ["train", name.split(".")[0], "--preset", "speck", "--data", photos, "--out", tmp_path]
    for more in ((), ("--overwrite",), ("--resume",)):
        assert f"{name} is no ordinary file" in refused(*words, *more)


@pytest.mark.slow
def test_a_machine_without_a_compiler(photos, copy, tmp_path, capsys, monkeypatch):
    from torch._inductor import config as inductor

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    monkeypatch.setattr(inductor.cpp, "cxx", (None, "no-such-compiler"))
    assert train("dalle", photos, copy, "--overwrite", "--steps", "1", "--compile") == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "--compile does not work here" in said and "'no-such-compiler'" in said


def test_resuming_before_the_first_checkpoint_begins(photos, tmp_path, capsys):
    out = tmp_path / "out"
    assert train("dvae", photos, out, "--steps", "2", "--resume") == 0
    assert "no checkpoint" in capsys.readouterr().out
    (out / "dvae.checkpoint.safetensors").unlink()
    assert train("dvae", photos, out, "--steps", "2", "--resume") == 2  # it would be overwritten
    assert "to resume, only" in capsys.readouterr().err


@pytest.fixture
def begun(copy, photos):
    """A run of the transformer that was stopped, and the words that resume it."""
    words = ["--preset", "speck", "--data", photos, "--out", copy, "--overwrite", "--steps", "2"]
    assert main(["train", "dalle", *map(str, words)]) == 0
    return lambda *more: ["train", "dalle", "--preset", "speck", "--data", photos, "--out", copy,
                          "--resume", "--steps", "3", *more]  # fmt: skip


def test_another_run_is_not_resumed(begun, photos, copy, tmp_path, refused, capsys):
    """Whatever decides the numbers decides whether it is the same run."""
    words, other = begun(), tmp_path / "other" / Path(photos).name
    checkpoint = copy / "dalle.checkpoint.safetensors"
    shutil.copytree(photos, other)
    (other / ".DS_Store").write_text("what a file manager remembers of a folder")
    assert identity(str(other)) == identity(str(photos))
    picture = sorted(other.glob("*.png"))[0]
    assert "seed 0, not 1" in refused(*words, "--seed", "1")
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    for change in (
        lambda: shutil.copy(picture, picture.with_name("zz.png")),  # a picture without a caption
        lambda: picture.write_bytes(picture.read_bytes()[:-1] + b"!"),  # of the same size
        lambda: picture.with_suffix(".txt").write_text("other words"),
    ):
        change()
        assert "another content of the data" in refused(*begun("--data", other))
        shutil.copytree(photos, other, dirs_exist_ok=True)
        (other / "zz.png").unlink(missing_ok=True)
    assert train("dvae", photos, copy, "--overwrite", "--steps", "1", "--seed", "9") == 0
    capsys.readouterr()
    assert "another run: another dvae" in refused(*words)
    assert {n: (copy / n).read_bytes() for n in before if n.startswith("dalle")} == {
        n: content for n, content in before.items() if n.startswith("dalle")
    }
    assert "another dvae than the one beside it" in refused("draw", "x", "--weights", copy)
    assert checkpoint.exists()


def test_what_only_moves_the_last_digits_is_said(begun, capsys):
    assert main(list(map(str, begun("--grad-accum-steps", "2", "--bf16")))) == 0
    said = capsys.readouterr().out
    assert "parts of a batch 1, not 2" in said and "began without --bf16" in said


def test_two_trainings_in_one_folder(begun, copy, refused):
    lock = copy / "dalle.lock"
    with only_one(lock, "x"):
        said = refused(*begun())
        assert f"is being trained by process {os.getpid()}" in said and lock.exists()
    assert main(list(map(str, begun()))) == 0 and not lock.exists()


def test_a_checkpoint_with_numbers_that_are_not_finite(begun, copy, refused):
    path = copy / "dalle.checkpoint.safetensors"
    tensors, about = weights.read_tensors(path)
    name = next(n for n in tensors if n.startswith("ema.") and tensors[n].ndim)
    tensors[name].view(-1)[0] = float("nan")
    weights.write_tensors(path, tensors, about)
    assert f"{path} is damaged: {name} is not finite" in refused(*begun())


def test_an_edited_checkpoint_is_resumed_or_refused_in_one_sentence(
    begun, copy, capsys, tmp_path, monkeypatch
):
    def accepted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "take_step", accepted)
    path, kept = copy / "dalle.checkpoint.safetensors", tmp_path / "kept"
    shutil.copytree(copy, kept)
    tensors, about = weights.read_tensors(path)
    rng, codes = Random(0), Counter()
    for n in range(150):
        if n % 3 == 0:
            path.write_bytes(damaged_bytes((kept / path.name).read_bytes(), rng))
        else:
            write_header(path, tensors, edited(about, rng))
        capsys.readouterr()
        code = main(list(map(str, begun())))
        codes[code] += 1
        lines = [line for line in capsys.readouterr().err.split("\n") if line and "%|" not in line]
        assert code in (2, 130) and len(lines) == 1 and lines[0].isprintable(), lines
        assert lines[0].startswith("minidalle: ") and (code == 130 or str(path) in lines[0]), lines
        for file in kept.iterdir():
            shutil.copy(file, copy)
    assert codes[2] > 100 and codes[130] > 0, codes


def write_header(path: Path, tensors: dict, header: str) -> None:
    """A file of these tensors whose description is any text."""
    save_file(tensors, path, metadata={"minidalle": header})


def test_foreign_checkpoint(photos, copy, refused):
    words = ["train", "dvae", "--preset", "speck", "--data", photos, "--out", copy, "--resume"]
    checkpoint = copy / "dvae.checkpoint.safetensors"
    shutil.copy(copy / "dvae.safetensors", checkpoint)
    assert "is not a checkpoint of this version of minidalle" in refused(*words)
    checkpoint.write_bytes(b"nothing")
    assert "not a complete weight file" in refused(*words)


def test_a_loss_that_is_not_finite(photos, tmp_path, capsys, monkeypatch):
    def diverge(*_):
        raise FloatingPointError("dvae: the loss of step 1 is not finite")

    monkeypatch.setattr(training, "take_step", diverge)
    assert train("dvae", photos, tmp_path) == 1
    assert (
        capsys.readouterr().err.splitlines()[-1].startswith("minidalle: dvae: the loss of step 1")
    )


def test_what_does_not_fit_is_refused_before_it_is_begun(tmp_path, capsys):
    assert (
        main(["train", "dalle", "--preset", "paper", "--data", "scenes", "--out", str(tmp_path)])
        == 2
    )
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        "GB more than it has: it fits with --share fsdp --recompute --image-batch 1 --gpus" in line
    )


# ---- evaluate, and how it ends ----------------------------------------------------------


@pytest.fixture
def fake_measures(monkeypatch):
    module = types.ModuleType("minidalle.evaluate")

    def measure(models, captions, candidates, seed):
        return {"exact": 0.5, "captions": captions, "seed": seed}

    module.PARTS = {"unseen": measure, "combination": measure}
    module.parts_of = lambda models: list(module.PARTS)
    monkeypatch.setitem(sys.modules, "minidalle.evaluate", module)


def test_evaluate(shipped, fake_measures, capsys, refused):
    words = ["evaluate", "--weights", str(shipped), "--captions", "7"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "unseen\n" in printed and "combination\n" in printed and "torch" in printed
    assert main([*words, "--split", "unseen", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["unseen"] == {"exact": 0.5, "captions": 7, "seed": 0} and "date" in printed
    assert "unseen, combination" in refused(*words, "--split", "seen")


def test_an_evaluation_goes_on_where_it_was_stopped(
    shipped, fake_measures, tmp_path, refused, capsys
):
    file = tmp_path / "figures.json"
    words = ["evaluate", "--weights", str(shipped), "--captions", "7", "--into", str(file)]
    assert main([*words, "--split", "unseen"]) == 0
    found = json.loads(file.read_text())
    file.write_text(json.dumps(found | {"unseen": {"exact": 0.25}}))  # not to be measured again
    assert main(words) == 0
    found = json.loads(file.read_text())
    assert found["unseen"] == {"exact": 0.25} and found["combination"]["exact"] == 0.5
    assert "other seed" in refused(*words, "--seed", "1")
    for odd in ("[]", "[" * 99_999, json.dumps({n: found[n] for n in found if n != "date"})):
        file.write_text(odd)
        assert "no figures" in refused(*words)
    assert "/dev/zero is no ordinary file" in refused(*words[:-1], "/dev/zero")


def test_table():
    assert table({"unseen": {"exact": 0.75, "n": 500}}) == (
        "unseen\n  exact        0.75\n  n             500"
    )
    assert table({"unseen": {"\x1b[2J": "\u202e"}}).split() == ["unseen", "\\x1b[2J", "\\u202e"]


@pytest.mark.slow
def test_help_does_not_import_torch():
    code = "import sys, minidalle.__main__ as m\ntry: m.main(['--help'])\nexcept SystemExit: pass\n"
    code += "sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_of_several_processes_each_ends_at_once():
    code = """if True:
        import atexit
        import minidalle.__main__ as command

        class Held:
            def __del__(self):
                print("taken apart", flush=True)

        held = Held()
        atexit.register(print, "tidied up")
        command.main = lambda: print("run") or 3
        command.process()
    """
    for launched, said in ({}, "taken apart\n"), ({"WORLD_SIZE": "2"}, ""):
        done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True,
                              env=os.environ | launched)  # fmt: skip
        assert (done.returncode, done.stdout) == (3, "run\ntidied up\n" + said)


@pytest.mark.slow
def test_a_closed_pipe(tmp_path):
    (tmp_path / "bpe.json").touch()
    command = [sys.executable, "-m", "minidalle", "train", "bpe", "--data", "emoji", "--resume"]
    process = subprocess.Popen([*command, "--out", str(tmp_path)], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)  # fmt: skip
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait() == 1


# ---- memory -----------------------------------------------------------------------------


@pytest.mark.parametrize("model, fits", [("dvae", True), ("clip", True), ("dalle", False)])
def test_what_does_not_fit_is_refused_with_what_would(
    photos, copy, refused, monkeypatch, model, fits
):
    """Of the same run, with a machine of less and less memory."""
    words = ["train", model, "--preset", "speck", "--data", photos, "--out", copy, "--overwrite"]
    before = {path: path.read_bytes() for path in copy.iterdir()}
    monkeypatch.setattr(launch, "memory_here", lambda device: 1e4)
    said = refused(*words, "--steps", "1")
    assert "million parameters" in said or "GB more than it has" in said
    if fits:
        size = sum(p.numel() for p in weights.load(copy / f"{model}.safetensors",
                                                   MODELS[model].kind).parameters())  # fmt: skip
        monkeypatch.setattr(launch, "memory_here", lambda device: 99 * size)
        said = refused(*words, "--steps", "1", "--batch-size", "4096")
        assert "of the 4096 examples at a time" in said and " would fit, with" in said
    assert {path: path.read_bytes() for path in copy.iterdir()} == before
    monkeypatch.undo()


def test_a_bench_that_does_not_fit(refused, monkeypatch):
    monkeypatch.setattr(launch, "memory_here", lambda device: 1e5)
    assert "this model has more than" in refused("bench", "train")


# ---- words that nobody expects ----------------------------------------------------------

TRAIN = ["train", "dvae", "--data", "scenes", "--out", "out"]
WORDS = [
    ([*TRAIN, "--steps", "1e400"], "'1e400' is no whole number"),
    ([*TRAIN, "--steps", "9" * 400], "--steps: must be from 1 to 2147483647"),
    ([*TRAIN, "--minutes", "1e308"], "--minutes: must be from 1e-12 to 1000000.0"),
    ([*TRAIN, "--wait", "1e300"], "--wait: must be from"),
    ([*TRAIN, "--save-every", "nan"], "--save-every: must be from"),
    ([*TRAIN, "--lr=-inf"], "--lr: must be from"),
    ([*TRAIN, "--seed", "-1"], "--seed: must be from 0 to 4294967295"),
    (["draw", "x", "--keep=--"], "argument --keep: '--' is no value"),
    (["draw", "x", "--seed=--"], "argument --seed: '--' is no value"),
    (["draw", "x", "--candidates", "1" + "0" * 30], "candidates must be from 1 to 100000"),
    (["vary", "a.png", "--eta", "nan"], "--eta: must be from 0 to 1, not nan"),
    (["plan", "--gpus", "x"], "invalid int value"),
    (["bench", "attention", "--threads", "100000"], "--threads: must be from 1 to 1024"),
    (["bench", "attention", "--into", "/dev/zero"], "/dev/zero is no ordinary file"),
]


@pytest.mark.parametrize("words, said", WORDS)
def test_a_number_out_of_reach_is_one_sentence(words, said, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert said in refused(*words)
    assert list(tmp_path.iterdir()) == []


def test_names_that_a_terminal_would_obey_are_escaped(shipped, photos, tmp_path, capsys):
    out = tmp_path / "\x1b[2J"
    assert train("bpe", photos, out) == 0 and train("bpe", photos, out, "--resume") == 0
    assert train("dvae", photos, out, "--steps", "1") == 0
    assert draw(shipped, out / "\u202egnp.png") == 0
    said = capsys.readouterr().out
    assert said.replace("\n", "").isprintable() and said.count("/\\x1b[2J/") == 4


def test_a_loop_of_links(refused, photos, tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    words = ["train", "dvae", "--preset", "speck", "--data", photos, "--steps", "1", "--out"]
    assert str(loop) in refused(*words, loop / "x")
    assert str(loop) in refused(*words, loop)


@pytest.mark.parametrize(
    "name, value",
    [("LOCAL_WORLD_SIZE", "0"), ("WORLD_SIZE", "two"), ("RANK", "2"), ("LOCAL_RANK", "-1")],
)
def test_a_broken_environment(refused, photos, tmp_path, monkeypatch, name, value):
    for known in ("WORLD_SIZE", "RANK", "LOCAL_WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.setenv(known, "1" if "SIZE" in known else "0")
    monkeypatch.setenv(name, value)
    assert "`torchrun` sets" in refused(*TRAIN[:-1], tmp_path / "out")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">/dev/full", "| true", "x 2>/dev/full"])
def test_output_that_has_no_place_to_go(closed):
    line = f"{sys.executable} -m minidalle plan --gpus 4 {closed}; echo ${{PIPESTATUS[0]}} >&3"
    shell = ["bash", "-c", f"exec 3>&1; {line}"]
    done = subprocess.run(shell, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] in ("0", "1", "2") and "Traceback" not in done.stderr
    assert done.stderr.count("\n") <= 1 and "Exception" not in done.stderr
    if closed != "| true":
        assert done.stdout.splitlines()[-1] == "2"


def test_json_is_valid_whatever_the_figures_are():
    odd = {"a": math.nan, "b": [math.inf, 1.0], "c": {"d": -math.inf, "e": "x"}}
    assert json.loads(json.dumps(valid(odd), allow_nan=False)) == {
        "a": None, "b": [None, 1.0], "c": {"d": None, "e": "x"},
    }  # fmt: skip
    assert rates.mean("x", [1]) == {"x": 1.0}


@pytest.mark.slow
def test_sigterm_is_a_ctrl_c(photos, tmp_path):
    """Nothing of the run is lost: it resumes where it was."""
    words = ["train", "dvae", "--data", photos, "--out", str(tmp_path), "--steps", "100000"]
    run = subprocess.Popen([sys.executable, "-m", "minidalle", *words], stderr=subprocess.PIPE)
    while not (tmp_path / "dvae.csv").exists():
        assert run.poll() is None
        time.sleep(0.1)
    run.send_signal(signal.SIGTERM)
    assert b"add --resume to continue" in run.communicate(timeout=60)[1] and run.returncode == 130
    assert weights.read_about(tmp_path / "dvae.checkpoint.safetensors")["step"] >= 50
    assert not list(tmp_path.glob(".*")) and not (tmp_path / "dvae.lock").exists()
