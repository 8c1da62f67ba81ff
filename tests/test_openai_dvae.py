"""OpenAI's dVAE: an exported model is loaded unchanged."""

from dataclasses import replace
from functools import partial
from random import Random

import pytest
import torch
from toys import one_sentence, wrong_tensors

from minidalle import openai
from minidalle.config import DVAEConfig
from minidalle.dvae import DVAE

PAPER = DVAEConfig(
    image_size=32, codebook_size=24, width=8, code_width=12
)  # its structure, smaller


def test_openai_dvae_there_and_back(tmp_path):
    model = DVAE(PAPER).eval()
    for name, state in zip(("encoder", "decoder"), openai.export_dvae(model)):
        torch.save(state, tmp_path / name)
    again = openai.load_dvae(tmp_path / "encoder", tmp_path / "decoder")
    assert again.config == replace(PAPER, image_size=256)
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(again.logits(images), model.logits(images))
    codes = torch.randint(24, (2, 4, 4))
    assert torch.equal(again.decode(codes), model.decode(codes))
    with pytest.raises(ValueError, match="not OpenAI's encoder and decoder"):
        openai.load_dvae(tmp_path / "decoder", tmp_path / "encoder")
    with pytest.raises(ValueError, match="as in the paper"):
        openai.export_dvae(DVAE(replace(PAPER, patch=4)))


def test_wrong_tensors_are_one_sentence(tmp_path):
    rng, paths = Random(0), (tmp_path / "encoder", tmp_path / "decoder")
    states = openai.export_dvae(DVAE(replace(PAPER, blocks=1)))
    for i in range(30):
        both = list(states)
        both[i % 2] = wrong_tensors(both[i % 2], rng)
        for path, state in zip(paths, both):
            torch.save(state, path)
        said = one_sentence(partial(openai.load_dvae, decoder=paths[1]), paths[0])
        assert "are not OpenAI's encoder and decoder (" in said
