"""Weight files: what is saved is loaded, and other files are refused without running them."""

import json
import math
import os
import pickle
import re
import subprocess
import sys
import time
from dataclasses import fields, is_dataclass
from functools import partial
from random import Random

import pytest
import torch
import toys
from safetensors.torch import save_file
from torch import nn

from minidalle import pipeline, weights
from minidalle.clip import CLIP
from minidalle.config import OPENAI_CLIP, PRESETS, CLIPConfig, DALLEConfig, DVAEConfig
from minidalle.dalle2.config import PRESETS as PRESETS_2
from minidalle.dalle2.prior import Prior
from minidalle.dalle2.upsample import Upsampler
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


# ---- headers and tensors that were edited -----------------------------------------------


def small_models() -> dict[str, nn.Module]:
    """One of each kind."""
    second = toys.second_dalle()[2:-1]
    return {name: make() for name, make in MODELS.items()} | {
        type(model).__name__: model for model in second
    }


KINDS = ["DVAE", "DALLE", "CLIP", "Prior", "ARPrior", "Decoder", "Upsampler"]


@pytest.fixture(params=KINDS)
def model(request):
    return small_models()[request.param]


def use(model) -> None:
    """Run it once."""
    c = model.config
    one, yes, size = torch.zeros(1, dtype=torch.long), torch.tensor([True]), lambda n: min(n, 64)
    if isinstance(model, DVAE):
        model.decode(torch.zeros(1, size(c.grid), size(c.grid), dtype=torch.long))
        if c.image_size <= 64:
            assert model.encode(torch.rand(1, 3, c.image_size, c.image_size)).shape[1] == c.grid
    elif isinstance(model, DALLE):
        model(one.expand(1, c.text_len), one.expand(1, c.image_len))
    elif isinstance(model, CLIP):
        model(torch.rand(1, 3, c.image_size, c.image_size), one.expand(1, c.text_len))
    elif hasattr(model, "unet"):
        x = torch.rand(1, 3, c.unet.image_size, c.unet.image_size)
        if c.unet.image_size <= 256 and isinstance(model, Upsampler):
            model.predict(x, one, x)
        elif c.unet.image_size <= 64:
            text = one.expand(1, c.text.text_len)
            model(x, torch.rand(1, c.embed), text, x, one, yes, yes)
    else:
        said = torch.rand(1, c.text_len, c.text_width), yes.expand(1, c.text_len)
        said, image = (*said, torch.rand(1, c.embed)), torch.rand(1, c.embed)
        model(*said, image, *([image, one] if isinstance(model, Prior) else []), yes)


def test_an_edited_header_gives_a_valid_model_or_one_sentence(tmp_path, model):
    rng, path = Random(0), tmp_path / "model.safetensors"
    weights.save(path, model, seed=3, data="both")
    tensors, about = weights.read_tensors(path)
    load, refusals = partial(weights.load, kind=type(model)), 0
    for _ in range(100):
        text = toys.edited(about, rng)
        save_file(tensors, path, metadata={"minidalle": text})
        if toys.one_sentence(load, path):
            refusals += 1
        else:
            loaded = load(path)
            assert weights.plain(loaded.config) == json.loads(text)["config"]
            use(loaded)
    assert 50 < refusals < 100


def test_a_damaged_file_gives_a_valid_model_or_one_sentence(tmp_path, model):
    rng, path = Random(0), tmp_path / "model.safetensors"
    weights.save(path, model, half=True)
    content, load = path.read_bytes(), partial(weights.load, kind=type(model))
    said = set()
    for _ in range(100):
        path.write_bytes(toys.damaged_bytes(content, rng))
        said.add(toys.one_sentence(load, path) or "")
        if "" in said:
            assert all(tensor.isfinite().all() for tensor in load(path).state_dict().values())
            said.remove("")
    assert any("is not finite" in words for words in said) and len(said) > 10


def test_no_number_in_a_header_is_believed(tmp_path, model):
    """As if it had 20 000 layers, or heads, or …: nothing of this size is made."""
    path, begin = tmp_path / "model.safetensors", time.process_time()
    free = "image_size attention context head_width end times factor crop contrast".split()
    weights.save(path, model)
    tensors, about = weights.read_tensors(path)
    for inside in (about["config"], *about["config"].values()):
        for name, value in inside.items() if isinstance(inside, dict) else ():
            for large in (20_000, 10**12):
                inside[name] = [large] if isinstance(value, list) else large
                weights.write_tensors(path, tensors, about)
                said = toys.one_sentence(partial(weights.load, kind=type(model)), path)
                assert said or name in free
            inside[name] = value
    assert time.process_time() - begin < 5


