"""For students who write a package of their own: put it behind these functions, then run

    pytest -m a4 tests/test_adapters.py

Each function says what is wanted. As they stand they call minidalle, which passes; replace their
bodies by calls of your own code. The tests know nothing of how it is written.

B batch, T text tokens, N = h·w image tokens, S = T + N, V text vocabulary, K codebook, D width,
H heads.
"""

from collections.abc import Callable

from torch import Tensor, nn

from minidalle import bpe, clip, config, dvae, masks, sampling, transformer
from minidalle.dalle2 import diffusion

# ---- a1 ---------------------------------------------------------------------------------


def train_bpe(texts: list[str], vocab_size: int) -> tuple[Callable, Callable]:
    """A byte-pair encoding with at most `vocab_size` tokens: text → ids, and ids → text."""
    own = bpe.BPE.train(texts, vocab_size)
    return own.encode, own.decode


# ---- a2 ---------------------------------------------------------------------------------


def logit_laplace(x: Tensor, mu: Tensor, ln_b: Tensor) -> Tensor:
    """log density of x in (0, 1), elementwise (Ramesh et al. 2021, equation 2)."""
    return dvae.logit_laplace(x, mu, ln_b)


def kl_from_uniform(logits: Tensor) -> Tensor:
    """Logits (B, K, h, w) → KL from the uniform distribution in nats, of each picture: (B,)."""
    return dvae.kl_from_uniform(logits).flatten(1).sum(1)


def gumbel_softmax(logits: Tensor, temperature: float, noise: Tensor) -> Tensor:
    """Logits and Gumbel noise (B, K, h, w) → soft choices that sum to 1 over K."""
    return dvae.gumbel_softmax(logits, temperature, noise=noise)


# ---- a3 ---------------------------------------------------------------------------------


def mask(kind: str, text_len: int, height: int, width: int, kernel: int) -> Tensor:
    """Who sees whom, bool (S, S), for kind "row", "column" or "convolutional"."""
    if kind == "convolutional":
        return masks.convolutional_mask(text_len, height, width, kernel)
    return {"row": masks.row_mask, "column": masks.column_mask}[kind](text_len, height, width)


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Queries, keys, values (B, H, S, d) and mask (S, S) → (B, H, S, d)."""
    return transformer.attention(q, k, v, mask)


# ---- a4 ---------------------------------------------------------------------------------


def model(vocab: int, text_len: int, codes: int, grid: int, width: int, depth: int) -> nn.Module:
    """A transformer over text and codes.

    model(text (B, T), image (B, N)) returns the loss in nats a token, and anything else;
    model.logits(text, image) two tensors, (B, T, …) and (B, N, K). Text tokens are 1 to V - 1
    here, and the first of every text is a start token.
    """
    return transformer.DALLE(
        config.DALLEConfig(vocab, text_len, codes, grid, width=width, depth=depth, heads=2)
    )


# ---- a5 ---------------------------------------------------------------------------------


def choose(logits: Tensor, u: Tensor, temperature=1.0, top_k=None, top_p=None) -> Tensor:
    """Logits (B, K) and uniform numbers (B,) → the first codes whose cumulative share exceeds u."""
    return sampling.choose(logits, u, temperature, top_k, top_p)


# ---- a6 ---------------------------------------------------------------------------------


def contrastive_loss(pictures: Tensor, captions: Tensor, scale: Tensor) -> Tensor:
    """Features (B, E) of pairs, not yet normalised, and the factor of cosines → the loss."""
    pictures, captions = (x / x.norm(dim=1, keepdim=True) for x in (pictures, captions))
    return clip.contrastive_loss(scale * pictures @ captions.T)


# ---- a7 ---------------------------------------------------------------------------------


def alpha_bars(times: int) -> Tensor:
    """The cosine schedule: ᾱ of the times from the least noise to the most, (times,)."""
    return diffusion.cosine_alpha_bars(times)


def to_x0_and_eps(
    kind: str, predicted: Tensor, x: Tensor, alpha_bar: float
) -> tuple[Tensor, Tensor]:
    """What a prediction of kind "eps", "x0" or "v" amounts to: x₀ and ε, like x."""
    given = kind, predicted, x, alpha_bar
    return diffusion.to_x0(*given), diffusion.to_eps(*given)


def ddim_step(
    x: Tensor, eps: Tensor, alpha_bar: float, before: float, eta: float, noise: Tensor
) -> Tensor:
    """From x_t to x_s, whose ᾱ is `before` (Song et al. 2021, equation 12); before > ᾱ, or 1."""
    return diffusion.ddim_step(x, eps, alpha_bar, before, eta, noise)


def renoise(x: Tensor, noise: Tensor, alpha_bar: float, after: float) -> Tensor:
    """From x_s forward to x_t by fresh noise; `after`, ᾱ of x_t, is the smaller."""
    return diffusion.renoise(x, noise, alpha_bar, after)
