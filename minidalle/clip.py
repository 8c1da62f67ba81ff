"""CLIP: an image encoder and a text encoder that map into one shared space.

Radford et al. 2021 (arXiv 2103.00020). The image encoder is the vision transformer below, or the
residual network in resnet.py. DALL·E draws many candidates for a caption and lets CLIP
keep the best (Ramesh et al. 2021, section 2.6).

B batch, T text tokens, D width, H heads, E size of the shared space, g patches per side.

Parameters carry the names and shapes of the official package (`visual.conv1.weight`,
`transformer.resblocks.0.attn.in_proj_weight`, …), so an official state dict loads unchanged.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from minidalle.config import CLIPConfig
from minidalle.resnet import ResNet

# Mean and standard deviation of red, green and blue over CLIP's own training pictures, with which
# the official package standardises pixels.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

MAX_SCALE = 100.0  # section 2.5: larger factors made training unstable


def quick_gelu(x: Tensor) -> Tensor:
    """x · sigmoid(1.702 x), CLIP's approximation of GELU; any shape. quick_gelu(1) = 0.8458."""
    # In place, because allocating a large tensor takes longer than filling it.
    gate = (1.702 * x).sigmoid_()
    return gate * x if gate.requires_grad else gate.mul_(x)


class Attention(nn.Module):
    """Multi-head self-attention, softmax(q kᵀ / √d) v in each of H heads of width d = D / H."""

    def __init__(self, width: int, heads: int, causal: bool):
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not a multiple of the {heads} heads")
        self.heads, self.causal = heads, causal
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))  # q, k, v stacked
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, S, D) → (B, S, D). When causal, position s sees positions ≤ s only."""
        B, S, D = x.shape  # batch, positions, width
        qkv = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        q, k, v = qkv.view(B, S, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # each (B, H, S, d)
        x = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.out_proj(x.transpose(1, 2).reshape(B, S, D))


class Block(nn.Module):
    """A pre-norm residual block, the same in both encoders; the MLP is 4 D wide inside."""

    def __init__(self, width: int, heads: int, causal: bool):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads, causal)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.ModuleDict(
            {"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)}
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, S, D) → (B, S, D)."""
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp.c_proj(quick_gelu(self.mlp.c_fc(self.ln_2(x))))


