"""Files of torch.save: their tensors are read, their code does not run."""

import os
import struct
import time
import zipfile
from random import Random

import pytest
import torch
from toys import damaged_bytes, one_sentence

from minidalle import openai
from minidalle.openai.pickles import read_foreign


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_file_that_would_run_code_is_refused(tmp_path):
    torch.save({"w": torch.ones(2), "more": Evil(tmp_path / "it-ran")}, tmp_path / "evil.pkl")
    for read in (read_foreign, openai.load_clip, lambda path: openai.load_dvae(path, path)):
        with pytest.raises(
            ValueError, match="refers to posix.mkdir, which a file of weights"
        ) as error:
            read(tmp_path / "evil.pkl")
        assert "\n" not in str(error.value)
    assert not (tmp_path / "it-ran").exists()
    torch.load(tmp_path / "evil.pkl", weights_only=False)  # but it would
    assert (tmp_path / "it-ran").exists()


def test_files_that_are_something_else(tmp_path):
    whole = tmp_path / "whole.pt"
    torch.save({"w": torch.arange(1000)}, whole)
    assert read_foreign(whole)["w"].equal(torch.arange(1000))
    (tmp_path / "cut.pt").write_bytes(whole.read_bytes()[:-300])
    (tmp_path / "text.pt").write_text("no weights at all")
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save({"w": torch.ones(2)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for name, words in {
        "cut": "not a complete file",
        "text": "not a complete file",
        "list": "no tensors",
        "old": "in the old format of torch.save: convert it",
    }.items():
        with pytest.raises(ValueError, match=words):
            openai.load_clip(tmp_path / f"{name}.pt")
    with pytest.raises(ValueError, match="not one of OpenAI's CLIPs"):
        openai.load_clip(whole)
    with pytest.raises(FileNotFoundError, match="no weight file"):
        read_foreign(tmp_path / "none.pt")


# ---- what would fill the memory ---------------------------------------------------------


def refused(path) -> str:
    """What is said, at once, about a file that is refused."""
    begin = time.monotonic()
    with pytest.raises(ValueError) as error:
        read_foreign(path)
    said = str(error.value)
    assert said.isprintable() and said.startswith(f"{path} ") and said.endswith(": refused"), said
    assert time.monotonic() - begin < 2
    return said


def entries(path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("how", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("honest", [True, False])
def test_compressed_archives_are_not_unpacked(tmp_path, how, honest, monkeypatch):
    """40 million zeros in some kilobytes; the directory may say that they are one byte."""
    bomb, path = 40_000_000 * b"\0", tmp_path / "bomb.pt"
    torch.save({"w": torch.ones(2)}, path)
    saved = entries(path)
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, content in saved.items():
            archive.writestr(name, bomb if name.endswith("data/0") else content)
    packed = path.read_bytes()
    if not honest:
        assert struct.pack("<I", len(bomb)) in packed
        path.write_bytes(packed.replace(struct.pack("<I", len(bomb)), struct.pack("<I", 1)))
    monkeypatch.setattr(zipfile.ZipFile, "read", None)  # nothing is read
    assert "is compressed, which torch.save never does" in refused(path)


def test_an_archive_that_lists_the_same_bytes_many_times(tmp_path):
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data/0", bytes(100_000))
        first = archive.filelist[0]
        archive.filelist += 999 * [first]
    assert "lists more than it holds" in refused(path)


HUGE = 10**12


@pytest.mark.parametrize("tensor", [
    torch.ones(1).expand(HUGE), torch.ones(3).expand(HUGE, 3), torch.ones(3, 1).expand(3, HUGE),
    torch.ones(2).expand(2, 2), torch.ones(9).as_strided((5, 5), (1, 1)),
    torch.nn.Parameter(torch.ones(1).expand(HUGE)), torch.ones(4).half()[1:2].expand(HUGE),
], ids=lambda tensor: str(tuple(tensor.shape)))  # fmt: skip
def test_tensors_larger_than_what_is_stored_of_them(tmp_path, tensor):
    torch.save({"å\x1b[2J": {"w": tensor}}, tmp_path / "a.pt")
    assert r"fewer numbers than its å\x1b[2J.w has" in refused(tmp_path / "a.pt")


def test_one_storage_for_very_many_tensors(tmp_path):
    whole = torch.ones(100_000)
    torch.save({"w": whole, "tied": whole.view(100, 1000)}, tmp_path / "a.pt")
    assert len(read_foreign(tmp_path / "a.pt")) == 2
    torch.save({str(i): whole.view(-1) for i in range(1000)}, tmp_path / "a.pt")
    assert "the same numbers too many times" in refused(tmp_path / "a.pt")


@pytest.mark.parametrize("more", [
    lambda: bytearray(9), lambda: b"bytes", lambda: torch.empty(HUGE, device="meta"),
    lambda: torch.sparse_coo_tensor(torch.tensor([[0]]), torch.ones(1), (HUGE,)),
    lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
], ids=["bytearray", "encode", "meta", "sparse", "quantized"])  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_what_could_fill_the_memory_without_running_code(tmp_path, more):
    torch.save({"w": torch.ones(2), "more": more()}, tmp_path / "a.pt")
    assert "which a file of weights does not need" in refused(tmp_path / "a.pt")


def test_a_dict_that_is_in_many_places_is_read_once(tmp_path):
    inner = {"w": torch.ones(2)}
    for _ in range(60):  # 2⁶⁰ ways to the tensor
        inner = {"a": inner, "b": inner}
    torch.save(inner, tmp_path / "a.pt")
    (name,) = read_foreign(tmp_path / "a.pt")
    assert name == 60 * "a." + "w"


@pytest.mark.parametrize("depth", [101, 100_000])
def test_very_deep_nesting(tmp_path, depth):
    torch.save({"w": torch.ones(2)}, tmp_path / "a.pt")
    saved = entries(tmp_path / "a.pt")
    name = next(name for name in saved if name.endswith("data.pkl"))
    around, inside = depth * b"}X\x01\0\0\0k", saved[name][2:-1]
    saved[name] = b"\x80\2" + around + inside + depth * b"s" + b"."
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        for entry, content in saved.items():
            archive.writestr(entry, content)
    assert "nests more than 100 dicts or modules" in refused(tmp_path / "a.pt")


def test_names_in_pickles_do_not_reach_the_terminal_raw(tmp_path):
    torch.save({"w": torch.ones(2), "more": Evil(tmp_path)}, tmp_path / "a.pt")
    saved = entries(tmp_path / "a.pt")
    for bad in (b"\x1b[2J", b"\r", b"\x07", b"\x7f"):
        with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
            for entry, content in saved.items():
                archive.writestr(entry, content.replace(b"mkdir", bad))
        assert "refers to posix.\\" in refused(tmp_path / "a.pt")


@pytest.mark.filterwarnings("ignore")
def test_a_damaged_file_is_whole_or_one_sentence(tmp_path):
    torch.save({"a": {"w": torch.arange(9.0)}, "b": torch.ones(3).half()}, tmp_path / "a.pt")
    content, rng = (tmp_path / "a.pt").read_bytes(), Random(0)
    for _ in range(300):
        (tmp_path / "a.pt").write_bytes(damaged_bytes(content, rng))
        one_sentence(read_foreign, tmp_path / "a.pt")
