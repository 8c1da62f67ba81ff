"""Many processes train one model; `training.train` is the same loop for one and for thousands.

The loop asks a team what depends on the others (`training.Alone` answers for one process):
which examples of a batch are mine, what the mean over all of us is, whether somebody wants to
stop, where a checkpoint goes. Everything random is a function of (seed, step) and is decided for
the whole batch, so the numbers do not depend on how many we are.

| share | each process holds                                        | after a step it exchanges |
|-------|-----------------------------------------------------------|---------------------------|
| ddp   | everything                                                | all gradients             |
| fsdp  | 1/n of weights, gradients, averages, optimiser            | each block's weights, twice, and its gradients |
| hsdp  | 1/m of them, m processes of a machine sharing one copy    | as fsdp in the machine, gradients between machines |

Rajbhandari et al. 2020 (ZeRO); Ramesh et al. 2021, section 2.4, sharded the same way.
The engine is torch's: `fully_shard` (FSDP2), DeviceMesh, DCP, torchrun.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import checkpoint as dcp
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from minidalle import clip, dvae, transformer
from minidalle.training import Alone

BLOCKS = (transformer.Block, clip.Block, dvae.ResBlock)  # what is gathered and used as one


class Gather(torch.autograd.Function):
    """The rows of all processes, in order of rank: (n, …) → (size · n, …).

    Every process computes the same loss from them, so the gradient of the mean over processes is
    `size` times what this process found for its own rows; nothing has to be sent back.
    """

    @staticmethod
    def forward(ctx, rows: Tensor) -> Tensor:
        everyone = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(everyone, rows.contiguous())
        return torch.cat(everyone)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return gradient.chunk(dist.get_world_size())[dist.get_rank()] * dist.get_world_size()


class Team(Alone):
    """The processes that torchrun started, of which this is one."""

    def __init__(self, share: str = "fsdp", together: int | None = None, powersgd: int | None = None,
                 keep: int = 2, seconds: float = 300, **how):
        """Meet the others and agree on who shares with whom.

        share: "ddp", "fsdp" or "hsdp"; together: how many share one copy in hsdp (those of a
        machine); powersgd: the rank of compressed gradients in ddp; keep: how many checkpoints;
        seconds: how long to wait for the others. `how` is passed on to `Alone`. Raises ValueError, in one sentence.
        """
        on_gpu = torch.cuda.is_available()
        if on_gpu:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        try:
            store, rank, size = next(dist.rendezvous("env://", timeout=timedelta(seconds=seconds)))
            if os.environ.get("LOCAL_WORLD_SIZE") == str(size):  # else each meeting has a store of its own
                store = dist.PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), store)
            dist.init_process_group(store=store, rank=rank, world_size=size,  # gloo, and nccl for GPUs
                                    timeout=timedelta(seconds=seconds))
        except (dist.DistError, RuntimeError) as error:
            where = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
            raise ValueError(f"the {os.environ['WORLD_SIZE']} processes did not meet at {where} within "
                             f"{seconds:g} seconds ({str(error).splitlines()[0]})") from None
        super().__init__(torch.device("cuda" if on_gpu else "cpu"), **how)
        self.rank, self.size, self.splits = dist.get_rank(), dist.get_world_size(), share != "ddp"
        self.powersgd, self.keep = powersgd, keep
        together = together or int(os.environ.get("LOCAL_WORLD_SIZE", self.size))
        if share == "hsdp" and self.size % together:
            raise ValueError(f"{self.size} processes cannot be split into groups of {together} that share "
                             "a copy: start a multiple of it, or say --together")
        if powersgd and share != "ddp":
            raise ValueError("PowerSGD compresses the gradients of --share ddp, not of " + share)
        self.group = {"ddp": 1, "fsdp": self.size, "hsdp": together}[share]
        kind = self.device.type
        self.mesh = {
            "ddp": lambda: None,
            "fsdp": lambda: init_device_mesh(kind, (self.size,)),
            "hsdp": lambda: init_device_mesh(kind, (self.size // together, together),
                                             mesh_dim_names=("replicate", "shard")),
        }[share]()

    # ---- the model ----------------------------------------------------------------------

    def share(self, model: nn.Module, learns: bool = True) -> nn.Module:
        """Lay a model out over the processes, in place; returns what is to be called."""
        if self.mesh is None:
            super().share(model)
            return self.wrap(model) if learns else model
        shape(model, self.mesh, self.bf16)
        if any(parameter.is_meta for parameter in model.parameters()):
            model.to_empty(device=self.device)
            model.make_masks()  # to_empty left them empty too
            with torch.random.fork_rng(devices=[]):  # its average begins with the same numbers
                model.init_weights(put)
        return super().share(model)

    def wrap(self, model: nn.Module) -> nn.Module:
        """DDP, whose gradients are compressed if asked for (Vogels et al. 2019; appendix E)."""
        rests = isinstance(model, dvae.DVAE)  # in the end its encoder learns no more
        wrapped = DistributedDataParallel(model, find_unused_parameters=rests)
        if self.powersgd:
            from torch.distributed.algorithms.ddp_comm_hooks import powerSGD_hook as hook

            self.hook = hook.PowerSGDState(None, self.powersgd, start_powerSGD_iter=2, warm_start=False)

            def in_turn(state, bucket):  # gloo would mix up what two buckets send at once
                sent = hook.powerSGD_hook(state, bucket)
                sent.wait()
                return sent

            wrapped.register_comm_hook(self.hook, in_turn)
        return wrapped

    @contextmanager
    def round(self, called: nn.Module, last: bool):
        """Gradients are exchanged in the last round of a step only; those of shards, in each round.

        Otherwise each process would hold the whole gradient from round to round. What hsdp sends
        between machines does wait for the last round.
        """
        if isinstance(called, DistributedDataParallel) and not last:
            with called.no_sync():
                yield
            return
        if self.mesh is not None:
            called.set_requires_all_reduce(last)
        yield

    def clip(self, model: nn.Module, most: float) -> Tensor:
        """Scale the gradient down to norm `most`; returns its norm before, over all shards."""
        gradients = [p for p in model.parameters() if p.grad is not None]
        sharded = [p for p in gradients if isinstance(p, DTensor)]
        whole = [p for p in gradients if not isinstance(p, DTensor)]
        if self.mesh is not None:  # numbers that fully_shard leaves alone
            for parameter in whole:
                parameter.grad = self.mean(parameter.grad)
        norms = [nn.utils.get_total_norm([p.grad for p in part]) for part in (sharded, whole) if part]
        norm = torch.stack([getattr(norm, "full_tensor", lambda: norm)() for norm in norms]).norm()
        for part in (sharded, whole):
            nn.utils.clip_grads_with_norm_(part, most, norm)
        return norm

    # ---- what all have to know ----------------------------------------------------------

    def gather(self, rows: Tensor) -> Tensor:
        """The rows of all processes, in order, with gradients."""
        return Gather.apply(rows)

    def mean(self, numbers: Tensor) -> Tensor:
        """Each number's mean over the processes."""
        numbers = numbers.clone()
        dist.all_reduce(numbers)
        return numbers / self.size

    def anybody(self, here: bool) -> bool:
        """Is it so in any process?"""
        flag = torch.tensor(float(here), device=self.device)
        dist.all_reduce(flag, dist.ReduceOp.MAX)
        return bool(flag)

    def whole(self, model: nn.Module) -> dict[str, Tensor]:
        """All weights in full, in rank 0, one after the other; elsewhere nothing."""
        weights = {}
        for name, tensor in model.state_dict().items():
            full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
            if self.rank == 0:
                weights[name] = full.cpu()
        return weights

    # ---- checkpoints --------------------------------------------------------------------

    def save(self, place: Path, tensors: dict[str, Tensor], about: dict) -> None:
        """Every process writes its shards to place/step-N, and then `latest` points there."""
        folder = place / f"step-{about['step']:09}"
        part = folder.with_suffix(".part")
        if self.rank == 0:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
        dist.barrier()
        dcp.save(tensors, storage_writer=dcp.HuggingFaceStorageWriter(str(part), save_distributed=True))
        dist.barrier()
        if self.rank == 0:
            sizes = {file.name: file.stat().st_size for file in part.iterdir()}
            (part / "about.json").write_text(json.dumps(about | {"files": sizes}))
            shutil.rmtree(folder, ignore_errors=True)
            part.rename(folder)
            (place / "latest.part").write_text(folder.name)
            os.replace(place / "latest.part", place / "latest")
            for old in sorted(place.glob("step-*[0-9]"))[:-self.keep]:
                shutil.rmtree(old)
        dist.barrier()

    def load(self, place: Path) -> tuple[Path, dict]:
        """The newest whole checkpoint of a place, and what it says about itself."""
        found = [next(newest_whole(place), (None, None)) if self.rank == 0 else (None, None)]
        dist.broadcast_object_list(found)
        if found[0][0] is None:
            raise FileNotFoundError(f"there is no whole checkpoint in {place} to resume: leave out --resume")
        return found[0]

    def fill(self, tensors: dict[str, Tensor], folder: Path) -> None:
        """Read a checkpoint, of whatever number of processes, into these tensors or shards."""
        dcp.load(tensors, storage_reader=dcp.HuggingFaceStorageReader(str(folder)))

    def farewell(self, done: Path) -> str:
        """What to say at the end: where the weights are, and how much compression saved."""
        if not self.powersgd:
            return str(done)
        _, before, after = self.hook.compression_stats()
        return f"{done}; PowerSGD sent {after / before:.1%} of the numbers in the gradients"

    def close(self) -> None:
        """Leave the group. A model under DDP has to be gone by then: else, going, it waits for the
        group's threads, and one of these may be waiting for Python."""
        dist.destroy_process_group()


