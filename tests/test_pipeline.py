"""From a caption to ranked pictures, with models of random weights."""

import pytest
import torch
from PIL import Image

from minidalle import pipeline
from minidalle.datasets import pictures as files

CAPTION = "a red star"


def test_candidates_do_not_depend_on_the_chunk(shipped, monkeypatch):
    models = pipeline.load_pretrained(shipped)
    whole = pipeline.draw(models, CAPTION, candidates=5, keep=5, seed=3)
    monkeypatch.setattr(pipeline, "CHUNK", 2)
    chunked = pipeline.draw(models, f" {CAPTION}\n", candidates=5, keep=3, seed=3)
    assert torch.equal(whole.codes, chunked.codes)
    assert torch.equal(whole.order[:3], chunked.order)
    assert torch.allclose(whole.pictures, chunked.pictures, atol=1e-6)
    assert torch.equal(whole.best[0], whole.pictures[whole.order[0]])
    assert chunked.caption == CAPTION and "".join(chunked.tokens) == CAPTION
    assert whole.scores.tolist() == sorted(whole.scores.tolist(), reverse=True)


@pytest.mark.parametrize("part, what", [
    ("dalle", "the transformer's logits"), ("dvae", "the pictures"), ("clip", "CLIP's scores"),
])  # fmt: skip
@pytest.mark.parametrize("large", [1e38, float("nan")])
def test_nothing_is_drawn_from_numbers_that_are_not_finite(shipped, part, what, large):
    """A file could hold finite weights that overflow in the first product."""
    models = pipeline.load_pretrained(shipped)
    for parameter in getattr(models, part).parameters():
        parameter.fill_(large)
    with pytest.raises(FloatingPointError, match=f"^{what} are not finite"):
        pipeline.draw(models, CAPTION, candidates=3, keep=1)


def test_pictures_of_the_wrong_size_or_mode(shipped, tmp_path):
    dvae = pipeline.load_pretrained(shipped).dvae
    for shape in [(1, 3, 16, 17), (1, 3, 32, 32), (3, 16, 16), (1, 4, 16, 16), (1, 16, 16, 3)]:
        with pytest.raises(ValueError, match=r"^expected pictures \(B, 3, 16, 16\)[^\n]*$"):
            dvae.encode(torch.zeros(shape))
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"):  # every mode will do
        path = tmp_path / f"{mode.replace(';', '')}.{'jpg' if mode == 'CMYK' else 'png'}"
        Image.new(mode, (9, 7)).save(path)
        assert files.open_picture(path, 16).shape == (16, 16, 3)
    path.write_text("no picture")
    with pytest.raises(ValueError, match="not a picture"):
        files.open_picture(path, 16)


def test_part_of_a_given_picture_is_drawn(shipped):
    models = pipeline.load_pretrained(shipped)
    given, grid = torch.rand(3, 16, 16), models.dalle.config.grid
    kept = models.dvae.encode(given[None])[0]
    drawing = pipeline.draw(models, CAPTION, candidates=4, keep=1, given=given, box=(1, grid - 1))
    codes = drawing.codes.view(-1, grid, grid)
    corner = torch.zeros(grid, grid, dtype=torch.bool)
    corner[1:, grid - 1 :] = True
    assert (codes[:, ~corner] == kept[~corner]).all() and (codes[:, corner] != kept[corner]).any()
