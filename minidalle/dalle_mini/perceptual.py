"""How different two pictures look to a network that was trained for something else.

A pixel loss asks for the mean of all pictures that are possible, which is a blur. What a network
for recognition computes of a picture says less about where exactly an edge is and more about
whether there is one. Zhang et al. 2018 (LPIPS, arXiv 1801.03924) take a VGG; here it is CLIP.
"""

import torch.nn.functional as F
from torch import Tensor

from minidalle.clip import CLIP, CLIP_MEAN, CLIP_STD, VisionTransformer


def looks(clip: CLIP, images: Tensor) -> list[Tensor]:
    """What each block of CLIP's image encoder outputs for each patch, (B, S, D), of length 1."""
    encoder = clip.visual
    assert isinstance(encoder, VisionTransformer)
    mean, std = (images.new_tensor(values).view(3, 1, 1) for values in (CLIP_MEAN, CLIP_STD))
    x = encoder.conv1((images - mean) / std).flatten(2).mT
    x, found = encoder.ln_pre(x + encoder.positional_embedding[1:]), []
    for block in encoder.transformer.resblocks:
        x = block(x)
        found.append(F.normalize(x, dim=-1))
    return found


def perceptual_distance(clip: CLIP, images: Tensor, painted: Tensor) -> Tensor:
    """The mean squared distance of what CLIP's blocks make of pictures (B, 3, H, W): a scalar."""
    pairs = zip(looks(clip, images), looks(clip, painted))
    distances = [(a - b).square().sum(-1).mean() for a, b in pairs]
    return sum(distances[1:], distances[0]) / len(distances)
