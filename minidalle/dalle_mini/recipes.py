"""The recipes of DALL·E Mini: what its models are trained on, as in minidalle/recipes.py."""

from functools import partial

import torch
from torch import Tensor, nn

from minidalle import DATA, weights
from minidalle.bpe import BPE
from minidalle.clip import CLIP
from minidalle.config import TrainConfig
from minidalle.dalle_mini.config import Seq2SeqConfig, VQGANConfig
from minidalle.dalle_mini.perceptual import perceptual_distance
from minidalle.dalle_mini.seq2seq import Seq2Seq
from minidalle.dalle_mini.vqgan import VQGAN
from minidalle.recipes import (
    SCENES_TO_EMOJI,
    encoding,
    framed_captions,
    log_with_codes,
    painted_examples,
    pictures_only,
    seeded,
    start_from_codebook,
    training_data,
    unevenness,
    with_dropout,
)
from minidalle.training import Job


def vqgan_job(config: VQGANConfig, train: TrainConfig, data: str, seed: int) -> Job:
    """Pictures only, as for the dVAE."""
    torch.manual_seed(seed)
    compare = None
    if config.perceptual:  # as LPIPS: a network that was trained for something else
        clip = weights.load(DATA / "tiny" / "clip.safetensors", CLIP)
        compare = partial(perceptual_distance, clip)

    def loss(model: nn.Module, batch: tuple[Tensor, ...], t: float, gather):
        heard = bool(config.discriminator) and t >= config.adversarial_from
        loss, parts = model(*batch, heard, compare)
        uneven = unevenness(gather(parts.pop("probabilities")[None]).mean(0))
        return loss + config.evenness * uneven, parts | {"uneven": uneven.detach()}

    model, load = VQGAN(config), pictures_only(train, data, seed, config.image_size)
    if config.evenness:
        batches = range(1, 2 + 4 * config.codebook_size // (train.batch_size * config.grid**2))
        images = torch.cat([load(-n)[0] for n in batches])  # of no step
        model.begin(images, seeded(seed, 0, "codes")[1])
    names = "reconstruction", "distance", "uneven", *["told", "fooled"] * bool(config.discriminator)
    return Job(
        "vqgan",
        model,
        load,
        loss,
        log_with_codes(*names),
        whole_batch=bool(config.evenness),
        partly_frozen=bool(config.discriminator),
    )


def mini_job(
    config: Seq2SeqConfig, train: TrainConfig, data: str, seed: int, bpe: BPE, vqgan: VQGAN
) -> Job:
    """Framed captions and codes, as for the first DALL·E."""
    torch.manual_seed(seed)
    to_emoji = SCENES_TO_EMOJI["dalle"]
    source = training_data(data, vqgan.config.image_size, scenes_to_emoji=to_emoji)
    framed = partial(framed_captions, bpe, config.text_len, 0.0)
    examples = painted_examples(source, train.batch_size, framed)
    model, codebook = Seq2Seq(config), vqgan.codebook.weight.detach().cpu()
    embedding, name = model.code_embedding.weight.data[:-1], "code_embedding.weight"  # but start's
    embedding.copy_(start_from_codebook(name, embedding.shape, config, codebook))
    load = with_dropout(examples, train, seed, bpe.null_text(config.text_len))
    return Job("mini", model, load, prepare=encoding(vqgan))
