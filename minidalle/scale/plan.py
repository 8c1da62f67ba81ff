"""What training the transformer takes at any size: bytes per GPU, FLOPs, days.

Nothing is run or measured: everything follows from the config and from how `training.train` with
--bf16 distributes a model over GPUs. Communication is not modelled; like everything else that
keeps a GPU waiting, it is part of the assumed model FLOPs utilisation (MFU).

B images in a GPU at a time, T text tokens, N image tokens, S = T + N, V text vocabulary,
K codebook, D width, H heads.

Per parameter, in float32, there are 4 bytes of weights, 4 of gradients, 8 of Adam's two moments
and 4 of the weights' average, split among the GPUs that share a copy (Rajbhandari et al. 2020).
Added to these are weights and gradients in flight (gathered, or being sent) and the activations.
"""

from dataclasses import dataclass, replace
from math import ceil, prod
from typing import NamedTuple

from minidalle.config import DALLEConfig, Preset
from minidalle.masks import layer_kinds, offsets


class GPU(NamedTuple):
    """A GPU's data sheet."""

    teraflops: float  # peak of dense bfloat16 matrix products, 10¹² FLOP/s
    memory: float  # 10⁹ bytes; the few % above that are left to the driver, NCCL and fragmentation
    bandwidth: float  # memory bandwidth, 10¹² bytes/s


# NVIDIA's data sheets of H100 SXM, H200 SXM, A100 SXM and V100 SXM2. Those of the first two give
# the peak of sparse products, twice that of dense ones. The V100, which the paper used, has no
# bfloat16: its peak is that of float16.
GPUS = {
    "h100": GPU(989.4, 80, 3.35),
    "h200": GPU(989.4, 141, 4.8),
    "a100-80": GPU(312, 80, 2.039),
    "a100-40": GPU(312, 40, 1.555),
    "v100": GPU(125, 16, 0.9),
}


@dataclass(frozen=True)
class Layout:
    """How training is distributed, in the terms of `minidalle train`."""

    gpus: int = 1
    share: str = "fsdp"  # or "ddp", "hsdp"
    shard_size: int | None = None  # for hsdp; by default the 8 GPUs of a machine
    images: int = 1  # B
    recompute: bool = False

    def __post_init__(self):
        if self.gpus < 1 or self.images < 1:
            raise ValueError(
                f"there must be at least 1 GPU and 1 image, not {min(self.gpus, self.images)}"
            )
        if self.share not in ("ddp", "fsdp", "hsdp"):
            raise ValueError(f"unknown way to share {self.share!r}: choose from ddp, fsdp, hsdp")
        if self.gpus % self.group:
            raise ValueError(
                f"{self.gpus} GPUs cannot be split into groups of {self.group} that share a "
                "copy: use a multiple of it, or set --shard-size"
            )

    @property
    def group(self) -> int:
        """How many GPUs share one copy of the model."""
        return {"ddp": 1, "fsdp": self.gpus, "hsdp": self.shard_size or min(8, self.gpus)}[
            self.share
        ]


# ---- parameters -------------------------------------------------------------------------


def shapes(config: DALLEConfig) -> dict[str, list[tuple[int, ...]]]:
    """The shapes of all parameters: a block's norms, its linear layers, the heads, the rest."""
    V, K, D = config.text_vocab_size, config.codebook_size, config.width
    return {
        "norms": [(D,)] * 4,
        "block": [(3 * D, D), (3 * D,), (D, D), (D,), (4 * D, D), (4 * D,), (D, 4 * D), (D,)],
        "heads": [(V, D), (V,), (K, D), (K,)],
        "rest": [
            (V, D),
            (config.text_len, D),
            (K, D),
            (config.grid, D),
            (config.grid, D),
            (D,),
            (D,),
            (D,),
        ],
    }


