"""The table of models: the one place that lists all of them.

A new model is a module of its own (network, sizes, recipe) and one row below. With the row,
`minidalle train NAME` trains it, with checkpoints, in one process or in many.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from minidalle import clip, dvae, recipes, transformer, weights
from minidalle.bpe import BPE
from minidalle.config import PRESETS, Preset, TrainConfig
from minidalle.dalle2 import recipes as recipes_2
from minidalle.dalle2.ar_prior import ARPrior
from minidalle.dalle2.config import PRESETS as PRESETS_2
from minidalle.dalle2.decoder import Decoder
from minidalle.dalle2.prior import Prior
from minidalle.dalle2.unet import Layer
from minidalle.dalle2.upsample import Upsampler
from minidalle.dalle_mini import recipes as recipes_mini
from minidalle.dalle_mini.config import PRESETS as PRESETS_MINI
from minidalle.dalle_mini.seq2seq import Layer as MiniLayer
from minidalle.dalle_mini.seq2seq import Seq2Seq
from minidalle.dalle_mini.vqgan import VQGAN
from minidalle.dalle_mini.vqgan import ResBlock as VQGANBlock
from minidalle.training import Job


@dataclass(frozen=True)
class Request:
    """The arguments of a recipe."""

    sizes: Any  # of the preset: an entry of `Row.presets`
    train: TrainConfig
    data: str
    seed: int
    meta: bool = (
        False  # make the model without values, if its recipe can: each process fills its shard
    )


@dataclass(frozen=True)
class Row:
    """A model that `minidalle train NAME` trains, into NAME.safetensors."""

    name: str
    kind: type[nn.Module]
    recipe: Callable[..., Job]  # of a Request and the models it needs, by name
    needs: tuple[str, ...]  # models to train before it, in order
    block: type[nn.Module]  # the unit of sharding, gathered as a whole
    presets: Mapping[str, Any]  # the sizes, each with `.train`: name → TrainConfig


def train_dvae(request: Request) -> Job:
    sizes: Preset = request.sizes
    return recipes.dvae_job(sizes.dvae, request.train, request.data, request.seed, sizes.dvae_loss)


def train_clip(request: Request, bpe: BPE, dvae: dvae.DVAE) -> Job:
    c, V = request.sizes.clip, bpe.vocab_size  # a small corpus gives fewer merges than planned
    config = replace(c, vocab_size=V + 1 + c.text_len, end=V + 1)
    return recipes.clip_job(config, request.train, request.data, request.seed, bpe, dvae)


def train_dalle(request: Request, bpe: BPE, dvae: dvae.DVAE) -> Job:
    codes = {"codebook_size": dvae.config.codebook_size, "grid": dvae.config.grid}
    config = replace(request.sizes.dalle, vocab_size=bpe.vocab_size, **codes)
    how = request.sizes.bpe_dropout, request.meta
    return recipes.dalle_job(config, request.train, request.data, request.seed, bpe, dvae, *how)


def train_prior(request: Request, bpe: BPE, clip: clip.CLIP) -> Job:
    return priors(request, request.sizes.prior, bpe, clip)


def train_ar_prior(request: Request, bpe: BPE, clip: clip.CLIP) -> Job:
    return priors(request, request.sizes.ar_prior, bpe, clip)


def priors(request: Request, config, bpe: BPE, clip: clip.CLIP) -> Job:
    c = clip.config
    config = replace(config, embed=c.embed, text_width=c.text_width, text_len=c.text_len)
    return recipes_2.prior_job(config, request.train, request.data, request.seed, bpe, clip)


def train_decoder(request: Request, bpe: BPE, clip: clip.CLIP) -> Job:
    c = clip.config
    text = replace(
        request.sizes.decoder.text, vocab_size=c.vocab_size, end=c.end, text_len=c.text_len
    )
    config = replace(request.sizes.decoder, text=text, embed=c.embed)
    return recipes_2.decoder_job(config, request.train, request.data, request.seed, bpe, clip)


def train_up64(request: Request) -> Job:
    return upsampler("up64", request)


def train_up128(request: Request) -> Job:
    return upsampler("up128", request)


def upsampler(name: str, request: Request) -> Job:
    config, first_size = getattr(request.sizes, name), request.sizes.decoder.unet.image_size
    how = request.train, request.data, request.seed, first_size
    return recipes_2.upsampler_job(name, config, *how)


def train_vqgan(request: Request) -> Job:
    return recipes_mini.vqgan_job(request.sizes.vqgan, request.train, request.data, request.seed)


def train_mini(request: Request, bpe: BPE, vqgan: VQGAN) -> Job:
    T, V = request.sizes.mini.text_len, bpe.vocab_size
    config = replace(
        request.sizes.mini,
        vocab_size=V + 1 + T,
        pad=V + 1,
        pads=T,
        codebook_size=vqgan.config.codebook_size,
        grid=vqgan.config.grid,
    )
    how = request.train, request.data, request.seed
    return recipes_mini.mini_job(config, *how, bpe, vqgan)


ROWS = (
    Row("dvae", dvae.DVAE, train_dvae, (), dvae.ResBlock, PRESETS),
    Row("clip", clip.CLIP, train_clip, ("bpe", "dvae"), clip.Block, PRESETS),
    Row("dalle", transformer.DALLE, train_dalle, ("bpe", "dvae"), transformer.Block, PRESETS),
    # The second DALL·E.
    Row("prior", Prior, train_prior, ("bpe", "clip"), transformer.Block, PRESETS_2),
    Row("ar_prior", ARPrior, train_ar_prior, ("bpe", "clip"), transformer.Block, PRESETS_2),
    Row("decoder", Decoder, train_decoder, ("bpe", "clip"), Layer, PRESETS_2),
    Row("up64", Upsampler, train_up64, (), Layer, PRESETS_2),
    Row("up128", Upsampler, train_up128, (), Layer, PRESETS_2),
    # DALL·E Mini.
    Row("vqgan", VQGAN, train_vqgan, (), VQGANBlock, PRESETS_MINI),
    Row("mini", Seq2Seq, train_mini, ("bpe", "vqgan"), MiniLayer, PRESETS_MINI),
)
MODELS = {row.name: row for row in ROWS}


def file_of(name: str, folder: Path) -> Path:
    """The file of a trained model; "bpe", which is not a network, is in bpe.json."""
    return folder / ("bpe.json" if name == "bpe" else f"{name}.safetensors")


def load(name: str, folder: Path) -> BPE | nn.Module:
    """A trained model from a folder, by its name."""
    path = file_of(name, folder)
    return BPE.load(path) if name == "bpe" else weights.load(path, MODELS[name].kind)