def shape(model: nn.Module, mesh, bf16: bool = False) -> None:
    """Split every parameter over the mesh, in place: block by block, then what lies outside.

    A block's weights are gathered when it is used, in bfloat16 if asked for. Gains and biases of
    norms, and all outside of blocks (embeddings, heads), stay in float32. So do single numbers,
    which have nothing to split.
    """
    low = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
    numbers = {parameter for parameter in model.parameters() if parameter.ndim == 0}
    model.to(memory_format=torch.contiguous_format)  # which fully_shard wants
    for block in [module for module in model.modules() if isinstance(module, BLOCKS)]:
        for norm in [module for module in block.modules() if isinstance(module, nn.LayerNorm)] * bf16:
            fully_shard(norm, mesh=mesh)
        fully_shard(block, mesh=mesh, **{"mp_policy": low} if bf16 else {})
    fully_shard(model, mesh=mesh, ignored_params=numbers)


def put(tensor: Tensor, numbers: Tensor) -> None:
    """Fill a tensor, or this process's shard of one, of which every process has all the numbers."""
    if isinstance(tensor, DTensor):
        numbers = distribute_tensor(numbers.to(tensor.device), tensor.device_mesh, tensor.placements,
                                    src_data_rank=None)
    tensor.copy_(numbers)


def newest_whole(place: Path) -> Iterator[tuple[Path, dict]]:
    """The checkpoints of a place that are all there, `latest` first; says which are not."""
    latest = place / "latest"
    folders = sorted(place.glob("step-*[0-9]"), reverse=True)
    if latest.is_file():
        folders.sort(key=lambda folder: folder.name != latest.read_text())
    for folder in folders:
        try:
            about = json.loads((folder / "about.json").read_text())
            if torn := [n for n, size in about["files"].items() if (folder / n).stat().st_size != size]:
                raise ValueError(f"{torn[0]} is cut off")
            yield folder, about
        except (OSError, ValueError, KeyError) as error:
            print(f"minidalle: {folder} is not whole ({error}): going back to the one before", file=sys.stderr)
