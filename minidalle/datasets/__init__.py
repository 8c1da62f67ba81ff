"""Sources of captions and pictures: scenes, emoji, folders, tar shards, stored tokens.

Pictures, captions and shards may come from strangers. Whatever is in them, what cannot be used is
left out and counted, and reading takes less than 2 GB of memory at a time: for one picture, which
is cropped before the next is opened, or for the index of one shard. tests/test_datasets_attacks.py
measures it.
"""

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
