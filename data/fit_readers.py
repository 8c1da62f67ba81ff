"""Fit the two readers of emoji, and measure them on pictures that they were not fitted on.

    python data/fit_readers.py            # writes data/emoji_readers.safetensors

About ten minutes on two CPU cores. They are fitted on the pack's split `train`, on random
backgrounds, moved, mirrored where that does not falsify the name, blurred and noisy, as drawings
may be. What is measured is the split "unseen combination": a concept that was seen, by a vendor
whose picture of it was not.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from minidalle.files import whole_file
from minidalle.world import emoji, objects
from minidalle.world.emoji_readers import READERS, Reader, concepts_drawn
from minidalle.world.scenes import BACKGROUNDS

BATCH, RATE, SMOOTHING = 64, 2e-3, 0.1


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


def fit(reader: Reader, rgba: Tensor, labels: Tensor, mirrorable: Tensor, epochs: int, seed: int):
    """Fit a reader with AdamW, a warm-up and a half-cosine."""
    generator = torch.Generator().manual_seed(seed)
    steps = epochs * len(rgba) // BATCH
    optimizer = torch.optim.AdamW(reader.parameters(), lr=RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for _ in tqdm(range(steps)):
        chosen = torch.randint(len(rgba), (BATCH,), generator=generator)
        pictures = on_backgrounds(rgba[chosen], generator)
        pictures = changed(pictures, mirrorable[chosen], generator)
        loss = F.cross_entropy(reader(pictures), labels[chosen], label_smoothing=SMOOTHING)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


@torch.no_grad()
def right(reader: Reader, rgba: Tensor, labels: Tensor) -> float:
    """The share of pictures that a reader names rightly, on random backgrounds."""
    pictures = on_backgrounds(rgba, torch.Generator().manual_seed(0))
    return float((reader(pictures).argmax(1) == labels).float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description="Fit the readers of emoji.")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=READERS)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    pack, rgba = emoji.load_pack(), torch.from_numpy(objects.pixels()).float()
    drawn = concepts_drawn(pack)
    number = np.full(len(pack.names), -1)
    number[drawn] = np.arange(len(drawn))
    concept, style = torch.from_numpy(number[pack.concept]), torch.from_numpy(pack.style).long()
    mirrorable = torch.from_numpy(emoji.mirrorable(pack))
    seen, tensors = torch.from_numpy(pack.split) == emoji.TRAIN, {}
    new = torch.from_numpy(pack.split) == emoji.UNSEEN_COMBINATION
    for name, labels, classes in (("concept", concept, len(drawn)), ("style", style, 5)):
        reader = Reader(classes)
        own = seen & (labels >= 0)
        fit(reader, rgba[own], labels[own], mirrorable[own], args.epochs, args.seed)
        for what, chosen in (("seen", own), ("not seen", new & (concept >= 0))):
            share = right(reader, rgba[chosen], labels[chosen])
            print(f"{name}, {what}: {share:.1%} of {int(chosen.sum())}")
        tensors |= {f"{name}.{key}": value.half() for key, value in reader.state_dict().items()}
    with whole_file(args.out) as part:
        save_file(tensors, part)


if __name__ == "__main__":
    main()
