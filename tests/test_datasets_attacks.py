"""Files made to do harm: each is counted and left out, and takes little time and memory."""

import gzip
import io
import itertools
import json
import multiprocessing
import sys
import tarfile
import tracemalloc
import weakref
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image
from toys import emoji_samples, write_shard

from minidalle import openai, weights
from minidalle.bpe import BPE
from minidalle.config import DVAEConfig
from minidalle.datasets import folder_pictures, metadata, pictures, shards, tars
from minidalle.datasets.pairs import captions_in
from minidalle.datasets.pictures import MOST_PIXELS, middle_crop, read_picture
from minidalle.datasets.shards import Shard, Shards, spell_out
from minidalle.dvae import DVAE
from minidalle.files import TooLarge
from minidalle.scale import tokenize as making

MB = 2**20


# ---- how much memory --------------------------------------------------------------------


def python_peak(work, *args) -> int:
    """The most memory in bytes that Python's objects take while `work` runs."""
    tracemalloc.start()
    try:
        work(*args)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def growth(work, *args) -> int:
    """The same of everything, pixels included, in a process of its own."""
    if sys.platform != "linux":
        pytest.skip("measured on Linux")
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        return pool.submit(_growth, work, *args).result()


def _growth(work, *args) -> int:
    import resource

    def peak():
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    before = peak()
    work(*args)
    return peak() - before


# ---- tars -------------------------------------------------------------------------------


def octal(number: int) -> bytes:
    return b"%011o\0" % number


def block(name: bytes, size: bytes, kind: bytes = b"0") -> bytes:
    """The block of a header, with a right checksum, whatever its fields."""
    begin = name.ljust(100, b"\0") + 3 * b"0000644\0" + size + octal(0)
    end = kind + bytes(100) + b"ustar\x0000" + bytes(217) + b"\1" + bytes(29)
    return begin + b"%06o\0 " % (sum(begin + end) + 8 * 32) + end


def file(name: bytes, content: bytes, kind: bytes = b"0") -> bytes:
    """A header and its content, padded."""
    return block(name, octal(len(content)), kind) + content + bytes(-len(content) % 512)


def pax(key: bytes, value: bytes) -> bytes:
    size = len(key) + len(value) + 3
    size += len(str(size + len(str(size))))
    return file(b"pax", b"%d %s=%s\n" % (size, key, value), b"x")


FAULTS = {
    "negative": block(b"a.txt", (-512).to_bytes(12, "big", signed=True)),
    "2**80": block(b"a.txt", b"\x80" + (2**80).to_bytes(11, "big")),
    "signs": block(b"a.txt", b"-0000001000\0"),
    "long names": 3000 * file(b"", b"a.txt", b"L"),
    "long links": 3000 * file(b"", b"a.txt", b"K"),
    "pax": 3000 * pax(b"path", b"a.txt"),
    "global pax": 3000 * file(b"", b"20 comment=nothing!\n", b"g"),
    "negative pax": pax(b"size", b"-1536") + block(b"a.txt", octal(0)),
    "endless pax": pax(b"size", 5000 * b"9") + block(b"a.txt", octal(0)),
    "pax of nothing": file(b"", b"0 path=a.txt\n", b"x") + block(b"a.txt", octal(0)),
    "large pax": block(b"", octal(2**33 - 1), b"x") + bytes(512),
    "sparse": block(b"a.txt", octal(0), b"S"),
    "no text": b"\xff" * 5000,
}


@pytest.fixture
def good(tmp_path):
    """A shard of two samples."""
    write_shard(tmp_path / "good.tar", emoji_samples(2))
    return tmp_path / "good.tar"


@pytest.mark.parametrize("fault", FAULTS)
def test_the_fault_of_a_shard_is_counted_and_what_comes_before_is_used(good, caplog, fault):
    bad = good.with_name("bad.tar")
    bad.write_bytes(file(b"b.txt", b"before") + file(b"b.png", b"?") + FAULTS[fault])
    source = Shards([bad, good, bad], 8)
    assert source.skipped == Counter({"damaged tar": 2}) and len(source) == 4
    assert [message.startswith(f"{bad} is damaged") for message in caplog.messages] == 2 * [True]
    assert len(source.load([(0, 0), (1, 0)])) == 2
    with pytest.raises(ValueError, match=r"bad.tar and the others hold no picture .* damaged tar$"):
        Shards([bad, bad], 8).load([(0, 0)])


