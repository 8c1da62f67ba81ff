"""Stored tokens: the same bytes however many processes write them, and used unchanged."""

import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
import toys
from safetensors.torch import save_file
from toys import damaged, emoji_samples, write_shard

from minidalle import recipes, weights
from minidalle.__main__ import main
from minidalle.bpe import BPE
from minidalle.config import PRESETS, DALLEConfig, DVAEConfig, TrainConfig
from minidalle.datasets import to_tensor, tokens
from minidalle.datasets.pictures import middle_crop, on_white
from minidalle.datasets.shards import Shard, expand
from minidalle.dvae import DVAE
from minidalle.scale import tokenize as making
from minidalle.training import State, take_step

T = 20
LENGTH = TrainConfig(40, batch_size=8, lr=3e-3, warmup=2)
NAMES = [f"{i}.tokens.safetensors" for i in range(3)]


@pytest.fixture(autouse=True)
def speck(monkeypatch):
    tiny = PRESETS["tiny"]
    small = replace(tiny.dalle, text_len=T, width=32, depth=2, heads=2, kernel=3)
    monkeypatch.setitem(
        PRESETS, "speck", replace(tiny, dalle=small, train=tiny.train | {"dalle": LENGTH})
    )


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> str:
    """Three shards, of which the second has damage and more samples than a chunk."""
    folder = tmp_path_factory.mktemp("shards")
    write_shard(folder / "0.tar", emoji_samples(12))
    write_shard(folder / "1.tar", damaged(emoji_samples(78, 20)))
    write_shard(folder / "2.tar", damaged(emoji_samples(8, 99)))  # nothing is left of it
    return f"{folder}/{{0..2}}.tar"


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """A folder with a BPE and a dVAE of random weights."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    BPE.train(recipes.bpe_captions("emoji", 0)[::50], 320).save(folder / "bpe.json")
    dvae = DVAE(DVAEConfig(32, 64, width=8, blocks=1, code_width=8, patch=4))
    weights.save(folder / "dvae.safetensors", dvae, half=True)
    return folder


def tokenize(shards: str, models: Path, out: Path, *more: str) -> int:
    words = ["tokenize", "--preset", "speck", "--data", shards, "--weights", models, "--out", out]
    return main([*map(str, words), *more])


@pytest.fixture(scope="module")
def made(shards, models, tmp_path_factory) -> Path:
    """The tokens of the shards."""
    out, maker = tmp_path_factory.mktemp("tokens"), making.maker_of(*making.open_two(models), T)
    for path in expand(shards):
        making.tokenize_shard(path, models, out, maker)
    return out


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


# ---- making them ------------------------------------------------------------------------


def test_tokens_are_those_of_the_samples(shards, models, made):
    bpe, dvae = making.open_two(models)
    for path, name in zip(expand(shards), NAMES):
        shard = Shard(path)
        whole = [found for found in map(shard.read, range(len(shard))) if found]
        stored, about = weights.read_tensors(made / name)
        assert about["samples"] == len(whole) == len(stored["text"]) == len(stored["codes"])
        assert stored["text"].dtype == torch.int32 and stored["codes"].dtype == torch.int16
        for (caption, image), ids, codes in zip(whole, stored["text"], stored["codes"]):
            assert ids.tolist() == bpe.frame(caption, T, truncate=True)
            picture = to_tensor(on_white(middle_crop(image, 32))[None])
            assert (
                codes != dvae.encode(picture).flatten()
            ).sum() <= 1  # a tie, in a chunk of another size


def test_the_command(shards, models, made, tmp_path, capsys):
    assert tokenize(shards, models, tmp_path / "out") == 0
    assert content(tmp_path / "out") == content(made) and list(content(made)) == NAMES
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path / 'out'}: 3 shards, 3 of them new",
        "82 samples; 16 left out (4 broken caption, 4 broken picture, 6 no caption, 2 no picture)",
    ]


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(shards, models, made, tmp_path, capsys):
    assert tokenize(shards, models, tmp_path / "out", "--processes", "2") == 0
    assert content(tmp_path / "out") == content(made)
    assert "82 samples; 16 left out" in capsys.readouterr().out


def test_only_what_is_missing_is_made(shards, models, made, tmp_path, capsys):
    out = Path(shutil.copytree(made, tmp_path / "out"))
    (out / NAMES[1]).unlink()
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert tokenize(shards, models, out) == 0
    assert "3 shards, 1 of them new" in capsys.readouterr().out
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert content(out) == content(made)
    assert tokenize(shards, models, out, "--processes", "9") == 0  # which nobody needs
    assert "3 shards, 0 of them new" in capsys.readouterr().out


KILLED = """
import os, signal, sys
from minidalle import weights
from minidalle.__main__ import main
whole = weights.save_file

