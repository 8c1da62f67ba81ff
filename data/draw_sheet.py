"""Draw the sheet at the top of the README: `python data/draw_sheet.py`, about a minute.

Nobody picks by hand: each row is CLIP's best six of 32 candidates, of seed 0. None of the
scenes' captions was in the training data (`scenes.split`).
"""

from PIL import Image

from minidalle import pipeline, plots, weights

CAPTIONS = (
    "three green stars on a yellow background",
    "a small red heart to the left of a striped yellow triangle",
    "a small penguin to the left of a watermelon",
    "a small bee above a pizza on a blue background",
    "a small orange star below a small brown square",  # no orange star, nor
    "a small snail to the right of a whale",  # these two together, was ever seen
    "a drawing of a strawberry",
    "a twemoji drawing of a sunflower",
    "a teddy bear on a green background",
    "a fluent drawing of a hot air balloon",
)

models = weights.load_pretrained("tiny")
rows = []
for caption in CAPTIONS:
    best = pipeline.draw(models, caption, candidates=32, keep=6).best
    rows.append(plots.sheet(best, caption, columns=6, scale=3))
width, height = max(row.width for row in rows), max(row.height for row in rows)
page = Image.new("RGB", (2 * width, len(rows) // 2 * height), "white")
for i, row in enumerate(rows):
    page.paste(row, (i % 2 * width, i // 2 * height))
plots.save_image(page, weights.DATA / "sheet.png")
print(weights.DATA / "sheet.png")
