"""Models in files: tensors and plain text only, so that opening one runs no code.

A file is in safetensors format. Its header carries which model it holds, the configuration,
and how it was made (command, seed, steps, minutes, machine). Files are written under a
temporary name and then renamed, so a half-written one is never taken for whole.

The weights that OpenAI published, of its dVAE and of CLIP, are pickles and TorchScript, whose
loading would run the code they name. Here only their tensors are read.
"""

import io
import json
import math
import os
import pickle
import zipfile
from collections.abc import Iterator
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
from minidalle.dvae import DVAE, ResBlock
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


def read_tensors(path: Path, tensors: bool = True) -> tuple[dict[str, Tensor], dict]:
    """What `write_tensors` wrote; ValueError, in one sentence, if the file is something else."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no weight file {path}")
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["minidalle"])
            if not isinstance(about, dict):
                raise KeyError("minidalle")
            return {name: file.get_tensor(name) for name in file.keys() if tensors}, about
    except KeyError:
        raise ValueError(f"{path} holds tensors, but minidalle did not write it") from None
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise ValueError(f"{path} is not a whole weight file ({error})") from None


def read_about(path: Path) -> dict:
    """The description in a file, without its tensors; errors as in `read_tensors`."""
    return read_tensors(path, tensors=False)[1]


def plain(config) -> dict:
    """A frozen dataclass as it looks after a trip through JSON (tuples become lists)."""
    return json.loads(json.dumps(asdict(config)))


def save(path: Path, model: nn.Module, tensors: dict[str, Tensor] | None = None, half: bool = False,
         **about) -> None:
    """Save a model with its configuration; `half` stores float16, at half the size.

    `tensors` are its weights where it holds only a part of them.
    """
    kind = next(name for name, (kind, _) in MODELS.items() if isinstance(model, kind))
    tensors = model.state_dict() if tensors is None else tensors
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


# ---- what OpenAI published --------------------------------------------------------------


class Inert:
    """Stands where a foreign file asks for a class: keeps what it is given, and can do nothing."""


def read_foreign(path: Path) -> dict[str, Tensor]:
    """The named tensors in a file of `torch.save` or TorchScript; none of its code runs.

    Such a file pickles whole modules. torch's own restricted unpickler reads it, which knows
    tensors and plain containers; classes of layers are replaced by `Inert`. Whatever else the
    file asks for, a function say, is refused with ValueError, in one sentence.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no weight file {path}")
    try:
        file = io.BytesIO()
        with zipfile.ZipFile(path) as archive, zipfile.ZipFile(file, "w") as copy:
            for entry in archive.namelist():  # TorchScript's code is left behind
                if not entry.split("/", 1)[-1].startswith(("code/", "constants")):
                    copy.writestr(entry, archive.read(entry))
        file.seek(0)
        asked = torch.serialization.get_unsafe_globals_in_checkpoint(file)
        layers = [name for name in asked if name.startswith(("dall_e.", "torch.nn.modules.", "__torch__."))]
        file.seek(0)
        with torch.serialization.safe_globals([(Inert, name) for name in layers]):
            found = dict(_tensors_in(torch.load(file, map_location="cpu", weights_only=True)))
    except pickle.UnpicklingError:
        others = ", ".join(sorted(set(asked) - set(layers))) or "something that is no tensor"
        raise ValueError(f"{path} asks for {others}, which only a program would need: refused") from None
    except (zipfile.BadZipFile, RuntimeError, ValueError, LookupError, TypeError, EOFError, OSError):
        raise ValueError(f"{path} is not a whole file of torch.save or TorchScript") from None
    if not found:
        raise ValueError(f"{path} holds no tensors")
    return found


def _tensors_in(thing, name: tuple[str, ...] = ()) -> Iterator[tuple[str, Tensor]]:
    """("blocks.input.w", tensor), … of modules within modules, as `state_dict` would name them."""
    if isinstance(thing, Tensor):
        yield ".".join(name), thing
    children = thing if isinstance(thing, dict) else vars(thing) if isinstance(thing, Inert) else {}
    for key, child in children.items():
        inside = key in ("_parameters", "_buffers", "_modules")  # where modules keep them
        yield from _tensors_in(child, name if inside else (*name, str(key)))


