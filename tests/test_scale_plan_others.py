"""The plan of the second DALL·E and of DALL·E Mini: its products counted by hand, and its table."""

import json

import pytest
import torch

from minidalle.__main__ import main
from minidalle.dalle2.config import PRESETS, Preset, PriorConfig
from minidalle.dalle2.prior import Prior
from minidalle.scale import plan_others


def test_the_products_of_a_prior():
    """12 D² multiply-adds for each position in a block, 2 D for each pair, and what enters and
    leaves. What comes from CLIP is turned to its principal axes, and an embedding back as well."""
    c = PriorConfig(embed=8, text_width=12, text_len=6, width=16, depth=2, heads=2)
    T, D, E, S = c.text_len, c.width, c.embed, c.text_len + 4
    blocks = c.depth * (S * 12 * D**2 + 2 * D * S**2)
    ends = (
        T * c.text_width * D + E * D + 2 * D * D + E * D + D * E + 3 * E * E + T * c.text_width**2
    )
    with torch.device("meta"):
        assert plan_others.forward_flops(Prior(c)) == 2 * (blocks + ends)


def test_table(capsys):
    assert main(["plan", "--model", "dalle2", "--preset", "tiny", "--gpus", "2"]) == 0
    printed = capsys.readouterr().out
    assert all(f"{name}: GPU-days" in printed for name in plan_others.KINDS[Preset])
    rows = {row[0]: row[1] for row in plan_others.plan(PRESETS["tiny"], gpus=2)}
    assert rows["decoder: state"] == 20 * rows["decoder: parameters"] / 2 / 1e9
    assert rows["days"] == rows["GPU-days"] / 2


@pytest.mark.parametrize(("preset", "million"), [(None, (203, 235)), ("mega", (1110, 1477))])
def test_dalle_mini(preset, million, capsys):
    words = ["--preset", preset] if preset else []
    assert main(["plan", "--model", "mini", *words, "--json"]) == 0
    rows = {row["what"]: row["value"] for row in json.loads(capsys.readouterr().out)}
    halves = [rows[f"mini: {half}"] for half in ("encoder", "decoder")]
    assert [round(half / 1e6) for half in halves] == [*million]
    assert sum(halves) == rows["mini: parameters"] and rows["mini: GPU-days"] == rows["GPU-days"]


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["--preset", "small"], "unknown preset 'small': choose from tiny, paper"),
        (["--gpu", "tpu"], "unknown GPU 'tpu'"),
        (["--gpus", "0"], "at least 1 GPU"),
        (["--mfu", "2"], "MFU is a share"),
    ],
)
def test_refusals(words, sentence, capsys):
    assert main(["plan", "--model", "dalle2", "--preset", "tiny", *words]) == 2
    assert sentence in capsys.readouterr().err