def test_a_shard_that_cannot_be_opened_does_not_stop_the_others(good, caplog):
    lost = [good.parent, good.with_name("gone.tar")]  # a folder, and none
    source = Shards([*lost, good], 8)
    assert len(source) == 2 and source.skipped == Counter({"damaged tar": 2})
    assert len(caplog.messages) == 2
    with pytest.raises(ValueError, match="holds no picture KEY.jpg .*; left out: 1 damaged tar"):
        Shards(lost[1:], 8)
    good.unlink()
    with pytest.raises(ValueError, match="left out: 2 broken caption, 2 damaged tar"):
        source.load([(0, 0)])


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tars_are_read_as_tarfile_does(tmp_path, kind):
    """And if they are damaged, what is read lies within them."""
    rng, path = Random(kind), tmp_path / "a.tar"
    names = ["a.png", "κύκλος.txt", f"{'f' * 90}/{'圆' * 20}.jpg", f"{'g' * 60}/{'h' * 60}", "i/"]
    with tarfile.open(path, "w", format=kind, pax_headers={"comment": "nothing"}) as tar:
        for name, of in itertools.product(names, (b"0", b"\0", b"7", b"1", b"2", b"5", b"6")):
            member = tarfile.TarInfo(name)
            member.type, member.size = of, rng.choice((0, 1, 512, 1300)) * (of in b"0\0007")
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    with tarfile.open(path) as tar:
        regular = [m for m in tar if m.isreg() and not m.name.endswith("/")]  # no folders
    places = [(m.name, m.offset_data, m.offset_data + m.size) for m in regular]
    assert list(tars.files_in(path)) == places and len(places) > 10
    whole, refused = path.read_bytes(), 0
    for _ in range(200):
        broken = bytearray(whole[: rng.choice((len(whole), rng.randrange(len(whole))))])
        for _ in range(3):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        path.write_bytes(broken)
        try:
            for _, begin, end in tars.files_in(path):
                assert 0 < begin <= end <= len(broken)
        except ValueError:
            refused += 1
    assert refused > 50


def test_long_names_take_little_memory(tmp_path, caplog):
    with open(tmp_path / "a.tar", "wb") as tar:
        for i in range(60):
            for ending in (b"png", b"txt"):
                name = b"%d%s.%s" % (i, 300_000 * b"a", ending)
                tar.write(file(b"", name, b"L") + file(b"a", b"?"))
        tar.write(bytes(1024))
    shard = []
    assert python_peak(lambda: shard.append(Shard(tmp_path / "a.tar"))) < 4 * MB
    assert Counter(shard[0].left_out.values()) == {"name too long": 120} and not len(shard[0])
    assert max(map(len, caplog.messages)) < 300


