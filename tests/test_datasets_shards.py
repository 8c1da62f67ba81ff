"""Tar shards: as other programs write them, damaged or not; the same batch in every process."""

import io
import json
import tarfile
from collections import Counter
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image
from toys import damaged, emoji_samples, load_pack, png, speck, write_shard

from minidalle import recipes
from minidalle.__main__ import main
from minidalle.config import PRESETS, DVAEConfig, DVAELoss, TrainConfig
from minidalle.datasets import draw_batch, shards
from minidalle.datasets.pairs import captions_in
from minidalle.datasets.pictures import middle_crop
from minidalle.datasets.shards import Shard, Shards, expand, spell_out
from minidalle.world import emoji

DVAE = DVAEConfig(16, 16, width=8, code_width=8, patch=4)
LENGTH = TrainConfig(10, batch_size=8, lr=1e-3)


DAMAGE = Counter({"broken picture": 2, "broken caption": 2, "no caption": 3, "no picture": 1})


@pytest.fixture
def folder(tmp_path):
    """Three shards, of 14, 13 and 12 samples, the second with damage."""
    write_shard(tmp_path / "0.tar", emoji_samples(14))
    write_shard(tmp_path / "1.tar", damaged(emoji_samples(13, 20)))
    write_shard(tmp_path / "2.tar", emoji_samples(12, 40))
    return tmp_path


# ---- which files ------------------------------------------------------------------------


def test_patterns():
    assert spell_out("a.tar") == ["a.tar"]
    assert spell_out("s/{8..10}.tar") == ["s/8.tar", "s/9.tar", "s/10.tar"]
    assert spell_out("{0..1}/{08..09}.tar") == ["0/08.tar", "0/09.tar", "1/08.tar", "1/09.tar"]
    braceexpand = pytest.importorskip(
        "braceexpand", reason="the extra shards is not installed"
    ).braceexpand
    for pattern in ("{00000..00123}.tar", "x{0..12}-{7..9}{000..001}.tar", "{098..101}", "plain"):
        assert spell_out(pattern) == list(braceexpand(pattern))


def test_missing_shards(folder):
    assert expand(f"{folder}/{{0..2}}.tar") == [folder / f"{i}.tar" for i in range(3)]
    with pytest.raises(
        ValueError, match=r"^there is no file \S+/3.tar, nor 2 others of the 6 in \S+$"
    ):
        expand(f"{folder}/{{0..5}}.tar")
    with pytest.raises(ValueError, match=r"^there is no file \S+/3.tar$"):
        expand(f"{folder}/3.tar")
    with pytest.raises(ValueError, match="from high to low"):
        expand(f"{folder}/{{2..1}}.tar")
    for no_range in (folder, f"{folder}/*.tar", f"{folder}/{{0,1}}.tar"):
        with pytest.raises(ValueError, match="not a file: give a range in quotes, like 'shards/{0"):
            expand(str(no_range))


# ---- one shard --------------------------------------------------------------------------


def test_the_index_says_where_everything_is(folder):
    content, found = (folder / "0.tar").read_bytes(), Shard(folder / "0.tar").index()
    for key, files in emoji_samples(14):
        assert {ending: content[slice(*place)] for ending, place in found[key]} == files
    assert len(found) == 14


def test_names_as_webdataset_understands_them(tmp_path):
    """A key ends at the first dot of the name; a file without a name is in no sample."""
    picture = {"PNG": png(np.zeros((4, 4, 3), np.uint8)), "txt": b"black"}
    samples = [("in/side/x", picture), ("", picture), ("x", picture | {"seg.png": b"no"})]
    write_shard(tmp_path / "a.tar", samples)
    shard = Shard(tmp_path / "a.tar")
    assert shard.keys == ["in/side/x", "x"] and not shard.left_out
    assert shard.read(1)[0] == "black" and shard.read(1)[1].size == (4, 4)


def pairs(path, size: int = 32) -> dict[str, tuple[str, bytes]]:
    shard = Shard(path)
    read = [shard.read(i) for i in range(len(shard))]
    return {
        str(key): (said, middle_crop(image, size).convert("RGB").tobytes())
        for key, (said, image) in zip(shard.keys, read)
    }


def test_shards_that_webdataset_writes(tmp_path):
    webdataset = pytest.importorskip("webdataset", reason="the extra shards is not installed")
    samples = emoji_samples(10)
    pattern = str(tmp_path / "%05d.tar")
    with webdataset.ShardWriter(pattern, maxcount=4, verbose=0) as writer:
        for key, files in samples:
            picture = np.asarray(Image.open(io.BytesIO(files["png"])))
            writer.write(
                {
                    "__key__": key,
                    "png": picture,
                    "txt": files["txt"].decode(),
                    "json": json.loads(files["json"]),
                }
            )
    write_shard(tmp_path / "ours.tar", samples)
    theirs = [pairs(path) for path in expand(f"{tmp_path}/{{00000..00002}}.tar")]
    assert [len(found) for found in theirs] == [4, 4, 2]
    assert theirs[0] | theirs[1] | theirs[2] == pairs(tmp_path / "ours.tar")


