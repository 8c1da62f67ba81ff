"""What each model is trained on, and with which loss: one short function per model.

Each returns a `Job` for `training.train`. The transformer's recipe never re-encodes a picture
of a finite set: its codes are computed once. Scenes are endless, so they are drawn and encoded
ahead, a few batches at a time; the log's `data_share` says how much of a step that costs.
"""

from functools import lru_cache
from random import Random

import torch
from torch import Tensor

from minidalle.bpe import BPE
from minidalle.clip import CLIP, end_positions
from minidalle.config import CLIPConfig, DALLEConfig, DVAEConfig, DVAELoss, TrainConfig
from minidalle.datasets import Pictures, Scenes, mixed_batch, open_data, shares, to_tensor
from minidalle.dvae import DVAE, codebook_use
from minidalle.training import Job, at
from minidalle.transformer import DALLE

AHEAD = 8  # batches of scenes that are drawn and encoded together
SCENES_TO_EMOJI = 3  # a transformer's batch of both has three scenes for each emoji
CAPTION_DROPOUT = 0.1  # share of captions replaced by pads, which is what guidance needs


def seeded(seed: int, step: int, use: str = "batch") -> tuple[Random, torch.Generator]:
    """The randomness of a step, for Python and for torch; another one for every use."""
    rng = Random(f"{seed} {step} {use}")
    return rng, torch.Generator().manual_seed(rng.getrandbits(62))


def bpe_captions(data: str, seed: int, count: int = 50_000) -> list[str]:
    """The captions that the tokenizer is trained on."""
    rng, captions = Random(f"{seed} bpe"), []
    for source, n in zip(sources := open_data(data), shares(sources, count)):
        if isinstance(source, Pictures):
            captions += [caption for variants in source.captions for caption in variants]
        else:
            captions += source.batch(rng, n)[0]
    return captions


def dvae_job(config: DVAEConfig, train: TrainConfig, data: str, seed: int, weigh: DVAELoss) -> Job:
    """Pictures only, each mirrored half of the time (paper, appendix A.2)."""
    torch.manual_seed(seed)
    sources = open_data(data, config.image_size)
    model = DVAE(config).to(memory_format=torch.channels_last)  # a quarter faster on a CPU

    def batch(step: int) -> tuple[Tensor]:
        rng, generator = seeded(seed, step)
        images = to_tensor(mixed_batch(sources, rng, train.batch)[1])
        mirrored = torch.rand(train.batch, generator=generator) < 0.5
        return (torch.where(mirrored[:, None, None, None], images.flip(-1), images),)

    def loss(model, batch, t: float, step: int):
        _, generator = seeded(seed, step, "noise")
        tau, beta, even = (at(ramp, t) for ramp in (weigh.temperature, weigh.kl, weigh.evenness))
        return model(*batch, tau, beta, generator, even)

    def log(parts):
        perplexity, dead = codebook_use(parts["use"])
        nats = {name: float(parts[name]) for name in ("reconstruction", "kl", "uneven")}
        return nats | {"perplexity": perplexity, "dead": dead}

    return Job("dvae", model, batch, loss, log)


