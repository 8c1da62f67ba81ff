"""`draw --model dalle2` and `vary`, with models that know nothing, and their bad input."""

import pytest
import toys
from PIL import Image

from minidalle.__main__ import main

CAPTION = "a red ball on grass, lit from the left"


@pytest.fixture(scope="module")
def models():
    return toys.second_dalle()


@pytest.fixture(scope="module")
def folder(models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dalle2")
    toys.save_second(models, folder, data="lit")
    return folder


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A picture, masks of it, and nothing else, in the current folder."""
    monkeypatch.chdir(tmp_path)
    Image.linear_gradient("L").resize((64, 64)).convert("RGB").save("picture.png")
    Image.new("RGB", (32, 32), "red").save("other.png")
    mask = Image.new("L", (64, 64))
    mask.save("dark.png")
    mask.paste(255, (0, 0, 64, 32))
    mask.save("upper.png")
    mask.crop((0, 0, 64, 32)).save("half.png")
    return tmp_path


def draw(folder, *more, caption=CAPTION):
    few = ["--model", "dalle2", "--candidates", "2", "--keep", "2"]
    return main(["draw", caption, "--weights", str(folder), *few, *more])


def test_a_sheet_of_large_pictures(folder, files, capsys):
    assert draw(folder, "--seed", "3") == 0
    assert "rank  candidate" in capsys.readouterr().out
    with Image.open("sheet.png") as sheet:
        assert sheet.width > 2 * 128
    assert draw(folder, "--image", "picture.png", "--mask", "upper.png", "--out", "edit.png") == 0
    assert main(["vary", "picture.png", "--weights", str(folder), "--keep", "2"]) == 0
    assert main(["vary", "picture.png", "other.png", "--weights", str(folder), "--keep", "3"]) == 0


@pytest.mark.parametrize(
    "more, sentence",
    [
        (["--top-k", "5"], "--top-k is for the first DALL·E"),
        (["--image", "picture.png"], "--image and --mask go together"),
        (["--image", "picture.png", "--mask", "dark.png"], "dark.png is all dark"),
        (["--image", "picture.png", "--mask", "half.png"], "half.png has 64×32 pixels"),
        (["--image", "absent.png", "--mask", "upper.png"], "absent.png: No such file"),
        (["--keep", "3"], "of 2 candidates between 1 and 2 can be kept"),
        (["--guidance", "nan"], "guidance"),
    ],
)
def test_bad_input(folder, files, capsys, more, sentence):
    assert draw(folder, *more) == 2
    error = capsys.readouterr().err
    assert error.startswith("minidalle: ") and error.count("\n") == 1 and sentence in error
    assert not (files / "sheet.png").exists()


def test_captions_outside_the_world_are_refused(folder, files, capsys):
    assert draw(folder, caption="an armchair on grass, lit from the left") == 2
    error = capsys.readouterr().err
    assert "outside the world" in error and "near it are: " in error and error.count("\n") == 1


def test_other_bad_input(folder, files, capsys):
    for words, sentence in [
        (["vary", "picture.png", "other.png", "--eta", "0.5"], "--eta is for variations"),
        (["vary", "picture.png", "--eta", "2"], "must be from 0 to 1"),
        (["draw", CAPTION, "--mask", "upper.png"], "--mask needs --model dalle2"),
        (["evaluate", "--split", "dalle2", "--split", "unseen"], "measure one at a time"),
    ]:
        assert main([*words, *["--weights", str(folder)]]) == 2
        assert sentence in capsys.readouterr().err
    assert main(["draw", CAPTION, "--model", "dalle2", "--preset", "tiny"]) == 2
    assert "--preset is for the first DALL·E" in capsys.readouterr().err