def test_webdataset_reads_what_we_read(folder):
    webdataset = pytest.importorskip("webdataset", reason="the extra shards is not installed")
    stream = webdataset.WebDataset(str(folder / "0.tar"), shardshuffle=False).decode("pil")
    stream = stream.to_tuple("__key__", "txt", "png")
    assert {key: (said, image.tobytes()) for key, said, image in stream} == pairs(folder / "0.tar")


@pytest.mark.parametrize("wrong, says", [
    (b"I am not a picture", "broken picture"), (b"", "broken picture"), (None, "no picture"),
])  # fmt: skip
def test_damage_is_logged_once(tmp_path, caplog, wrong, says):
    (key, files), *others = emoji_samples(3)
    files = files | {"png": wrong} if wrong is not None else {"txt": b"nothing to see"}
    write_shard(tmp_path / "a.tar", [(key, files), *others])
    shard = Shard(tmp_path / "a.tar")
    for _ in range(3):
        assert sum(shard.read(i) is not None for i in range(len(shard))) == 2
    assert shard.left_out == {key: says}
    assert caplog.messages == [f"{tmp_path / 'a.tar'}: sample {key} is left out: {says}"]


def test_each_line_is_a_caption():
    for said, lines in {
        "a  red\tstar ": ("a red star",),
        "näkymätön 👻\r\n\n a ghost\n": ("näkymätön 👻", "a ghost"),
        "\ufeff": (), "\ufeffa red star\r\ufeffred": ("a red star", "red"),
    }.items():  # fmt: skip
        assert captions_in(said.encode()) == lines
        assert captions_in(json.dumps({"caption": said}).encode(), True) == lines
    assert captions_in('\ufeff{"caption": "a star"}'.encode(), True) == ("a star",)
    for nothing in (b"[]", b"{}", b'{"caption": 7}', b'"text"'):
        assert captions_in(nothing, True) == ()
    for broken in (b"{", b"", b"\xff", b'{"caption": "\\ud83d"}', b"[" * 100_000):
        with pytest.raises((ValueError, RecursionError)):
            captions_in(broken, True)


def test_several_captions_are_alternatives(tmp_path):
    (key, files), *_ = emoji_samples(1)
    write_shard(tmp_path / "a.tar", [(key, files | {"txt": b"one\ntwo\nthree\n"})])
    shard, source = Shard(tmp_path / "a.tar"), Shards([tmp_path / "a.tar"], 16)
    assert shard.captions(0) == ("one", "two", "three") and shard.caption(0, 4) == "two"
    assert source.some_captions(Random(0), 1) == ["one", "two", "three"]
    told = source.captions([(0, seed) for seed in range(9)])
    assert Counter(told) == {"one": 3, "two": 3, "three": 3}


def test_keys_with_dots_are_left_out_and_counted(tmp_path, caplog):
    picture = {"png": png(np.zeros((4, 4, 3), np.uint8)), "txt": b"black"}
    samples = [(key, picture) for key in ("shot_1.5", "shot_1.6", "shot_1")]
    samples += [("b", picture | {"seg.png": b"no"}), ("2024.01.02", {"jpg": b""})]
    write_shard(tmp_path / "a.tar", samples)
    shard = Shard(tmp_path / "a.tar")
    assert shard.keys == ["shot_1", "b"]
    assert set(shard.left_out) == {"shot_1.5", "shot_1.6", "2024.01.02"}
    assert caplog.messages[0].endswith(
        "sample shot_1.5 is left out: dot in the key (a key ends at the first dot of the name)"
    )


def colours(path) -> tuple[list, Counter]:
    """Caption and colour of each sample of a shard, and how many are left out."""
    shard = Shard(path)
    found = [shard.read(i) for i in range(len(shard))]
    left_out = Counter(shard.left_out.values())
    return [(said, image.getpixel((0, 0))[:3]) for said, image in found], left_out


