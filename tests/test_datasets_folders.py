"""Folders of pictures and captions: what is read, and what is left out and said."""

import numpy as np
import pytest
from PIL import Image

from minidalle.__main__ import main
from minidalle.datasets import folder_pictures, open_data


@pytest.fixture
def folder(tmp_path):
    """One picture that is all right."""
    Image.new("RGB", (6, 5), "red").save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("a red thing")
    return tmp_path


def test_pictures_pair_with_the_captions_beside_them(tmp_path, caplog):
    wide = np.zeros((8, 16, 3), np.uint8)
    wide[:, 4:12] = (0, 0, 255)  # the middle square
    Image.fromarray(wide).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("a blue square\n\n  the sea \n", "utf-8")
    clear = np.zeros((4, 4, 4), np.uint8)  # wholly transparent: white
    Image.fromarray(clear).save(tmp_path / "b.webp", lossless=True)
    (tmp_path / "b.txt").write_text("näkymätön 👻", "utf-8")
    (tmp_path / "more.d").mkdir()
    Image.fromarray(wide).save(tmp_path / "more.d" / "IMG_1.5.JPG")
    (tmp_path / "more.d" / "IMG_1.5.TXT").write_text("\ufeffthe sea\r\n", "utf-8")

    source = open_data(str(tmp_path), image_size=4)
    assert source.variants == [("a blue square", "the sea"), ("näkymätön 👻",), ("the sea",)]
    assert source.pictures.shape == (3, 4, 4, 3) and not caplog.messages
    assert (source.pictures[0] == (0, 0, 255)).all() and (source.pictures[1] == 255).all()


@pytest.mark.parametrize("mode", ["L", "P", "LA", "CMYK", "1", "I;16"])
def test_pictures_of_any_mode(tmp_path, mode):
    extension = "jpg" if mode == "CMYK" else "png"
    Image.new(mode, (6, 5)).save(tmp_path / f"a.{extension}")
    (tmp_path / "a.txt").write_text("dark")
    assert folder_pictures(tmp_path, 4).pictures.shape == (1, 4, 4, 3)


def test_what_is_left_out_is_said_in_one_line(folder, caplog):
    for name in ("b.png", "c.bmp", "d.png", "e.png", "g.png", "g.webp"):
        Image.new("RGB", (6, 5)).save(folder / name)
    texts = {"c": b"a bitmap", "d": b"\xff\xfe", "e": b"\xef\xbb\xbf\n", "f": b"?", "g": b"?"}
    for name, content in texts.items():
        (folder / f"{name}.txt").write_bytes(content)
    (folder / "h.png").write_bytes((folder / "a.png").read_bytes()[:40])
    (folder / "h.txt").write_text("half a picture")
    (folder / "i").symlink_to(folder)
    assert folder_pictures(folder, 4).variants == [("a red thing",)]
    assert caplog.messages == [
        f"{folder}: 1 read; left out: 1 link to a folder (i), 2 no caption (b.png, …), "
        "1 unsupported format (c.bmp), 1 broken caption (d.png), 1 no picture (f.txt), "
        "2 repeated key (g.png, …), 1 broken picture (h.png)"
    ]


def test_names_that_begin_with_a_dot_are_ignored(folder, caplog):
    (folder / ".thumbnails").mkdir()
    for name in ("._a.png", "._a.txt", ".DS_Store", ".thumbnails/a.png", ".thumbnails/a.txt"):
        (folder / name).write_bytes(b"\0\5\x16\7")
    assert len(folder_pictures(folder, 4).pictures) == 1 and not caplog.messages


def test_a_folder_of_nothing_else_is_one_sentence(tmp_path, capsys):
    (tmp_path / "a.png").write_text("I am not a picture")
    (tmp_path / "a.txt").write_text("something")
    (tmp_path / "0.tar").touch()
    assert main(["train", "bpe", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == (
        f"minidalle: {tmp_path} holds no picture NAME.png with a caption NAME.txt beside it; "
        "left out: 1 unsupported format (0.tar), 1 broken picture (a.png); "
        f"name shards as '{tmp_path}/{{00000..00009}}.tar'\n"
    )
    assert not (tmp_path / "out").exists()
