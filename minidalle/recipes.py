"""The recipes of the first DALL·E: what each model is trained on, one function per model.

Each returns a `Job` for `training.train`. Its `load(step, part)` gives the examples in the slice
`part` of a step's batch. Everything random is decided for the whole batch, so the batch is the
same however it is divided among processes or parts of a step. Its `prepare` sends pictures through
the dVAE. The log's `data_share` is the share of time that both take.
"""

from collections.abc import Callable
from functools import partial
from random import Random

import torch
from torch import Tensor, nn

from minidalle.bpe import BPE
from minidalle.clip import CLIP, clip_loss, end_positions
from minidalle.config import CLIPConfig, DALLEConfig, DVAEConfig, DVAELoss, TrainConfig
from minidalle.datasets import Abilities, Mixture, Pictures, open_data, shares, to_tensor
from minidalle.datasets.pictures import dvae_crop
from minidalle.datasets.shards import Shards
from minidalle.datasets.tokens import Maker, Tokens, token_files
from minidalle.dvae import DVAE, codebook_use, gumbel_noise, kl_from_uniform
from minidalle.runtime import Numbers
from minidalle.training import Batch, Job, as_loaded, at
from minidalle.transformer import DALLE, Sizes, initial
from minidalle.weights import fingerprint

Load = Callable[..., Batch]  # of (step, part)
Examples = Callable[[int, slice, Random, torch.Generator], tuple[Tensor, Tensor]]

WHOLE = slice(None)  # the whole batch, for a single process
SCENES_TO_EMOJI = {"clip": 3, "dalle": 7}  # scenes per emoji in a batch of both
ABILITIES_TO_EMOJI = 4  # the same for the transformer and the world at 64×64
CAPTION_DROPOUT = 0.1  # share of captions replaced by the empty one, for guidance
THROUGH_DVAE = 0.5  # share of CLIP's pictures that pass through the dVAE
INVERTED = 1 / 16  # share of pictures whose colours are inverted for the dVAE at 64×64
VISIBLE = 8  # summed pixel difference above which a corruption is visible


def seeded(
    seed: int, step: int, use: str = "batch", device: torch.device | str = "cpu"
) -> tuple[Random, torch.Generator]:
    """Random generators of a step, for Python and for torch, independent for each use."""
    rng = Random(f"{seed} {step} {use}")
    return rng, torch.Generator(device).manual_seed(rng.getrandbits(62))


def training_data(data: str, image_size: int, **how):
    """The source of that name, ready for a long training."""
    source = open_data(data, image_size, **how)
    for part in source.sources if isinstance(source, Mixture) else [source]:
        if isinstance(part, Abilities):
            part.draw_ahead()
    return source


# ---- the tokenizers ---------------------------------------------------------------------


def bpe_captions(data: str, seed: int, count: int = 50_000) -> list[str]:
    """The captions that the text tokenizer is trained on."""
    source, rng, captions = open_data(data), Random(f"{seed} bpe"), []
    sources = source.sources if isinstance(source, Mixture) else [source]
    for source, n in zip(sources, shares(len(sources), count)):
        if isinstance(source, Pictures):
            captions += [caption for variants in source.variants for caption in variants]
        elif isinstance(source, Shards):
            captions += source.some_captions(rng, n)
        else:
            captions += source.captions(source.choose(rng, n))
    return captions


def pictures_only(train: TrainConfig, data: str, seed: int, image_size: int) -> Load:
    """A job's `load` for a tokenizer: pictures (B, 3, H, W), half of them mirrored."""
    source = training_data(data, image_size, crop=dvae_crop)

    def load(step: int, part: slice = WHOLE) -> Batch:
        rng, generator = seeded(seed, step)
        items = source.choose(rng, train.batch_size)
        mirrored = torch.rand(train.batch_size, generator=generator)[part] < 0.5
        images = to_tensor(source.load(items[part]))
        images = torch.where(mirrored[:, None, None, None], images.flip(-1), images)
        if data == "world":  # where a picture may be asked for in colours that none of it has
            inverted = torch.rand(train.batch_size, generator=generator)[part] < INVERTED
            images = torch.where(inverted[:, None, None, None], 1 - images, images)
        return (images,)

    return load


