"""Changes to a model's blocks for speed and memory, kept out of the model's own code."""

import time
from functools import partial

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def tune_blocks(
    model: nn.Module, bf16: bool = False, compile: bool = False, recompute: bool = False
) -> None:
    """Change the blocks of a model (`model.blocks`) in place; models without blocks are unchanged.

    bf16: matrix products in bfloat16; gains, embeddings, heads and losses stay in float32;
    recompute: activation checkpointing, where the backward pass recomputes a block's activations
    from its input; compile: use torch's compiler.
    """
    for block in getattr(model, "blocks", ()):
        if bf16:
            device = next(block.parameters()).device.type
            block.forward = torch.autocast(device, torch.bfloat16)(block.forward)
        if recompute:
            block.forward = partial(checkpoint, block.forward, use_reentrant=False)
        if compile:
            block.compile()


def bf16_speed(seconds: float = 0.3) -> float:
    """How many times as fast as in float32 matrix products are in bfloat16 on this CPU.

    More than 2 on processors with AVX-512 BF16 or AMX; less than 1 on others.
    """
    done = {}
    for dtype in (torch.float32, torch.bfloat16):
        a, b = torch.ones(2048, 256, dtype=dtype), torch.ones(256, 256, dtype=dtype)
        a @ b  # the first product is slower
        begin, done[dtype] = time.perf_counter(), 0
        while time.perf_counter() - begin < seconds:
            a @ b
            done[dtype] += 1
    return done[torch.bfloat16] / done[torch.float32]
