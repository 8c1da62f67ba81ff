"""Sources of captions and pictures: endless scenes, the emoji pack, folders, tar shards.

B batch. Every source has three methods:

    items = source.choose(rng, B)     which examples: all the randomness of a batch
    source.captions(items)            B texts
    source.load(items)                uint8 (B, image_size, image_size, 3)

`choose` is cheap and receives a generator seeded by (seed, step), so a batch is a pure function
of these and a run can stop anywhere and resume with the same pictures. The other two accept any
part of the items: processes that share a batch each load their own part.
"""

from pathlib import Path
from random import Random

import numpy as np
import torch
from torch import Tensor

from minidalle.datasets.folders import read_folder
from minidalle.datasets.pictures import Crop, dalle_crop
from minidalle.datasets.shards import Shards, expand
from minidalle.world import emoji, objects, painting, scenes
from minidalle.world.abilities import ABILITIES
from minidalle.world.ability import Ability, Facts
from minidalle.world.lit import LIT


def to_tensor(pictures: np.ndarray | Tensor) -> Tensor:
    """uint8 (B, H, W, 3) → float (B, 3, H, W) in [0, 1], on the device where they are."""
    return torch.as_tensor(pictures).permute(0, 3, 1, 2).float().contiguous() / 255


class Scenes:
    """The captioned world of scenes.py: endless, so no batch repeats and none can be memorised.

    An item is the caption's scene, which may leave the background open, the scene as painted, and
    the places of its things. With near_misses = n, every scene is followed by n that differ from
    it in one respect and otherwise (places, background) agree as far as possible. `world` may be
    `world.few`, a corner of it. With `zoom`, the same pictures are that many times as large.
    """

    def __init__(
        self,
        image_size: int = 32,
        wanted: str = "train",
        near_misses: int = 0,
        world=scenes,
        zoom: int = 1,
    ):
        self.image_size, self.wanted, self.near_misses = image_size, wanted, near_misses
        self.world, self.zoom = world, zoom

    def choose(self, rng: Random, size: int) -> list[tuple[scenes.Scene, scenes.Scene, tuple]]:
        """`size` random scenes."""
        items = []
        while len(items) < size:
            scene = self.world.sample_scene(rng, self.wanted, self.image_size)
            family = [scene] + [self.world.variation(scene, rng) for _ in range(self.near_misses)]
            family = [s for s in dict.fromkeys(family) if self.world.split(s) == self.wanted]
            seed = rng.getrandbits(32)
            items += [(s, *painting.arrange(s, Random(seed), self.image_size)) for s in family]
        return items[:size]

    def captions(self, items: list) -> list[str]:
        """The caption of each scene."""
        return [scenes.caption_of(scene) for scene, _, _ in items]

    def load(self, items: list) -> np.ndarray:
        """The scenes, painted."""
        how = self.image_size, self.zoom
        return np.stack([painting.paint_at(scene, places, *how) for _, scene, places in items])


class Abilities:
    """The world at 64×64: captions of all abilities, endless as well.

    An item is the name of the ability, the facts that the caption says, and the settled facts. With
    near_misses = n, all facts are followed by n that differ from them in one respect; abilities in
    which the caption does not tell the picture are then left out.
    """

    def __init__(
        self,
        image_size: int = 64,
        held_out: bool = False,
        near_misses: int = 0,
        abilities: dict[str, Ability] = ABILITIES,
    ):
        self.image_size, self.held_out, self.near_misses = image_size, held_out, near_misses
        self.named = abilities
        self.abilities = [a for a in abilities.values() if not (near_misses and a.given)]

    def choose(self, rng: Random, size: int) -> list[tuple[str, Facts, Facts]]:
        """`size` random facts, of each ability equally often."""
        items = []
        while len(items) < size:
            ability = rng.choice(self.abilities)
            said = [ability.sample(rng, self.held_out)]
            settled = ability.settle(said[0], rng)
            for facts in (ability.near_miss(said[0], rng) for _ in range(self.near_misses)):
                if facts not in said and ability.held_out(facts) == self.held_out:
                    said.append(facts)
            for facts in said:
                alike = settled | facts  # what the captions leave open stays, if it can
                whole = alike if ability.can_paint(alike) else ability.settle(facts, rng)
                items.append((ability.name, facts, whole))
        return items[:size]

    def draw_ahead(self, pictures: int = 12_000) -> None:
        """Draw most of what the pictures are made of, which is kept, before a training begins.

        Done in between, it would leave gaps between the large tensors of the training that these
        do not fit into again, and memory would grow by megabytes at each step. Ten seconds.
        """
        self.load(self.choose(Random(0), pictures))

    def captions(self, items: list) -> list[str]:
        """The caption of each item's facts."""
        return [self.named[name].caption_of(facts) for name, facts, _ in items]

    def load(self, items: list) -> np.ndarray:
        """The settled facts, painted."""
        pictures = np.empty((len(items), self.image_size, self.image_size, 3), np.uint8)
        for picture, (name, _, settled) in zip(pictures, items):
            picture[:] = self.named[name].paint(settled, self.image_size)
        return pictures


