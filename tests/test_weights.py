"""Weight files: what is saved is loaded, and other files are refused without running them."""

import json
import os
import pickle
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from minidalle import pipeline, weights
from minidalle.clip import CLIP
from minidalle.config import CLIPConfig, DALLEConfig, DVAEConfig
from minidalle.dvae import DVAE
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
        "model": kind,
        "config": weights.plain(model.config),
        "seed": 3,
        "command": "minidalle train",
    }
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
    assert "is not a complete weight file" in refused(whole)


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
    assert "codebook.bias is (99,) and should be (6,)" in refused(whole)


def test_another_model_than_was_asked_for(whole):
    assert "holds a DVAE, not a CLIP" in refused(whole, CLIP)


# ---- writing ----------------------------------------------------------------------------


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(whole, monkeypatch):
    before = whole.read_bytes()

    def disk_full(tensors, path, **rest):
        path.write_bytes(b"half of i")
        raise OSError("No space left on device")

    monkeypatch.setattr(weights, "save_file", disk_full)
    with pytest.raises(OSError, match="dvae.safetensors cannot be written .No space left"):
        weights.save(whole, MODELS["DVAE"]())
    assert whole.read_bytes() == before
    assert list(whole.parent.iterdir()) == [whole]


FULL = """
import resource, sys
from pathlib import Path
import torch
from PIL import Image
from minidalle import plots, weights
from minidalle.bpe import BPE
folder = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))  # bytes that a file may have
for name, write in {
    "x.safetensors": lambda path: weights.write_tensors(path, {"x": torch.zeros(999)}, {}),
    "bpe.json": BPE([]).save,
    "sheet.bmp": lambda path: plots.save_image(Image.new("RGB", (99, 99)), path),
}.items():
    try:
        write(folder / name)
    except OSError as error:
        print(error)
"""


@pytest.mark.slow
def test_a_disk_that_is_full_is_one_sentence_that_names_the_file(tmp_path):
    done = subprocess.run([sys.executable, "-c", FULL, tmp_path], capture_output=True, text=True)
    said = done.stdout.splitlines()
    for name, line in zip(("x.safetensors", "bpe.json", "sheet.bmp"), said):
        assert line.startswith(f"{tmp_path / name} cannot be written (File too large"), done.stderr
    assert len(said) == 3 and not list(tmp_path.iterdir())


def test_files_are_for_whom_the_umask_allows(tmp_path):
    before = os.umask(0o027)
    try:
        weights.write_tensors(tmp_path / "a", {"x": torch.zeros(3)}, {})
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_no_such_preset():
    with pytest.raises(FileNotFoundError, match="gigantic"):
        pipeline.load_pretrained("gigantic")
