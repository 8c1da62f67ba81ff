"""Skip on first reading: faster versions of attention and cache, and training on many GPUs."""
