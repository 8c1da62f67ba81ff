"""The runtime of many processes; the loop, `training.train`, is the same for one and thousands.

Everything random is a function of (seed, step) and is decided for the whole batch, so the results
do not depend on the number of processes.

| share | each process holds                       | and exchanges in a step                     |
|-------|------------------------------------------|---------------------------------------------|
| ddp   | everything                               | all gradients                               |
| fsdp  | 1/n of weights, gradients, averages and  | each block's weights, twice, and its        |
|       | the optimiser's moments                  | gradients                                   |
| hsdp  | 1/m of them: m processes of a machine    | as fsdp within the machine, and gradients   |
|       | share one copy                           | between machines                            |

The engine is torch's: DDP, FSDP2, DeviceMesh, torchrun.
"""

import os
from collections.abc import Callable
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from minidalle.runtime import Numbers, SingleProcess, Start, unflattened
from minidalle.scale.checkpoints import ShardedCheckpoint
from minidalle.scale.sharding import Gather, materialise, shard

LEFT: list[dist.ProcessGroup | None] = []  # groups that were left


class Distributed(SingleProcess):
    """The runtime of a process that torchrun started, one of several."""

    def __init__(
        self,
        block: type[nn.Module],
        share: str = "fsdp",
        shard_size: int | None = None,
        powersgd: int | None = None,
        keep: int = 2,
        timeout: float = 300,
        bf16: bool = False,
        grad_accum_steps: int = 1,
        tune: Callable[[nn.Module], None] = lambda model: None,
    ):
        """Join the process group and form the groups that share a copy of the model.

        block: the unit of sharding; share: "ddp", "fsdp" or "hsdp"; shard_size: processes per copy
        in hsdp (by default those of a machine); powersgd: the rank of compressed gradients in ddp;
        keep: checkpoints to keep; timeout: seconds to wait for the others; bf16: gather blocks in
        bfloat16. Raises ValueError, in one sentence.
        """
        super().__init__(local_device(), grad_accum_steps, tune)
        meet(timeout)
        self.rank, self.world_size = dist.get_rank(), dist.get_world_size()
        self.block, self.share, self.powersgd, self.keep, self.bf16 = (
            block,
            share,
            powersgd,
            keep,
            bf16,
        )
        shard_size = shard_size or int(os.environ.get("LOCAL_WORLD_SIZE", self.world_size))
        if share == "hsdp" and self.world_size % shard_size:
            raise ValueError(
                f"{self.world_size} processes cannot be split into groups of {shard_size} that "
                "share a copy: start a multiple of it, or set --shard-size"
            )
        if powersgd and share != "ddp":
            raise ValueError("PowerSGD compresses the gradients of --share ddp, not of " + share)
        self.shard_size = {"ddp": 1, "fsdp": self.world_size, "hsdp": shard_size}[share]
        self.mesh = self.make_mesh()

    def make_mesh(self):
        """The device mesh: a line (fsdp) or a grid of copies × shards (hsdp); None for ddp."""
        kind, copies = self.device.type, self.world_size // self.shard_size
        if self.share == "fsdp":
            return init_device_mesh(kind, (self.world_size,))
        if self.share == "hsdp":
            names = ("replicate", "shard")
            return init_device_mesh(kind, (copies, self.shard_size), mesh_dim_names=names)
        return None

    # ---- the model ----------------------------------------------------------------------

    def prepare(
        self,
        model: nn.Module,
        trained: bool = True,
        start: Start | None = None,
        partly_frozen: bool = False,
    ) -> nn.Module:
        if self.mesh is not None:
            shard(model, self.mesh, self.block, self.bf16)
            if any(parameter.is_meta for parameter in model.parameters()):
                materialise(model, start, self.device)
        called = super().prepare(model, trained)
        return self.wrap(called, partly_frozen) if trained and self.mesh is None else called

    def wrap(self, model: nn.Module, partly_frozen: bool) -> nn.Module:
        """Wrap in DDP, with PowerSGD if asked for (Vogels et al. 2019; the paper's appendix E)."""
        wrapped = DistributedDataParallel(model, find_unused_parameters=partly_frozen)
        if self.powersgd:
            from torch.distributed.algorithms.ddp_comm_hooks import powerSGD_hook as hook

            self.hook = hook.PowerSGDState(
                None, self.powersgd, start_powerSGD_iter=2, warm_start=False
            )

            def one_at_a_time(state, bucket):  # gloo would mix up buckets sent at the same time
                sent = hook.powerSGD_hook(state, bucket)
                sent.wait()
                return sent

            wrapped.register_comm_hook(self.hook, one_at_a_time)
        return wrapped

    @contextmanager
    def accumulate(self, called: nn.Module, last: bool):
        """Exchange gradients in the last part of a step only, except within a group of shards.

        There they are exchanged in each part, because otherwise each process would have to hold
        the full gradient. What hsdp sends between machines waits for the last part.
        """
        if isinstance(called, DistributedDataParallel) and not last:
            with called.no_sync():
                yield
            return
        if self.mesh is not None:
            called.set_requires_all_reduce(last)
        yield

    def clip_grad(self, model: nn.Module, max_norm: float) -> Tensor:
        """Clip the gradient to max_norm; returns its norm before clipping, over all shards."""
        trained = [p for p in model.parameters() if p.grad is not None]
        sharded = [p for p in trained if isinstance(p, DTensor)]
        replicated = [p for p in trained if not isinstance(p, DTensor)]
        if self.mesh is not None:  # scalars, which fully_shard leaves alone
            for parameter in replicated:
                dist.all_reduce(parameter.grad)
                parameter.grad /= self.world_size
        groups = [group for group in (sharded, replicated) if group]
        norms = [nn.utils.get_total_norm([p.grad for p in group]) for group in groups]
        norm = torch.stack([n.full_tensor() if isinstance(n, DTensor) else n for n in norms]).norm()
        for group in groups:
            nn.utils.clip_grads_with_norm_(group, max_norm, norm)
        return norm

    # ---- communication ------------------------------------------------------------------

    def gather(self, rows: Tensor) -> Tensor:
        return Gather.apply(rows)

    def mean(self, numbers: Numbers) -> Numbers:
        """Each number's mean over the processes, on the CPU; they are sent as one tensor."""
        flat = torch.cat([value.double().flatten().to(self.device) for value in numbers.values()])
        dist.all_reduce(flat)
        return unflattened(flat / self.world_size, numbers)

    def any_rank(self, flag: bool) -> bool:
        found = torch.tensor(float(flag), device=self.device)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return bool(found)

    def full_state_dict(self, model: nn.Module) -> Numbers:
        """All weights, unsharded, in rank 0, gathered one by one; empty in other ranks."""
        weights = {}
        for name, tensor in model.state_dict().items():
            full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
            if self.rank == 0:
                weights[name] = full.cpu()
        return weights

    def checkpoint(self, place: Path) -> ShardedCheckpoint:
        return ShardedCheckpoint(place, self.keep)

    def compression(self) -> float | None:
        """The share of gradient values that PowerSGD sent, or None without it."""
        if not self.powersgd:
            return None
        _, before, after = self.hook.compression_stats()
        return after / before

    def close(self) -> None:
        """Leave the process group. Models in DDP must be deleted before, or their deletion may
        deadlock: it waits for the group's threads, one of which may wait for Python.

        The groups themselves live on until the process ends. If one of gloo's threads dropped the
        last reference to its group, it would wait for itself, which aborts the process.
        """
        LEFT.extend([dist.group.WORLD, *(self.mesh.get_all_groups() if self.mesh else [])])
        dist.destroy_process_group()


def local_device() -> torch.device:
    """This process's GPU, or the CPU if there is none."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    number, count = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if number >= count:
        raise ValueError(
            f"this is process {number + 1} of this machine, which has {count} "
            f"GPU{'s' * (count > 1)}: start one for each, as in `torchrun --nproc-per-node {count}`"
        )
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


def meet(timeout: float) -> None:
    """Join the process group of torchrun: gloo, and nccl for GPUs."""
    wait = timedelta(seconds=timeout)
    try:
        store, rank, size = next(dist.rendezvous("env://", timeout=wait))
        # On one machine, restarts share a store; otherwise each rendezvous has its own.
        if os.environ.get("LOCAL_WORLD_SIZE") == str(size):
            store = dist.PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), store)
        dist.init_process_group(store=store, rank=rank, world_size=size, timeout=wait)
    except (dist.DistError, RuntimeError) as error:
        where = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        raise ValueError(
            f"the {os.environ['WORLD_SIZE']} processes did not meet at {where} within "
            f"{timeout:g} seconds ({str(error).splitlines()[0]})"
        ) from None
