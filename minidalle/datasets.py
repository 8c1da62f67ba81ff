"""Where captions and pictures come from: endless scenes, the emoji pack, any folder.

B batch. Every source has `batch(rng, size) → (captions, pictures)`, and the batch of a step is
drawn with `Random(f"{seed} {step}")` and nothing else: a pure function of (seed, step), so a
run can stop anywhere and go on with the same pictures.

Pictures are uint8 (B, image_size, image_size, 3); `to_tensor` makes them what models take.
"""

from pathlib import Path
from random import Random

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from minidalle import emoji, scenes


def to_tensor(pictures: np.ndarray) -> Tensor:
    """uint8 (B, H, W, 3) → float (B, 3, H, W) in [0, 1]."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float().contiguous() / 255


class Scenes:
    """The captioned world of scenes.py: never the same batch twice, so never learnt by heart.

    With near_misses = n, every scene is followed by n that differ from it in one respect.
    """

    def __init__(self, image_size: int = 32, wanted: str = "train", near_misses: int = 0):
        self.image_size, self.wanted, self.near_misses = image_size, wanted, near_misses

    def batch(self, rng: Random, size: int) -> tuple[list[str], np.ndarray]:
        """`size` captions and their pictures."""
        drawn = []
        while len(drawn) < size:
            scene = scenes.sample_scene(rng, self.wanted, self.image_size)
            family = [scene] + [scenes.variation(scene, rng) for _ in range(self.near_misses)]
            drawn += [s for s in dict.fromkeys(family) if scenes.split(s) == self.wanted]
        captions = [scenes.caption_of(scene) for scene in drawn[:size]]
        return captions, np.stack([scenes.draw(s, rng, self.image_size) for s in drawn[:size]])


class Pictures:
    """A finite set: pictures (M, S, S, 3), and for each one or more captions that fit it."""

    def __init__(self, captions: list[tuple[str, ...]], pictures: np.ndarray):
        self.captions, self.pictures = captions, pictures

    def choose(self, rng: Random, size: int) -> tuple[list[str], list[int]]:
        """`size` captions and which pictures they are of, none twice if there are enough."""
        everything = range(len(self.pictures))
        enough = size <= len(everything)
        chosen = rng.sample(everything, size) if enough else rng.choices(everything, k=size)
        return [rng.choice(self.captions[i]) for i in chosen], chosen

    def batch(self, rng: Random, size: int) -> tuple[list[str], np.ndarray]:
        """`size` captions and their pictures."""
        captions, chosen = self.choose(rng, size)
        return captions, self.pictures[chosen]


def emoji_pictures(splits: tuple[int, ...] = (emoji.TRAIN,), coloured: int = 2) -> Pictures:
    """The emoji pack over white, and over `coloured` other backgrounds, which captions name."""
    pack = emoji.load_pack()
    others = [name for name in scenes.BACKGROUNDS if name != "white"]
    captions, pictures = [], []
    for i in np.flatnonzero(np.isin(pack.split, splits)):
        for name in ["white"] + [others[(int(i) + 2 * k) % len(others)] for k in range(coloured)]:
            templates = range(len(emoji.TEMPLATES))
            captions.append(tuple(emoji.caption(pack, i, t, name) for t in templates))
            pictures.append(emoji.compose(pack.pixels[i], scenes.BACKGROUNDS[name]))
    return Pictures(captions, np.stack(pictures))


def folder_pictures(folder: Path, image_size: int) -> Pictures:
    """NAME.png (or .jpg, .webp) beside NAME.txt, whose lines are captions of the picture.

    Pictures are cropped to their middle square and scaled by area. Raises ValueError, in one
    sentence, for a folder without pairs or a file that is no picture.
    """
    captions, pictures = [], []
    for path in sorted(Path(folder).iterdir()):
        text = path.with_suffix(".txt")
        if path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp") or not text.is_file():
            continue
        if lines := read_captions(text):
            captions.append(lines)
            pictures.append(open_picture(path, image_size))
    if not captions:
        raise ValueError(f"{folder} holds no picture NAME.png with a caption NAME.txt beside it")
    return Pictures(captions, np.stack(pictures))


def read_captions(path: Path) -> tuple[str, ...]:
    """The lines of a text file, without the empty ones."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8 ({error})") from None
    return tuple(line.strip() for line in lines if line.strip())


def open_picture(path: Path, image_size: int) -> np.ndarray:
    """One picture as uint8 (image_size, image_size, 3), what is transparent laid on white."""
    try:
        with Image.open(path) as image:
            image = image.convert("RGBA")
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is not a picture that Pillow can read ({error})") from None
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = (left, top, left + side, top + side)
    image = image.resize((image_size, image_size), Image.Resampling.BOX, square)
    return emoji.compose(np.asarray(image), (255, 255, 255))


def open_data(name: str, image_size: int = 32, near_misses: int = 0) -> list[Scenes | Pictures]:
    """The sources called "scenes", "emoji" or "both", or the one in a folder."""
    sources = {
        "scenes": lambda: [Scenes(image_size, near_misses=near_misses)],
        "emoji": lambda: [emoji_pictures()],
        "both": lambda: [Scenes(image_size, near_misses=near_misses), emoji_pictures()],
    }
    if name in sources:
        return sources[name]()
    if Path(name).is_dir():
        return [folder_pictures(Path(name), image_size)]
    raise ValueError(f"{name!r} is no data set: say scenes, emoji, both or the path of a folder")


def shares(sources: list, size: int, first: int = 1) -> list[int]:
    """How many of a batch each source gives: the first one counts `first` times, and rounds up."""
    each = size // (len(sources) - 1 + first)
    return [size - each * (len(sources) - 1)] + [each] * (len(sources) - 1)


def mixed_batch(sources: list, rng: Random, size: int) -> tuple[list[str], np.ndarray]:
    """`size` captions and pictures, drawn evenly from all sources."""
    parts = [source.batch(rng, n) for source, n in zip(sources, shares(sources, size))]
    return sum((captions for captions, _ in parts), []), np.concatenate([p for _, p in parts])
