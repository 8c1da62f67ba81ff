"""What several test files build: small models, presets, shards, oracles. Nothing here is a test."""

import io
import json
import socket
import tarfile
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from random import Random

import numpy as np
import torch
from PIL import Image
from torch import nn

from minidalle import pipeline as first
from minidalle import weights
from minidalle.bpe import BPE
from minidalle.clip import CLIP
from minidalle.config import CLIPConfig, DALLEConfig, DVAEConfig, Preset, TrainConfig
from minidalle.dalle2 import config as config_2
from minidalle.dalle2 import pipeline
from minidalle.dalle2.ar_prior import ARPrior
from minidalle.dalle2.config import (
    ARPriorConfig,
    DecoderConfig,
    PriorConfig,
    TextConfig,
    UNetConfig,
    UpsamplerConfig,
)
from minidalle.dalle2.decoder import Decoder
from minidalle.dalle2.prior import Prior
from minidalle.dalle2.upsample import Upsampler
from minidalle.dalle_mini import config as config_3
from minidalle.dalle_mini.config import Seq2SeqConfig, VQGANConfig
from minidalle.dalle_mini.seq2seq import Seq2Seq
from minidalle.dalle_mini.vqgan import VQGAN
from minidalle.transformer import DALLE
from minidalle.world import emoji

# ---- a transformer whose captions matter ------------------------------------------------

T, N, K = 5, 16, 12
SMALL = DALLEConfig(
    vocab_size=10, text_len=T, codebook_size=K, grid=4, width=16, depth=3, heads=2, kernel=3
)
NULL_TEXT = torch.tensor([10, 12, 13, 14, 15])


def small_dalle(attention="sparse"):
    """A model of three layers, far from its initial values, without gradient."""
    torch.manual_seed(0)
    model = DALLE(replace(SMALL, attention=attention))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model.requires_grad_(False)


def two_captions():
    """Framed captions (2, T) of three words and of one."""
    return torch.tensor([[10, 1, 2, 3, 15], [10, 4, 13, 14, 15]])


def positions_sent(model, draw):
    """How many token positions `draw` sends through the first layer."""
    sent = []
    hook = model.blocks[0].qkv.register_forward_hook(
        lambda module, inputs, output: sent.append(output.shape[0] * output.shape[1])
    )
    draw()
    hook.remove()
    return sum(sent)


# ---- a preset ---------------------------------------------------------------------------


def speck(vocab_size: int, text_len: int = 16, image_size: int = 16) -> Preset:
    """A preset that draws 16×16 pictures from 4×4 codes, in milliseconds."""
    length, ids = TrainConfig(steps=5, batch_size=4, lr=1e-3, warmup=2), vocab_size + 1 + text_len
    grid = image_size // 4
    return Preset(
        DVAEConfig(image_size, 16, width=8, blocks=1, code_width=8, patch=4),
        DALLEConfig(vocab_size, text_len, 16, grid, width=16, depth=3, heads=2, kernel=3),
        CLIPConfig(8, image_size, 8, 16, 1, 2, ids, text_len, 16, 1, 2, end=vocab_size + 1),
        {"dvae": length, "clip": length, "dalle": length},
    )


def second_speck(vocab_size: int, text_len: int) -> config_2.Preset:
    """The same of the second DALL·E, with pictures of 32×32, enlarged to 64×64 and 128×128."""
    E, V, T = 8, vocab_size, text_len
    unet = UNetConfig(32, 0, 4, (8, 8), 1, (4,), 8, 4, context=8)
    large = [UNetConfig(size, 3, 4, (8, 8), 1, (), groups=4) for size in (64, 128)]
    names, length = "prior ar_prior decoder up64 up128", TrainConfig(5, 4, lr=1e-3, warmup=2)
    return config_2.Preset(
        PriorConfig(E, 16, T, 8, 1, 2),
        ARPriorConfig(E, 16, T, 4, 8, 8, 1, 2),
        DecoderConfig(unet, TextConfig(V + 1 + T, V + 1, T, 8, 1, 2), E),
        *(UpsamplerConfig(size, 2, crop=16) for size in large),
        dict.fromkeys(names.split(), length),
    )


