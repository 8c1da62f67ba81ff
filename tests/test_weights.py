"""Files of weights: what goes in comes out, and what is something else is refused unopened."""

import json
import os
import pickle
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from minidalle import openai, pipeline, weights
from minidalle.clip import CLIP
from minidalle.config import CLIPConfig, DALLEConfig, DVAEConfig
from minidalle.dvae import DVAE
from minidalle.openai.pickles import read_foreign
from minidalle.transformer import DALLE

MODELS = {
    "DVAE": lambda: DVAE(DVAEConfig(16, 10, 8, groups=2, blocks=1, code_width=6)),
    "DALLE": lambda: DALLE(DALLEConfig(10, 5, 7, 4, width=16, depth=3, heads=2, kernel=3)),
    "CLIP": lambda: CLIP(CLIPConfig(8, 16, 8, 16, 1, 2, 29, 8, 16, 1, 2, end=21)),
}


@pytest.fixture
def whole(tmp_path):
    """A file as it should be."""
    weights.save(tmp_path / "dvae.safetensors", MODELS["DVAE"](), seed=3)
    return tmp_path / "dvae.safetensors"


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("half", [False, True])
def test_round_trip(tmp_path, kind, half):
    model, path = MODELS[kind](), tmp_path / "new" / "model.safetensors"
    weights.save(path, model, half=half, seed=3, command="minidalle train")
    loaded = weights.load(path, type(model))
    assert loaded.config == model.config and not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    for name, tensor in model.state_dict().items():
        found = loaded.state_dict()[name]
        assert found.dtype == torch.float32
        assert torch.allclose(found, tensor, rtol=1e-3, atol=1e-6) if half else found.equal(tensor)
    assert weights.read_tensors(path)[1] == {
        "model": kind, "config": weights.plain(model.config), "seed": 3, "command": "minidalle train",
    }  # fmt: skip
    assert [file.name for file in path.parent.iterdir()] == ["model.safetensors"]


def test_half_is_half_the_size(tmp_path):
    model = MODELS["DALLE"]()
    sizes = []
    for half in (False, True):
        weights.save(tmp_path / "a", model, half=half)
        tensors, _ = weights.read_tensors(tmp_path / "a")
        sizes.append(sum(t.numel() * t.element_size() for t in tensors.values()))
    assert sizes[0] == 2 * sizes[1]


# ---- files that are something else ------------------------------------------------------


