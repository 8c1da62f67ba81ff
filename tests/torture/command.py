"""`python -m torture.command …` is `python -m minidalle …` with one preset more: "speck"."""

import sys

import toys

from minidalle import config
from minidalle.__main__ import main
from minidalle.dalle2 import config as config_2
from minidalle.dalle2 import recipes
from minidalle.dalle_mini import config as config_mini
from minidalle.openai.encodings import ClipBPE


def add_specks() -> None:
    """Models of a few thousand parameters, and less to read and to look at before training."""
    config.PRESETS["speck"] = toys.speck(300, 96, 32)
    config_2.PRESETS["speck"] = toys.second_speck(300, 96)
    config_mini.PRESETS["speck"] = toys.mini_speck(300, 96, 32)
    recipes.FITTED, ClipBPE.count = 64, 3


if __name__ == "__main__":
    add_specks()
    sys.exit(main())
