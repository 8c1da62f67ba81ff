"""The merges and ids are those of the `tokenizers` package, and every text comes back."""

import json
import random
import unicodedata

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, normalizers
from toys import pairs_of

from minidalle.bench.peers import train_tokenizers
from minidalle.bpe import BPE, byte_ids, join, merge, train_by_recounting
from minidalle.words import lower, split_words

THINGS = "star ring cross octopus teacup lighthouse violin grapes 🐙 crème-brûlée".split()
COLOURS = "red orange yellow green blue purple".split()
CAPTIONS = [
    f"{n} {colour} {thing}{'s' * (n > 1)} {place} a {other}'s picture, no. {n * 37}"
    for n in (1, 2, 3)
    for colour in COLOURS
    for place in ("above", "left of")
    for thing, other in zip(THINGS, THINGS[3:] + THINGS[:3])
]
PROSE = [getattr(torch.nn, name).__doc__ or "" for name in dir(torch.nn)]  # 400 kB of English
ODD = [
    "",
    " ",
    "a",
    "  two  spaces ",
    "tab\tnew\r\nline\n",
    "it's we'll DON'T",
    "x\x00\x1f\x7fy",
    "½ ٣ 12345",
    "ΣΑΣ İstanbul ẞ",
    "日本語 한국어",
    "👩‍🚀🏳️‍🌈🐙",
    "e\u0301 \u00a0\u2028 \ufeff",
    "'s",
    " 's!?",
]


@pytest.fixture(scope="module")
def bpe():
    return BPE.train(CAPTIONS + PROSE, 1024)


@pytest.fixture(scope="module")
def theirs():
    return train_tokenizers(CAPTIONS + PROSE, 1024)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_ten_words_on_paper():
    # h u g ×5   p u g ×2   h u g s ×3. "u g" occurs 10 times, "h u" 8, "g s" 3, "p u" 2.
    #   1. u + g → ug    (10)          h ug ×5   p ug ×2   h ug s ×3
    #   2. h + ug → hug  (8)           hug ×5    p ug ×2   hug s ×3
    #   3. hug + s → hugs (3)          hug ×5    p ug ×2   hugs ×3
    #   4. p + ug → pug  (2)           hug ×5    pug ×2    hugs ×3
    # No pair is left, so that training stops short of the 300 tokens asked for.
    bpe = BPE.train(["hug"] * 5 + ["pug"] * 2 + ["hugs"] * 3, 300)
    assert bpe.vocab[256:] == [b"ug", b"hug", b"hugs", b"pug"]
    assert bpe.vocab_size == 260
    assert bpe.tokens("Hugs, mugs!") == ["hugs", ",", " ", "m", "ug", "s", "!"]


def test_ties_go_to_the_lowest_pair():
    # Ids are in GPT-2's order of the bytes: "é" (195, 169) is below the space (32).
    bpe = BPE.train(["zq ", "ab", "é"] * 2 + ["once"], 300)
    assert bpe.vocab[256:] == [b"ab", b"zq", "é".encode()]
    assert BPE.train(["é b"] * 2, 258).vocab[256:] == ["é".encode(), b" b"]


def test_examples_of_the_docstrings():
    assert join([1, 1, 1, 2], [0, 1], 9) == merge([1, 1, 1, 2], (1, 1), 9) == [9, 1, 2]
    assert byte_ids("é") == [127, 102] and byte_ids(" hi") == [220, 71, 72]
    assert split_words("Two red stars!") == ["two", " red", " stars", "!"]


def test_words_in_quotes_are_spelled():
    assert split_words("that says 'Dog'.") == ["that", " says", " '", "d", "o", "g", "'."]
    assert split_words("a dog's bone") == ["a", " dog", "'s", " bone"]
    assert split_words("eight o'clock, 'two words'")[-4:] == [" '", "two", " words", "'"]
    hey = BPE([(71, 68), (256, 88)])
    assert hey.encode("Hey he") == [257, 220, 256]
    assert hey.decode([257, 220, 256]) == "hey he"