def from_openai_dvae(encoder: Path, decoder: Path) -> DVAE:
    """OpenAI's dVAE from its two files (encoder.pkl and decoder.pkl), in float32, ready to use.

    Raises ValueError or FileNotFoundError, in one sentence, for files that are not that.
    """
    theirs = {"encoder": read_foreign(encoder), "decoder": read_foreign(decoder)}
    try:
        K, width = [len(theirs["encoder"][f"blocks.{layer}.w"]) for layer in ("output.conv", "input")]
        blocks = sum(name.startswith("blocks.group_1.") for name in theirs["encoder"]) // 8
        code_width = len(theirs["decoder"]["blocks.input.w"])
        model = DVAE(DVAEConfig(codebook=K, width=width, blocks=blocks, code_width=code_width))
        for layer, part, name in _openai_dvae_layers(model):
            kernel, bias = [theirs[part].pop(f"blocks.{name}.{end}") for end in "wb"]
            layer.load_state_dict({"weight": kernel, "bias": bias})
        if left := [*theirs["encoder"], *theirs["decoder"]]:
            raise KeyError(left[0])
    except (KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise ValueError(f"{encoder} and {decoder} are not OpenAI's encoder and decoder ({reason})") from None
    return model.eval().requires_grad_(False)


def to_openai_dvae(model: DVAE) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """State dicts that the `dall_e` package's Encoder and Decoder load."""
    config = model.config
    if config.norm or config.local or config.tied or config.stride > 1:
        raise ValueError("only a dVAE that is built as in the paper fits OpenAI's package")
    states = {"encoder": {}, "decoder": {}}
    for layer, part, name in _openai_dvae_layers(model):
        states[part] |= {f"blocks.{name}.w": layer.weight, f"blocks.{name}.b": layer.bias}
    return states["encoder"], states["decoder"]


def _openai_dvae_layers(model: DVAE) -> Iterator[tuple[nn.Conv2d, str, str]]:
    """(convolution, "encoder" or "decoder", what it is called there) of each layer."""
    yield model.encoder[0], "encoder", "input"
    yield model.codebook, "decoder", "input"
    for part, layers in ("encoder", model.encoder), ("decoder", model.decoder):
        for i, block in enumerate(layer for layer in layers if isinstance(layer, ResBlock)):
            group, b = divmod(i, model.config.blocks)
            name = f"group_{group + 1}.block_{b + 1}"
            convolutions = [layer for layer in block.path if isinstance(layer, nn.Conv2d)]
            for k, layer in enumerate(convolutions, 1):
                yield layer, part, f"{name}.res_path.conv_{k}"
            if isinstance(block.skip, nn.Conv2d):  # the width changes here
                yield block.skip, part, f"{name}.id_path"
        yield [layer for layer in layers if isinstance(layer, nn.Conv2d)][-1], part, "output.conv"


def from_openai_clip(path: Path) -> CLIP:
    """One of OpenAI's nine CLIPs from its file, an archive or a state dict, in float32.

    Every size follows from the shapes of the tensors. Captions for it are framed by
    `BPE.from_clip`. Raises ValueError or FileNotFoundError, in one sentence, for another file.
    """
    theirs = read_foreign(path)
    for name in ("input_resolution", "context_length", "vocab_size"):  # numbers, which shapes tell
        theirs.pop(name, None)
    try:
        model = CLIP(_openai_clip_config(theirs))
        model.load_state_dict(theirs)
    except (KeyError, IndexError, RuntimeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise ValueError(f"{path} is not one of OpenAI's CLIPs ({reason})") from None
    return model.eval().requires_grad_(False)


def _openai_clip_config(tensors: dict[str, Tensor]) -> CLIPConfig:
    """The sizes of a CLIP, from the shapes of its parameters; a head is always 64 wide."""
    def count(prefix: str) -> int:  # how many layers there are below prefix.0, prefix.1, …
        return len({name[len(prefix) :].split(".")[0] for name in tensors if name.startswith(prefix)})

    vocab, text_width = tensors["token_embedding.weight"].shape
    places = math.isqrt(len(tensors.get("visual.positional_embedding", ())))
    if places:
        vision_width, _, patch, _ = tensors["visual.conv1.weight"].shape
        depth, heads, size = count("visual.transformer.resblocks."), vision_width // 64, places * patch
    else:
        vision_width, patch = len(tensors["visual.layer1.0.conv1.weight"]), 0
        depth = tuple(count(f"visual.layer{stage}.") for stage in (1, 2, 3, 4))
        heads = vision_width // 2  # the last stage is 32 times as wide
        size = 32 * math.isqrt(len(tensors["visual.attnpool.positional_embedding"]))
    return CLIPConfig(
        tensors["text_projection"].shape[1], size, patch, vision_width, depth, heads, vocab,
        len(tensors["positional_embedding"]), text_width, count("transformer.resblocks."),
        text_width // 64, end=vocab - 1,
    )  # fmt: skip
