"""The table of models: whoever has to know all of them reads it here.

A new model is a file of its own (its network, its sizes, its recipe) and one row below. With the
row, `minidalle train NAME` trains it, with checkpoints, on one process or on many.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from minidalle import clip, dvae, recipes, transformer, weights
from minidalle.bpe import BPE
from minidalle.config import PRESETS, Preset, TrainConfig
from minidalle.training import Job


@dataclass(frozen=True)
class Request:
    """What one training is asked for, as its recipe is handed it."""

    sizes: Any  # of the preset: what `Row.presets` holds
    train: TrainConfig
    data: str
    seed: int
    meta: bool = False  # if it can be made without numbers, each process will fill its own shard


@dataclass(frozen=True)
class Row:
    """A model that `minidalle train NAME` makes, in NAME.safetensors."""

    name: str
    kind: type[nn.Module]
    recipe: Callable[..., Job]  # of a Request and of what was trained before, by name
    needs: tuple[str, ...]  # what has to be trained before, first to last
    block: type[nn.Module]  # what is gathered and used as one when the model is sharded
    presets: Mapping[str, Any]  # the sizes, each with `.train`: name → TrainConfig


def train_dvae(request: Request) -> Job:
    sizes: Preset = request.sizes
    return recipes.dvae_job(sizes.dvae, request.train, request.data, request.seed, sizes.dvae_loss)


def train_clip(request: Request, bpe: BPE, dvae: dvae.DVAE) -> Job:
    c, V = request.sizes.clip, bpe.vocab_size  # few words give fewer merges than there is room for
    config = replace(c, vocab_size=V + 1 + c.text_len, end=V + 1)
    return recipes.clip_job(config, request.train, request.data, request.seed, bpe, dvae)


def train_dalle(request: Request, bpe: BPE, dvae: dvae.DVAE) -> Job:
    codes = {"codebook_size": dvae.config.codebook_size, "grid": dvae.config.grid}
    config = replace(request.sizes.dalle, vocab_size=bpe.vocab_size, **codes)
    how = request.sizes.bpe_dropout, request.meta
    return recipes.dalle_job(config, request.train, request.data, request.seed, bpe, dvae, *how)


ROWS = (
    Row("dvae", dvae.DVAE, train_dvae, (), dvae.ResBlock, PRESETS),
    Row("clip", clip.CLIP, train_clip, ("bpe", "dvae"), clip.Block, PRESETS),
    Row("dalle", transformer.DALLE, train_dalle, ("bpe", "dvae"), transformer.Block, PRESETS),
)
MODELS = {row.name: row for row in ROWS}


def file_of(name: str, folder: Path) -> Path:
    """Where a trained model lies: "bpe", which is no network, in bpe.json."""
    return folder / ("bpe.json" if name == "bpe" else f"{name}.safetensors")


def load(name: str, folder: Path) -> BPE | nn.Module:
    """What was trained into a folder, by its name."""
    path = file_of(name, folder)
    return BPE.load(path) if name == "bpe" else weights.load(path, MODELS[name].kind)
