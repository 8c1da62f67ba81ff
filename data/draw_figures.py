"""Draw the two figures of the README: `python data/draw_figures.py`, about a minute.

data/sheet.png: each row is CLIP's best six of 32 candidates of seed 0; nobody picks by hand.
None of the scenes' captions was in the training data (`scenes.split`).
data/best_of.png: the exact rates in data/evaluation.json, which is what
`minidalle evaluate --json` printed.
"""

import json
import math

import matplotlib.pyplot as plt
from PIL import Image

from minidalle import DATA, pipeline, plots

CAPTIONS = (
    "four green stars on a yellow background",
    "a small red heart to the left of a striped yellow triangle",
    "a small penguin to the left of a watermelon",
    "a small snail above a burger on a blue background",
    "a small orange star below a small brown square",  # no orange star, nor
    "a small snail to the right of a whale",  # these two together, was ever seen
    "a drawing of a strawberry",
    "a twemoji drawing of a sunflower",
    "a teddy bear on a green background",
    "a fluent drawing of a hot air balloon",
)


def draw_sheet() -> Image.Image:
    """Two columns of captions, each with its six pictures."""
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


def draw_curve(path) -> None:
    """Exact rate against the number of candidates that CLIP chooses from, with standard errors."""
    measured = json.loads((DATA / "evaluation.json").read_text())
    figure, axis = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for split, colour, marker in zip(("unseen", "combination"), plots.COLOURS, "os"):
        best = {int(k[8:]): rate for k, rate in measured[split].items() if k.startswith("best of ")}
        errors = [math.sqrt(rate * (1 - rate) / measured["captions"]) for rate in best.values()]
        axis.errorbar(list(best), [100 * r for r in best.values()], [100 * e for e in errors],
                      color=colour, marker=marker, capsize=3, label=f"{split} captions")
    axis.set_xscale("log", base=2)
    axis.set_xticks(list(best), list(best))
    axis.set(xlabel="candidates that CLIP chooses from", ylabel="judged exact, %")
    axis.grid(alpha=0.3)
    axis.legend(frameon=False)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    plots.save_image(draw_sheet(), DATA / "sheet.png")
    draw_curve(DATA / "best_of.png")
    print(DATA / "sheet.png", DATA / "best_of.png", sep="\n")