def numbers(part: list[tuple[int, ...]], group: int = 1) -> int:
    """How many values each GPU of a group holds; rows are split evenly, with padding.

    >>> numbers([(10, 3)]), numbers([(10, 3)], group=4)
    (30, 9)
    """
    return sum(ceil(rows / group) * prod(row) for rows, *row in part)


def parameters(config: DALLEConfig, group: int = 1) -> int:
    """The number of parameters, or of those in each GPU of a group that shares them."""
    norms, block, heads, rest = (numbers(part, group) for part in shapes(config).values())
    return config.depth * (norms + block) + heads + rest


# ---- FLOPs ------------------------------------------------------------------------------


def pairs(config: DALLEConfig) -> list[int]:
    """How many (query, key) pairs the mask of each layer allows.

    Text sees earlier text; an image position sees all text, and image positions at some offsets
    back. N - o of the N positions have one at offset o.
    """
    T, N, size = config.text_len, config.image_len, (config.grid, config.grid, config.kernel)
    image = {kind: sum(N - o for o in offsets(kind, *size)) for kind in set(layer_kinds(config))}
    return [T * (T + 1) // 2 + N * T + image[kind] for kind in layer_kinds(config)]


def forward_flops(config: DALLEConfig, seen: list[int] | None = None) -> int:
    """FLOPs of one image's forward pass, in matrix products; a multiply-add is two.

    seen: the pairs that each layer computes, if not those of its mask.
    """
    S, D = config.text_len + config.image_len, config.width
    blocks = config.depth * 2 * S * 12 * D**2  # qkv 3 D², out D², up 4 D², down 4 D²
    attention = sum(4 * D * n for n in seen or pairs(config))  # q · k, and weight × v
    logits = (
        config.text_len - 1
    ) * config.text_vocab_size + config.image_len * config.codebook_size
    return blocks + attention + 2 * D * logits


def hardware_flops(config: DALLEConfig, recompute: bool) -> int:
    """FLOPs that a GPU executes for one image, forward and backward (twice forward).

    Attention computes all S² pairs, then discards those that the mask hides. Recomputing a block
    repeats all of its products but the last (4 D²), whose output the backward pass does not need.
    """
    S, D, depth = config.text_len + config.image_len, config.width, config.depth
    again = depth * (2 * S * 8 * D**2 + 4 * D * S**2)
    return 3 * forward_flops(config, [S**2] * depth) + recompute * again


# ---- bytes ------------------------------------------------------------------------------


def memory(config: DALLEConfig, layout: Layout) -> dict[str, int]:
    """Bytes per GPU at the peak of a step, when gradients of earlier parts are already there.

    When the peak occurs depends on the sizes. Five moments are compared: the losses; the backward
    pass of the last block; its gradients being sent; the block before it meanwhile; and the end of
    the backward pass, where the embeddings get their gradients.
    """
    B, T, N, D, depth = layout.images, config.text_len, config.image_len, config.width, config.depth
    S, group = T + N, layout.group
    mine = parameters(config, group)
    _, linear, heads, rest = (group * numbers(part, group) for part in shapes(config).values())

    # A block keeps its input and middle in float32; in bfloat16 the outputs of two norms, q, k, v,
    # attention's output, 4 widths before the GELU and 4 after it; and its mask, as numbers.
    stream = 4 * B * S * D
    block = 2 * stream + 14 * 2 * B * S * D + B * S * (4 * config.heads + 16) + 2 * S * S
    kept = stream if layout.recompute else block
    back = (block - kept) + stream + 5 * 2 * B * S * D  # with the gradients on both sides of `down`
    logits = 4 * B * (T - 1) * config.text_vocab_size, 4 * B * N * config.codebook_size
    losses = 2 * stream + sum(logits) + 2 * max(logits)  # log-softmax of both, two gradients of one

    if group > 1:  # bfloat16 in blocks; outside, weights stay gathered and gradients accumulate
        outside = 4 * (heads + rest)
        losing, last = outside + 2 * linear, outside + 4 * heads + 2 * linear + 2 * 4 * D * D
        sent = 4 * linear  # in float32
        sending, end = outside + 4 * heads + 2 * 2 * linear + sent, 2 * outside + sent
    else:  # autocast's copies of weights that the backward pass needs
        copies = 2 * linear * (1 if layout.recompute else depth)
        buckets = 4 * mine * (layout.gpus > 1)  # DDP sends a copy of the gradients
        # The gradient of `down`, cast when its input has been freed.
        one = max(2 * 4 * D * D, 6 * 4 * D * D - 2 * 4 * B * S * D)
        losing, last, sent = copies + buckets, copies + buckets + one, 0
        sending, end = (
            losing + 4 * config.text_vocab_size * D,
            buckets + 4 * config.text_vocab_size * D,
        )
    flight, activations = max([
        (losing, depth * kept + losses),
        (last, depth * kept + back),
        (sending, (depth - 1) * kept + 2 * stream),
        (last + sent, (depth - 1) * kept + back),
        (end, 2 * stream),
    ], key=sum)  # fmt: skip
    return {
        "weights": 4 * mine, "gradients": 4 * mine, "optimiser": 8 * mine, "average": 4 * mine,
        "masks": 2 * S * S * len(set(layer_kinds(config))),  # also in the average
        "in flight": flight, "activations": activations,
    }  # fmt: skip


def fits(config: DALLEConfig, card: GPU, layout: Layout) -> bool:
    """Whether the memory suffices."""
    return sum(memory(config, layout).values()) <= card.memory * 1e9


def most_images(config: DALLEConfig, each: int, card: GPU, layout: Layout) -> int:
    """The largest divisor of `each` images that fits at a time; 1 if none does."""
    parts = [n for n in range(1, each + 1) if each % n == 0]
    return max((n for n in parts if fits(config, card, replace(layout, images=n))), default=1)


def smallest(config: DALLEConfig, batch: int, card: GPU, layout: Layout) -> int | None:
    """The smallest number of GPUs that divides a batch and has enough memory, or None."""
    for gpus in range(1, batch + 1):
        group = (layout.shard_size or min(8, gpus)) if layout.share == "hsdp" else 1
        fair = batch % (gpus * layout.images) == 0 and gpus % group == 0
        if fair and fits(config, card, replace(layout, gpus=gpus)):
            return gpus
    return None


def remedy(config: DALLEConfig, batch: int, card: GPU, layout: Layout) -> str:
    """The options each of which would make it fit; if none does alone, all of them together."""
    images = most_images(config, layout.images, card, layout)
    gpus = smallest(config, batch, card, layout) or layout.gpus
    ways: dict[str, dict] = {
        "--recompute": {"recompute": True},
        "--share fsdp": {"share": "fsdp"},
        f"--image-batch {images}": {"images": images},
        f"--gpus {gpus}": {"gpus": gpus},
    }
    enough = [way for way, change in ways.items() if fits(config, card, replace(layout, **change))]
    if gpus := not enough and smallest(config, batch, card, Layout(recompute=True)):
        enough = [f"--share fsdp --recompute --image-batch 1 --gpus {gpus}"]
    return f"it fits with {' or '.join(enough)}" if enough else "no number of GPUs is enough"


def refuse_what_does_not_fit(
    config: DALLEConfig, batch: int, card: GPU, layout: Layout, each: str
) -> None:
    """Raise ValueError, with a remedy, if `each` ("GPU" or "process") has too little memory."""
    total = sum(memory(config, layout).values()) / 1e9
    if total > card.memory:
        raise ValueError(
            f"with {layout.gpus} {each} and {layout.images} images at a time each needs "
            f"{total:.1f} GB, {total - card.memory:.1f} GB more than it has: "
            + remedy(config, batch, card, layout)
        )


# ---- the plan ---------------------------------------------------------------------------


def why_in_memory(layout: Layout) -> dict[str, str]:
    """What the parts of `memory` are, in words."""
    whose = "all" if layout.group == 1 else f"1/{layout.group} of the"
    return {
        "weights": f"4 bytes for {whose} parameters",
        "gradients": "4 bytes",
        "optimiser": "8 bytes",
        "average": "4 bytes",
        "masks": "S² for each kind, and again for the average",
        "in flight": "weights gathered or cast, gradients to be sent",
        "activations": "inputs of blocks, and all of one" if layout.recompute else "all of them",
    }


def plan(
    preset: Preset,
    gpu: str = "h100",
    layout: Layout = Layout(),
    images: int | None = None,
    mfu: float = 0.4,
) -> list[tuple]:
    """What training a preset's transformer takes: rows of (what, value, unit, source).

    source: given, published (by the GPU's maker) or computed; images: B, by default as many as fit;
    mfu: assumed model FLOPs utilisation, the share of the peak that goes into the model's own FLOPs
    (Chowdhery et al. 2022, appendix B). Raises ValueError if something does not divide or fit.
    """
    if gpu not in GPUS:
        raise ValueError(f"unknown GPU {gpu!r}: choose from {', '.join(GPUS)}")
    if not 0 < mfu <= 1:
        raise ValueError(f"the MFU is a share of the peak, above 0 and at most 1, not {mfu:g}")
    card, config, train = GPUS[gpu], preset.dalle, preset.train["dalle"]
    each, left = divmod(train.batch_size, layout.gpus)
    if left or each % (images or 1):
        raise ValueError(
            f"a batch of {train.batch_size} cannot be shared evenly by {layout.gpus} GPUs"
            f"{f', {images} images at a time' if images else ''}: use a divisor of it"
        )
    layout = replace(layout, images=images or most_images(config, each, card, layout))
    refuse_what_does_not_fit(config, train.batch_size, card, layout, gpu)
    need = memory(config, layout)
    total = sum(need.values()) / 1e9
    flops = 3 * forward_flops(config)
    step = flops * train.batch_size / (layout.gpus * card.teraflops * 1e12 * mfu)
    days = step * train.steps / 86400
    why = why_in_memory(layout)
    fewest = smallest(config, train.batch_size, card, replace(layout, images=images or 1))
    source = {"GPUs": "given", "MFU": "given", "memory": "published", "peak": "published"}
    source |= {"images at a time": "given"} if images else {}
    rows = [
        ("GPUs", layout.gpus, f"{gpu}, {layout.share}"),
        ("images at a time", layout.images, f"in a GPU, {each // layout.images} times in a step"),
        ("parameters", parameters(config), ""),
        *((name, size / 1e9, f"GB in a GPU: {why[name]}") for name, size in need.items()),
        ("sum", total, f"GB in a GPU, {total / card.memory:.1%} of it"),
        ("memory", card.memory, f"GB, {gpu}"),
        ("fewest GPUs", fewest,
         "that fit" + ("" if images else ", with 1 image at a time")),
        ("forward", flops / 3e12, "TFLOP per image, for the pairs that masks allow"),
        ("with backward", flops / 1e12, "TFLOP per image: 3 × forward, as MFU counts"),
        ("executed", hardware_flops(config, layout.recompute) / 1e12,
         "TFLOP per image, for all pairs" + ", with blocks recomputed" * layout.recompute),
        ("peak", card.teraflops, f"TFLOP/s, {gpu}, dense, 16 bits"),
        ("MFU", mfu, "of the peak, an assumption"),
        ("step", step, f"s, for a batch of {train.batch_size}"),
        ("optimiser's step", 52e-12 * need["weights"] / 4 / card.bandwidth,
         f"s at least: 52 bytes per parameter through {card.bandwidth:g} TB/s"),
        ("images", train.batch_size * train.steps, f"in {train.steps} steps"),
        ("whole run", float(flops * train.batch_size * train.steps), "FLOP"),
        ("days", days, f"on {layout.gpus} {gpu}"),
        ("GPU-days", days * layout.gpus, ""),
    ]  # fmt: skip
    return [(*row, source.get(row[0], "computed")) for row in rows]
