"""What is done to a model's blocks for speed and memory, without a word of it in the model."""

from functools import partial

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def tune_blocks(
    model: nn.Module, bf16: bool = False, compile: bool = False, recompute: bool = False
) -> None:
    """Change the blocks of a model (`model.blocks`) in place; models without any stay as they are.

    bf16: matrix products in bfloat16, while gains, embeddings, heads and losses stay in float32;
    recompute: the backward pass computes a block's activations again, so only its input is kept;
    compile: by torch's compiler.
    """
    for block in getattr(model, "blocks", ()):
        if bf16:
            device = next(block.parameters()).device.type
            block.forward = torch.autocast(device, torch.bfloat16)(block.forward)
        if recompute:
            block.forward = partial(checkpoint, block.forward, use_reentrant=False)
        if compile:
            block.compile()