def test_samples_of_one_key_are_never_mixed(tmp_path):
    red, blue = (png(np.full((4, 4, 3), colour, np.uint8)) for colour in ((255, 0, 0), (0, 0, 255)))
    both = [("red", (255, 0, 0)), ("blue", (0, 0, 255))]
    A, B, no = {"png": red, "txt": b"red"}, {"png": blue, "txt": b"blue"}, {"txt": b"?"}
    for samples, found, left_out in [
        ([("0", A), ("0", B)], both, 0),
        ([("0", {"png": red}), ("1", A), ("0", {"txt": b"red"}), ("0", B)], [*both, both[0]], 0),
        ([("0", {"png": red}), ("0", B)], [], 2),  # whose text is missing?
        ([("0", {"png": red}), ("0", {"png": blue}), ("0", no), ("0", no)], [], 3),
        ([("0", {"png": red, "webp": blue} | no)], [], 2),
        ([("0", A | {"gif": b"", "bmp": b""})], both[:1], 0),
        ([("0", A | {"json": b"{}"}), ("0", {"webp": blue, "txt": b"blue", "json": b""})], both, 0),
    ]:  # fmt: skip
        write_shard(tmp_path / "a.tar", samples)
        assert colours(tmp_path / "a.tar") == (found, +Counter({"repeated key": left_out}))


def test_names_that_begin_with_a_dot_are_no_files(tmp_path, caplog):
    (key, files), *_ = emoji_samples(1)
    hidden = {"png": b"\0\5\x16\7", "txt": b"\0\5\x16\7"}
    samples = [(f"./{key}", files), (f"./._{key}", hidden), (".git/x", hidden)]
    write_shard(tmp_path / "a.tar", samples)
    assert Shard(tmp_path / "a.tar").keys == [f"./{key}"] and not caplog.messages


def test_a_shard_that_is_cut_off(folder, tmp_path, caplog):
    whole, here = (folder / "0.tar").read_bytes(), tmp_path / "cut.tar"
    member = {i: tarfile.open(folder / "0.tar").getmembers()[3 * i] for i in (0, 5)}
    begin, data = member[5].offset, member[5].offset_data
    counts = {0: 0, 100: 0, begin: 5, begin + 9: 5, data: 5, data + 9: 5, len(whole) - 3: 14}
    for length, count in counts.items():
        here.write_bytes(whole[:length])
        caplog.clear()
        shard = Shard(here)
        complete = length > data + 9  # all but a few bytes of the padding behind the end mark
        counted = [] if complete else ["damaged tar"]
        assert len(shard) == count and list(shard.left_out.values()) == counted, length
        assert [r.levelname for r in caplog.records] == ["WARNING"] * (not complete), length
    for nonsense in (whole[:begin] + b"?" * 2000, whole[:begin] + whole[begin + 7 :]):
        here.write_bytes(nonsense)
        assert len(Shard(here)) == 5 and "damaged" in caplog.text


@pytest.mark.parametrize("content", [b"", b"no tar file" * 100, b"\x1f\x8b\x08" + bytes(2000)])
def test_other_files_have_no_samples(tmp_path, content, caplog):
    (tmp_path / "a.tar").write_bytes(content)
    assert len(Shard(tmp_path / "a.tar")) == 0 and "no tar file" in caplog.text
    with pytest.raises(
        ValueError, match="a.tar holds no picture KEY.jpg with a caption KEY.txt or"
    ):
        Shards([tmp_path / "a.tar"], 32)


# ---- all of them ------------------------------------------------------------------------


def opened(folder, **how) -> Shards:
    return Shards(expand(f"{folder}/{{0..2}}.tar"), 16, **how)


def test_damage_is_counted_and_skipped(folder, caplog):
    source = opened(folder)
    assert len(source) == 14 + 11 + 12
    assert source.skipped == Counter({"no caption": 1, "no picture": 1})
    everything = [(number, 1) for number in range(len(source))]
    captions = source.captions(everything)
    assert source.skipped == DAMAGE and len(caplog.records) == sum(DAMAGE.values())
    whole = [
        (key, files["txt"].decode())
        for key, files in emoji_samples(14) + emoji_samples(13, 20)[8:] + emoji_samples(12, 40)
    ]
    assert sorted(set(captions)) == sorted({said for _, said in whole})
    # The six that are broken have the ninth sample of their shard in their place.
    assert captions[14:20] == [whole[14][1]] * 6 and captions[13] == whole[13][1]
    assert (source.load(everything)[14:20] == source.load([(20, 1)])).all()


