"""OpenAI's encodings, on vocabulary files of three merges that one can follow by hand."""

import gzip

import pytest

from minidalle.openai import load_bpe
from minidalle.openai.encodings import GPT2BPE, ClipBPE


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(ClipBPE, "count", 3)
    path = tmp_path / "vocabulary.txt.gz"
    path.write_bytes(gzip.compress(b"a title\nc a\nca t</w>\nca t\nn o\n"))
    return path


def test_the_last_byte_of_a_word_is_another(file):
    bpe = load_bpe(file)  # merges 512 = ca, 513 = cat at an end, 514 = cat before more
    assert (bpe.vocab_size, bpe.start, bpe.end) == (515, 515, 516)
    s = bpe.spell("s")[0]
    assert s == 256 + bpe.spell("sa")[0]
    assert bpe.encode("Cat  cats") == [513, 514, s]
    assert bpe.decode(bpe.encode("A cat&amp;12")) == "a cat & 1 2"


def test_gpt_2_keeps_upper_case(tmp_path, monkeypatch):
    monkeypatch.setattr(GPT2BPE, "count", 3)
    (tmp_path / "vocab.bpe").write_text("a title\nC a\nCa t\nĠ Cat\nn o\n")
    bpe = load_bpe(tmp_path / "vocab.bpe", "gpt2")
    assert bpe.encode("Cat Cat") == [257, 258] and bpe.start == 259
    assert bpe.decode(bpe.encode("A cat's CAT")) == "A cat's CAT"
    with pytest.raises(NotImplementedError, match="own files"):
        bpe.save(tmp_path / "own")


def test_frames_end_with_end_of_text(file):
    bpe = load_bpe(file)
    assert bpe.frame("cat cat", 5) == [515, 513, 513, 516, 0]
    assert bpe.frame("cat cat cat", 4, truncate=True) == [515, 513, 513, 516]
    with pytest.raises(ValueError, match="3 tokens and the limit is 2"):
        bpe.frame("cat cat cat", 4)


@pytest.mark.parametrize("spoil", [
    lambda whole: whole[:-9], lambda whole: whole[:12] + b"\xff" * 9 + whole[21:],
    lambda whole: b"c a\n", lambda whole: gzip.compress(b"title\nc a\n"),
    lambda whole: gzip.compress(b"title\nc a\nxyz w\nc t\n"),
], ids=["cut off", "overwritten", "no archive", "too few", "out of order"])  # fmt: skip
def test_another_file_is_refused(file, spoil):
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(ValueError, match="truncated or not the vocabulary that OpenAI"):
        load_bpe(file)
    with pytest.raises(FileNotFoundError, match="no vocabulary"):
        load_bpe(file.with_name("none"))
