"""Damaged files: of everything that a command reads, one is spoilt before the command runs."""

import json
import os
import shlex
import shutil
from pathlib import Path
from random import Random

import torch
from safetensors.torch import save_file
from toys import damaged_bytes, edited, wrong_tensors

from minidalle import weights
from torture import things
from torture.trial import Trial, tried

DRAW = "draw 'a red picture' --weights models --candidates 2 --keep 1"
RESUME = "--preset speck --data photos --steps 6 --resume --out"
TRAIN = "--preset speck --data photos --steps 2 --out"
# What is spoilt, and a command that reads it.
READ = [
    ("models/bpe.json models/dvae.safetensors models/dalle.safetensors "
     "models/clip.safetensors", DRAW),
    ("models/prior.safetensors models/decoder.safetensors models/up64.safetensors "
     "models/up128.safetensors models/clip.safetensors models/bpe.json", DRAW + " --model dalle2"),
    ("models/vqgan.safetensors models/mini.safetensors", DRAW + " --model mini"),
    ("openai/*", DRAW + " --clip openai/clip.pt"),
    ("picture.png mask.png", DRAW + " --model dalle2 --image picture.png --mask mask.png"),
    ("picture.png picture.jpg", "vary picture.png picture.jpg --weights models --keep 2"),
    ("picture.webp captions.txt", "caption picture.webp --weights models --among captions.txt"),
    ("photos/*", f"train bpe {TRAIN} new".replace(" --steps 2", "")),
    ("photos/*", f"train dvae {TRAIN} new"),
    ("photos/*", f"train up128 {TRAIN} new"),
    ("shards/*", f"train dvae {TRAIN} new --data shards/{{0..1}}.tar"),
    ("shards/* models/bpe.json models/dvae.safetensors",
     "tokenize --preset speck --data shards/{0..1}.tar --weights models --out new"),
    ("tokens/* shards/*",
     "tokenize --preset speck --data shards/{0..1}.tar --weights models --out tokens"),
    ("tokens/*", f"train dalle {TRAIN} models --data tokens --overwrite"),
    ("models/*prior.safetensors", f"train ar_prior {TRAIN} new --start models"),
    *((f"models/{name}.c*", f"train {name} {RESUME} models") for name in things.MODELS),
    ("models/bpe.json models/dvae.safetensors", f"train clip {TRAIN} models --overwrite"),
    ("models/bpe.json models/clip.safetensors", f"train decoder {TRAIN} models --overwrite"),
    ("shared/dvae.checkpoint/latest shared/dvae.checkpoint/*/* shared/dvae.csv",
     f"train dvae {RESUME} shared"),
    ("figures.json", "evaluate --weights models --captions 1 --candidates 1 --split judge "
     "--into figures.json"),
    ("bench.md", "bench attention --preset speck --repeat 1 --batch 1 --into bench.md"),
]  # fmt: skip


def trial(place: Path, rng: Random, number: int) -> tuple[str, str, str]:
    """Spoil one file: a column of the table, what the command said that reads it, and both."""
    folder = Path(shutil.copytree(place / "things", place / "trial", symlinks=True))
    try:
        patterns, line = rng.choice(READ)
        files = [path for pattern in patterns.split() for path in sorted(folder.glob(pattern))]
        path = rng.choice(files)
        how = spoil(path, folder, rng)
        reading = Trial(shlex.split(line), things.alone() if "shared" in line else {})
        found, said = tried(reading, folder)
        return found, said, f"{path.relative_to(folder)}: {how}; {' '.join(reading.words)}"
    finally:
        shutil.rmtree(folder)


def spoil(path: Path, folder: Path, rng: Random) -> str:
    """Do something to a file; returns what."""
    headed = path.suffix in (".json", ".safetensors", ".pt")
    if headed and rng.random() < 0.6:
        try:
            return spoil_content(path, rng)
        except (ValueError, LookupError):  # it has no header, or no weights
            pass
    how = rng.choice(("bytes", "bytes", "bytes", "bytes", "swapped", "other"))
    if how == "bytes":
        path.write_bytes(damaged_bytes(path.read_bytes() or b"x", rng))
    elif how == "swapped":
        files = sorted(p for p in folder.rglob("*") if p.is_file() and p.stat().st_size)
        other = rng.choice(files)
        shutil.copy(other, path) if other != path else path.unlink()
        how = f"replaced by {other.relative_to(folder)}"
    else:
        how = rng.choice(
            ("empty", "missing", "folder", "loop", "/dev/null", "/dev/zero", "/dev/full")
        )
        path.unlink()
        if how == "empty":
            path.touch()
        elif how == "folder":
            path.mkdir()
        elif how != "missing":
            path.symlink_to(path.name if how == "loop" else how)
    return how


def spoil_content(path: Path, rng: Random) -> str:
    """Edit a header or tensors, in a file that is otherwise well-formed."""
    if path.suffix == ".json":
        path.write_text(edited(json.loads(path.read_text()), rng))
        return "edited"
    if path.suffix == ".pt":
        torch.save(wrong_tensors(torch.load(path), rng), path)
        return "other tensors"
    tensors, about = weights.read_tensors(path)
    how = rng.choice(("header", "header", "tensors", "numbers"))
    if how == "tensors":
        tensors = wrong_tensors(tensors, rng)
    elif how == "numbers":
        some = rng.choice([t for t in tensors.values() if t.numel()])
        some.view(-1)[rng.randrange(some.numel())] = (
            rng.choice((float("nan"), float("inf"), 1e30)) if some.is_floating_point() else 30_000
        )
    header = edited(about, rng) if how == "header" else json.dumps(about)
    os.remove(path)
    save_file({n: t.contiguous() for n, t in tensors.items()}, path, {"minidalle": header})
    return how