def clip_job(config: CLIPConfig, train: TrainConfig, data: str, seed: int, bpe: BPE, dvae: DVAE) -> Job:
    """Pictures and captions, with near misses in every batch of scenes.

    CLIP learns what it needs to tell a batch apart, and nothing else: shown clean pictures
    only, it does not mind a smudge and may even like it. So half of the pictures are seen
    through the dVAE, as all the drawings will be that it has to rank, and each batch also has
    half as many spoilt ones, which belong to no caption.
    """
    torch.manual_seed(seed)
    sources = open_data(data, config.image_size, near_misses=3)
    model = CLIP(config)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        rng, generator = seeded(seed, step)
        captions, pictures = mixed_batch(sources, rng, train.batch)
        text = bpe.frames(captions, config.text_len, truncate=True)
        longest = int(end_positions(text, config.end).max())  # what follows an end has no effect
        pictures = to_tensor(pictures)
        codes = dvae.encode(pictures)
        painted = dvae.decode(codes)
        chosen, worse = spoilt(codes, rng, train.batch // 2)
        bad = dvae.decode(worse)
        shows = (bad - painted[chosen]).abs().sum((1, 2, 3)) > 8  # some pasting cannot be seen
        through = torch.rand(len(pictures), generator=generator) < 0.5
        pictures = torch.where(through[:, None, None, None], painted, pictures)
        return torch.cat([pictures, bad[shows]]), text[:, : longest + 1]

    return Job("clip", model, batch, lambda model, batch, t, step: model(*batch))


def spoilt(codes: Tensor, rng: Random, count: int) -> tuple[list[int], Tensor]:
    """Which `count` of the grids of codes (B, h, w), and these with pieces of others pasted in.

    One to three rectangles, of one to three codes a side, taken anywhere and put anywhere: the
    kind of mistake a transformer makes that writes code by code.
    """
    B, h, w = codes.shape
    chosen = rng.sample(range(B), count)
    worse = codes[chosen]
    for grid in worse:
        other = codes[rng.randrange(B)]
        for _ in range(rng.choice((1, 1, 2, 3))):
            tall, wide = rng.choice((1, 1, 2, 3)), rng.choice((1, 1, 2, 3))
            (to, at), (top, left) = [(rng.randint(0, h - tall), rng.randint(0, w - wide)) for _ in range(2)]
            grid[to : to + tall, at : at + wide] = other[top : top + tall, left : left + wide]
    return chosen, worse


def dalle_job(config: DALLEConfig, train: TrainConfig, data: str, seed: int, bpe: BPE, dvae: DVAE,
              bpe_dropout: float = 0.0) -> Job:
    """Framed captions and codes."""
    torch.manual_seed(seed)
    sources = open_data(data, dvae.config.image_size)
    model = DALLE(config)
    sizes = shares(sources, train.batch, SCENES_TO_EMOJI)
    coded = [coded_source(source, n, seed, dvae) for source, n in zip(sources, sizes)]

    def batch(step: int) -> tuple[Tensor, Tensor]:
        rng, generator = seeded(seed, step)
        parts = [source(step, rng) for source in coded]
        captions = sum((captions for captions, _ in parts), [])
        text = bpe.frames(captions, config.text_len, truncate=True, dropout=bpe_dropout, generator=generator)
        unsaid = torch.rand(len(text), generator=generator) < CAPTION_DROPOUT
        text[unsaid] = no_caption(bpe, config.text_len)
        return text, torch.cat([codes for _, codes in parts])

    return Job("dalle", model, batch, lambda model, batch, t, step: model(*batch))


def no_caption(bpe: BPE, text_len: int) -> Tensor:
    """The frame of a caption that says nothing: start-of-text and pads, (T,)."""
    return torch.tensor([bpe.start] + [bpe.pad(p) for p in range(1, text_len)])


def coded_source(source: Scenes | Pictures, size: int, seed: int, dvae: DVAE):
    """A function (step, rng) → `size` captions and their codes (size, N)."""
    if isinstance(source, Pictures):
        codes = encode(dvae, source.pictures)

        def finite(step: int, rng: Random):
            captions, chosen = source.choose(rng, size)
            return captions, codes[chosen]

        return finite

    @lru_cache(maxsize=1)
    def ahead(block: int):
        captions, pictures = source.batch(Random(f"{seed} block {block}"), AHEAD * size)
        return captions, encode(dvae, pictures)

    def endless(step: int, rng: Random):
        captions, codes = ahead(step // AHEAD)
        here = slice(step % AHEAD * size, (step % AHEAD + 1) * size)
        return captions[here], codes[here]

    return endless


def encode(dvae: DVAE, pictures, chunk: int = 256) -> Tensor:
    """The codes (M, N) of uint8 pictures (M, H, W, 3), a chunk at a time."""
    chunks = [dvae.encode(to_tensor(pictures[i : i + chunk])) for i in range(0, len(pictures), chunk)]
    return torch.cat(chunks).flatten(1)
