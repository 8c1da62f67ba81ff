"""Draw the sheet of the second DALL·E beside the first: `python data/draw_dalle2.py`, two minutes.

data/dalle2.png. Above, for each caption on the left CLIP's best four of 16 candidates by tiny,
32×32 pixels, and on the right those by the second DALL·E, 128×128. Below, captions of the lit
world, and edits: the picture, what is to be drawn anew in grey, and the best six of 16. All of
seed 0, picked by nobody, and all for captions that training never showed.
"""

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from minidalle import DATA, pipeline, plots
from minidalle.dalle2 import pipeline as second_pipeline
from minidalle.datasets import to_tensor
from minidalle.world.lit import LIT

CANDIDATES = 16
SCENES = (
    "four green stars on a yellow background",
    "a small red heart to the left of a striped yellow triangle",
    "a small penguin to the left of a watermelon",
    "a small snail above a burger on a blue background",
)
LIT_CAPTIONS = (
    "a green ball to the left of a purple cube on ice, lit from the left",
    "an orange cylinder on sand, lit from the right",
)
BOTH = {"first": "green ball", "second": "purple cube", "left": 4, "bottom": 52}
ON_ICE = {"ground": "ice", "light": "the left"}
EDITS = (  # the picture, the caption of what it should become
    ({f: v for f, v in BOTH.items() if f != "second"} | ON_ICE, LIT_CAPTIONS[0]),
    (BOTH | ON_ICE, "a green ball on ice, lit from the left"),
    (BOTH | ON_ICE, "a green ball to the left of an orange cone on ice, lit from the left"),
)


def enlarged(pictures: Tensor) -> Tensor:
    """Pictures (B, 3, 32, 32) with sharp pixels four times as large."""
    return F.interpolate(pictures, scale_factor=4.0)


def compared(first: pipeline.Pretrained, second: second_pipeline.Pretrained, caption: str):
    """A caption drawn by both."""
    ours = pipeline.draw(first, caption, CANDIDATES, 4).best
    theirs = second_pipeline.draw(second, caption, CANDIDATES, 4).large
    return plots.sheet(torch.cat([enlarged(ours), theirs]), caption, scale=1)


def edited(second: second_pipeline.Pretrained, before: dict, caption: str) -> Image.Image:
    """A picture of the lit world, the part of it that is redrawn, and what becomes of it."""
    picture = to_tensor(LIT.paint(before, 32)[None])
    mask = torch.zeros(1, 32, 32, dtype=torch.bool)
    mask[:, 11:, 16:] = True
    how = {"given": picture[0], "mask": mask}
    large = second_pipeline.draw(second, caption, CANDIDATES, 6, **how).large
    shown = enlarged(torch.cat([picture, torch.where(mask, 0.5, picture)]))
    return plots.sheet(torch.cat([shown, large]), f"edited: {caption}", scale=1)


def main() -> None:
    first, second = pipeline.load_pretrained("tiny"), second_pipeline.load_pretrained()
    rows = [compared(first, second, caption) for caption in SCENES]
    for caption in LIT_CAPTIONS:
        best = second_pipeline.draw(second, caption, CANDIDATES, 8).large
        rows.append(plots.sheet(best, caption, scale=1))
    rows += [edited(second, *each) for each in EDITS]
    page = Image.new("RGB", (max(r.width for r in rows), sum(r.height for r in rows)), "white")
    top = 0
    for row in rows:
        page.paste(row, (0, top))
        top += row.height
    plots.save_image(page, DATA / "dalle2.png")
    print(DATA / "dalle2.png")


if __name__ == "__main__":
    main()