@pytest.mark.parametrize("large", [{"grid": 64}, {"text_len": 5000}, {"kernel": 999}], ids=str)
def test_masks_that_would_fill_the_memory_are_not_made(tmp_path, large):
    """Not even if there are tensors of these sizes."""
    weights.save(tmp_path / "a", MODELS["DALLE"]())
    tensors, about = weights.read_tensors(tmp_path / "a")
    about["config"] |= large
    tensors["spare"] = torch.zeros(5000)
    weights.write_tensors(tmp_path / "a", tensors, about)
    assert "at most" in refused(tmp_path / "a", DALLE)


def test_what_is_not_finite_is_neither_saved_nor_loaded(tmp_path, model):
    rng, path = Random(0), tmp_path / "model.safetensors"
    weights.save(path, model)
    (tensors, about), content = weights.read_tensors(path), path.read_bytes()
    for name in rng.sample(sorted(tensors), 8):
        wrong = tensors | {name: tensors[name].clone()}
        flat = wrong[name].view(-1)
        flat[rng.randrange(len(flat))] = rng.choice([math.nan, math.inf, -math.inf])
        with pytest.raises(FloatingPointError, match=re.escape(f"its {name} would not be finite")):
            weights.save(path, model, wrong)
        assert path.read_bytes() == content
        weights.write_tensors(tmp_path / "bad", wrong, about)
        assert f"{name} is not finite" in refused(tmp_path / "bad", type(model))


def test_half_precision_that_overflows_is_not_saved(tmp_path):
    model = MODELS["DVAE"]()
    model.codebook.bias.data[3] = 1e6
    weights.save(tmp_path / "a", model)
    with pytest.raises(FloatingPointError, match="its codebook.bias would not be finite"):
        weights.save(tmp_path / "a", model, half=True)


def test_only_floating_point_numbers_are_weights(tmp_path, model):
    weights.save(tmp_path / "a", model)
    tensors, about = weights.read_tensors(tmp_path / "a")
    for dtype in "bool uint8 int8 int16 int32 int64 complex64 float8_e5m2".split():
        name = Random(dtype).choice(sorted(tensors))
        wrong = tensors | {name: tensors[name].to(getattr(torch, dtype))}
        weights.write_tensors(tmp_path / "a", wrong, about)
        assert f"{name} holds torch.{dtype}" in refused(tmp_path / "a", type(model))


ESCAPES = ["\x1b[2J", "\x9b31m", "\r", "\n", "\a", "\u202e", "\u2066", "\u200b", "\ud800", "\x7f"]


@pytest.mark.parametrize("bad", ESCAPES, ids=ascii)
def test_names_in_a_file_do_not_reach_the_terminal_raw(tmp_path, whole, bad):
    tensors, about = weights.read_tensors(whole)
    others = [
        about | {"model": f"å{bad}"},
        about | {"config": {f"å{bad}": 3}},
        about | {"data": [bad]},
    ]
    others.append(about | {"config": about["config"] | {"width": bad}})
    for other in others:
        weights.write_tensors(whole, tensors, other)
        assert toys.one_sentence(partial(weights.load, kind=DVAE), whole)
    if bad != "\ud800":  # which UTF-8 has not
        weights.write_tensors(whole, tensors | {f"å{bad}": torch.zeros(1)}, about)
        said = toys.one_sentence(partial(weights.load, kind=DVAE), whole)
        assert f"å{ascii(bad)[1:-1]}" in said


# ---- configurations ---------------------------------------------------------------------


def test_every_preset_there_and_back():
    configs = [model.config for model in small_models().values()]
    for sizes in (*PRESETS.values(), *PRESETS_2.values()):
        parts = [getattr(sizes, part.name) for part in fields(sizes)]
        configs += [part for part in parts if is_dataclass(part)] + [*sizes.train.values()]
    for config in [*configs, *OPENAI_CLIP.values()]:
        assert weights.config_from(type(config), weights.plain(config), "a") == config


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
