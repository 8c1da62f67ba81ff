"""Sharding: each process holds a part of every parameter.

Rajbhandari et al. 2020 (ZeRO); Ramesh et al. 2021, section 2.4, shard in the same way. The
engine is torch's `fully_shard` (FSDP2).
"""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from minidalle.runtime import Start


def shard(model: nn.Module, mesh, block: type[nn.Module], bf16: bool = False) -> None:
    """Shard every parameter over the mesh, in place: block by block, then the rest.

    A block's weights are gathered when it is used, in bfloat16 if asked for. Norms, and everything
    outside the blocks (embeddings, heads), stay in float32. Scalars are not sharded.
    """
    low = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
    scalars = {parameter for parameter in model.parameters() if parameter.ndim == 0}
    model.to(memory_format=torch.contiguous_format)  # fully_shard needs it
    for part in [module for module in model.modules() if isinstance(module, block)]:
        for norm in [
            module for module in part.modules() if isinstance(module, nn.LayerNorm)
        ] * bf16:
            fully_shard(norm, mesh=mesh)
        fully_shard(part, mesh=mesh, **{"mp_policy": low} if bf16 else {})
    fully_shard(model, mesh=mesh, ignored_params=scalars)


@torch.no_grad()
def materialise(model: nn.Module, start: Start, device: torch.device) -> None:
    """Initialise a sharded model that was made on the meta device, parameter by parameter.

    Every process draws each parameter in full and keeps only its shard, so the values are those
    of an unsharded model, and no process ever holds all of it.
    """
    model.to_empty(device=device)
    model.make_masks()  # to_empty cleared them too
    for name, parameter in model.named_parameters():
        put(parameter, start(name, parameter.shape))


def put(tensor: Tensor, numbers: Tensor) -> None:
    """Fill a tensor, or this process's shard of it, from values that every process has in full."""
    if isinstance(tensor, DTensor):
        numbers = distribute_tensor(
            numbers.to(tensor.device), tensor.device_mesh, tensor.placements, src_data_rank=None
        )
    tensor.copy_(numbers)


class Gather(torch.autograd.Function):
    """The rows of all processes, in order of rank: (n, …) → (world_size · n, …).

    Every process computes the same loss from them, so the gradient of the mean over processes is
    `world_size` times this process's gradient for its own rows; nothing has to be sent back.
    """

    @staticmethod
    def forward(ctx, rows: Tensor) -> Tensor:
        everyone = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(everyone, rows.contiguous())
        return torch.cat(everyone)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return gradient.chunk(dist.get_world_size())[dist.get_rank()] * dist.get_world_size()