def torn(tensors, path, **more):
    whole(tensors, path, **more)
    if path.name.startswith("1."):
        os.truncate(path, path.stat().st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)

weights.save_file = torn
main(sys.argv[1:])
"""


@pytest.mark.slow
def test_killed_while_writing(shards, models, made, tmp_path):
    out = tmp_path / "out"
    words = ["tokenize", "--preset", "tiny", "--data", shards, "--weights", models, "--out", out]
    assert subprocess.run([sys.executable, "-c", KILLED, *map(str, words)]).returncode == -9
    left = [path.name for path in out.iterdir() if path.is_dir()]
    assert len(left) == 1 and left[0].endswith(".part") and (out / NAMES[0]).is_file()
    assert tokens.token_files(str(out)) == [out / NAMES[0]]
    words[2] = "speck"
    shutil.copy(made / NAMES[0], out)  # (of the same length of captions)
    assert main(list(map(str, words))) == 0 and content(out) == content(made)


@pytest.mark.slow
def test_a_process_that_is_killed_is_one_sentence():
    with pytest.raises(OSError, match="a process was killed, maybe for lack of memory"):
        list(making.in_processes(os._exit, [1, 1], 1))


@pytest.mark.slow
def test_ctrl_c_waits_for_no_process():
    begin, children = time.monotonic(), set(multiprocessing.active_children())
    asleep = making.in_processes(time.sleep, [0, 100, 100], 1)
    assert next(asleep) is None
    with pytest.raises(KeyboardInterrupt):
        asleep.throw(KeyboardInterrupt)
    assert time.monotonic() - begin < 90 and set(multiprocessing.active_children()) <= children


def test_ctrl_c(shards, models, tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(making, "Shard", interrupted)
    assert tokenize(shards, models, tmp_path / "out") == 130
    assert capsys.readouterr().err == "minidalle: stopped; the same command continues\n"


def test_the_callers_threads_are_as_before(shards, models, tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert tokenize(shards, models, tmp_path / "out") == 0
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


# ---- learning from them -----------------------------------------------------------------


@pytest.fixture
def maker(models):
    return making.maker_of(*making.open_two(models), T)


def test_only_the_requested_rows_are_read(made, maker):
    source = tokens.Tokens(tokens.token_files(str(made)), maker, 64)
    stored = [weights.read_tensors(made / name)[0] for name in NAMES]
    text, codes = source.read(range(len(source)))
    assert text.equal(torch.cat([part["text"] for part in stored]).long()) and text.shape == (82, T)
    assert codes.equal(torch.cat([part["codes"] for part in stored]).long()) and codes.shape == (
        82,
        64,
    )
    assert sorted(source.choose(Random(1), 82)) == list(range(82))
    assert len(source.choose(Random(1), 90)) == 90
    assert tokens.token_files(f"{made}/{{0..2}}.tokens.safetensors") == tokens.token_files(
        str(made)
    )


def job_of(models: Path, data: Path):
    bpe, dvae = making.open_two(models)
    config = DALLEConfig(
        bpe.vocab_size, T, dvae.config.codebook_size, dvae.config.grid, width=32, depth=2, heads=2
    )
    return recipes.dalle_job(config, LENGTH, str(data), 3, bpe, dvae, bpe_dropout=0.5)


def test_the_transformer_is_given_stored_ids_and_codes(models, made, monkeypatch):
    monkeypatch.setattr(DVAE, "encode", None)
    job = job_of(models, made)
    null_text = torch.tensor(BPE.load(models / "bpe.json").null_text(T))
    stored = [weights.read_tensors(made / name)[0] for name in NAMES]
    rows = {
        (*t.tolist(), *c.tolist()) for part in stored for t, c in zip(part["text"], part["codes"])
    }
    codes_only = {row[T:] for row in rows}
    said = 0
    for step in range(10):
        for text, codes in zip(*job.batch(step)):
            assert tuple(codes.tolist()) in codes_only
            if not text.equal(null_text):
                assert (*text.tolist(), *codes.tolist()) in rows
                said += 1
    assert 60 <= said < 80  # the others are left unsaid, for the sake of guidance


def test_every_world_size_has_the_same_tokens(models, made):
    whole, other = job_of(models, made), job_of(models, made)
    for step in (9, 2):
        for size in (1, 2, 4):
            parts = [
                other.batch(step, slice(8 * r // size, 8 * (r + 1) // size)) for r in range(size)
            ]
            for of_all, of_parts in zip(whole.batch(step), map(torch.cat, zip(*parts))):
                assert of_all.equal(of_parts)


def test_the_loss_falls(models, made):
    job = job_of(models, made)
    state, losses = State(job, LENGTH), []
    for _ in range(25):
        take_step(job, LENGTH, state)
        losses.append(float(state.sums.pop("loss")))
    assert np.mean(losses[-5:]) < 0.8 * losses[0]


def test_tokenize_then_train(shards, models, tmp_path, capsys):
    for name in ("bpe.json", "dvae.safetensors"):
        shutil.copy(models / name, tmp_path / name)
    assert tokenize(shards, tmp_path, tmp_path / "tokens") == 0
    words = [
        "train",
        "dalle",
        "--preset",
        "speck",
        "--data",
        tmp_path / "tokens",
        "--out",
        tmp_path,
    ]
    assert main([*map(str, words), "--steps", "3"]) == 0
    assert weights.read_about(tmp_path / "dalle.safetensors")["data"] == "tokens"


# ---- what does not belong together ------------------------------------------------------


@pytest.fixture
def refused(capsys):
    def run(*words) -> str:
        assert main([str(word) for word in words]) == 2
        error = capsys.readouterr().err
        assert error.startswith("minidalle: ") and error.count("\n") == 1, error
        return error

    return run


@pytest.fixture
def others(models, tmp_path) -> Path:
    """The same BPE and another dVAE."""
    folder = tmp_path / "others"
    folder.mkdir()
    shutil.copy(models / "bpe.json", folder)
    torch.manual_seed(1)
    weights.save(folder / "dvae.safetensors", DVAE(making.open_two(models)[1].config), half=True)
    return folder


def test_tokens_of_another_dvae(made, others, refused, models):
    words = ["train", "dalle", "--preset", "speck", "--data", made, "--out", others]
    said = refused(*words, "--steps", "2")
    assert (
        "0.tokens.safetensors was made with another dvae.safetensors: tokenize the shards again"
        in said
    )
    BPE([]).save(others / "bpe.json")
    assert "another bpe.json and another dvae.safetensors" in refused(*words)
    assert sorted(path.name for path in others.iterdir()) == ["bpe.json", "dvae.safetensors"]


def test_tokens_are_not_mixed(shards, made, others, models, refused, tmp_path):
    before = content(made)
    words = ["tokenize", "--preset", "speck", "--data", shards, "--out", made, "--weights"]
    assert "another dvae.safetensors" in refused(*words, others)
    words[2] = "small"
    assert "another length of captions" in refused(*words, models)
    words[2] = "speck"
    words[4] = tmp_path / "0.tar"
    write_shard(words[4], emoji_samples(3))
    assert "was made from another shard" in refused(*words, models)
    assert content(made) == before


def test_a_shard_that_changed_but_not_in_size(models, tmp_path, refused):
    shard, out = tmp_path / "0.tar", tmp_path / "out"
    for said in (b"two dogs", b"one bird"):
        write_shard(shard, [(key, files | {"txt": said}) for key, files in emoji_samples(1)])
        os.utime(shard, (0, 0))
        if said == b"two dogs":
            assert tokenize(str(shard), models, out) == 0
    words = ["tokenize", "--preset", "speck", "--data", shard, "--weights", models, "--out", out]
    assert "0.tar before it changed: remove it to have it made again" in refused(*words)
    (out / NAMES[0]).unlink()
    assert tokenize(str(shard), models, out) == 0
    bpe = BPE.load(models / "bpe.json")
    assert bpe.decode(weights.read_tensors(out / NAMES[0])[0]["text"][0]) == "one bird"


def test_each_caption_has_a_row(models, tmp_path):
    texts = b"one\ntwo\n", b"three"
    samples = [(key, files | {"txt": said}) for (key, files), said in zip(emoji_samples(2), texts)]
    write_shard(tmp_path / "0.tar", samples)
    assert tokenize(str(tmp_path / "0.tar"), models, tmp_path) == 0
    bpe, (stored, about) = BPE.load(models / "bpe.json"), weights.read_tensors(tmp_path / NAMES[0])
    assert [bpe.decode(row) for row in stored["text"]] == ["one", "two", "three"]
    assert stored["codes"][0].equal(stored["codes"][1])
    assert about["samples"] == len(stored["codes"]) == 3


def test_shards_of_which_nothing_is_left(models, tmp_path, refused):
    write_shard(tmp_path / "0.tar", damaged(emoji_samples(8)))
    words = ["tokenize", "--preset", "speck", "--data", tmp_path / "0.tar", "--weights", models]
    assert refused(*words, "--out", tmp_path / "out") == (
        f"minidalle: there is no sample in {tmp_path / '0.tar'}; "
        "left out: 2 broken caption, 2 broken picture, 3 no caption, 1 no picture\n"
    )
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_tokenized(shards, models, made, tmp_path, refused):
    words = [
        "tokenize",
        "--preset",
        "speck",
        "--out",
        tmp_path / "out",
        "--weights",
        models,
        "--data",
    ]
    assert "there is no file" in refused(*words, tmp_path / "{0..3}.tar")
    (tmp_path / "photo.png").touch()
    assert "photo.png is not a tar shard" in refused(*words, tmp_path / "photo.png")
    for i in range(2):
        (tmp_path / f"part{i}").mkdir()
        write_shard(tmp_path / f"part{i}" / "0.tar", emoji_samples(1))
    assert "made from several shards" in refused(*words, tmp_path / "part{0..1}" / "0.tar")
    assert "minidalle train bpe" in refused(*words[:5], "--weights", tmp_path, "--data", shards)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="a file that cannot be read")
def test_a_shard_that_cannot_be_read_is_named(models, tmp_path, refused):
    (tmp_path / "7.tar").symlink_to("/proc/self/mem")
    words = ["tokenize", "--preset", "speck", "--data", tmp_path / "7.tar", "--weights", models]
    assert f"{tmp_path / '7.tar'} cannot be read" in refused(*words, "--out", tmp_path / "out")


def test_what_is_not_tokens(models, made, refused, tmp_path):
    words = ["train", "dalle", "--preset", "speck", "--out", models, "--data"]
    assert "there is no file" in refused(*words, made / "{1..4}.tokens.safetensors")
    shutil.copy(models / "dvae.safetensors", tmp_path / "0.tokens.safetensors")
    assert "holds no tokens: `minidalle tokenize` makes them" in refused(*words, tmp_path)
    shutil.copy(made / NAMES[2], tmp_path / "0.tokens.safetensors")
    (tmp_path / "._0.tokens.safetensors").write_bytes(b"\0\5\x16\7")
    assert "not a single sample" in refused(*words, tmp_path)
    words[1] = "dvae"
    assert "holds no picture" in refused(*words[:4], "--out", tmp_path / "new", "--data", made)


def test_an_edited_header_is_one_sentence(made, maker, tmp_path):
    stored, about = weights.read_tensors(made / NAMES[0])
    rng, path, refusals = Random(0), tmp_path / NAMES[0], 0
    read = lambda path: tokens.Tokens([path], maker, 64).read([0, 11])  # noqa: E731
    for _ in range(200):
        save_file(stored, path, metadata={"minidalle": toys.edited(about, rng)})
        refusals += toys.one_sentence(read, path) is not None
    assert 100 < refusals < 200
    for _ in range(200):
        path.write_bytes(toys.damaged_bytes((made / NAMES[0]).read_bytes(), rng))
        toys.one_sentence(read, path)


@pytest.mark.parametrize("name, wrong", [
    ("text", lambda text: text.long()), ("text", lambda text: text.float()),
    ("text", lambda text: text[:, 1:]), ("text", lambda text: text[1:]),
    ("text", lambda text: text.flatten()), ("codes", lambda codes: codes.long()),
    ("codes", lambda codes: codes.half()), ("codes", lambda codes: codes[:-1]),
    ("codes", lambda codes: codes[:, :-1]), ("codes", lambda codes: codes.view(-1, 8, 8)),
])  # fmt: skip
def test_tensors_of_another_kind(made, maker, tmp_path, name, wrong):
    stored, about = weights.read_tensors(made / NAMES[0])
    weights.write_tensors(tmp_path / "a", stored | {name: wrong(stored[name])}, about)
    read = lambda path: tokens.Tokens([path], maker, 64)  # noqa: E731
    assert "is damaged: " in toys.one_sentence(read, tmp_path / "a")
    del stored[name]
    weights.write_tensors(tmp_path / "a", stored, about)
    assert f"its {name} cannot be" in toys.one_sentence(read, tmp_path / "a")


@pytest.mark.parametrize("name", ["text", "codes"])
@pytest.mark.parametrize("number", [-1, 9999])
def test_numbers_that_are_no_ids_or_codes(made, maker, tmp_path, name, number):
    stored, about = weights.read_tensors(made / NAMES[0])
    stored[name][11, 3] = number
    weights.write_tensors(tmp_path / "a", stored, about)
    source = tokens.Tokens([tmp_path / "a"], maker, 64, (9999, 9999))
    assert len(source.read([0, 10])) == 2
    said = toys.one_sentence(lambda path: source.read([0, 11]), tmp_path / "a")
    assert "is damaged: sample 11 holds a number that is not from 0 to 9998" in said
