"""What training the second DALL·E or DALL·E Mini takes at any size: parameters, FLOPs, bytes, days.

Nothing is run: the models are built on torch's meta device, which knows shapes and no values, and
torch counts the products of a forward pass; backward is twice forward. A parameter takes 20 bytes,
shared by all GPUs: weights, gradient, two moments and average in float32. Activations are not
modelled, nor is CLIP, which is frozen and small beside the rest.
"""

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from minidalle.dalle2 import config as config_2
from minidalle.dalle2.ar_prior import ARPrior
from minidalle.dalle2.decoder import Decoder
from minidalle.dalle2.prior import Prior
from minidalle.dalle2.upsample import Upsampler
from minidalle.dalle_mini import config as config_mini
from minidalle.dalle_mini.seq2seq import Seq2Seq
from minidalle.dalle_mini.vqgan import VQGAN
from minidalle.scale.plan import GPUS

STATE = 20  # bytes of a parameter
KINDS: dict[type, dict[str, type[nn.Module]]] = {  # what a preset consists of
    config_2.Preset: {
        "prior": Prior,
        "ar_prior": ARPrior,
        "decoder": Decoder,
        "up64": Upsampler,
        "up128": Upsampler,
    },
    config_mini.Preset: {"vqgan": VQGAN, "mini": Seq2Seq},
}


def example(model: nn.Module) -> list[Tensor]:
    """The arguments of `forward` for one example, on the meta device."""
    c = model.config

    def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.zeros(1, *shape, dtype=dtype, device="meta")

    time, yes = zeros(dtype=torch.long), zeros(dtype=torch.bool)
    if isinstance(model, (Prior, ARPrior)):
        inside = zeros(c.text_len, dtype=torch.bool)
        said = [zeros(c.text_len, c.text_width), inside, zeros(c.embed), zeros(c.embed)]
        return [*said, zeros(c.embed), time, yes] if isinstance(model, Prior) else [*said, yes]
    if isinstance(model, VQGAN):
        return [zeros(3, c.image_size, c.image_size)]
    if isinstance(model, Seq2Seq):
        return [zeros(c.text_len, dtype=torch.long), zeros(c.image_len, dtype=torch.long)]
    if isinstance(model, Decoder):
        picture = zeros(3, c.unet.image_size, c.unet.image_size)
        text = zeros(c.text.text_len, dtype=torch.long)
        return [picture, zeros(c.embed), text, picture, time, yes, yes]
    large, side = zeros(3, c.crop, c.crop), c.crop // c.factor
    return [large, zeros(3, side, side), large, time]


def forward_flops(model: nn.Module) -> int:
    """FLOPs of one example's forward pass, in products; a multiply-add is two."""
    with FlopCounterMode(display=False) as counter:
        if isinstance(model, VQGAN):  # without counting codes, which has no shape in advance
            model.decoder_blocks(model.see(*example(model)))
        else:
            model(*example(model))
    return counter.get_total_flops()


def parts_of(model: nn.Module) -> dict[str, int]:
    """The parameters of halves that have names of their own."""
    if not isinstance(model, Seq2Seq):
        return {}
    numbers = {name: p.numel() for name, p in model.named_parameters()}
    reading = sum(count for name, count in numbers.items() if name.startswith("text_"))
    return {"encoder": reading, "decoder": sum(numbers.values()) - reading}


def plan(
    preset: config_2.Preset | config_mini.Preset, gpu: str = "h100", gpus: int = 1, mfu: float = 0.4
) -> list[tuple]:
    """What each model takes: rows of (what, value, unit, source), as in `scale.plan`.

    Raises ValueError for an unknown GPU, and for an MFU that is no share.
    """
    if gpu not in GPUS:
        raise ValueError(f"unknown GPU {gpu!r}: choose from {', '.join(GPUS)}")
    if not 0 < mfu <= 1:
        raise ValueError(f"the MFU is a share of the peak, above 0 and at most 1, not {mfu:g}")
    if gpus < 1:
        raise ValueError(f"there must be at least 1 GPU, not {gpus}")
    rows: list[tuple] = [
        ("GPUs", gpus, gpu, "given"),
        ("peak", GPUS[gpu].teraflops, "TFLOP/s, dense, 16 bits", "published"),
        ("MFU", mfu, "of the peak, an assumption", "given"),
    ]
    total = 0.0
    for name, kind in KINDS[type(preset)].items():
        with torch.device("meta"):
            model = kind(getattr(preset, name))
        count, flops = sum(p.numel() for p in model.parameters()), forward_flops(model)
        rows += [
            (f"{name}: parameters", count, "", "computed"),
            *((f"{name}: {half}", n, "of them", "computed") for half, n in parts_of(model).items()),
            (f"{name}: state", STATE * count / gpus / 1e9, "GB in a GPU", "computed"),
            (f"{name}: forward", flops / 1e9, "GFLOP per example", "computed"),
        ]
        if not (train := preset.train.get(name)):
            continue  # it was taken as it is
        whole = 3.0 * flops * train.steps * train.batch_size
        days = whole / (GPUS[gpu].teraflops * 1e12 * mfu) / 86400
        total += days
        rows += [
            (f"{name}: examples", train.steps * train.batch_size,
             f"in {train.steps:,} steps", "computed"),
            (f"{name}: whole run", whole, "FLOP, 3 × forward", "computed"),
            (f"{name}: GPU-days", days, "", "computed"),
        ]  # fmt: skip
    return [*rows, ("GPU-days", total, "", "computed"), ("days", total / gpus, "", "computed")]