def mini_speck(vocab_size: int, text_len: int = 16, image_size: int = 16, **how) -> config_3.Preset:
    """The same of DALL·E Mini; `how` is of the VQGAN."""
    codes = VQGANConfig(image_size, 16, 8, (8,), 4, 1, (), 4, **how)
    ids, length = vocab_size + 1 + text_len, TrainConfig(5, 4, lr=1e-3, warmup=2)
    sizes = Seq2SeqConfig(
        ids, vocab_size + 1, text_len, text_len, 16, image_size // 4, 16, 2, 2, 24
    )
    clip = speck(vocab_size, text_len, image_size).clip
    return config_3.Preset(codes, sizes, clip, {"vqgan": length, "mini": length})


def mini_dalle() -> first.Pretrained:
    """All parts of DALL·E Mini, as small as can be; they know nothing."""
    torch.manual_seed(0)
    bpe = BPE.train(["a red star above a blue circle"] * 4, 270)
    sizes = mini_speck(bpe.vocab_size, 96, 32)
    parts = VQGAN(sizes.vqgan), Seq2Seq(sizes.mini), CLIP(sizes.clip)
    return first.Pretrained(bpe, *(part.requires_grad_(False) for part in parts))


def save_mini(models: first.Pretrained, folder: Path) -> None:
    """Save them as `minidalle train` would."""
    folder.mkdir(parents=True, exist_ok=True)
    models.bpe.save(folder / "bpe.json")
    for name, network in zip(("vqgan", "mini", "clip"), models[1:]):
        weights.save(folder / f"{name}.safetensors", network, data="scenes")


# ---- shards -----------------------------------------------------------------------------

load_pack = lru_cache(emoji.load_pack)


