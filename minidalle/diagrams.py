"""The diagrams of the notebooks, drawn by matplotlib: boxes, arrows and words.

Coordinates are in units of a grid: x to the right, y up. Data is yellow, what is trained is blue,
and what merely computes is grey. As in plots.py, `plt.show()` is left to the caller.
"""

from collections.abc import Sequence

from minidalle.plots import PAGE

DATA, TRAINED, PLAIN = "#FFF3C4", "#CFE3F5", "#ECECEC"


def canvas(width: float, height: float):
    """Axes without frame, `width` × `height` units on a page as wide as a notebook's."""
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(PAGE, PAGE * height / width))
    ax.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    ax.axis("off")
    return ax


def box(ax, x: float, y: float, width: float, height: float, words: str, colour: str) -> None:
    """A box with its lower left corner at (x, y), and words in its middle."""
    from matplotlib.patches import FancyBboxPatch

    style = "round,pad=0,rounding_size=0.12"
    ax.add_patch(
        FancyBboxPatch((x, y), width, height, boxstyle=style, facecolor=colour, edgecolor="#555555")
    )
    ax.text(x + width / 2, y + height / 2, words, ha="center", va="center", fontsize=7)


def arrow(ax, start: tuple[float, float], end: tuple[float, float], words: str = "") -> None:
    """An arrow, with words beside its middle."""
    how = {"arrowstyle": "-|>", "color": "#555555", "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", xy=end, xytext=start, arrowprops=how)
    x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    if start[1] == end[1]:
        ax.text(x, y + 0.12, words, ha="center", va="bottom", fontsize=6.5)
    else:
        ax.text(x + 0.12, y, words, ha="left", va="center", fontsize=6.5)


def chain(ax, y: float, height: float, boxes: Sequence[tuple], gap: float, x: float = 0.1) -> None:
    """Boxes from left to right, (width, words, colour, words on the arrow to the next)."""
    for i, (width, words, colour, then) in enumerate(boxes):
        box(ax, x, y, width, height, words, colour)
        x += width
        if i + 1 < len(boxes):
            arrow(ax, (x, y + height / 2), (x + gap, y + height / 2), then)
            x += gap


def pipeline():
    """From a caption to ranked pictures: what notebooks 01 to 07 build."""
    ax = canvas(14, 4.2)
    row = [
        (2.0, "caption", DATA, "BPE"),
        (2.0, "32 tokens", DATA, ""),
        (2.6, "transformer\nsamples code by code", TRAINED, ""),
        (2.0, "8×8 codes", DATA, "dVAE"),
        (2.0, "picture", DATA, ""),
    ]
    chain(ax, 2.6, 1.1, row, gap=0.82)
    box(
        ax,
        10.18,
        0.3,
        3.5,
        1.1,
        "CLIP: how well does each\nof 32 pictures fit the caption?",
        TRAINED,
    )
    arrow(ax, (12.9, 2.6), (12.9, 1.4))
    ax.plot([1.1, 1.1], [2.6, 0.85], color="#555555", linewidth=1)
    arrow(ax, (1.1, 0.85), (10.18, 0.85), "the caption once more")
    for x, words in ((2.5, "01"), (7.0, "04, 05, 06"), (10.7, "02, 03"), (13.4, "07")):
        ax.text(x, 3.82 if words != "07" else 0.12, f"notebook {words}", fontsize=6, ha="center")
    return ax


def dvae():
    """Encoder, choice of a code, codebook, decoder, with the shapes of tiny."""
    ax = canvas(14, 3.4)
    row = [
        (1.6, "picture\n3×32×32", DATA, ""),
        (1.6, "encoder", TRAINED, ""),
        (1.6, "logits\n512×8×8", DATA, "choose"),
        (1.6, "codes\n8×8", DATA, "look up"),
        (1.6, "decoder", TRAINED, ""),
        (1.6, "picture\n3×32×32", DATA, ""),
    ]
    chain(ax, 1.9, 1.1, row, gap=0.82)
    box(ax, 7.2, 0.2, 4.0, 0.9, "codebook: 512 vectors of 64 numbers", TRAINED)
    arrow(ax, (9.37, 1.1), (9.37, 2.4))
    ax.text(
        6.95, 1.6, "in training a soft choice\n(Gumbel-softmax)", fontsize=6.5, ha="right", va="top"
    )
    return ax