@pytest.mark.parametrize("size", [1, 2, 4])
def test_every_world_size_has_the_same_batches(folder, size):
    """Each process opens the shards by itself, and learns only of the damage it meets."""
    alone, many = opened(folder), [opened(folder) for _ in range(size)]
    for step in range(6):
        captions, pictures = draw_batch(alone, Random(f"3 {step}"), 16)
        for rank, source in enumerate(many):
            part = slice(rank * 16 // size, (rank + 1) * 16 // size)
            items = source.choose(Random(f"3 {step}"), 16)[part]
            assert (source.load(items) == pictures[part]).all() and source.captions(
                items
            ) == captions[part]
    assert alone.skipped == DAMAGE
    assert all(source.skipped <= DAMAGE for source in many)


def test_nothing_twice_in_a_batch(folder):
    source = opened(folder)
    assert sorted(number for number, _ in source.choose(Random(1), 37)) == list(range(37))
    assert len(source.choose(Random(1), 100)) == 100


def test_a_sample_is_read_once_for_caption_and_picture(folder, monkeypatch):
    source, read, count = opened(folder), Shard.read, Counter()

    def counted(own, i, seed):
        count[own.path, i] += 1
        return read(own, i, seed)

    monkeypatch.setattr(Shard, "read", counted)
    items = source.choose(Random(2), 8)
    source.captions(items), source.load(items)
    assert set(count.values()) == {1}
    source.load([(items[0][0], 7)])  # another crop
    assert max(count.values()) == 2


def test_shards_of_which_nothing_is_left(tmp_path):
    write_shard(
        tmp_path / "a.tar", [(key, files | {"png": b"no"}) for key, files in emoji_samples(4)]
    )
    source = Shards([tmp_path / "a.tar"], 16)
    with pytest.raises(ValueError, match="holds no picture KEY.jpg .*; left out: 4 broken picture"):
        source.load([(2, 0)])
    assert source.skipped == Counter({"broken picture": 4})


# ---- learning from them -----------------------------------------------------------------


def test_the_vocabulary_is_of_captions_only(folder, monkeypatch):
    monkeypatch.setattr(shards, "read_picture", None)
    captions = recipes.bpe_captions(f"{folder}/{{0..2}}.tar", 0)
    assert len(captions) == 14 + 13 - 6 + 12 and emoji.caption(load_pack(), 40, 1) in captions
    assert len(recipes.bpe_captions(f"{folder}/{{0..2}}.tar", 0, count=5)) <= 5


def test_the_dvae_sees_new_crops_in_every_step(folder):
    made = [recipes.dvae_job(DVAE, LENGTH, f"{folder}/0.tar", 3, DVAELoss()) for _ in range(2)]
    whole, parts = made[0].batch(5), [made[1].batch(5, part) for part in (slice(4, 8), slice(0, 4))]
    assert whole[0].equal(torch.cat([images for images, _ in parts[::-1]]))
    assert not (whole[0] == made[0].batch(6)[0]).flatten(1).all(1).any()
    assert made[0].loss(made[0].model, whole, 0.0, lambda rows: rows)[0].isfinite()


def test_commands_say_in_one_sentence_what_is_missing(folder, capsys):
    words = ["train", "dvae", "--out", str(folder / "out"), "--steps", "2", "--data"]
    for data, says in {
        f"{folder}/{{0..5}}.tar": f"there is no file {folder}/3.tar, nor 2 others",
        f"{folder}/{{4..3}}.tar": "names nothing",
        f"{folder}/*.tar": "is not a file: give a range in quotes",
        f"{folder}/0.tar.gz": (
            "is not a data set: use scenes, emoji, both, lit, abilities, world, "
            "the path of a folder, or tar shards"
        ),
    }.items():
        assert main([*words, data]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and says in error and not (folder / "out").exists()


def test_a_pattern_that_the_shell_spelt_out(folder, capsys):
    words = ["train", "bpe", "--out", str(folder / "out"), "--data"]
    assert main([*words, *(f"{folder}/{i}.tar" for i in range(3))]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "in quotes" in error and "2.tar" not in error


def test_shards_without_a_single_caption(tmp_path, capsys):
    samples = emoji_samples(2)
    for (_, files), nothing in zip(samples, (b"", b" \n\xef\xbb\xbf")):
        del files["json"]
        files["txt"] = nothing
    write_shard(tmp_path / "a.tar", samples)
    data, out = f"{tmp_path}/a.tar", f"{tmp_path}/out"
    for model in ("bpe", "dvae"):
        assert main(["train", model, "--data", data, "--out", out]) == 2
        assert capsys.readouterr().err == (
            f"minidalle: {data} holds no picture KEY.jpg with a caption KEY.txt or KEY.json; "
            "left out: 2 no caption\n"
        )
        assert not (tmp_path / "out").exists()


def test_all_four_learn_from_damaged_shards(folder, caplog, monkeypatch):
    monkeypatch.setitem(PRESETS, "speck", speck(300))
    for model in ("bpe", "dvae", "clip", "dalle"):
        length = () if model == "bpe" else ("--steps", "2")
        words = ["train", model, "--preset", "speck", "--data", f"{folder}/{{1..2}}.tar", *length]
        assert main([*words, "--out", f"{folder}/out"]) == 0
    assert (
        "sample 000000026 is left out: no picture" in caplog.text
        and "broken picture" in caplog.text
    )