def test_merges_equal_tokenizers(bpe, theirs):
    assert bpe.vocab_size == theirs.get_vocab_size() == 1024
    assert list(bpe.merges) == pairs_of(theirs)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("ab c", max_size=12), max_size=12))
def test_merges_equal_tokenizers_on_many_ties(texts):
    merges = list(BPE.train(texts, 280).merges)
    assert merges == list(train_by_recounting(texts, 280).merges)
    assert merges == pairs_of(train_tokenizers(texts, 280))


def test_recounting_gives_the_same():
    texts = CAPTIONS + PROSE[:20]
    assert BPE.train(texts, 330).merges == train_by_recounting(texts, 330).merges


def test_ids_equal_tokenizers(bpe, theirs):
    draw = random.Random(0)
    text = "\n".join(PROSE)
    starts = [draw.randrange(len(text)) for _ in range(300)]
    # Letters that a newer Unicode added would be cut by its version in either package.
    letters = [chr(i) for i in range(0x20000) if unicodedata.category(chr(i)) not in ("Cn", "Cs")]
    noise = ["".join(draw.choices(letters, k=12)) for _ in range(300)]
    for s in [*ODD, *CAPTIONS, *noise, *(text[i : i + draw.randrange(90)] for i in starts)]:
        assert bpe.encode(s) == theirs.encode(lower(s)).ids, repr(s)


@settings(max_examples=300, deadline=None)
@given(st.text(), st.sampled_from([0.0, 0.1, 1.0]))
def test_any_text_comes_back(bpe, text, dropout):
    ids = bpe.encode(text, dropout, generator() if dropout else None)
    assert bpe.decode(ids) == lower(text)


def test_a_lone_surrogate_is_refused(bpe):
    with pytest.raises(ValueError, match=r"U\+D83D, half a surrogate pair"):
        bpe.encode("an \ud83d octopus")


def test_dropout(bpe):
    text = "three green octopuses above a lighthouse"
    plain = bpe.encode(text)
    assert bpe.encode(text, 0.0, generator()) == plain
    assert bpe.encode(text, 1.0, generator()) == byte_ids(text)
    several = [bpe.encode(text, 0.1, generator(seed)) for seed in range(20)]
    assert several == [bpe.encode(text, 0.1, generator(seed)) for seed in range(20)]
    assert {bpe.decode(ids) for ids in several} == {text}
    assert len(set(map(tuple, several))) > 10
    assert len(plain) <= min(map(len, several))
    one = generator()
    assert len({tuple(bpe.encode(text, 0.5, one)) for _ in range(5)}) > 1  # it moves on
    assert bpe.encode(text) == plain  # and the cache has not seen any of it


def test_dropout_has_the_stated_probability():
    bpe = BPE.train(["ab", "ab"], 257)
    one = generator()
    left = sum(len(bpe.encode("ab", 0.1, one)) == 2 for _ in range(2000))
    assert 150 < left < 250


def test_dropout_needs_a_generator_and_a_probability(bpe):
    with pytest.raises(ValueError, match="torch.Generator"):
        bpe.encode("star", 0.1)
    with pytest.raises(ValueError, match="from 0 to 1, not 10"):
        bpe.encode("star", 10, generator())


def test_frame(bpe):
    V, T = bpe.vocab_size, 12
    ids = bpe.encode("a red octopus")
    n = 1 + len(ids)
    frame = bpe.frame("a red octopus", T)
    assert frame == [V, *ids, *(V + 1 + p for p in range(n, T))]
    assert frame[-1] == bpe.pad(T - 1) == V + T  # the last row of an embedding of V + 1 + T
    assert bpe.decode(frame) == bpe.decode(torch.tensor(frame)) == "a red octopus"
    frames = bpe.frames(["a red octopus", "🐙\x00"], T)
    assert frames.shape == (2, T) and frames.dtype == torch.int64
    assert frames[0].tolist() == frame
    assert bpe.frames([], T).shape == (0, T)
    assert bpe.frame("a red octopus", T, dropout=1.0, generator=generator(), truncate=True) == [
        V,
        *byte_ids("a red octo"),
        *byte_ids("p"),
    ]