class Transformer(nn.Module):
    """A stack of blocks, initialised as in the official code's `initialize_parameters`.

    | weight | standard deviation | why |
    |---|---|---|
    | attn.in_proj | D^-½ | keeps the variance of its input |
    | mlp.c_fc | (2D)^-½ | as above, halved |
    | attn.out_proj, mlp.c_proj | D^-½ · (2 depth)^-½ | the 2·depth sums keep the stream's size |
    | biases | 0 | |

    (The official code initialises only its text encoder like this.)
    """

    def __init__(self, width: int, depth: int, heads: int, causal: bool):
        super().__init__()
        self.resblocks = nn.Sequential(*(Block(width, heads, causal) for _ in range(depth)))
        into, out = width**-0.5, width**-0.5 * (2 * depth) ** -0.5
        for block in self.resblocks:
            nn.init.normal_(block.attn.in_proj_weight, std=into)
            nn.init.normal_(block.mlp.c_fc.weight, std=into * 2**-0.5)
            nn.init.normal_(block.attn.out_proj.weight, std=out)
            nn.init.normal_(block.mlp.c_proj.weight, std=out)
            for layer in (block.attn.out_proj, block.mlp.c_fc, block.mlp.c_proj):
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, S, D) → (B, S, D)."""
        return self.resblocks(x)


class VisionTransformer(nn.Module):
    """The image encoder: patches become tokens, and a class token collects the feature."""

    def __init__(self, config: CLIPConfig):
        super().__init__()
        D, g = config.vision_width, config.image_size // config.patch
        if g * config.patch != config.image_size:
            raise ValueError(f"patches of {config.patch} do not tile {config.image_size} pixels")
        assert isinstance(config.vision_depth, int)  # a ResNet's would be a tuple
        # A convolution with stride = kernel size: one linear map, applied to each patch.
        self.conv1 = nn.Conv2d(3, D, config.patch, stride=config.patch, bias=False)
        self.class_embedding = nn.Parameter(D**-0.5 * torch.randn(D))
        self.positional_embedding = nn.Parameter(D**-0.5 * torch.randn(1 + g * g, D))
        self.ln_pre = nn.LayerNorm(D)
        self.transformer = Transformer(D, config.vision_depth, config.vision_heads, causal=False)
        self.ln_post = nn.LayerNorm(D)
        self.proj = nn.Parameter(D**-0.5 * torch.randn(D, config.embed))

    def forward(self, pixels: Tensor) -> Tensor:
        """Standardised pixels (B, 3, size, size) → features (B, E)."""
        x = self.conv1(pixels).flatten(2).transpose(1, 2)  # (B, g², D)
        first = self.class_embedding.expand(len(x), 1, -1)
        x = torch.cat([first, x], dim=1) + self.positional_embedding  # (B, 1 + g², D)
        x = self.transformer(self.ln_pre(x))
        return self.ln_post(x[:, 0]) @ self.proj


def end_positions(text: Tensor, end: int) -> Tensor:
    """Where each caption of (B, T) ids ends: its first id ≥ `end`, else its last position; (B,).

    In CLIP's own vocabulary `end` is the end-of-text token, the largest id. minidalle's BPE has
    none: the caption is followed by pads, the largest ids, and the first pad ends it.
    With end = 8, [7 3 4 8 0] ends at 3, [7 3 9 10 11] at 2, and the full [7 3 4 5 6] at 4.
    """
    ended = text >= end
    ended[:, -1] = True  # a full frame has no end; argmax finds the first True
    return ended.int().argmax(dim=1)


def contrastive_loss(logits: Tensor) -> Tensor:
    """Symmetric cross-entropy of (B, B) logits whose diagonal holds the true pairs (figure 3).

    Row i classifies picture i among the captions, column j caption j among the pictures. For
    [[2 0] [1 1]] the rows have loss ln(1+e⁻²) and ln 2, the columns ln(1+e⁻¹) each: mean 0.3616.

    Further rows (M, B) are pictures without a caption, negatives for every caption.
    """
    captions = logits.shape[1]
    pairs = torch.arange(captions, device=logits.device)
    return (F.cross_entropy(logits[:captions], pairs) + F.cross_entropy(logits.T, pairs)) / 2


Loss = tuple[Tensor, dict[str, Tensor]]


def clip_loss(
    pictures: Tensor, captions: Tensor, scale: Tensor, hidden: Tensor | None = None
) -> Loss:
    """The contrastive loss of unit features (M, E) and (B, E), in nats, and detached parts.

    hidden (M,) bool: pictures to ignore. Parts: the accuracy of pictures and of captions at
    choosing their partner, and the scale.
    """
    logits = scale * pictures @ captions.T  # (M, B)
    if hidden is not None:
        logits = logits.masked_fill(hidden[:, None], -math.inf)
    pairs = torch.arange(len(captions), device=logits.device)
    image_to_text = logits[: len(captions)].argmax(dim=1) == pairs
    text_to_image = logits.argmax(dim=0) == pairs
    parts = {
        "image_to_text": image_to_text.float().mean(),
        "text_to_image": text_to_image.float().mean(),
        "scale": scale.detach(),
    }
    return contrastive_loss(logits), parts


class CLIP(nn.Module):
    """The two encoders and the learned temperature of their similarities (section 2.4)."""

    config_class = CLIPConfig

    def __init__(self, config: CLIPConfig):
        super().__init__()
        self.config = config
        D = config.text_width
        if isinstance(config.vision_depth, int):
            self.visual = VisionTransformer(config)
        else:
            self.visual = ResNet(
                config.vision_depth,
                config.vision_width,
                config.vision_heads,
                config.image_size,
                config.embed,
            )
        self.token_embedding = nn.Embedding(config.vocab_size, D)
        self.positional_embedding = nn.Parameter(0.01 * torch.randn(config.text_len, D))
        self.transformer = Transformer(D, config.text_depth, config.text_heads, causal=True)
        self.ln_final = nn.LayerNorm(D)
        self.text_projection = nn.Parameter(D**-0.5 * torch.randn(D, config.embed))
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))  # a log stays positive
        nn.init.normal_(self.token_embedding.weight, std=0.02)

    def encode_image(self, images: Tensor) -> Tensor:
        """Pictures (B, 3, size, size) in [0, 1] → features (B, E), not normalised.

        Raises ValueError for another shape, another dtype or values far outside [0, 1].
        """
        size = self.config.image_size
        right_kind = images.is_floating_point() and images.shape[1:] == (3, size, size)
        # With slack for rounding: this is to catch [-1, 1], [0, 255] and NaN.
        expect(images, f"pictures (B, 3, {size}, {size}) in [0, 1]", right_kind, -0.01, 1.01)
        mean = images.new_tensor(CLIP_MEAN).view(3, 1, 1)
        std = images.new_tensor(CLIP_STD).view(3, 1, 1)
        return self.visual((images - mean) / std)

    def text_states(self, text: Tensor) -> Tensor:
        """Framed captions (B, T ≤ text_len) of ids → the last layer at each position: (B, T, D).

        Raises ValueError for another shape, another dtype or an id outside the vocabulary.
        """
        length, last = self.config.text_len, self.config.vocab_size - 1
        right_kind = not text.is_floating_point() and text.ndim == 2 and text.shape[1] <= length
        expect(text, f"ids (B, T ≤ {length}) from 0 to {last}", right_kind, 0, last)
        x = self.token_embedding(text) + self.positional_embedding[: text.shape[1]]  # (B, T, D)
        return self.ln_final(self.transformer(x))

    def encode_text(self, text: Tensor) -> Tensor:
        """Framed captions (B, T ≤ text_len) of ids → features (B, E), not normalised.

        The feature is read where the caption ends. Attention is causal, so nothing after that has
        an effect, and a batch may be cut after its longest caption to save time.
        Raises ValueError as `text_states` does.
        """
        x = self.text_states(text)
        rows = torch.arange(len(x), device=x.device)
        return x[rows, end_positions(text, self.config.end)] @ self.text_projection  # (B, E)

    def scale(self) -> Tensor:
        """The factor between cosines and logits, exp(logit_scale) ≤ 100; a scalar."""
        # In place, before use: a clamp inside the graph would have no gradient above the limit,
        # and the parameter would never return.
        with torch.no_grad():
            self.logit_scale.clamp_(max=math.log(MAX_SCALE))
        return self.logit_scale.exp()

    def forward(self, images: Tensor, text: Tensor, loss: Callable[..., Loss] = clip_loss) -> Loss:
        """B captions and their pictures → loss in nats, and parts (see `clip_loss`).

        Pictures beyond the first B have no caption. `loss` may be another function of the
        unit features of pictures and captions, (M ≥ B, E) and (B, E), and the scale. Raises
        ValueError if there are fewer pictures than captions.
        """
        if len(images) < len(text):
            raise ValueError(
                f"expected a picture for each of {len(text)} captions, got {len(images)}"
            )
        pictures = F.normalize(self.encode_image(images), dim=-1)
        captions = F.normalize(self.encode_text(text), dim=-1)
        return loss(pictures, captions, self.scale())


def preprocess(picture: Image.Image, size: int) -> Tensor:
    """A picture of any size → the (3, size, size) in [0, 1] that `encode_image` takes.

    As in the official package, the shorter side is resized to `size` pixels by bicubic
    interpolation, and the middle of the longer one is kept.
    """
    shorter = min(picture.size)
    W, H = (size * side // shorter for side in picture.size)
    left, top = round((W - size) / 2), round((H - size) / 2)
    picture = picture.resize((W, H), Image.Resampling.BICUBIC)
    picture = picture.crop((left, top, left + size, top + size)).convert("RGB")
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255


@torch.no_grad()
def features(encode: Callable[[Tensor], Tensor], inputs: Tensor, chunk: int = 256) -> Tensor:
    """Unit-length features (M, E) of any number of inputs, `chunk` at a time, without gradient.

    `encode` is a model's `encode_image` or `encode_text`; memory grows with `chunk`, not with M.
    """
    return torch.cat([F.normalize(encode(part), dim=-1) for part in inputs.split(chunk)])


def rerank(
    clip: CLIP, captions: Tensor, images: Tensor, keep: int, chunk: int = 32
) -> tuple[Tensor, Tensor]:
    """The `keep` of M pictures nearest to one caption (Ramesh et al. 2021, section 2.6).

    captions: ids (T,) or (1, T) of the one caption; images: (M, 3, size, size) in [0, 1].
    Returns indices (keep,), best first, and their cosines (keep,); ties stay in the order of the
    candidates. Raises ValueError unless 1 ≤ keep ≤ M.
    """
    if not 1 <= keep <= len(images):
        raise ValueError(f"expected to keep between 1 and {len(images)} pictures, got {keep}")
    text = captions if captions.ndim == 2 else captions[None]
    if len(text) != 1:
        raise ValueError(f"expected the ids of one caption, (T,), got {tuple(captions.shape)}")
    caption = features(clip.encode_text, text)[0]
    # The rounding of a matrix product depends on how many rows it has. All chunks have as many, so
    # the score of a picture, and hence the order, does not depend on how many others there are.
    filled = torch.cat([images, images[:1].expand(-len(images) % chunk, -1, -1, -1)])
    found = features(clip.encode_image, filled, chunk)[: len(images)]
    cosines = (found * caption).sum(-1)  # (M,); no matrix product, for the same reason
    indices = cosines.argsort(descending=True, stable=True)[:keep]
    return indices, cosines[indices]


@torch.no_grad()
def zero_shot(clip: CLIP, images: Tensor, prompts: Tensor, chunk: int = 256) -> Tensor:
    """Classify pictures without training on the classes (section 3.1).

    Pictures (B, 3, size, size) in [0, 1], prompts (P, T), one per class → probabilities (B, P).
    """
    picture = features(clip.encode_image, images, chunk)
    prompt = features(clip.encode_text, prompts, chunk)
    return (clip.scale() * picture @ prompt.T).softmax(dim=-1)


def expect(inputs: Tensor, wanted: str, right_kind: bool, low: float, high: float) -> None:
    """Raise ValueError "expected {wanted}, got …" unless right_kind and low ≤ values ≤ high."""
    if not (right_kind and inputs.numel()):
        raise ValueError(f"expected {wanted}, got {inputs.dtype} {tuple(inputs.shape)}")
    least, most = inputs.min().item(), inputs.max().item()
    if not low <= least <= most <= high:
        raise ValueError(f"expected {wanted}, got values from {least:.6g} to {most:.6g}")
