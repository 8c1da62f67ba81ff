"""The recipes of the second DALL·E: what each of its models is trained on.

As in minidalle/recipes.py, a batch is a function of (seed, step), whole or in parts. All but the
upsamplers look through a frozen CLIP.
"""

from random import Random

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from minidalle.bpe import BPE
from minidalle.clip import CLIP
from minidalle.config import TrainConfig
from minidalle.dalle2 import meaning
from minidalle.dalle2.ar_prior import ARPrior
from minidalle.dalle2.config import ARPriorConfig, DecoderConfig, PriorConfig, UpsamplerConfig
from minidalle.dalle2.decoder import Decoder
from minidalle.dalle2.prior import Prior
from minidalle.dalle2.upsample import Upsampler, corrupted
from minidalle.datasets import draw_batch, to_tensor
from minidalle.recipes import WHOLE, seeded, training_data
from minidalle.training import Batch, Job

TEXT_DROPPED = 0.1  # from the priors
EMBEDDING_DROPPED, CAPTION_DROPPED = 0.3, 0.3  # from the decoder
FITTED = 4096  # pictures from which means, deviations and principal components are found


def captions_and_pictures(train: TrainConfig, data: str, seed: int, bpe: BPE, clip: CLIP):
    """A job's `load`: framed captions (B, T) and uint8 pictures (B, H, W, 3)."""
    source = training_data(data, clip.config.image_size)

    def load(step: int, part: slice = WHOLE) -> Batch:
        items = source.choose(seeded(seed, step)[0], train.batch_size)[part]
        text = bpe.frames(source.captions(items), clip.config.text_len, truncate=True)
        return text, torch.from_numpy(source.load(items))

    return load, source


def fit(source, seed: int, bpe: BPE, clip: CLIP) -> tuple[Tensor, meaning.Said]:
    """Embeddings of pictures (FITTED, E) and their captions, not those of a batch."""
    rng, device, found = Random(f"{seed} fit"), clip.logit_scale.device, []
    for _ in range(FITTED // 64):
        captions, pictures = draw_batch(source, rng, 64)
        text = bpe.frames(captions, clip.config.text_len, truncate=True).to(device)
        image = meaning.look(clip, to_tensor(pictures).to(device))
        found.append([part.cpu() for part in (image, *meaning.read(clip, text))])
    images, *said = (torch.cat(parts) for parts in zip(*found))
    return images, meaning.Said(*said)


def prior_job(
    config: PriorConfig | ARPriorConfig,
    train: TrainConfig,
    data: str,
    seed: int,
    bpe: BPE,
    clip: CLIP,
) -> Job:
    """Captions and the embeddings of their pictures, for either prior."""
    torch.manual_seed(seed)
    load, source = captions_and_pictures(train, data, seed, bpe, clip)
    model = Prior(config) if isinstance(config, PriorConfig) else ARPrior(config)
    model.fit(*fit(source, seed, bpe, clip))

    def with_embeddings(step: int, part: slice, examples: Batch) -> Batch:
        text, pictures = examples
        image = meaning.look(clip, to_tensor(pictures))
        _, chance = seeded(seed, step, "prior")
        known = (torch.rand(train.batch_size, generator=chance) >= TEXT_DROPPED)[part]
        said = (*meaning.read(clip, text), image)
        if isinstance(config, ARPriorConfig):
            return *said, known.to(image.device)
        eps, t = noise_and_times(train, config.times, image.shape[1:], part, chance)
        return (*(x.to(image.device) for x in (*said, eps, t, known)),)

    name = "prior" if isinstance(config, PriorConfig) else "ar_prior"
    return Job(name, model, load, prepare=with_embeddings)


def noise_and_times(
    train: TrainConfig, times: int, shape: tuple[int, ...], part: slice, chance: Generator
) -> tuple[Tensor, Tensor]:
    """Noise (B, *shape) and times (B,) of a part of a batch."""
    t = torch.randint(times, (train.batch_size,), generator=chance)
    eps = torch.randn(train.batch_size, *shape, generator=chance)
    return eps[part], t[part]


def decoder_job(
    config: DecoderConfig, train: TrainConfig, data: str, seed: int, bpe: BPE, clip: CLIP
) -> Job:
    """Pictures, their embeddings and their captions."""
    torch.manual_seed(seed)
    load, source = captions_and_pictures(train, data, seed, bpe, clip)
    model = Decoder(config)
    model.whiten.fit(fit(source, seed, bpe, clip)[0])

    def with_embeddings(step: int, part: slice, examples: Batch) -> Batch:
        text, pictures = examples
        images = to_tensor(pictures)
        _, chance = seeded(seed, step, "decoder")
        eps, t = noise_and_times(train, config.times, images.shape[1:], part, chance)
        hidden = torch.rand(2, train.batch_size, generator=chance)[:, part]
        known = hidden[0] >= EMBEDDING_DROPPED, hidden[1] >= CAPTION_DROPPED
        rest = (x.to(images.device) for x in (eps, t, *known))
        return images, meaning.look(clip, images), text, *rest

    return Job("decoder", model, load, prepare=with_embeddings)


def upsampler_job(
    name: str, config: UpsamplerConfig, train: TrainConfig, data: str, seed: int, first_size: int
) -> Job:
    """Crops of large pictures, and the same crops of small ones, corrupted.

    first_size: pixels a side of what the decoder draws, of which they are the enlargements.
    """
    torch.manual_seed(seed)
    size, crop, factor = config.unet.image_size, config.crop, config.factor
    source = training_data(data, first_size, zoom=size // first_size)

    def load(step: int, part: slice = WHOLE) -> Batch:
        rng, chance = seeded(seed, step)
        items = source.choose(rng, train.batch_size)[part]
        places = torch.randint((size - crop) // factor + 1, (train.batch_size, 2), generator=chance)
        crops = [
            picture[factor * top : factor * top + crop, factor * left : factor * left + crop]
            for picture, (top, left) in zip(source.load(items), places[part].tolist())
        ]
        return (torch.stack([torch.from_numpy(picture.copy()) for picture in crops]),)

    def with_small_ones(step: int, part: slice, examples: Batch) -> Batch:
        large = to_tensor(examples[0])
        numbers = range(train.batch_size)[part]
        streams = [seeded(seed, step, f"corruption {n}")[1] for n in numbers]
        small = corrupted(shrunk(large, factor), config.corruption, streams)
        _, chance = seeded(seed, step, "upsampler")
        eps, t = noise_and_times(train, config.times, large.shape[1:], part, chance)
        return large, small, eps.to(large.device), t.to(large.device)

    return Job(name, Upsampler(config), load, prepare=with_small_ones)


def shrunk(large: Tensor, factor: int) -> Tensor:
    """Means of factor × factor pixels: (B, 3, H, W) → (B, 3, H / factor, W / factor)."""
    return F.avg_pool2d(large, factor)
