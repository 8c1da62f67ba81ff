"""Sources of captions and pictures: scenes, emoji, folders, tar shards, stored tokens."""

from minidalle.datasets.sources import (
    Mixture,
    Pictures,
    Scenes,
    draw_batch,
    emoji_pictures,
    folder_pictures,
    open_data,
    shares,
    to_tensor,
)

__all__ = [
    "Mixture",
    "Pictures",
    "Scenes",
    "draw_batch",
    "emoji_pictures",
    "folder_pictures",
    "open_data",
    "shares",
    "to_tensor",
]
