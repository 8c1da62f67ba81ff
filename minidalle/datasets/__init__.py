"""Sources of captions and pictures: scenes, emoji, folders, tar shards, stored tokens."""

from minidalle.datasets.sources import (
    Abilities,
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
    "Abilities",
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
