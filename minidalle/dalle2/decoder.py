"""The decoder: from an embedding, and the caption, to a picture of 32×32 (64×64 in the paper).

A diffusion model of pixels. The embedding of the picture to be drawn is added to the time, and
becomes four tokens besides those of the caption, which the decoder encodes with a transformer of
its own; attention sees all of them. In training each is hidden in three tenths of the examples (in
Ramesh et al. 2022, section 2.1, a tenth and half), so that guidance can compare, and so that the
caption is learnt although an embedding says most of it. The network predicts x₀: of flat pictures
it learns sooner what they are than how to output the noise, which ε and v need when there is little
of it.

B batch, T text tokens, E size of CLIP's space, D condition, C channels of a context token.
"""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn

from minidalle.clip import Transformer, end_positions
from minidalle.dalle2 import diffusion
from minidalle.dalle2.config import DecoderConfig
from minidalle.dalle2.meaning import Whitening
from minidalle.dalle2.unet import UNet

PREDICTS = "x0"
LEAST_WEIGHT, MOST_WEIGHT = 1.0, 5.0  # of a time in the loss


class Decoder(nn.Module):
    """A U-Net that is told an embedding and a caption."""

    config_class = DecoderConfig

    def __init__(self, config: DecoderConfig):
        super().__init__()
        self.config = config
        text, E, C, D = config.text, config.embed, config.unet.context, 4 * config.unet.widths[0]
        self.whiten = Whitening(E)
        self.no_embedding = nn.Parameter(torch.zeros(E))
        self.condition, self.tokens = nn.Linear(E, D), nn.Linear(E, config.tokens * C)
        self.token_embedding = nn.Embedding(text.vocab_size, text.width)
        self.position = nn.Parameter(text.width**-0.5 * torch.randn(text.text_len, text.width))
        self.no_token = nn.Parameter(text.width**-0.5 * torch.randn(text.width))
        self.encoder = Transformer(text.width, text.depth, text.heads, causal=False)
        self.norm = nn.LayerNorm(text.width)
        self.caption, self.context = nn.Linear(text.width, D), nn.Linear(text.width, C)
        self.unet = UNet(config.unet)
        nn.init.normal_(self.token_embedding.weight, std=text.width**-0.5)
        alpha_bars = diffusion.cosine_alpha_bars(config.times)
        alpha_bars = diffusion.with_contrast(alpha_bars, config.contrast).float()
        self.register_buffer("alpha_bars", alpha_bars, persistent=False)

    @property
    def blocks(self) -> list[nn.Module]:
        """The layers of the U-Net."""
        return self.unet.layers

    def told(
        self, embedding: Tensor, text: Tensor, embedding_known: Tensor, text_known: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Condition (B, D) and context (B, tokens + T, C) for the U-Net.

        embedding (B, E); text (B, T) framed captions. Where `…_known` (B,) is False, it is hidden.
        """
        white = torch.where(embedding_known[:, None], self.whiten(embedding), self.no_embedding)
        shown = (text < self.config.text.end) & text_known[:, None]
        words = torch.where(shown[..., None], self.token_embedding(text), self.no_token)
        words = self.norm(self.encoder(words + self.position[: text.shape[1]]))  # (B, T, width)
        ends = torch.where(text_known, end_positions(text, self.config.text.end), 0)  # if hidden,
        last = words[torch.arange(len(text)), ends]  # a caption does not tell its length either
        extra = self.tokens(white).unflatten(-1, (self.config.tokens, -1))
        context = torch.cat([extra, self.context(words)], dim=1)
        return self.condition(white) + self.caption(last), context

    def forward(
        self, images: Tensor, embedding: Tensor, text: Tensor, eps: Tensor, t: Tensor,
        embedding_known: Tensor, text_known: Tensor,
    ) -> tuple[Tensor, dict[str, Tensor]]:  # fmt: skip
        """Pictures (B, 3, H, W) in [0, 1] and noise like them, times (B,).

        Returns the squared error of x₀, averaged with the signal-to-noise ratio of the times as
        weights, within limits (Salimans & Ho 2022, section 4; Hang et al. 2023, arXiv 2303.09556):
        an error that little noise leaves is small, and is what one sees in the end. The parts are
        the plain means over the noisier half of the times, where it is decided what is drawn, and
        over the other, which is about details.
        """
        x0, alpha_bar = 2 * images - 1, self.alpha_bars[t].view(-1, 1, 1, 1)
        x = diffusion.q_sample(x0, eps, alpha_bar)
        told = self.told(embedding, text, embedding_known, text_known)
        wanted = diffusion.target(PREDICTS, x0, eps, alpha_bar)
        losses = (self.unet(x, t, *told) - wanted).square().mean((1, 2, 3))
        noisy = t >= self.config.times // 2
        parts = {
            name: (losses.detach() * some).sum() / some.sum().clamp(min=1)
            for name, some in (("noisy", noisy), ("clear", ~noisy))
        }
        ratio = (alpha_bar / (1 - alpha_bar)).flatten()
        return (losses * ratio.clamp(LEAST_WEIGHT, MOST_WEIGHT)).mean(), parts


def noise_in(
    decoder: Decoder, embedding: Tensor | None, text: Tensor | None, guidance: float = 1.0
) -> diffusion.Predict:
    """The function (x, t) → ε for these embeddings (B, E) and captions (B, T).

    Either may be None: then it is hidden.
    """
    known = [embedding is not None, text is not None]
    if embedding is None:
        embedding = decoder.no_embedding.expand(len(text), -1)
    if text is None:
        text = torch.zeros(len(embedding), decoder.config.text.text_len, dtype=torch.long)
    hide = embedding.new_zeros(len(embedding), dtype=torch.bool)
    text, copies = text.to(hide.device), 1 if guidance == 1 else 2
    told = decoder.told(embedding, text, *(hide | yes for yes in known))
    if copies == 2:
        untold = decoder.told(embedding, text, hide, hide)
        told = tuple(torch.cat(pair) for pair in zip(told, untold))

    def predict(x: Tensor, t: int) -> Tensor:
        alpha_bar, x = float(decoder.alpha_bars[t]), torch.cat([x] * copies)
        times = torch.full((len(x),), t, device=x.device)
        eps = diffusion.to_eps(PREDICTS, decoder.unet(x, times, *told), x, alpha_bar)
        if copies == 1:
            return eps
        conditional, unconditional = eps.chunk(2)
        return diffusion.guided(conditional, unconditional, guidance)

    return predict


@torch.no_grad()
def decode(
    decoder: Decoder,
    embedding: Tensor | None,
    text: Tensor | None,
    generators: list[Generator],
    steps: int = 25,
    guidance: float = 2.0,
    eta: float = 0.0,
) -> Tensor:
    """Draw a picture of each embedding (B, E) and caption (B, T): (B, 3, H, W) in [0, 1].

    Either may be None: then it is hidden. All randomness of picture i comes from generator i.
    """
    size = decoder.config.unet.image_size
    noise = diffusion.noise_of(generators, (3, size, size), decoder.no_embedding)
    return drawn_from(decoder, noise, embedding, text, generators, steps, guidance, eta)


@torch.no_grad()
def drawn_from(
    decoder: Decoder,
    noise: Tensor,
    embedding: Tensor | None,
    text: Tensor | None,
    generators: Sequence[Generator] = (),
    steps: int = 50,
    guidance: float = 1.0,
    eta: float = 0.0,
) -> Tensor:
    """The same from given noise (B, 3, H, W); the generators draw what η > 0 needs besides."""

    def fresh() -> Tensor:
        return diffusion.noise_of(generators, noise.shape[1:], noise)

    predict = noise_in(decoder, embedding, text, guidance)
    times = diffusion.times_of(steps, decoder.config.times)
    way = diffusion.denoise(predict, noise, times, decoder.alpha_bars, eta, fresh, largest=1.0)
    *_, (_, _, x) = way
    return ((x + 1) / 2).clamp(0, 1)
