"""Every size of the second DALL·E in one place.

`paper` holds the figures of Ramesh et al. 2022 (arXiv 2204.06125), appendix C, for pictures of
64×64, 256×256 and 1024×1024; `tiny` draws 32×32, 64×64 and 128×128 and trains on two CPU cores.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class TextConfig:
    """The decoder's own encoder of captions, as in GLIDE."""

    vocab_size: int = 49408  # all text ids, special tokens included
    length: int = 256  # T
    width: int = 2048
    depth: int = 24
    heads: int = 32


@dataclass(frozen=True)
class UNetConfig:
    """A U-Net that predicts what is noise in a picture."""

    image_size: int = 64
    given: int = 0  # channels of what is known of the picture, stacked on those of the noisy one
    patch: int = 1  # pixels a side that are one place with more channels
    widths: tuple[int, ...] = (512, 1024, 1536, 2048)  # channels at each resolution, halved between
    blocks: int = 3  # at each resolution on the way down; one more on the way up
    attention: tuple[int, ...] = (32, 16, 8)  # the grids that have it
    head_width: int = 64
    groups: int = 32  # of the group norms
    context: int = 0  # channels of the tokens that attention sees besides the grid; 0: none

    @property
    def channels(self) -> int:
        """Channels of a place of the noisy picture."""
        return 3 * self.patch**2
