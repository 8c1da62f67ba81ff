"""What each model is trained on, and with which loss: one short function per model.

Each returns a `Job` for `training.train`. Its `batch(step, part)` gives the examples of a step,
or, where several processes share the step, those in the slice `part`: everything random is
decided for the whole batch, so it is the same batch however it is shared.

The transformer's recipe never re-encodes a picture of a finite set: its codes are computed
once. Scenes are endless, so they are drawn and encoded ahead, a few batches at a time; the
log's `data_share` says how much of a step that costs. So are the pictures of shards, unless
`minidalle tokenize` has made codes of them once and for all.
"""

from functools import lru_cache
from random import Random

import torch
from torch import Tensor

from minidalle.bpe import BPE
from minidalle.clip import CLIP, end_positions
from minidalle.config import CLIPConfig, DALLEConfig, DVAEConfig, DVAELoss, TrainConfig
from minidalle.datasets import Mixture, Pictures, open_data, shares, to_tensor
from minidalle.dvae import DVAE, codebook_use
from minidalle.datasets.pictures import dvae_crop
from minidalle.datasets.shards import Shards
from minidalle.datasets.tokens import Maker, Tokens, token_files
from minidalle.training import Job, at
from minidalle.transformer import DALLE
from minidalle.weights import fingerprint

WHOLE = slice(None)  # the part of a batch that a process alone has
AHEAD = 8  # batches of scenes that are drawn and encoded together
SCENES_TO_EMOJI = {"clip": 3, "dalle": 7}  # in a batch of both
CAPTION_DROPOUT = 0.1  # share of captions replaced by pads, which is what guidance needs


def seeded(seed: int, step: int, use: str = "batch") -> tuple[Random, torch.Generator]:
    """The randomness of a step, for Python and for torch; another one for every use."""
    rng = Random(f"{seed} {step} {use}")
    return rng, torch.Generator().manual_seed(rng.getrandbits(62))


def bpe_captions(data: str, seed: int, count: int = 50_000) -> list[str]:
    """The captions that the tokenizer is trained on."""
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


def dvae_job(config: DVAEConfig, train: TrainConfig, data: str, seed: int, weigh: DVAELoss) -> Job:
    """Pictures only, each mirrored half of the time (paper, appendix A.2)."""
    torch.manual_seed(seed)
    source = open_data(data, config.image_size, crop=dvae_crop)
    model = DVAE(config)

    def batch(step: int, part: slice = WHOLE) -> tuple[Tensor, Tensor]:
        rng, generator = seeded(seed, step)
        items = source.choose(rng, train.batch)
        mirrored = torch.rand(train.batch, generator=generator)[part] < 0.5
        images = to_tensor(source.load(items[part]))
        images = torch.where(mirrored[:, None, None, None], images.flip(-1), images)
        return images, torch.arange(train.batch)[part]

    def loss(model, batch, t: float, step: int, gather):
        (images, numbers), (_, generator) = batch, seeded(seed, step, "noise")
        tau, beta, even = (at(ramp, t) for ramp in (weigh.temperature, weigh.kl, weigh.evenness))
        hard = t >= weigh.hard_from
        return model(images, tau, beta, generator, even, int(numbers[0]), gather, hard)

    def log(parts):
        perplexity, dead = codebook_use(parts["use"])
        nats = {name: float(parts[name]) for name in ("reconstruction", "kl", "uneven")}
        return nats | {"perplexity": perplexity, "dead": dead}

    even = weigh.evenness.start or weigh.evenness.end
    # The codes stay as they are from `hard_from` on, so they had better be those of the averages.
    return Job("dvae", model, batch, loss, log, settle=weigh.hard_from, compares=bool(even))


