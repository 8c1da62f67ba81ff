"""OpenAI's published files, read without running code: `load_bpe`, `load_dvae`, `load_clip`.

DALL·E Mini's, which are not OpenAI's, are read by min_dalle.py in the same way.
"""

from minidalle.openai.clip import load_clip
from minidalle.openai.dvae import export_dvae, load_dvae
from minidalle.openai.encodings import load_bpe

__all__ = ["export_dvae", "load_bpe", "load_clip", "load_dvae"]
