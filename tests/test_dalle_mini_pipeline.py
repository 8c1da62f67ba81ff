"""DALL·E Mini from a caption to a sheet, with models that know nothing."""

import pytest
import torch
from PIL import Image
from toys import mini_dalle, save_mini

from minidalle import DATA, pipeline
from minidalle.__main__ import main
from minidalle.bpe import BPE
from minidalle.dalle_mini.seq2seq import Seq2Seq
from minidalle.transformer import DALLE

CAPTION = "a red star above a blue circle"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dalle_mini")
    save_mini(mini_dalle(), folder)
    return folder


def test_a_sheet_and_the_same_pictures_again(folder, tmp_path, capsys):
    words = ["draw", CAPTION, "--model", "mini", "--weights", str(folder), "--candidates", "4"]
    for name in ("one.png", "two.png"):
        assert main([*words, "--keep", "2", "--out", str(tmp_path / name)]) == 0
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert "tokens   'a'" in capsys.readouterr().out


def test_part_of_a_picture(folder):
    models = pipeline.load_pretrained(folder)
    given = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    drawing = pipeline.draw(models, CAPTION, 3, 2, given=given, box=(4, 0))
    kept = models.dvae.encode(given[None]).flatten()[:32]
    assert (drawing.codes[:, :32] == kept).all() and len(drawing.codes.unique(dim=0)) == 3


def test_what_the_other_models_have_is_refused(folder, tmp_path, capsys):
    Image.new("L", (32, 32), 255).save(tmp_path / "mask.png")
    for words, sentence in (
        (["--mask", str(tmp_path / "mask.png")], "--mask needs --model dalle2"),
        (["--preset", "tiny"], "--preset is for the first DALL·E"),
    ):
        assert main(["draw", CAPTION, "--model", "mini", *words]) == 2
        said = capsys.readouterr().err
        assert sentence in said and len(said.splitlines()) == 1


def test_a_folder_that_holds_the_first_dalle_as_well(folder, tmp_path):
    for file in (*folder.iterdir(), *(DATA / "tiny").iterdir()):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert isinstance(pipeline.load_pretrained(tmp_path).dalle, DALLE)
    assert isinstance(pipeline.load_pretrained(tmp_path, "mini").dalle, Seq2Seq)
    assert isinstance(pipeline.load_pretrained(folder).dalle, Seq2Seq)


def test_parts_that_do_not_fit_are_refused(folder, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    BPE.train(["other words than those"] * 4, 258).save(tmp_path / "bpe.json")
    with pytest.raises(ValueError, match="the vocabularies of BPE and DALL·E differ"):
        pipeline.draw(pipeline.load_pretrained(tmp_path), "a star", 1, 1)
