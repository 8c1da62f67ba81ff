"""Draw the figures of tiny in docs/results.md: `python data/draw_figures.py`, a minute.

data/sheet.png: each row is CLIP's best six of 32 candidates of seed 0, without selection by hand.
None of the captions of scenes was in the training data (`scenes.split`).
data/best_of.png: the exact rates in data/evaluation_tiny.json.
data/diversity.png: from the same file, how exact and how varied drawings are at several guidances
and temperatures; the defaults of `minidalle draw` were chosen from it.
"""

import json

import matplotlib.pyplot as plt
from PIL import Image

from minidalle import DATA, pipeline, plots
from minidalle.evaluate import GUIDANCES, TEMPERATURES

CAPTIONS = (
    "four green stars on a yellow background",
    "a small red heart to the left of a striped yellow triangle",
    "a small penguin to the left of a watermelon",
    "a small snail above a burger on a blue background",
    "a small orange star below a small brown square",  # training has no orange star
    "a small snail to the right of a whale",  # nor these two things together
    "a drawing of a strawberry",
    "a twemoji drawing of a sunflower",
    "a teddy bear on a green background",
    "a fluent drawing of a hot air balloon",
)


def draw_sheet() -> Image.Image:
    """Two columns of captions, each with six pictures."""
    models = pipeline.load_pretrained("tiny")
    rows = []
    for caption in CAPTIONS:
        best = pipeline.draw(models, caption, candidates=32, keep=6).best
        rows.append(plots.sheet(best, caption, columns=6, scale=3))
    width, height = max(row.width for row in rows), max(row.height for row in rows)
    page = Image.new("RGB", (2 * width, len(rows) // 2 * height), "white")
    for i, row in enumerate(rows):
        page.paste(row, (i % 2 * width, i // 2 * height))
    return page


def draw_curve(measured: dict, path) -> None:
    """Plot the exact rate over the number of candidates that CLIP ranks, with standard errors."""
    figure, axis = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for split, colour, marker in zip(("unseen", "combination"), plots.COLOURS, "os"):
        part = measured[split]
        sizes = [n for n in (1, 2, 4, 8, 16, 32) if f"best of {n}" in part]
        rates = [100 * part[f"best of {n}"] for n in sizes]
        errors = [100 * part[f"best of {n} ±"] for n in sizes]
        axis.errorbar(
            sizes, rates, errors, color=colour, marker=marker, capsize=3, label=f"{split} captions"
        )
    axis.set_xscale("log", base=2)
    axis.set_xticks(sizes, sizes)
    axis.set(xlabel="candidates that CLIP chooses from", ylabel="judged exact, %")
    axis.grid(alpha=0.3)
    axis.legend(frameon=False)
    figure.savefig(path, dpi=150)


def draw_diversity(measured: dict, path) -> None:
    """Plot the exact rate over the entropy of places and backgrounds, a line for each guidance."""
    part = measured["diversity"]
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), sharey=True, layout="constrained")
    for axis, what in zip(axes, ("place", "background")):
        for guidance, colour, marker in zip(GUIDANCES, plots.COLOURS, "osD^"):
            names = [f"guidance {guidance:g}, temperature {t:g}" for t in TEMPERATURES]
            exact = [100 * part[f"exact, {name}"] for name in names]
            varied = [part[f"{what}, {name}"] for name in names]
            bars = dict(
                yerr=[100 * part[f"exact, {name} ±"] for name in names],
                xerr=[part[f"{what}, {name} ±"] for name in names],
                elinewidth=0.5,
            )
            axis.errorbar(
                varied,
                exact,
                **bars,
                color=colour,
                marker=marker,
                lw=1,
                label=f"guidance {guidance:g}",
            )
            for x, y, temperature in zip(varied, exact, TEMPERATURES):
                axis.annotate(
                    f"{temperature:g}",
                    (x, y),
                    (4, 4),
                    textcoords="offset points",
                    color=colour,
                    fontsize=8,
                )
        axis.axvline(part[f"{what}, as painted"], color="grey", ls=":", label="as painted")
        axis.set(xlabel=f"entropy of the {what}, bits")
        axis.grid(alpha=0.3)
    axes[0].set(ylabel="judged exact, %")
    handles = dict(zip(*reversed(axes[0].get_legend_handles_labels())))
    figure.legend(
        handles.values(),
        handles,
        loc="outside right center",
        frameon=False,
        title="numbers: temperature",
    )
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    measured = json.loads((DATA / "evaluation_tiny.json").read_text("utf-8"))
    plots.save_image(draw_sheet(), DATA / "sheet.png")
    draw_curve(measured, DATA / "best_of.png")
    draw_diversity(measured, DATA / "diversity.png")
    print(*(DATA / f"{name}.png" for name in ("sheet", "best_of", "diversity")), sep="\n")
