"""The other prior: the embedding as a sequence of codes, one after another, as in the first DALL·E.

An embedding is a point with E coordinates, most of which hardly vary. Its principal components are
the directions in which embeddings differ most; the first P of them, each cut into K buckets, are P
codes, and a causal transformer predicts one after another,

    caption's tokens │ caption's embedding │ dot product │ code 1 │ code 2 │ …

The dot product says how well picture and caption fit, as CLIP sees it. It is known in training, and
when one draws, one asks for a good fit (Ramesh et al. 2022, section 2.2). B batch, T text tokens,
D width, E size of CLIP's space, S = T + 1 + P.
"""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from minidalle.dalle2.config import ARPriorConfig
from minidalle.dalle2.meaning import Said, Whitening
from minidalle.transformer import Block, initial

REACH = 4.0  # standard deviations on each side of the mean that the buckets cover
UPPER_HALF = 0.674  # deviations: the median of the better half of all fits


class ARPrior(nn.Module):
    """Predicts the bucket of each principal component from those before it."""

    config_class = ARPriorConfig

    def __init__(self, config: ARPriorConfig):
        super().__init__()
        self.config = config
        E, D, P, K = config.embed, config.width, config.components, config.buckets
        S = config.text_len + 1 + P
        self.register_buffer("mean", torch.zeros(E))
        self.register_buffer("axes", torch.eye(E)[:, :P].clone())  # (E, P), of length 1
        self.register_buffer("std", torch.ones(P))  # of embeddings along each axis
        self.register_buffer("fit_mean", torch.zeros(()))  # of dot products with the captions
        self.register_buffer("fit_std", torch.ones(()))
        self.whiten_states, self.whiten_meaning = Whitening(config.text_width), Whitening(E)
        self.states, self.meaning = nn.Linear(config.text_width, D), nn.Linear(E, D)
        self.fit_embedding, self.code_embedding = nn.Embedding(K, D), nn.Embedding(K, D)
        self.position = nn.Parameter(torch.empty(S, D))
        self.no_token = nn.Parameter(torch.empty(D))
        self.blocks = nn.ModuleList(Block(D, config.heads) for _ in range(config.depth))
        self.norm, self.head = nn.LayerNorm(D), nn.Linear(D, K)
        for name, parameter in self.named_parameters():
            parameter.data = initial(name, parameter.shape, config)
        self.register_buffer("mask", torch.ones(S, S, dtype=torch.bool).tril(), persistent=False)

    @torch.no_grad()
    def fit(self, images: Tensor, said: Said) -> None:
        """Find axes and deviations from embeddings of pictures (M, E) and their captions."""
        self.whiten_states.fit(said.states[said.inside])
        self.whiten_meaning.fit(said.meaning)
        self.mean.copy_(images.mean(0))
        _, _, axes = torch.linalg.svd(images - self.mean, full_matrices=False)
        self.axes.copy_(axes[: self.config.components].T)
        self.std.copy_(((images - self.mean) @ self.axes).std(0))
        fits = (images * said.meaning).sum(-1)
        self.fit_mean.copy_(fits.mean())
        self.fit_std.copy_(fits.std())

    def bucket(self, deviations: Tensor) -> Tensor:
        """Numbers in standard deviations → which of K equal buckets from -REACH to REACH."""
        K = self.config.buckets
        return ((deviations + REACH) * K / (2 * REACH)).long().clamp(0, K - 1)

    def encode(self, images: Tensor) -> Tensor:
        """Embeddings (B, E) → codes (B, P)."""
        return self.bucket((images - self.mean) @ self.axes / self.std)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, P) → embeddings of length 1 (B, E): the middle of each bucket."""
        deviations = (codes + 0.5) * 2 * REACH / self.config.buckets - REACH
        return F.normalize(self.mean + (deviations * self.std) @ self.axes.T, dim=-1)

    def logits(self, said: Said, known: Tensor, fits: Tensor, codes: Tensor) -> Tensor:
        """Logits (B, n + 1, K) of the first n + 1 codes, from the first n: codes (B, n).

        fits (B,) are dot products of picture and caption. Where `known` (B,) is False, the caption
        and the fit are hidden.
        """
        shown = (said.inside & known[:, None])[..., None]
        states, meaning = self.whiten_states(said.states), self.whiten_meaning(said.meaning)
        tokens = torch.where(shown, self.states(states), self.no_token)  # (B, T, D)
        fit = self.fit_embedding(self.bucket((fits - self.fit_mean) / self.fit_std))
        both = torch.stack([self.meaning(meaning), fit], dim=1)
        both = torch.where(known[:, None, None], both, self.no_token)
        x = torch.cat([tokens, both, self.code_embedding(codes)], dim=1)
        x = x + self.position[: x.shape[1]]
        for block in self.blocks:
            x = block(x, self.mask[: x.shape[1], : x.shape[1]])
        return self.head(self.norm(x[:, said.states.shape[1] + 1 :]))

    def forward(
        self, states: Tensor, inside: Tensor, meaning: Tensor, image: Tensor, known: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss in nats a code: captions (see `Said`), embeddings of their pictures (B, E)."""
        codes, fits = self.encode(image), (image * meaning).sum(-1)
        logits = self.logits(Said(states, inside, meaning), known, fits, codes[:, :-1])
        return F.cross_entropy(logits.flatten(0, 1), codes.flatten()), {}


@torch.no_grad()
def draw_embeddings(
    prior: ARPrior, said: Said, generators: list[Generator], guidance: float = 1.0
) -> Tensor:
    """An embedding of length 1 for each caption: (B, E). Caption i is drawn by generator i."""
    B, device = len(said.meaning), said.meaning.device
    yes = torch.ones(B, dtype=torch.bool, device=device)
    fits = (prior.fit_mean + UPPER_HALF * prior.fit_std).expand(B)
    codes = torch.empty(B, 0, dtype=torch.long, device=device)
    for _ in range(prior.config.components):
        logits = prior.logits(said, yes, fits, codes)[:, -1]
        if guidance != 1:
            of_any = prior.logits(said, ~yes, fits, codes)[:, -1]
            logits = of_any + guidance * (logits - of_any)
        chances = logits.softmax(-1).cpu()
        drawn = [torch.multinomial(row, 1, generator=g) for row, g in zip(chances, generators)]
        codes = torch.cat([codes, torch.stack(drawn).to(device)], dim=1)
    return prior.decode(codes)
