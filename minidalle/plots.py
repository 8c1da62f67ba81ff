"""Figures for the command and the notebooks: sheets of pictures, codes, masks and curves.

B batch, H W pixels of a picture, h w grid, S positions.

The sheet needs Pillow only. matplotlib is imported where it is used, because importing it takes
longer than drawing a picture. No function calls `plt.show()`; that is left to the caller.
"""

import csv
import io
import os
import textwrap
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from minidalle.files import whole_file

GAP, SMALL, LARGE = 4, 11, 15  # pixels: between pictures, and the two sizes of text
PAGE = 7  # inches: no figure in a notebook is wider
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # distinguishable by colour-blind readers


# ---- a sheet in a file ------------------------------------------------------------------


def to_uint8(pictures: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) in [0, 1] → uint8 (B, H, W, 3)."""
    if pictures.ndim != 4 or pictures.shape[1] != 3:
        raise ValueError(f"expected pictures (B, 3, H, W) in [0, 1], got {tuple(pictures.shape)}")
    return (pictures.detach().clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


def ascii_text(text: str) -> str:
    """Text that Pillow's built-in font can write: "Ein\tcafé 🐙" → "Ein cafe ?"."""
    text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return "".join(c if " " <= c <= "~" else " " if c.isspace() else "?" for c in text)


def sheet(
    pictures: Tensor,
    title: str = "",
    captions: Sequence[str] | None = None,
    columns: int = 8,
    scale: int = 4,
) -> Image.Image:
    """Pictures (B, 3, H, W) side by side, enlarged `scale` times with sharp pixels.

    The title is above all of them, a caption (such as a score) below each.
    """
    pictures = to_uint8(pictures)
    height, width = scale * pictures.shape[1] + GAP, scale * pictures.shape[2] + GAP
    height += SMALL + GAP if captions else 0
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    letters = max(
        8, columns * width * 2 // LARGE
    )  # letters are about half as wide as they are high
    lines = textwrap.wrap(ascii_text(title), letters, max_lines=3, placeholder=" ...")
    top = GAP + len(lines) * (LARGE + GAP)

    page = Image.new("RGB", (columns * width + GAP, top + rows * height), "white")
    pen = ImageDraw.Draw(page)
    for i, line in enumerate(lines):
        pen.text((GAP, GAP + i * (LARGE + GAP)), line, "black", ImageFont.load_default(LARGE))
    for i, picture in enumerate(pictures):
        x, y = GAP + i % columns * width, top + i // columns * height
        picture = Image.fromarray(picture.numpy())
        size = scale * picture.width, scale * picture.height
        page.paste(picture.resize(size, Image.Resampling.NEAREST), (x, y))
        if captions:
            text, small = ascii_text(captions[i]), ImageFont.load_default(SMALL)
            pen.text((x, y + size[1] + 1), text, "dimgrey", small)
    return page


def picture_format(path: Path) -> str:
    """The picture format of `path`, to be checked before a long computation starts.

    Raises ValueError or OSError, in one sentence, if no picture can be written there.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name a file in it, as in {path / 'sheet.png'}")
    if not path.parent.is_dir():
        raise ValueError(f"{path} cannot be written: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"{path} cannot be written: the folder {path.parent} is read-only")
    try:
        name = Image.registered_extensions()[path.suffix.lower()]
        Image.new("RGB", (8, 8)).save(io.BytesIO(), name)  # some formats are read-only
    except (KeyError, OSError, ValueError):
        raise ValueError(f"{path} does not end like a picture: try .png, .jpg or .webp") from None
    return name


def save_image(image: Image.Image, path: Path) -> None:
    """Write a picture atomically; errors as in `picture_format` and `whole_file`."""
    image.save(file := io.BytesIO(), picture_format(path))
    with whole_file(path) as part:
        part.write_bytes(file.getvalue())  # unlike Pillow, this notices a full disk


# ---- figures in a notebook --------------------------------------------------------------


def show_pictures(pictures: Tensor, titles: Sequence[str] | None = None, columns: int = 8) -> None:
    """A grid of pictures (B, 3, H, W) in [0, 1], each with its title."""
    import matplotlib.pyplot as plt

    pictures, columns = to_uint8(pictures), min(columns, len(pictures))
    rows, side = -(-len(pictures) // columns), min(1.4, PAGE / columns)
    lines = max((title.count("\n") + 1 for title in titles or () if title), default=0)
    size = (side * columns, (side + 0.05 + 0.13 * lines) * rows)
    _, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for i, ax in enumerate(axes.flat):
        ax.axis("off")
        if i < len(pictures):
            ax.imshow(pictures[i].numpy(), interpolation="nearest")
            ax.set_title(titles[i] if titles else "", fontsize=7, pad=3)


def show_codes(codes: Tensor, ax=None):
    """A grid of codes (h, w), each written on its cell; close numbers have close colours."""
    import matplotlib.pyplot as plt

    ax = ax or plt.subplots(figsize=(4, 4))[1]
    ax.imshow(codes.numpy(), cmap="cividis")
    middle = (int(codes.min()) + int(codes.max())) / 2
    for row, line in enumerate(codes.tolist()):
        for column, code in enumerate(line):
            colour = "white" if code <= middle else "black"
            ax.text(column, row, code, ha="center", va="center", color=colour, fontsize=8)
    ax.set(xlabel="column", ylabel="row", xticks=range(codes.shape[1]), yticks=range(len(codes)))
    return ax


def show_masks(masks: dict[str, Tensor]):
    """Masks (S, S) by name, dark where the query (row) may attend to the key (column)."""
    import matplotlib.pyplot as plt

    side = min(3.2, PAGE / len(masks))
    size = (side * len(masks), side + 0.3)
    _, axes = plt.subplots(1, len(masks), figsize=size, squeeze=False, layout="constrained")
    for ax, (name, mask) in zip(axes[0], masks.items()):
        ax.imshow(mask.numpy(), cmap="Blues", vmin=0, vmax=1.2, interpolation="nearest")
        ax.set(title=name, xlabel="key")
    axes.flat[0].set(ylabel="query")
    return axes[0]


def curve(path: Path, columns: Sequence[str]):
    """Columns of a training log, NAME.csv, over steps, each on its own axes."""
    import matplotlib.pyplot as plt

    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    size = (3.6 * len(columns), 2.6)
    _, axes = plt.subplots(1, len(columns), figsize=size, squeeze=False, layout="constrained")
    for i, (ax, name) in enumerate(zip(axes[0], columns)):
        steps, values = [int(row["step"]) for row in rows], [float(row[name]) for row in rows]
        ax.plot(steps, values, color=COLOURS[i % len(COLOURS)])
        ax.set(xlabel="step", ylabel=name)
    return axes[0]