def log_with_codes(*nats: str) -> Callable[[Numbers], dict[str, float]]:
    """A job's `log` for a tokenizer: these parts, and how it uses its codes, from "counts"."""

    def log(parts: Numbers) -> dict[str, float]:
        perplexity, dead = codebook_use(parts["counts"])
        return {n: float(parts[n]) for n in nats} | {"perplexity": perplexity, "dead": dead}

    return log


def dvae_job(config: DVAEConfig, train: TrainConfig, data: str, seed: int, terms: DVAELoss) -> Job:
    """Pictures only, each mirrored half of the time (paper, appendix A.2)."""
    torch.manual_seed(seed)
    load, model = pictures_only(train, data, seed, config.image_size), DVAE(config)

    def with_noise(step: int, part: slice, examples: Batch) -> Batch:
        """The images, and Gumbel noise (B, K, h, w), drawn separately for each while it is used."""
        (images,), shape = examples, (config.codebook_size, config.grid, config.grid)
        device, numbers = images.device, range(train.batch_size)[part]
        streams = [seeded(seed, step, f"noise {n}", device)[1] for n in numbers]
        return images, torch.stack([gumbel_noise(shape, stream) for stream in streams])

    def loss(model, batch, t: float, gather):
        images, noise = batch
        # At the end only the decoder learns, from hard codes, which are what it will decode later.
        temperature = at(terms.temperature, t) if t < terms.hard_from else 0
        loss, parts = model(images, temperature, at(terms.kl, t), noise)
        uneven = unevenness(gather(parts.pop("probabilities")[None]).mean(0))
        return loss + at(terms.evenness, t) * uneven, parts | {"uneven": uneven.detach()}

    # From `hard_from` on the encoder is frozen, so it should be the averaged one.
    return Job(
        "dvae",
        model,
        load,
        loss,
        log_with_codes("reconstruction", "kl", "uneven"),
        prepare=with_noise,
        load_ema_at=terms.hard_from,
        whole_batch=bool(terms.evenness.start or terms.evenness.end),
        partly_frozen=terms.hard_from < 1,
    )


def unevenness(probabilities: Tensor) -> Tensor:
    """KL of the mean code probabilities (K,) from uniform, in nats: 0 if all are used equally."""
    return kl_from_uniform(probabilities.clamp(min=1e-30).log()[None])[0]  # ln 0 would give NaN


# ---- CLIP -------------------------------------------------------------------------------