def block():
    """A pre-norm block: the residual stream runs up the middle, two branches add to it."""
    ax = canvas(14, 6)
    ax.plot([3, 3], [0.2, 5.5], color="#0072B2", linewidth=3)
    arrow(ax, (3, 5.4), (3, 5.9))
    ax.text(2.75, 0.5, "residual stream", rotation=90, ha="right", fontsize=7, color="#0072B2")
    parts = (
        (0.6, ("layer norm", "attention over\nvisible positions", "output\nmatrix")),
        (3.2, ("layer norm", "up, GELU, down:\nthe MLP", "")),
    )
    for y, (norm, middle, last) in parts:
        arrow(ax, (3, y), (4.6, y))
        box(ax, 4.6, y - 0.45, 1.8, 0.9, norm, TRAINED)
        arrow(ax, (6.4, y), (7.2, y))
        box(ax, 7.2, y - 0.55, 2.6, 1.1, middle, TRAINED)
        end = 9.8
        if last:
            arrow(ax, (9.8, y), (10.6, y))
            box(ax, 10.6, y - 0.45, 1.5, 0.9, last, TRAINED)
            end = 12.1
        ax.plot([end, 12.8, 12.8], [y, y, y + 1.5], color="#555555", linewidth=1)
        arrow(ax, (12.8, y + 1.5), (3.16, y + 1.5), "adds to the stream")
        ax.text(3, y + 1.5, "+", ha="center", va="center", fontsize=9,
                bbox={"boxstyle": "circle,pad=0.15", "facecolor": "white"})  # fmt: skip
    return ax


def stream():
    """The single stream: what each position reads and predicts, and who sees whom."""
    ax = canvas(14, 4)
    reads = ["start", "a", "red", "star", "pad", "…", "start of\nimage", "code 1", "code 2", "…"]
    says = ["a", "red", "star", "pad", "pad", "…", "code 1", "code 2", "code 3", "…"]
    for i, (below, above) in enumerate(zip(reads, says)):
        x, colour = 0.1 + 1.38 * i, DATA if i < 6 else "#DDEFD9"
        box(ax, x, 0.1, 1.2, 0.75, below, colour)
        arrow(ax, (x + 0.6, 0.85), (x + 0.6, 1.45))
        arrow(ax, (x + 0.6, 2.45), (x + 0.6, 3.1))
        box(ax, x, 3.1, 1.2, 0.75, above, colour)
    box(
        ax,
        0.1,
        1.45,
        13.62,
        1.0,
        "blocks: every position sees itself and what stands before it",
        TRAINED,
    )
    return ax


def clip():
    """CLIP's two encoders, and the table of cosines that the loss looks at."""
    ax = canvas(14, 4.5)
    for y, data, encoder in (
        (2.9, "B pictures", "image encoder"),
        (0.4, "B captions", "text encoder"),
    ):
        row = [
            (2.0, data, DATA, ""),
            (2.4, encoder, TRAINED, ""),
            (2.2, "B vectors\nof length 1", DATA, ""),
        ]
        chain(ax, y, 1.1, row, gap=0.6)
        arrow(ax, (7.8, y + 0.55), (9.2, 2.4 if y > 2 else 1.6))
    for i in range(4):
        for j in range(4):
            colour = "#0072B2" if i == j else "#F4F4F4"
            box(ax, 9.5 + 0.9 * j, 2.8 - 0.9 * i, 0.8, 0.8, "", colour)
    ax.text(
        11.25,
        3.8,
        "B × B cosines: the diagonal should win\nin its row and in its column",
        fontsize=7,
        ha="center",
    )
    return ax
