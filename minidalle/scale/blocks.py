"""Changes to a model's blocks for speed and memory, kept out of the model's own code."""

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