class Bomb:
    """A pickle that writes a file when it is opened."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return open, (str(self.target), "w")


def refused(path, kind=DVAE, error=ValueError):
    with pytest.raises(error) as caught:
        weights.load(path, kind)
    sentence = str(caught.value)
    assert str(path) in sentence and "\n" not in sentence and type(caught.value) is error
    return sentence


@pytest.mark.parametrize("dump", [
    lambda bomb, path: torch.save({"model": bomb}, path),
    lambda bomb, path: path.write_bytes(pickle.dumps(bomb)),
], ids=["torch", "pickle"])  # fmt: skip
def test_a_pickle_is_refused_and_its_code_does_not_run(tmp_path, dump):
    bomb, path = Bomb(tmp_path / "exploded"), tmp_path / "model.safetensors"
    dump(bomb, path)
    refused(path)
    assert not bomb.target.exists()
    pickle.loads(pickle.dumps(bomb)).close()
    assert bomb.target.exists(), "the bomb was a dud and the test proves nothing"


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.999])
def test_a_cut_off_file(whole, share):
    data = whole.read_bytes()
    whole.write_bytes(data[: int(share * len(data))])
    assert "is not a whole weight file" in refused(whole)


def test_a_missing_file_and_a_folder(tmp_path):
    assert "no weight file" in refused(tmp_path / "none", error=FileNotFoundError)
    assert "no weight file" in refused(tmp_path, error=FileNotFoundError)


def test_tensors_of_another_program(tmp_path):
    save_file({"x": torch.zeros(3)}, tmp_path / "a")
    assert "minidalle did not write it" in refused(tmp_path / "a")


@pytest.mark.parametrize("about", [
    {}, [], None, "text", {"model": "GAN", "config": {}}, {"model": "DVAE"},
    {"model": "DVAE", "config": 3}, {"model": "DVAE", "config": {"colour": 3}},
], ids=str)  # fmt: skip
def test_a_header_that_says_something_else(tmp_path, about):
    save_file({"x": torch.zeros(3)}, tmp_path / "a", metadata={"minidalle": json.dumps(about)})
    refused(tmp_path / "a")


def test_tensors_of_another_size(tmp_path, whole):
    tensors, about = weights.read_tensors(whole)
    tensors["codebook.bias"] = torch.zeros(99)
    weights.write_tensors(whole, tensors, about)
    assert "does not fit this version of DVAE" in refused(whole)


def test_another_model_than_was_asked_for(whole):
    assert "holds a DVAE, not a CLIP" in refused(whole, CLIP)


# ---- writing ----------------------------------------------------------------------------


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(whole, monkeypatch):
    before = whole.read_bytes()

    def disk_full(tensors, path, **rest):
        path.write_bytes(b"half of i")
        raise OSError("No space left on device")

    monkeypatch.setattr(weights, "save_file", disk_full)
    with pytest.raises(OSError, match="No space left"):
        weights.save(whole, MODELS["DVAE"]())
    assert whole.read_bytes() == before
    assert list(whole.parent.iterdir()) == [whole]


def test_no_such_preset():
    with pytest.raises(FileNotFoundError, match="gigantic"):
        pipeline.load_pretrained("gigantic")


# ---- what OpenAI published --------------------------------------------------------------

PAPER = DVAEConfig(image_size=32, codebook_size=24, width=8, code_width=12)  # its structure, smaller


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


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_file_that_would_run_code_is_refused(tmp_path):
    torch.save({"w": torch.ones(2), "more": Evil(tmp_path / "it-ran")}, tmp_path / "evil.pkl")
    for read in (read_foreign, openai.load_clip,
                 lambda path: openai.load_dvae(path, path)):
        with pytest.raises(ValueError, match="asks for posix.mkdir, which only a program") as error:
            read(tmp_path / "evil.pkl")
        assert "\n" not in str(error.value)
    assert not (tmp_path / "it-ran").exists()
    torch.load(tmp_path / "evil.pkl", weights_only=False)  # but it would
    assert (tmp_path / "it-ran").exists()


def test_files_that_are_something_else(tmp_path):
    whole = tmp_path / "whole.pt"
    torch.save({"w": torch.arange(1000)}, whole)
    assert read_foreign(whole)["w"].equal(torch.arange(1000))
    (tmp_path / "cut.pt").write_bytes(whole.read_bytes()[:-300])
    (tmp_path / "text.pt").write_text("no weights at all")
    torch.save([1, 2], tmp_path / "list.pt")
    for name, words in {"cut": "not a whole file", "text": "not a whole file", "list": "no tensors"}.items():
        with pytest.raises(ValueError, match=words):
            openai.load_clip(tmp_path / f"{name}.pt")
    with pytest.raises(ValueError, match="not one of OpenAI's CLIPs"):
        openai.load_clip(whole)
    with pytest.raises(FileNotFoundError, match="no weight file"):
        read_foreign(tmp_path / "none.pt")


@pytest.mark.parametrize("depth, width", [(2, 128), ((1, 2, 1, 1), 16)], ids=["ViT", "ResNet"])
def test_sizes_of_a_clip_follow_from_its_tensors(tmp_path, depth, width):
    heads = 2 if depth == 2 else 8
    config = CLIPConfig(32, 64, 16 if depth == 2 else 0, width, depth, heads, 300, 20, 128, 3, 2, end=299)
    model = CLIP(config).eval()
    torch.save({name: tensor.half() for name, tensor in model.state_dict().items()}, tmp_path / "clip.pt")
    again = openai.load_clip(tmp_path / "clip.pt")
    assert again.config == config and not again.training
    torch.testing.assert_close(again.state_dict(), model.state_dict(), atol=1e-3, rtol=1e-3)
