"""Models in files: tensors and plain text only, so that opening one runs no code.

A file is in safetensors format. Its header carries which model it holds, the configuration,
and how it was made (command, seed, steps, minutes, machine). Files are written under a
temporary name and then renamed, so a half-written one is never taken for whole.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from minidalle.bpe import BPE
from minidalle.clip import CLIP
from minidalle.config import CLIPConfig, DALLEConfig, DVAEConfig
from minidalle.dvae import DVAE
from minidalle.transformer import DALLE

MODELS = {"DVAE": (DVAE, DVAEConfig), "CLIP": (CLIP, CLIPConfig), "DALLE": (DALLE, DALLEConfig)}
DATA = Path(__file__).resolve().parents[1] / "data"


class Pretrained(NamedTuple):
    """Everything between a caption and ranked pictures."""

    bpe: BPE
    dvae: DVAE
    dalle: DALLE
    clip: CLIP


def write_tensors(path: Path, tensors: dict[str, Tensor], about: dict) -> None:
    """Write tensors and a description (plain JSON values) atomically."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    tensors = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    try:
        save_file(tensors, part, metadata={"minidalle": json.dumps(about)})
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict]:
    """What `write_tensors` wrote; ValueError, in one sentence, if the file is something else."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no weight file {path}")
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["minidalle"])
            if not isinstance(about, dict):
                raise KeyError("minidalle")
            return {name: file.get_tensor(name) for name in file.keys()}, about
    except KeyError:
        raise ValueError(f"{path} holds tensors, but minidalle did not write it") from None
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise ValueError(f"{path} is not a whole weight file ({error})") from None


def plain(config) -> dict:
    """A frozen dataclass as it looks after a trip through JSON (tuples become lists)."""
    return json.loads(json.dumps(asdict(config)))


def save(path: Path, model: nn.Module, half: bool = False, **about) -> None:
    """Save a model with its configuration; `half` stores float16, at half the size."""
    kind = type(model).__name__
    tensors = model.state_dict()
    if half:
        tensors = {name: tensor.half() for name, tensor in tensors.items()}
    write_tensors(path, tensors, {"model": kind, "config": plain(model.config), **about})


def load(path: Path, kind: str | None = None) -> nn.Module:
    """Build the model a file describes and fill it, in float32 and ready to use.

    kind: "DVAE", "CLIP" or "DALLE" if only that will do. Raises ValueError or
    FileNotFoundError with one sentence for a missing, cut-off or foreign file.
    """
    tensors, about = read_tensors(path)
    name = about.get("model") if isinstance(about, dict) else None
    if name not in MODELS or kind not in (None, name):
        raise ValueError(f"{path} holds a {name}, not a {kind or 'known model'}")
    make, config = MODELS[name]
    try:
        model = make(config(**about["config"]))
        model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except (KeyError, TypeError, RuntimeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path} does not fit this version of {name} ({reason})") from None
    return model.eval().requires_grad_(False)


def load_pretrained(source: str | Path = "tiny") -> Pretrained:
    """The four parts from a folder, or the ones shipped under data/ by preset name."""
    folder = DATA / source if (DATA / source).is_dir() else Path(source)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder of weights called {source}, nor data/{source}")
    return Pretrained(
        BPE.load(folder / "bpe.json"),
        load(folder / "dvae.safetensors", "DVAE"),
        load(folder / "dalle.safetensors", "DALLE"),
        load(folder / "clip.safetensors", "CLIP"),
    )
