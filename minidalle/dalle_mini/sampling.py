"""Drawing with the encoder–decoder: `minidalle.sampling` does it, and here is what it remembers.

B batch, T text tokens, N image tokens, D width, H heads, d = D / H.

Super-conditioning, as DALL·E Mini calls it, is classifier-free guidance on logits, unconditional +
s · (conditional - unconditional), before top-k and temperature. It is the `guidance` of
`complete`: the caption and the empty caption have a cache each.
"""

from functools import partial

from torch import Tensor

from minidalle.dalle_mini.seq2seq import Seq2Seq
from minidalle.transformer import attention


class Cache:
    """Keys and values of the caption, read once, and of every image position so far."""

    def __init__(self, model: Seq2Seq, text: Tensor, num_samples: int = 1):
        """Read captions (B, T), each for `num_samples` pictures."""
        c, caption = model.config, model.read(text)
        self.model, self.length = model, 0
        self.seen = model.seen(text).repeat_interleave(num_samples, 0)
        self.told = [
            tuple(
                x.repeat_interleave(num_samples, 0)
                for x in block.to_caption.keys_and_values(caption)
            )
            for block in model.blocks
        ]
        shape = len(self.seen), c.heads, c.image_len, c.width // c.heads  # (B, H, N, d)
        self.keys, self.values = caption.new_zeros(2, c.depth, *shape)

    def append(self, x: Tensor) -> Tensor:
        """Run the next n positions, (B, n, D), through all layers → (B, n, D)."""
        new = slice(self.length, self.length + x.shape[1])
        x, mask = self.model.norm_embedding(x), self.model.mask[new, : new.stop]
        for layer, block in enumerate(self.model.blocks):
            attend = partial(self.attend, layer, new)
            x = block(x, mask, None, self.seen, self.told[layer], attend)
        self.length = new.stop
        return x

    def attend(
        self, layer: int, new: slice, q: Tensor, k: Tensor, v: Tensor, mask: Tensor
    ) -> Tensor:
        """Append k and v, (B, H, n, d), and let the queries attend to everything cached."""
        keys, values = self.keys[layer][:, :, : new.stop], self.values[layer][:, :, : new.stop]
        keys[:, :, new], values[:, :, new] = k, v
        return attention(q, keys, values, mask)