def test_a_caption_over_the_limit(bpe):
    ids = bpe.encode("a red octopus")
    assert bpe.frame("a red octopus", len(ids) + 1) == [bpe.start, *ids]  # just fits
    with pytest.raises(ValueError) as error:
        bpe.frame("a red octopus", len(ids))
    assert f"{len(ids)} tokens and the limit is {len(ids) - 1}" in str(error.value)
    assert "--truncate" in str(error.value)
    assert bpe.frame("a red octopus", len(ids), truncate=True) == [bpe.start, *ids[:-1]]


@pytest.mark.parametrize("caption", ["", " ", "\n\t\u3000"])
def test_a_blank_caption_is_refused(bpe, caption):
    with pytest.raises(ValueError, match="empty"):
        bpe.frame(caption, 8)


def test_broken_utf8_decodes(bpe):
    assert bpe.decode(byte_ids("🐙")[:2] + byte_ids("a")) == "\ufffda"
    assert bpe.tokens("a🐙")[0] == "a"


def test_save_and_load(bpe, tmp_path):
    path = tmp_path / "bpe.json"
    path.write_text("an older file")
    bpe.save(path)
    assert list(BPE.load(path).merges.items()) == list(bpe.merges.items())
    assert BPE.load(path).vocab == bpe.vocab
    assert json.loads(path.read_text("utf-8"))["model"]["merges"][0] == ["Ġ", "Ġ"]
    assert [p.name for p in tmp_path.iterdir()] == ["bpe.json"]


def test_files_are_those_of_tokenizers(bpe, theirs, tmp_path):
    bpe.save(tmp_path / "ours.json")
    read = Tokenizer.from_file(str(tmp_path / "ours.json"))
    theirs.normalizer = normalizers.Lowercase()
    theirs.save(str(tmp_path / "theirs.json"))
    assert BPE.load(tmp_path / "theirs.json").merges == bpe.merges
    greek = "ΟΔΟΣ", "ΣΟΦΟΣ ΑΣ οδος", "Σ"  # Python lower-cases a Σ by what is around it
    capitals = [chr(i) for i in range(0x20000) if unicodedata.category(chr(i)) in ("Lu", "Lt")]
    for text in (*CAPTIONS, *ODD, *greek, "".join(capitals)):
        assert read.encode(text).ids == bpe.encode(text)
        assert read.decode(bpe.encode(text)) == lower(text)


def test_a_wrong_file_is_refused(bpe, tmp_path):
    path = tmp_path / "bpe.json"
    with pytest.raises(FileNotFoundError, match="no vocabulary"):
        BPE.load(path)
    bpe.save(path)
    whole = path.read_text("utf-8")

    def edited(change):
        saved = json.loads(whole)
        change(saved["model"]["merges"])
        return json.dumps(saved).encode()

    wrong = [
        b"",
        b"\x80\x02garbage",
        b"[]",
        b"{}",
        b"[" * 100_000,
        whole[:500].encode(),
        whole.replace("Lowercase", "NFC").encode(),
        whole.replace("1023", "1024").encode(),  # an id is left out
        edited(lambda merges: merges.pop()),
        edited(lambda merges: merges.append(merges[5])),
        edited(lambda merges: merges[5].append("a")),
        edited(lambda merges: merges.insert(0, ["Ġ", 7])),
    ]
    for content in wrong:
        path.write_bytes(content)
        with pytest.raises(ValueError, match="truncated or not a vocabulary"):
            BPE.load(path)


def test_training_on_bad_input():
    with pytest.raises(ValueError, match="at least 256"):
        BPE.train(["a"], 255)
    with pytest.raises(ValueError, match="texts must be a list"):
        BPE.train("a text", 300)
    assert BPE.train([], 300).vocab_size == BPE.train(["a"], 256).vocab_size == 256