class Pictures:
    """A finite set: pictures (M, S, S, 3), and for each one or more captions that fit it.

    An item is (which picture, which of its captions).
    """

    def __init__(self, variants: list[tuple[str, ...]], pictures: np.ndarray):
        self.variants, self.pictures = variants, pictures

    def choose(self, rng: Random, size: int) -> list[tuple[int, int]]:
        """`size` pictures, without repetition if there are enough."""
        everything = range(len(self.pictures))
        enough = size <= len(everything)
        chosen = rng.sample(everything, size) if enough else rng.choices(everything, k=size)
        return [(i, rng.randrange(len(self.variants[i]))) for i in chosen]

    def captions(self, items: list) -> list[str]:
        """The chosen caption of each picture."""
        return [self.variants[i][variant] for i, variant in items]

    def load(self, items: list) -> np.ndarray:
        """The chosen pictures."""
        return self.pictures[[i for i, _ in items]]


class Mixture:
    """Several sources in one batch; the first gives `first` examples per example of each other.

    An item is (which source, its item).
    """

    def __init__(self, sources: list, first: int = 1):
        self.sources, self.first = sources, first

    def choose(self, rng: Random, size: int) -> list[tuple[int, object]]:
        """Items of every source, in its proportion."""
        sizes = shares(len(self.sources), size, self.first)
        chosen = [source.choose(rng, n) for source, n in zip(self.sources, sizes)]
        return [(which, item) for which, items in enumerate(chosen) for item in items]

    def captions(self, items: list) -> list[str]:
        """One caption for each item."""
        return [self.sources[which].captions([item])[0] for which, item in items]

    def load(self, items: list) -> np.ndarray:
        """One picture for each item."""
        return np.concatenate([self.sources[which].load([item]) for which, item in items])


def draw_batch(source, rng: Random, size: int) -> tuple[list[str], np.ndarray]:
    """`size` captions and their pictures."""
    items = source.choose(rng, size)
    return source.captions(items), source.load(items)


def shares(sources: int, size: int, first: int = 1) -> list[int]:
    """How many examples of a batch each source gives: the first counts `first` times, rounded up.

    >>> shares(2, 8, first=3)
    [6, 2]
    """
    each = size // (sources - 1 + first)
    return [size - each * (sources - 1)] + [each] * (sources - 1)


def emoji_pictures(
    splits: tuple[int, ...] = (emoji.TRAIN,), coloured: int = 2, image_size: int = 32
) -> Pictures:
    """The emoji pack over white and `coloured` other backgrounds, named in half of the captions.

    At 64×64 only the things of `emoji.DRAWN_AT_64`, and every caption says the style.
    """
    pack, large = emoji.load_pack(), image_size >= 64
    pixels = objects.pixels() if large else pack.pixels
    templates = emoji.STYLED if large else range(len(emoji.TEMPLATES))
    chosen = np.isin(pack.split, splits)
    if large:
        chosen &= np.isin(np.array(pack.groups)[pack.concept], emoji.DRAWN_AT_64)
    others = [name for name in scenes.BACKGROUNDS if name != "white"]
    variants, pictures = [], []
    for i in np.flatnonzero(chosen).tolist():
        for name in ["white"] + [others[(i + 2 * k) % len(others)] for k in range(coloured)]:
            variants.append(
                tuple(emoji.caption(pack, i, t, said) for t in templates for said in (name, None))
            )
            pictures.append(emoji.compose(pixels[i], scenes.BACKGROUNDS[name]))
    return Pictures(variants, np.stack(pictures))


def folder_pictures(folder: Path, image_size: int) -> Pictures:
    """NAME.png (or .jpg, .webp) beside NAME.txt, whose lines are captions of the picture.

    Pictures are cropped to their middle square and scaled by area averaging. Raises ValueError,
    in one sentence, for a folder without pairs.
    """
    return Pictures(*read_folder(folder, image_size))


def open_data(
    name: str,
    image_size: int = 32,
    near_misses: int = 0,
    scenes_to_emoji: int = 1,
    crop: Crop = dalle_crop,
    zoom: int = 1,
):
    """The source called "scenes", "emoji" or "both", or that of a folder or of tar shards.

    "lit" is what the second DALL·E draws, scenes and solids in a light. From 64 pixels on,
    "abilities" are what scenes are at 32, and "world" is both, with emoji.
    `crop` is applied to pictures from shards, anew in every batch, but not to those of a folder.
    With `zoom`, the same pictures are `zoom` · image_size pixels a side.
    """
    if name == "scenes":
        return Scenes(image_size, near_misses=near_misses, zoom=zoom)
    if name == "emoji":
        return emoji_pictures(image_size=image_size)
    if name == "abilities":
        return Abilities(image_size, near_misses=near_misses)
    if name == "world":
        world = Abilities(image_size, near_misses=near_misses)
        return Mixture([world, emoji_pictures(image_size=image_size)], scenes_to_emoji)
    if name == "lit":
        pictures = Scenes(image_size, near_misses=near_misses, zoom=zoom)
        solids = {LIT.name: LIT}
        lit = Abilities(zoom * image_size, near_misses=near_misses, abilities=solids)
        return Mixture([pictures, lit])
    image_size *= zoom
    if name == "both":
        return Mixture(
            [Scenes(image_size, near_misses=near_misses), emoji_pictures()], scenes_to_emoji
        )
    if Path(name).is_dir():
        return folder_pictures(Path(name), image_size)
    if name.endswith(".tar"):
        return Shards(expand(name), image_size, crop)
    raise ValueError(
        f"{name!r} is not a data set: use scenes, emoji, both, lit, abilities, world, the path of "
        "a folder, or tar shards like 'shards/{00000..00009}.tar'"
    )
