"""CLIPs in the form of OpenAI's, as OpenAI and as trainers save them."""

from random import Random

import pytest
import torch
from toys import one_sentence, wrong_tensors

from minidalle import openai
from minidalle.clip import CLIP
from minidalle.config import CLIPConfig


@pytest.mark.parametrize("depth, width", [(2, 128), ((1, 2, 1, 1), 16)], ids=["ViT", "ResNet"])
def test_sizes_of_a_clip_follow_from_its_tensors(tmp_path, depth, width):
    heads = 2 if depth == 2 else 8
    config = CLIPConfig(
        32, 64, 16 if depth == 2 else 0, width, depth, heads, 300, 20, 128, 3, 2, end=299
    )
    model = CLIP(config).eval()
    torch.save(
        {name: tensor.half() for name, tensor in model.state_dict().items()}, tmp_path / "clip.pt"
    )
    again = openai.load_clip(tmp_path / "clip.pt")
    assert again.config == config and not again.training
    torch.testing.assert_close(again.state_dict(), model.state_dict(), atol=1e-3, rtol=1e-3)


def test_a_clip_as_trainers_save_it(tmp_path):
    model = CLIP(CLIPConfig(32, 64, 16, 128, 1, 2, 300, 20, 128, 1, 2, end=299))
    state = model.state_dict()

    def named(change) -> dict:
        return {change(name): tensor for name, tensor in state.items()}

    parallel = named("module.{}".format)
    for form in (
        parallel, named("_orig_mod.{}".format), named("module._orig_mod.{}".format),
        named(lambda name: name.replace("visual.", "visual._orig_mod.")), {"model": state},
        {"epoch": 3, "state_dict": parallel, "optimizer": {"state": {0: {"step": torch.ones(1)}}}},
        {"state_dict": named("model.{}".format), "logit_bias": None},
    ):  # fmt: skip
        torch.save(form, tmp_path / "clip.pt")
        torch.testing.assert_close(openai.load_clip(tmp_path / "clip.pt").state_dict(), state)
    torch.save({"model": state, "ema": dict(state)}, tmp_path / "clip.pt")
    with pytest.raises(ValueError, match="several CLIPs, in 'model.', 'ema.': save one alone"):
        openai.load_clip(tmp_path / "clip.pt")


@pytest.mark.parametrize("depth, width", [(1, 128), ((1, 1, 1, 1), 16)], ids=["ViT", "ResNet"])
def test_wrong_tensors_are_one_sentence(tmp_path, depth, width):
    heads, patch = (2, 16) if depth == 1 else (8, 0)
    model = CLIP(CLIPConfig(32, 32, patch, width, depth, heads, 300, 20, 128, 1, 2, end=299))
    rng, path, said = Random(0), tmp_path / "clip.pt", []
    for _ in range(30):
        torch.save(wrong_tensors(model.state_dict(), rng), path)
        said.append(one_sentence(openai.load_clip, path))
    said = [words for words in said if words]  # a longer vocabulary, say, makes another CLIP
    assert all("is not one of OpenAI's CLIPs (" in words for words in said) and len(said) > 20


def test_numbers_that_are_not_finite(tmp_path):
    model = CLIP(CLIPConfig(32, 32, 16, 128, 1, 2, 300, 20, 128, 1, 2, end=299))
    model.ln_final.bias.data[5] = torch.nan
    torch.save(model.state_dict(), tmp_path / "clip.pt")
    assert "ln_final.bias is not finite" in one_sentence(openai.load_clip, tmp_path / "clip.pt")
