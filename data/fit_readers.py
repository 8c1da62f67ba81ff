"""Fit the two readers of emoji, and measure them on pictures that they were not fitted on.

    python data/fit_readers.py            # writes data/emoji_readers.safetensors

About half an hour on one CPU core. They are fitted on the pack's split `train`, on random
backgrounds. The reader of concepts sees pictures moved, mirrored where that does not falsify the
name, blurred and noisy, as drawings may be. The reader of styles sees pieces of them, half of
them as small's dVAE decodes them, and of each concept every style at once, so that nothing else
tells them apart. What is measured is the split "unseen combination": a concept that was seen, by
a vendor whose picture of it was not.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from minidalle import DATA, weights
from minidalle.dvae import DVAE
from minidalle.files import whole_file
from minidalle.plots import to_uint8
from minidalle.world import emoji, objects
from minidalle.world.emoji_readers import (
    READERS,
    ConceptReader,
    StyleReader,
    concepts_drawn,
    name_by,
)
from minidalle.world.scenes import BACKGROUNDS

BATCH, RATE, SMOOTHING, EPOCHS = 64, 2e-3, 0.1, 60  # of the reader of concepts
CONCEPTS, STEPS, STYLE_RATE, PIECE = 16, 5000, 3e-3, 40  # of styles: in a batch; pixels a side
DECODED = 2  # pictures that went through the dVAE, of each, on different backgrounds


def on_backgrounds(rgba: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures (B, 64, 64, 4) of uint8 over random backgrounds: (B, 3, 64, 64) from 0 to 1."""
    grounds = torch.tensor(list(BACKGROUNDS.values())) / 255
    ground = grounds[torch.randint(len(grounds), (len(rgba),), generator=generator)]
    colour, cover = rgba[..., :3] / 255, rgba[..., 3:] / 255
    return (colour * cover + ground[:, None, None] * (1 - cover)).permute(0, 3, 1, 2)


