"""The prior: from a caption to the embedding that CLIP would give its picture.

A caption leaves much open, so it has many pictures and many embeddings; the prior draws one of
them. It is a diffusion model whose "picture" is the embedding and whose network is a causal
transformer over one sequence,

    caption's tokens │ caption's embedding │ time │ noisy embedding │ query

where the query, which comes last, sees all the others and becomes the embedding without noise
(Ramesh et al. 2022, section 2.2). B batch, T text tokens, D width, E size of CLIP's space,
S = T + 4.
"""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from minidalle.dalle2 import diffusion
from minidalle.dalle2.config import PriorConfig
from minidalle.dalle2.meaning import Said, Whitening
from minidalle.dalle2.unet import time_features
from minidalle.transformer import Block, initial

LARGEST = 10.0  # no number of a whitened embedding is larger


class Prior(nn.Module):
    """Predicts the embedding itself (x₀), whitened."""

    config_class = PriorConfig

    def __init__(self, config: PriorConfig):
        super().__init__()
        self.config = config
        E, D, S = config.embed, config.width, config.text_len + 4
        self.whiten = Whitening(E)
        self.whiten_states, self.whiten_meaning = Whitening(config.text_width), Whitening(E)
        self.states, self.meaning = nn.Linear(config.text_width, D), nn.Linear(E, D)
        self.time = nn.Sequential(nn.Linear(D, D), nn.SiLU(), nn.Linear(D, D))
        self.noisy = nn.Linear(E, D)
        self.query = nn.Parameter(torch.empty(D))
        self.position = nn.Parameter(torch.empty(S, D))
        self.no_token = nn.Parameter(torch.empty(D))  # after a caption's end, or if it is dropped
        self.no_meaning = nn.Parameter(torch.empty(D))
        self.blocks = nn.ModuleList(Block(D, config.heads) for _ in range(config.depth))
        self.norm, self.out = nn.LayerNorm(D), nn.Linear(D, E)
        for name, parameter in self.named_parameters():
            parameter.data = initial(name, parameter.shape, config)
        self.register_buffer("mask", torch.ones(S, S, dtype=torch.bool).tril(), persistent=False)
        alpha_bars = diffusion.cosine_alpha_bars(config.times).float()
        self.register_buffer("alpha_bars", alpha_bars, persistent=False)

    @torch.no_grad()
    def fit(self, images: Tensor, said: Said) -> None:
        """Find axes and deviations from embeddings of pictures (M, E) and their captions."""
        self.whiten.fit(images)
        self.whiten_states.fit(said.states[said.inside])
        self.whiten_meaning.fit(said.meaning)

    def predict(self, x: Tensor, t: Tensor, said: Said, known: Tensor) -> Tensor:
        """Noisy whitened embeddings (B, E) at times (B,) → without noise (B, E).

        Where `known` (B,) is False, the caption is hidden; x never is.
        """
        shown = (said.inside & known[:, None])[..., None]
        states, meaning = self.whiten_states(said.states), self.whiten_meaning(said.meaning)
        tokens = torch.where(shown, self.states(states), self.no_token)  # (B, T, D)
        meaning = torch.where(known[:, None], self.meaning(meaning), self.no_meaning)
        time = self.time(time_features(t, self.config.width))
        last = [meaning, time, self.noisy(x), self.query.expand_as(time)]
        x = torch.cat([tokens, torch.stack(last, dim=1)], dim=1) + self.position  # (B, S, D)
        for block in self.blocks:
            x = block(x, self.mask)
        return self.out(self.norm(x[:, -1]))

    def forward(
        self, states: Tensor, inside: Tensor, meaning: Tensor, image: Tensor, eps: Tensor,
        t: Tensor, known: Tensor,
    ) -> tuple[Tensor, dict[str, Tensor]]:  # fmt: skip
        """Captions (see `Said`), embeddings of their pictures and noise (B, E), times (B,).

        Returns the mean squared error of the whitened embedding, and as a part the cosine between
        what was predicted and the truth.
        """
        white = self.whiten(image)
        x = diffusion.q_sample(white, eps, self.alpha_bars[t][:, None])
        predicted = self.predict(x, t, Said(states, inside, meaning), known)
        cosine = (self.whiten.back(predicted.detach()) * image).sum(-1).mean()
        return F.mse_loss(predicted, white), {"cosine": cosine}


@torch.no_grad()
def draw_embeddings(
    prior: Prior,
    said: Said,
    generators: list[Generator],
    steps: int = 25,
    guidance: float = 1.0,
    draws: int = 2,
    eta: float = 1.0,
) -> Tensor:
    """An embedding of length 1 for each caption: (B, E).

    Of `draws` embeddings the one nearer the caption's is kept, as in the paper. All randomness of
    caption i comes from generator i.
    """
    B, E = said.meaning.shape
    device = said.meaning.device
    many = Said(*(part.repeat_interleave(draws, 0) for part in said))
    yes = torch.ones(B * draws, dtype=torch.bool, device=device)

    def noise() -> Tensor:
        return diffusion.noise_of(generators, (draws, E), said.meaning).flatten(0, 1)

    def predict(x: Tensor, t: int) -> Tensor:
        alpha_bar, times = float(prior.alpha_bars[t]), torch.full((len(x),), t, device=device)
        eps = diffusion.to_eps("x0", prior.predict(x, times, many, yes), x, alpha_bar)
        if guidance == 1:
            return eps
        of_any = diffusion.to_eps("x0", prior.predict(x, times, many, ~yes), x, alpha_bar)
        return diffusion.guided(eps, of_any, guidance)

    times = diffusion.times_of(steps, prior.config.times)
    way = diffusion.denoise(predict, noise(), times, prior.alpha_bars, eta, noise, LARGEST)
    *_, (_, _, white) = way
    drawn = prior.whiten.back(white).view(B, draws, E)
    nearest = (drawn * said.meaning[:, None]).sum(-1).argmax(1)
    return drawn[torch.arange(B, device=device), nearest]