@pytest.mark.parametrize("endings", [("png", "txt"), ("png",)])
def test_the_index_of_a_shard_takes_less_than_2_gb(tmp_path, endings, monkeypatch, caplog):
    """Two kilobytes a file, with names as long as may be, complete samples or not."""
    caplog.set_level("ERROR")
    with open(tmp_path / "a.tar", "wb") as tar:
        for i, ending in itertools.product(range(2000 // len(endings)), endings):
            tar.write(file(b"", f"{i:04}{247 * '🐙'}.{ending}".encode(), b"L") + file(b"a", b""))
    peak = python_peak(Shard, tmp_path / "a.tar")
    assert peak / 2000 * shards.MOST_FILES < 2**31
    monkeypatch.setattr(shards, "MOST_FILES", 100)
    assert len(Shard(tmp_path / "a.tar").index()) == 100 // len(endings)


@pytest.mark.parametrize("pattern", [
    "{0..99999999999}.tar", "{000..999}{000..999}/{0..1}", "{1..0}{0..99999999999}",
    "{0..9}" * 100, f"{{0..{'9' * 18}}}",
])  # fmt: skip
def test_a_pattern_of_too_many_names_is_refused(pattern):
    with pytest.raises(ValueError, match=r"^\S+ names more than 1000000 files$"):
        spell_out(pattern)
    assert len(spell_out("{0..0}" * 2000)[0]) == 2000


# ---- captions and vocabularies ----------------------------------------------------------


def test_endless_captions_are_left_out(good):
    (_, files), other = emoji_samples(2)
    whole = {"png": files["png"]}
    long = 2**24 * b"a"
    write_shard(good, [
        ("0", whole | {"txt": long}), ("1", whole | {"json": json.dumps(long.decode()).encode()}),
        ("2", whole | {"txt": 101 * b"a\n"}), other,
    ])  # fmt: skip
    source = []
    assert python_peak(lambda: source.append(Shards([good], 8))) < 4 * MB
    assert [source[0].place(i)[0].captions(i) == () for i in range(4)] == [True] * 3 + [False]
    assert source[0].skipped == {"caption too long": 3} and len(captions_in(100 * b"a\n")) == 100


def test_endless_captions_in_a_folder(tmp_path, caplog):
    for name, said in {"a": b"a star", "b": 2**24 * b"a", "c": 101 * b"a\n"}.items():
        (tmp_path / f"{name}.png").write_bytes(emoji_samples(1)[0][1]["png"])
        (tmp_path / f"{name}.txt").write_bytes(said)
    assert python_peak(folder_pictures, tmp_path, 8) < 4 * MB
    assert caplog.messages == [f"{tmp_path}: 1 read; left out: 2 caption too long (b.png, …)"]


def test_a_vocabulary_that_unpacks_without_end(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(bytes(100 * MB), 1))

    def refused():
        with pytest.raises(ValueError, match="a.gz is truncated or not the vocabulary that OpenAI"):
            openai.load_bpe(tmp_path / "a.gz")

    assert python_peak(refused) < 64 * MB


# ---- pictures ---------------------------------------------------------------------------


def encoded(image: Image.Image, kind: str, **how) -> bytes:
    image.save(content := io.BytesIO(), kind, **how)
    return content.getvalue()


def large(kind: str) -> bytes:
    """A small file that says it is a large picture."""
    if kind == "PNG":
        return encoded(Image.new("1", (13_000, 13_000)), kind)
    if kind == "JPEG":
        content = bytearray(encoded(Image.new("L", (8, 8)), kind))
        at = content.index(b"\xff\xc0") + 5
        content[at : at + 4] = b"\xea\x60\xea\x60"
        return bytes(content)
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    content = bytearray(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
    content[24:30] = 2 * (16_383 - 1).to_bytes(3, "little")
    return bytes(content)


SIDES = {"PNG": 13_000, "JPEG": 60_000, "WEBP": 16_383}


def refuse(path) -> None:
    side = SIDES[path.name]
    with pytest.raises(TooLarge) as caught:
        read_picture(path, path)
    limit = "pixels, and the limit is 67108864 in all"
    assert str(caught.value) == f"{path} is too large: {side} × {side} {limit}"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", SIDES)
def test_a_picture_of_too_many_pixels_is_refused_by_its_header(tmp_path, kind):
    (tmp_path / kind).write_bytes(large(kind))
    assert growth(refuse, tmp_path / kind) < 50 * MB


def test_a_picture_of_too_many_bytes_is_not_read_to_its_end(tmp_path):
    with open(tmp_path / "a.png", "wb") as endless:
        endless.truncate(2**40)
    with pytest.raises(TooLarge, match="a.png is too large: more than 134217728 bytes"):
        read_picture(tmp_path / "a.png", tmp_path / "a.png")


def test_a_picture_that_is_an_endless_device(monkeypatch):
    monkeypatch.setattr(pictures, "MOST_BYTES", 2**20)
    with pytest.raises(TooLarge, match="/dev/zero is too large: more than 1048576 bytes"):
        read_picture(Path("/dev/zero"), "/dev/zero")


def load_batch(path) -> None:
    source = Shards([path], 8)
    assert source.load([(i, 0) for i in range(7)]).shape == (7, 8, 8, 3)
    assert source.skipped == Counter({"picture too large": 6})


def test_large_pictures_in_a_shard_are_counted(good):
    content = large("PNG")
    samples = [(str(i), {"png": content, "txt": b"large"}) for i in range(6)] + emoji_samples(1)
    write_shard(good, samples)
    assert growth(load_batch, good) < 100 * MB


def test_large_pictures_in_a_folder_are_said(tmp_path, caplog):
    for name, content in {"a": emoji_samples(1)[0][1]["png"], "b": large("PNG")}.items():
        (tmp_path / f"{name}.png").write_bytes(content)
        (tmp_path / f"{name}.txt").write_text("something")
    assert growth(folder_pictures, tmp_path, 8) < 100 * MB
    folder_pictures(tmp_path, 8)
    assert caplog.messages == [f"{tmp_path}: 1 read; left out: 1 picture too large (b.png)"]


def crop(content: bytes) -> None:
    middle_crop(read_picture(io.BytesIO(content), "it"), 64)


@pytest.mark.parametrize("kind, mode", [
    ("PNG", "RGBA"), ("PNG", "I;16"), ("JPEG", "RGB"), ("WEBP", "RGB"),
])  # fmt: skip
def test_a_picture_takes_24_bytes_a_pixel(kind, mode):
    """So the largest takes 1.5 GB; with its file, and the copy without metadata, below 2 GB."""
    content, pixels = encoded(Image.new(mode, (3000, 3000)), kind), 3000**2
    assert growth(crop, content) < 24 * pixels
    assert 24 * MOST_PIXELS + 3 * 2**27 < 2**31


def test_a_chunk_of_large_pictures_is_not_held_at_once(good, monkeypatch):
    """`minidalle tokenize` encodes 64 at a time."""
    pictures, alive, read = [], [], Shard.read

    def watched(shard, i):
        pictures.append(weakref.ref((found := read(shard, i))[1]))
        alive.append(sum(picture() is not None for picture in pictures))
        return found

    monkeypatch.setattr(Shard, "read", watched)
    write_shard(good, emoji_samples(9))
    BPE([]).save(good.with_name("bpe.json"))
    dvae = DVAE(DVAEConfig(8, 16, width=8, blocks=1, code_width=8, patch=4))
    weights.save(good.with_name("dvae.safetensors"), dvae)
    maker = making.maker_of(*making.open_two(good.parent), 8)
    making.tokenize_shard(good, good.parent, good.parent, maker)
    assert len(alive) == 9 and max(alive) <= 2


TAGS = b"".join(
    np.array([i, 7], "<u2").tobytes() + np.array([60_000, 0], "<u4").tobytes() for i in range(5000)
)
SELVES = b"Exif\0\0II*\0\x08\0\0\0" + len(TAGS[::12]).to_bytes(2, "little") + TAGS + bytes(5000)


@pytest.mark.parametrize("kind", SIDES)
def test_metadata_that_point_at_themselves(kind):
    content = encoded(Image.new("RGB", (8, 8)), kind, exif=SELVES)
    assert python_peak(crop, content) < 4 * MB


def test_a_png_of_ten_thousand_texts_or_of_empty_chunks():
    whole = encoded(Image.new("L", (8, 8)), "PNG")
    for chunk in (b"\0\0\0\0IDAT????", b"\0\0\0\0tEXt????", b"\xff\xff\xff\xffiTXt", b"\0", b""):
        flood = whole[:33] + 100_000 * chunk + whole[33:]
        assert python_peak(metadata.bare, flood) < 3 * len(flood) + MB
    kept, exif = metadata.bare(whole[:33] + 9 * b"\0\0\0\0eXIf????" + whole[33:])
    assert kept == whole and not exif


def test_a_jpeg_of_endless_scans_is_refused():
    content = encoded(Image.new("RGB", (8, 8), "red"), "JPEG", progressive=True)
    assert metadata.bare(content + 200 * content)[0] == metadata.bare(content)[0]  # a film
    scan = content[content.rindex(b"\xff\xda") : -2]
    with pytest.raises(ValueError, match="it is not a picture .*too many scans"):
        read_picture(io.BytesIO(content[:-2] + 100 * scan + content[-2:]), "it")