def clip_job(config: CLIPConfig, train: TrainConfig, data: str, seed: int, bpe: BPE, dvae: DVAE) -> Job:
    """Pictures and captions, with near misses in every batch of scenes.

    CLIP learns what it needs to tell a batch apart, and nothing else: shown clean pictures
    only, it does not mind a smudge and may even like it. So half of the pictures are seen
    through the dVAE, as all the drawings will be that it has to rank, and each batch also has
    half as many spoilt ones, which belong to no caption.
    """
    torch.manual_seed(seed)
    source = open_data(data, config.image_size, near_misses=3, scenes_to_emoji=SCENES_TO_EMOJI["clip"])
    model = CLIP(config)

    def batch(step: int, part: slice = WHOLE) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        rng, generator = seeded(seed, step)
        items = source.choose(rng, train.batch)
        spoils = plan_spoils(rng, train.batch, train.batch // 2, dvae.config.grid)
        through = torch.rand(train.batch, generator=generator) < 0.5
        spoils, own = spoils[halved(part)], range(train.batch)[part]
        if len(own) % 2:
            raise ValueError(f"each process needs an even part of clip's batch, not {len(own)} of {train.batch}")
        # A picture may be spoilt with pieces of one that is another process's.
        needed = list(dict.fromkeys([*own, *(i for spoil in spoils for i in spoil[:2])]))
        where = {i: row for row, i in enumerate(needed)}
        pictures = to_tensor(source.load([items[i] for i in needed])).to(dvae.codebook.weight.device)
        codes = dvae.encode(pictures)
        painted = dvae.decode(codes)
        worse = torch.stack([spoil(codes[where[i]], codes[where[j]], pieces) for i, j, pieces in spoils])
        bad = dvae.decode(worse)
        smudge = (bad - painted[[where[i] for i, _, _ in spoils]]).abs().sum((1, 2, 3))
        through = through[part, None, None, None].to(pictures.device)
        seen = torch.where(through, painted[: len(own)], pictures[: len(own)])
        text = bpe.frames(source.captions(items[part]), config.text_len, truncate=True)
        longest = int(end_positions(text, config.end).max())  # what follows an end has no effect
        return seen, text[:, : longest + 1], bad, smudge > 8  # some pasting cannot be seen

    def loss(model, batch, t: float, step: int, gather):
        return model(*batch, gather=gather)

    return Job("clip", model, batch, loss, compares=True)


def halved(part: slice) -> slice:
    """The slice of half as many things that goes with `part`."""
    return slice(*(end if end is None else end // 2 for end in (part.start, part.stop)))


def plan_spoils(rng: Random, batch: int, count: int, grid: int) -> list[tuple[int, int, list]]:
    """How `count` of a batch's pictures are to be spoilt: (which, with pieces of which, pieces).

    One to three rectangles, of one to three codes a side, taken anywhere and put anywhere: the
    kind of mistake a transformer makes that writes code by code. A piece is (rows, columns) of
    where it is put, then of where it is taken from.
    """
    spoils = []
    for i in rng.sample(range(batch), count):
        j, pieces = rng.randrange(batch), []
        for _ in range(rng.choice((1, 1, 2, 3))):
            tall, wide = rng.choice((1, 1, 2, 3)), rng.choice((1, 1, 2, 3))
            tops_and_lefts = [rng.randint(0, grid - side) for _ in range(2) for side in (tall, wide)]
            pieces.append([slice(at, at + side) for at, side in zip(tops_and_lefts, 2 * (tall, wide))])
        spoils.append((i, j, pieces))
    return spoils


def spoil(codes: Tensor, others: Tensor, pieces: list) -> Tensor:
    """A grid of codes (h, w) with pieces of another one pasted in."""
    codes = codes.clone()
    for to_rows, to_columns, rows, columns in pieces:
        codes[to_rows, to_columns] = others[rows, columns]
    return codes


def dalle_job(config: DALLEConfig, train: TrainConfig, data: str, seed: int, bpe: BPE, dvae: DVAE,
              bpe_dropout: float = 0.0, meta: bool = False) -> Job:
    """Framed captions and codes. With `meta` the model has shapes only: its weights come later.

    Where `data` is what `minidalle tokenize` made, the dVAE is not run, and since ids are stored
    there is no BPE dropout.
    """
    torch.manual_seed(seed)
    if stored := token_files(data):
        examples = stored_examples(Tokens(stored, Maker(bpe.fingerprint(), fingerprint(dvae), config.text_len)), train.batch)
    else:
        examples = encoded_examples(data, train.batch, seed, bpe, dvae, config.text_len, bpe_dropout)
    with torch.device("meta" if meta else "cpu"):
        model = DALLE(config, dvae.codebook.weight.detach().cpu()[:, :, 0, 0].T)

    def batch(step: int, part: slice = WHOLE) -> tuple[Tensor, Tensor]:
        rng, generator = seeded(seed, step)
        unsaid = torch.rand(train.batch, generator=generator)[part] < CAPTION_DROPOUT
        text, codes = examples(step, part, rng, generator)
        text[unsaid] = no_caption(bpe, config.text_len)
        return text, codes

    return Job("dalle", model, batch, lambda model, batch, t, step, gather: model(*batch))


def stored_examples(tokens: Tokens, size: int):
    """A function (step, part, rng, generator) → that part of `size` texts (B, T) and codes (B, N)."""
    return lambda step, part, rng, generator: tokens.read(tokens.choose(rng, size)[part])


def encoded_examples(data: str, size: int, seed: int, bpe: BPE, dvae: DVAE, text_len: int, dropout: float):
    """The same from captions and pictures."""
    source = open_data(data, dvae.config.image_size)
    sources = source.sources if isinstance(source, Mixture) else [source]
    sizes = shares(len(sources), size, SCENES_TO_EMOJI["dalle"])
    coded = [coded_source(source, n, seed, dvae) for source, n in zip(sources, sizes)]

    def examples(step: int, part: slice, rng: Random, generator: torch.Generator):
        numbers, parts, before = range(size)[part], [], 0
        for source, n in zip(coded, sizes):  # each source gives those of its n that lie in the part
            begin, end = (min(max(edge - before, 0), n) for edge in (numbers.start, numbers.stop))
            parts.append(source(step, rng, begin, end))
            before += n
        captions = sum((captions for captions, _ in parts), [])
        seeds = torch.randint(2**62, (size,), generator=generator)[part].tolist()
        text = torch.cat([
            bpe.frames([caption], text_len, True, dropout, torch.Generator().manual_seed(own))
            for caption, own in zip(captions, seeds)
        ])  # fmt: skip
        return text, torch.cat([codes for _, codes in parts])

    return examples


def no_caption(bpe: BPE, text_len: int) -> Tensor:
    """The frame of a caption that says nothing: start-of-text and pads, (T,)."""
    return torch.tensor([bpe.start] + [bpe.pad(p) for p in range(1, text_len)])


def coded_source(source, size: int, seed: int, dvae: DVAE):
    """A function (step, rng, begin, end) → captions and codes of the examples begin … end of `size`."""
    if isinstance(source, Pictures):
        codes = encode(dvae, source.pictures)

        def finite(step: int, rng: Random, begin: int, end: int):
            items = source.choose(rng, size)[begin:end]
            return source.captions(items), codes[[i for i, _ in items]]

        return finite

    @lru_cache(maxsize=8)  # the rounds of a step
    def ahead(block: int, begin: int, end: int):
        items = source.choose(Random(f"{seed} block {block}"), AHEAD * size)
        items = [item for step in range(AHEAD) for item in items[step * size + begin : step * size + end]]
        return source.captions(items), encode(dvae, source.load(items))

    def endless(step: int, rng: Random, begin: int, end: int):
        if begin == end:
            return [], torch.empty(0, dvae.config.grid**2, dtype=torch.long)
        captions, codes = ahead(step // AHEAD, begin, end)
        here = slice(step % AHEAD * (end - begin), (step % AHEAD + 1) * (end - begin))
        return captions[here], codes[here]

    return endless


def encode(dvae: DVAE, pictures, chunk: int = 256) -> Tensor:
    """The codes (M, N) of uint8 pictures (M, H, W, 3), a chunk at a time, where the dVAE is."""
    device, starts = dvae.codebook.weight.device, range(0, len(pictures), chunk)
    chunks = [dvae.encode(to_tensor(pictures[i : i + chunk]).to(device)).cpu() for i in starts]
    return torch.cat(chunks).flatten(1)
