"""Sheets, curves and figures: their layout, and atomic writes."""

from pathlib import Path

import pytest
import torch
from PIL import Image, ImageFont

from minidalle import plots


def test_sheet():
    pictures = torch.zeros(3, 3, 8, 8)
    pictures[1] = 1
    page = plots.sheet(pictures, columns=2, scale=2)
    assert page.size == (2 * 20 + 4, 4 + 2 * 20)
    assert page.getpixel((4, 4)) == (0, 0, 0) and page.getpixel((24, 4)) == (255, 255, 255)
    assert page.getpixel((4, 24)) == (0, 0, 0)
    titled = plots.sheet(pictures, "word " * 500, ["0.1", "é", "🐙"], columns=2, scale=2)
    assert titled.height > page.height and titled.width == page.width
    with pytest.raises(ValueError, match="expected pictures"):
        plots.sheet(torch.zeros(8, 8))


def test_ascii_text():
    assert plots.ascii_text("Ein\tcafé\n🐙\x1b") == "Ein cafe ??"
    letters = "".join(map(chr, range(ord(" "), ord("~") + 1)))
    assert plots.ascii_text(letters) == letters
    assert ImageFont.load_default(plots.SMALL).getlength(letters) > 0


def test_figures(tmp_path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    log = tmp_path / "dvae.csv"
    log.write_text("step,loss,kl\n50,2.5,1\n100,1.5,2\n")
    assert list(plots.curve(log, ["loss", "kl"])[0].lines[0].get_ydata()) == [2.5, 1.5]
    assert plots.show_codes(torch.arange(6).view(2, 3)).texts[5].get_text() == "5"
    assert plots.show_masks({"causal": torch.ones(3, 3).tril() > 0})[0].get_ylabel() == "query"
    plots.show_pictures(torch.rand(3, 3, 8, 8), ["a", "b", "c"], columns=2)
    plt.close("all")


def test_a_sheet_that_fails_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "sheet.png"
    path.write_bytes(b"old")

    def torn(self, content):
        self.write_text("half")
        raise OSError("the disk is full")

    monkeypatch.setattr(plots, "picture_format", lambda _: "PNG")
    monkeypatch.setattr(Path, "write_bytes", torn)
    with pytest.raises(OSError, match="full"):
        plots.save_image(Image.new("RGB", (8, 8)), path)
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1