def png(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def emoji_samples(count: int, first: int = 0) -> list[tuple[str, dict[str, bytes]]]:
    """[("000000007", {"png": …, "json": …, "txt": …}), …], in the layout of img2dataset."""
    pack, samples = load_pack(), []
    for i in range(first, first + count):
        caption = emoji.caption(pack, 40 * i, i % 6)
        about = json.dumps({"caption": caption, "key": f"{i:09}", "status": "success"})
        picture = png(emoji.compose(pack.pixels[40 * i], (255, 255, 255)))
        samples.append(
            (f"{i:09}", {"png": picture, "json": about.encode(), "txt": caption.encode()})
        )
    return samples


def write_shard(path, samples) -> None:
    with tarfile.open(path, "w") as tar:
        for key, contents in samples:
            for ending, content in contents.items():
                member = tarfile.TarInfo(f"{key}.{ending}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def damaged(samples) -> list:
    """The first eight samples with something wrong with each, and the others whole."""
    (_, a), (_, b), (_, c), (_, d), (_, e), (_, f), (_, g), (_, h) = samples[:8]
    a["png"] = b"I am not a picture"
    b["png"] = b["png"][: len(b["png"]) // 2]
    c["txt"] = b"\xff\xfe caption"
    d["txt"] = b" \n"
    e["json"] = rb'{"caption": "\ud83d"}'
    del e["txt"], f["txt"], f["json"], g["png"], h["txt"]
    h["json"] = b'{"caption": null}'
    return samples


# ---- damage ----------------------------------------------------------------------------

DEEP = "replaced by very deep nesting"
ODD = [
    None, True, False, [], {}, "", "dense", "\x1b[2J\u202e", -1, 0, 1, 2, 3, 20_000, 2**40, 10**400,
    -0.5, 0.5, 1e30, float("nan"), float("inf"), [-1], [1, 2], [[]], [None], {"a": 1}, DEEP,
]  # fmt: skip


def edited(header: dict, rng: Random) -> str:
    """A header as JSON, in which one value, at any depth, is dropped, renamed or another."""
    header = json.loads(json.dumps(header))
    places = [(header, key) for key in header]
    for inside, key in places:
        if isinstance(inside[key], dict):
            places += [(inside[key], other) for other in inside[key]]
    inside, key = rng.choice(places)
    value = inside.pop(key)
    how = rng.random()
    if how < 0.1:
        inside[key + "\x1b[2J"] = value
    elif how < 0.9:
        inside[key] = rng.choice(ODD)
    return json.dumps(header).replace(f'"{DEEP}"', 99_999 * "[" + 99_999 * "]")


def damaged_bytes(content: bytes, rng: Random) -> bytes:
    """A file cut off, or with a stretch of ones, or with some bits flipped near its beginning."""
    how, spoilt = rng.randrange(4), bytearray(content)
    if how == 0:
        return content[: rng.randrange(len(content))]
    if how == 1:
        start = rng.randrange(len(content))
        spoilt[start : start + 64] = b"\xff" * len(spoilt[start : start + 64])
        return bytes(spoilt)
    for _ in range(rng.choice([1, 1, 4, 99])):
        spoilt[rng.randrange(min(2000, len(content)))] ^= 1 << rng.randrange(8)
    return bytes(spoilt)


def wrong_tensors(state: dict[str, torch.Tensor], rng: Random) -> dict[str, torch.Tensor]:
    """A state dict in which one tensor is missing, or renamed, or of another shape or dtype."""
    state = dict(state)
    name = rng.choice([name for name, tensor in state.items() if tensor.is_floating_point()])
    tensor = state.pop(name)
    shape = list(tensor.shape)
    how = rng.randrange(6)
    if how == 1:
        state[name + "\x1b[2J"] = tensor
    elif how == 2:
        state[name] = tensor.to(rng.choice([torch.int64, torch.int8, torch.bool, torch.complex64]))
    elif how == 3:
        state[name] = tensor.flatten()[None] if rng.random() < 0.5 else tensor.sum()
    elif how > 3:  # one side longer, or empty
        side = rng.randrange(len(shape)) if shape else None
        larger = (
            [*shape[:side], (shape[side] + 7) * (how - 4), *shape[side + 1 :]] if shape else [2]
        )
        state[name] = torch.zeros(larger)
    return state


def one_sentence(read, path) -> str | None:
    """What `read` says about a file that it refuses: one printable line that names the file."""
    try:
        read(path)
    except (ValueError, FileNotFoundError) as error:
        assert type(error) in (ValueError, FileNotFoundError), repr(error)
        said = str(error)
        assert str(path) in said and said.isprintable(), said
        return said


# ---- others -----------------------------------------------------------------------------


def pairs_of(tokenizer):
    """The merges of a tokenizer of the package `tokenizers`, as pairs of ids."""
    model = json.loads(tokenizer.to_str())["model"]
    return [tuple(model["vocab"][part] for part in merge) for merge in model["merges"]]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The largest one, as a part of the largest value."""
    assert ours.shape == theirs.shape
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


# ---- the second DALL·E ------------------------------------------------------------------


def second_dalle() -> pipeline.Pretrained:
    """All parts of the second DALL·E, as small as can be; they know nothing."""
    torch.manual_seed(0)
    bpe = BPE.train(["a red ball on grass, lit from the left"] * 4, 270)
    E, T, V = 8, 40, bpe.vocab_size
    unet = UNetConfig(32, 0, 4, (8, 8), 1, (4,), 8, 4, context=8)
    large = [UNetConfig(size, 3, 4, (8, 8), 1, (), groups=4) for size in (64, 128)]
    networks = (
        CLIP(CLIPConfig(E, 32, 16, 8, 1, 2, V + 1 + T, T, 8, 1, 2, end=V + 1)),
        Prior(PriorConfig(E, 8, T, 8, 1, 2)),
        ARPrior(ARPriorConfig(E, 8, T, 4, 8, 8, 1, 2)),
        Decoder(DecoderConfig(unet, TextConfig(V + 1 + T, V + 1, T, 8, 1, 2), E)),
        *(Upsampler(UpsamplerConfig(unet, 2)) for unet in large),
    )
    return pipeline.Pretrained(bpe, *(network.requires_grad_(False) for network in networks))


def save_second(models: pipeline.Pretrained, folder: Path, **about) -> None:
    """Save them as `minidalle train` would."""
    models.bpe.save(folder / "bpe.json")
    for name, network in zip(models._fields[1:-1], models[1:-1]):
        weights.save(folder / f"{name}.safetensors", network, **about)