def changed(pictures: Tensor, mirrorable: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures moved by up to four pixels, scaled, mirrored, blurred and noisy, each at random."""
    B = len(pictures)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(B, generator=generator)

    flip = torch.where(mirrorable & (uniform(0, 1) < 0.5), -1.0, 1.0)
    turn, scale = uniform(-0.15, 0.15), uniform(0.85, 1.2)
    cos, sin = turn.cos() * scale, turn.sin() * scale
    x, y = uniform(-0.12, 0.12), uniform(-0.12, 0.12)
    matrix = torch.stack([cos * flip, -sin, x, sin * flip, cos, y], 1).view(B, 2, 3)
    grid = F.affine_grid(matrix, list(pictures.shape), align_corners=False)
    moved = F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    blurred = F.avg_pool2d(moved, 3, 1, 1, count_include_pad=False)
    some = uniform(0, 1) < 0.3
    moved = torch.where(some[:, None, None, None], blurred, moved)
    noise = torch.randn(moved.shape, generator=generator) * uniform(0, 0.06)[:, None, None, None]
    light = uniform(0.85, 1.15)[:, None, None, None]
    return (moved * light + noise).clamp(0, 1)


def optimized(reader: nn.Module, steps: int, rate: float) -> Iterator[Callable[[Tensor], None]]:
    """For each step a function that takes the loss: AdamW, a warm-up and a half-cosine."""
    optimizer = torch.optim.AdamW(reader.parameters(), lr=rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)

    def follow(loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()

    for _ in tqdm(range(steps)):
        yield follow


def fit_concepts(reader: nn.Module, rgba: Tensor, labels: Tensor, mirrorable: Tensor, seed: int):
    """Fit the reader of concepts to all pictures in random order."""
    generator = torch.Generator().manual_seed(seed)
    for follow in optimized(reader, EPOCHS * len(rgba) // BATCH, RATE):
        chosen = torch.randint(len(rgba), (BATCH,), generator=generator)
        pictures = on_backgrounds(rgba[chosen], generator)
        pictures = changed(pictures, mirrorable[chosen], generator)
        follow(F.cross_entropy(reader(pictures), labels[chosen], label_smoothing=SMOOTHING))


def fit_styles(reader: nn.Module, rgba: Tensor, labels: Tensor, concepts: Tensor, seed: int):
    """Fit the reader of styles to pieces of pictures, of some concepts in all their styles."""
    generator, ids = torch.Generator().manual_seed(seed), concepts.tolist()
    alike = [torch.where(concepts == concept)[0] for concept in dict.fromkeys(ids)]
    alike = [rows for rows in alike if len(rows) >= 3]
    dvae = weights.load(DATA / "small" / "dvae.safetensors", DVAE).requires_grad_(False)
    decoded = [through(dvae, on_backgrounds(rgba, generator)) for _ in range(DECODED)]
    decoded = torch.stack(decoded)
    for follow in optimized(reader, STEPS, STYLE_RATE):
        which = torch.randint(len(alike), (CONCEPTS,), generator=generator).tolist()
        chosen = torch.cat([alike[i] for i in which])
        B = len(chosen)
        version = torch.randint(DECODED, (B,), generator=generator)
        real = torch.rand(B, generator=generator)[:, None, None, None] < 0.5
        pictures = on_backgrounds(rgba[chosen], generator)
        pictures = torch.where(real, pictures, decoded[version, chosen] / 255)
        if torch.rand((), generator=generator) < 0.5:
            pictures = pictures.flip(3)
        corners = torch.randint(65 - PIECE, (B, 2), generator=generator).tolist()
        pieces = [x[:, i : i + PIECE, j : j + PIECE] for x, (i, j) in zip(pictures, corners)]
        loss = F.cross_entropy(reader(torch.stack(pieces)), labels[chosen], label_smoothing=0.05)
        follow(loss)


def through(dvae: DVAE, pictures: Tensor) -> Tensor:
    """Pictures as the dVAE decodes them, as uint8."""
    return torch.cat(
        [to_uint8(dvae.decode(dvae.encode(x))).permute(0, 3, 1, 2) for x in pictures.split(64)]
    )


@torch.no_grad()
def right(reader: nn.Module, rgba: Tensor, labels: Tensor, dvae: DVAE | None = None) -> float:
    """The share of pictures that a reader names rightly, on random backgrounds."""
    pictures = on_backgrounds(rgba, torch.Generator().manual_seed(0))
    if dvae:
        pictures = through(dvae, pictures) / 255
    return float((name_by(reader, pictures) == labels).float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description="Fit the readers of emoji.")
    parser.add_argument("--only", choices=("concept", "style"), help="leave the other as it is")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=READERS)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    pack, rgba = emoji.load_pack(), torch.from_numpy(objects.pixels()).float()
    drawn = concepts_drawn(pack)
    number = np.full(len(pack.names), -1)
    number[drawn] = np.arange(len(drawn))
    concept, style = torch.from_numpy(number[pack.concept]), torch.from_numpy(pack.style).long()
    concepts, mirrorable = torch.from_numpy(pack.concept), torch.from_numpy(emoji.mirrorable(pack))
    seen = torch.from_numpy(pack.split) == emoji.TRAIN
    new = (torch.from_numpy(pack.split) == emoji.UNSEEN_COMBINATION) & (concept >= 0)
    dvae = weights.load(DATA / "small" / "dvae.safetensors", DVAE)
    tensors = load_file(args.out) if args.only else {}
    fitted = {}
    if args.only != "style":
        own, reader = seen & (concept >= 0), ConceptReader(len(drawn))
        fit_concepts(reader, rgba[own], concept[own], mirrorable[own], args.seed)
        fitted["concept"] = reader, concept
    if args.only != "concept":
        reader = StyleReader(len(pack.styles))
        fit_styles(reader, rgba[seen], style[seen], concepts[seen], args.seed)
        fitted["style"] = reader, style
    for name, (reader, labels) in fitted.items():
        reader.eval()
        every = torch.from_numpy(pack.split) == emoji.UNSEEN_COMBINATION
        for what, chosen in (("drawn at 64×64", new), ("all", every))[: 1 + (name == "style")]:
            share = right(reader, rgba[chosen], labels[chosen])
            decoded = right(reader, rgba[chosen], labels[chosen], dvae)
            print(f"{name}, of {int(chosen.sum())} not seen ({what}): {share:.1%}, "
                  f"through the dVAE {decoded:.1%}")  # fmt: skip
        tensors |= {f"{name}.{key}": value.half() for key, value in reader.state_dict().items()}
    with whole_file(args.out) as part:
        save_file(tensors, part)


if __name__ == "__main__":
    main()
