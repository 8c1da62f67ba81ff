"""Which optimiser moves which parameter, and Muon for many matrices at once."""

import math
from collections import defaultdict

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from minidalle.config import TrainConfig


def make_optimizers(model: nn.Module, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """AdamW with weight decay on matrices and kernels only, not on biases, gains or embeddings.

    With config.muon, the matrices and kernels inside blocks get Muon (Jordan et al. 2024), where a
    kernel (out, in, h, w) is a matrix of `out` rows: it makes each update orthogonal, so that all
    directions of a matrix learn at the same pace, where AdamW mostly moves the few that dominate
    the gradient. The update is scaled to the size of AdamW's (Liu et al. 2025, arXiv 2502.16982),
    so one learning rate serves both.
    """
    decay, keep, scalars, hidden = [], [], [], []
    for path, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            is_embedding = isinstance(module, nn.Embedding) or name.endswith("embedding")
            is_matrix = parameter.ndim > 1 and not is_embedding
            if config.muon and is_matrix and "blocks." in path:
                hidden.append(parameter)
            else:
                (decay if is_matrix else keep if parameter.ndim else scalars).append(parameter)
    groups = [{"params": decay, "weight_decay": config.weight_decay}]
    # Scalars, which are never sharded, must not be mixed with parameters that are.
    groups += [{"params": group, "weight_decay": 0.0} for group in (keep, scalars) if group]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, eps=config.eps, fused=True)
    ]
    if hidden:
        how = {"weight_decay": config.weight_decay, "adjust_lr_fn": "match_rms_adamw"}
        whole = not any(isinstance(parameter, DTensor) for parameter in hidden)
        kernels = any(parameter.ndim > 2 for parameter in hidden)
        kind = StackedMuon if kernels or (whole and hidden[0].is_cuda) else torch.optim.Muon
        optimizers.append(kind(hidden, lr=config.lr, **how))
    return optimizers


class StackedMuon(torch.optim.Muon):
    """torch's Muon, but kernels are matrices too, and those of one shape go through together.

    One after the other, the small matrices of a small model keep a GPU waiting: on an H200, 32 of
    them took twice as long as the gradient of 256 pictures. A CPU is no faster this way.
    """

    def __init__(self, params: list[nn.Parameter], **how):
        super().__init__([torch.zeros(1, 1)], **how)  # torch's would refuse kernels
        self.param_groups[0]["params"] = params

    @torch.no_grad()
    def step(self, closure=None):
        """Move every parameter that has a gradient; `closure` is not used."""
        for group in self.param_groups:
            alike = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[parameter.flatten(1).shape].append(parameter)
            for (rows, columns), parameters in alike.items():
                for parameter in parameters:
                    self.state[parameter].setdefault("momentum_buffer", torch.zeros_like(parameter))
                momenta = [self.state[parameter]["momentum_buffer"] for parameter in parameters]
                gradients = [parameter.grad for parameter in parameters]
                torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
                update, momentum = (
                    torch.stack([one.flatten(1) for one in some]) for some in (gradients, momenta)
                )
                update = update.lerp(momentum, group["momentum"])
                update = orthogonal(update, group["ns_coefficients"], group["ns_steps"]).float()
                updates = [one.view(p.shape) for one, p in zip(update, parameters)]
                lr = group["lr"] * 0.2 * math.sqrt(max(rows, columns))  # as large as AdamW's
                torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(parameters, updates, alpha=-lr)


def orthogonal(matrices: Tensor, coefficients: tuple[float, ...], steps: int) -> Tensor:
    """Nearly the orthogonal matrix U Vᵀ of each U S Vᵀ: (n, rows, columns), in bfloat16.

    Newton and Schulz's iteration X ← a X + (b X Xᵀ + c (X Xᵀ)²) X drives singular values to about
    1, with the coefficients of Jordan et al. 2024.
    """
    (a, b, c), tall = coefficients, matrices.shape[1] > matrices.shape[2]
    X = matrices.bfloat16()
    X = X.mT if tall else X
    X = X / X.flatten(1).norm(dim=1).clamp(min=1e-7)[:, None, None]
    for _ in range(steps):
        square = X @ X.mT
        X = torch.baddbmm(X, torch.baddbmm(square, square, square, beta=b, alpha=c), X, beta=a)
    return X.mT if tall else X
