"""minidalle: DALL·E in modules short enough to read, and notebooks that explain them.

The same letters are used everywhere:

    B batch    T text tokens    N image tokens    S = T + N
    V text vocabulary    K codebook    D width    H heads    h w grid
"""

from pathlib import Path

__version__ = "0.1.0"

DATA = Path(__file__).resolve().parent / "data"  # the emoji pack and the shipped weights