def clip_job(
    config: CLIPConfig, train: TrainConfig, data: str, seed: int, bpe: BPE, dvae: DVAE
) -> Job:
    """Pictures and captions, with hard negatives (near misses) in every batch of scenes.

    CLIP learns only what it needs to tell the examples of a batch apart: trained on clean
    pictures, it ignores smudges or even prefers them. So half of the pictures pass through the
    dVAE, as the drawings to be ranked do, and each batch has half as many corrupted ones, which
    have no caption.
    """
    torch.manual_seed(seed)
    model = CLIP(config)
    source = training_data(
        data, config.image_size, near_misses=3, scenes_to_emoji=SCENES_TO_EMOJI["clip"]
    )
    size = train.batch_size

    def plan(step: int, part: slice) -> tuple[list[int], list]:
        """The examples whose pictures a part of a batch needs, its own first; its corruptions.

        A picture may be corrupted with pieces of one that belongs to another process.
        """
        own = range(size)[part]
        if len(own) % 2:
            raise ValueError(
                f"each process needs an even part of clip's batch, not {len(own)} of {size}"
            )
        rng, _ = seeded(seed, step, "spoils")
        spoils = plan_spoils(rng, size, size // 2, dvae.config.grid)[halved(part)]
        return list(dict.fromkeys([*own, *(i for spoil in spoils for i in spoil[:2])])), spoils

    def load(step: int, part: slice = WHOLE) -> Batch:
        items = source.choose(seeded(seed, step)[0], size)
        text = bpe.frames(source.captions(items[part]), config.text_len, truncate=True)
        longest = int(end_positions(text, config.end).max())  # later positions have no effect
        pictures = source.load([items[i] for i in plan(step, part)[0]])
        return text[:, : longest + 1], torch.from_numpy(pictures)

    def through_dvae(step: int, part: slice, examples: Batch) -> Batch:
        (text, pictures), (needed, spoils), B = examples, plan(step, part), len(examples[0])
        through = torch.rand(size, generator=seeded(seed, step, "through")[1])[part] < THROUGH_DVAE
        pictures = to_tensor(pictures)
        codes = dvae.encode(pictures)
        painted = dvae.decode(codes)
        row = {i: row for row, i in enumerate(needed)}
        worse = dvae.decode(
            torch.stack([spoil(codes[row[i]], codes[row[j]], at) for i, j, at in spoils])
        )
        smudge = (worse - painted[[row[i] for i, _, _ in spoils]]).abs().sum((1, 2, 3))
        through = through[:, None, None, None].to(pictures.device)
        images = torch.where(through, painted[:B], pictures[:B])
        return images, text, worse, smudge > VISIBLE

    def loss(model, batch, t: float, gather):
        images, text, spoilt, visible = batch
        return model(torch.cat([images, spoilt]), text, partial(shared_loss, visible, gather))

    return Job("clip", model, load, loss, prepare=through_dvae, whole_batch=True)


def shared_loss(
    visible: Tensor, gather: Callable, pictures: Tensor, captions: Tensor, scale: Tensor
):
    """The contrastive loss of a batch, gathered over all processes.

    pictures (B + M, E): those of the captions (B, E), then M corrupted ones, of which only those
    with a visible corruption, visible (M,), are used as negatives.
    """
    own = len(captions)
    pairs, captions = gather(pictures[:own]), gather(captions)
    hidden = torch.cat(
        [pairs.new_zeros(len(pairs), dtype=torch.bool), ~gather(visible[:, None])[:, 0]]
    )
    return clip_loss(torch.cat([pairs, gather(pictures[own:])]), captions, scale, hidden)


def halved(part: slice) -> slice:
    """The slice that corresponds to `part` among half as many items."""
    return slice(*(end if end is None else end // 2 for end in (part.start, part.stop)))


def plan_spoils(rng: Random, batch: int, count: int, grid: int) -> list[tuple[int, int, list]]:
    """How to corrupt `count` pictures of a batch: (picture, source of the pieces, pieces).

    One to three rectangles of one to three codes a side are copied from anywhere to anywhere:
    similar to the errors of a transformer that writes code by code. A piece is the (rows,
    columns) of its destination, then those of its source.
    """
    spoils = []
    for i in rng.sample(range(batch), count):
        j, pieces = rng.randrange(batch), []
        for _ in range(rng.choice((1, 1, 2, 3))):
            tall, wide = rng.choice((1, 1, 2, 3)), rng.choice((1, 1, 2, 3))
            corners = [rng.randint(0, grid - side) for _ in range(2) for side in (tall, wide)]
            pieces.append([slice(at, at + side) for at, side in zip(corners, 2 * (tall, wide))])
        spoils.append((i, j, pieces))
    return spoils


def spoil(codes: Tensor, others: Tensor, pieces: list) -> Tensor:
    """A grid of codes (h, w) with pieces of another pasted in."""
    codes = codes.clone()
    for to_rows, to_columns, rows, columns in pieces:
        codes[to_rows, to_columns] = others[rows, columns]
    return codes


# ---- the transformer --------------------------------------------------------------------


def dalle_job(
    config: DALLEConfig,
    train: TrainConfig,
    data: str,
    seed: int,
    bpe: BPE,
    dvae: DVAE,
    bpe_dropout: float = 0.0,
    meta: bool = False,
) -> Job:
    """Framed captions and codes. With `meta` the model is made without values, filled in later.

    If `data` was written by `minidalle tokenize`, the dVAE is not run, and there is no BPE
    dropout, because the ids are stored.
    """
    if stored := token_files(data):
        maker = Maker(bpe.fingerprint(), fingerprint(dvae), config.text_len)
        below = config.text_vocab_size, config.codebook_size
        tokens = Tokens(stored, maker, config.image_len, below)
        examples = stored_examples(tokens, train.batch_size)
    else:
        framed = partial(framed_captions, bpe, config.text_len, bpe_dropout)
        to_emoji = ABILITIES_TO_EMOJI if data == "world" else SCENES_TO_EMOJI["dalle"]
        source = training_data(data, dvae.config.image_size, scenes_to_emoji=to_emoji)
        examples = painted_examples(source, train.batch_size, framed)

    codebook = dvae.codebook.weight.detach().cpu()[:, :, 0, 0].T

    def start(name: str, shape: torch.Size) -> Tensor:
        """A parameter's initial values, from a random stream of its own: equal in all processes."""
        return start_from_codebook(name, shape, config, codebook, seeded(seed, 0, name)[1])

    with torch.device("meta" if meta else "cpu"):
        model = DALLE(config)
    for name, parameter in model.named_parameters():
        if not meta:
            parameter.data = start(name, parameter.shape)
    load = with_dropout(examples, train, seed, bpe.null_text(config.text_len))
    prepare = as_loaded if stored else encoding(dvae)
    return Job("dalle", model, load, prepare=prepare, start=start)


def with_dropout(examples: Examples, train: TrainConfig, seed: int, null_text: list[int]) -> Load:
    """A job's `load`: texts (B, T), some replaced by the empty caption, and pictures or codes."""

    def load(step: int, part: slice = WHOLE) -> Batch:
        rng, generator = seeded(seed, step)
        dropped = torch.rand(train.batch_size, generator=generator)[part] < CAPTION_DROPOUT
        text, pictures_or_codes = examples(step, part, rng, generator)
        text[dropped] = torch.tensor(null_text)
        return text, pictures_or_codes

    return load


def encoding(tokenizer: nn.Module) -> Callable[[int, slice, Batch], Batch]:
    """A job's `prepare`: texts (B, T) and pictures → texts and codes (B, N)."""

    def prepare(step: int, part: slice, examples: Batch) -> Batch:
        text, pictures = examples
        return text, tokenizer.encode(to_tensor(pictures)).flatten(1)

    return prepare


def start_from_codebook(
    name: str,
    shape: torch.Size,
    config: Sizes,
    codebook: Tensor,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The initial values of a parameter: `transformer.initial`, except for code embeddings.

    These are the dVAE's codebook vectors (K, code width), mapped to width D by a random matrix,
    which nearly preserves angles: codes that look alike start with similar embeddings. The paper
    initialises them at random.
    """
    if name != "code_embedding.weight":
        return initial(name, shape, config, generator)
    turn = torch.randn(codebook.shape[1], shape[1], generator=generator)
    turned = (codebook - codebook.mean(0)) @ turn
    return turned / turned.std() / config.width**0.5


def stored_examples(tokens: Tokens, size: int) -> Examples:
    """(step, part, rng, generator) → that part of a batch: stored texts (B, T), codes (B, N)."""
    return lambda step, part, rng, generator: tokens.read(tokens.choose(rng, size)[part])


def painted_examples(source, size: int, framed: Callable) -> Examples:
    """The same with uint8 pictures (B, H, W, 3) for codes; framed(captions, seeds) → the texts."""

    def examples(step: int, part: slice, rng: Random, generator: torch.Generator):
        items = source.choose(rng, size)[part]
        seeds = torch.randint(2**62, (size,), generator=generator)[part].tolist()
        return framed(source.captions(items), seeds), torch.from_numpy(source.load(items))

    return examples


def framed_captions(
    bpe: BPE, text_len: int, dropout: float, captions: list[str], seeds: list[int]
) -> Tensor:
    """Captions as ids (B, T), with BPE dropout from a separate generator for each."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    frames = [
        bpe.frame(caption, text_len, True, dropout, generator)
        for caption, generator in zip(captions, generators)
    ]
    return torch.tensor(frames)
