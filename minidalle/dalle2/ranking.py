"""Which drawing is the caption's? The decoder can say it itself.

CLIP compares one vector of a picture with one of a caption, and in one vector it is easily lost
what belongs to what. The decoder reads every word, and it can be asked how well a caption explains
a picture: noise is mixed in, and the decoder undoes it, once told the caption and once told
nothing. What it then gets right only because it was told is what the caption says of this picture.
A diffusion model that is used so is a classifier without having been trained as one (Li et al.
2023, arXiv 2303.16203; Clark & Jaini 2023, arXiv 2303.15233).

M pictures, T text tokens.
"""

import torch
from torch import Generator, Tensor

from minidalle.dalle2 import diffusion
from minidalle.dalle2.decoder import Decoder

TIMES = (0.7, 0.6, 0.5, 0.4)  # shares of the way to noise at which it is decided what is drawn
NOISES = 2  # for each of them


@torch.no_grad()
def explained(decoder: Decoder, images: Tensor, text: Tensor, seed: int = 0) -> Tensor:
    """How much smaller the squared error of x₀ is with the caption than without: (M,).

    images (M, 3, H, W) in [0, 1], text (M, T); the embedding is hidden. All pictures get the same
    noise, so what differs between them is not the noise.
    """
    x0, generator = 2 * images - 1, Generator().manual_seed(seed)
    hidden = torch.zeros(len(images), dtype=torch.bool, device=images.device)
    nothing = decoder.no_embedding.expand(len(images), -1)
    told = [decoder.told(nothing, text, hidden, known) for known in (~hidden, hidden)]
    gain = torch.zeros(len(images), device=images.device)
    for share in TIMES:
        t = torch.full_like(hidden, round(share * decoder.config.times), dtype=torch.long)
        for _ in range(NOISES):
            eps = diffusion.noise_of([generator], x0.shape[1:], x0).expand_as(x0)
            x = diffusion.q_sample(x0, eps, decoder.alpha_bars[t[0]])
            with_caption, without = (
                (decoder.unet(x, t, *how) - x0).square().mean((1, 2, 3)) for how in told
            )
            gain += without - with_caption
    return gain / (len(TIMES) * NOISES)
