"""The first DALL·E and DALL·E Mini from nothing, for equal times: `python data/compare_mini.py`.

data/comparison_mini.json, in about two hours on two cores that do nothing else. For each
of three seeds the tokenizers train, the VQGAN also with a discriminator and with a perceptual term,
then the first DALL·E's transformer and two encoder–decoders, two models at a time on a core each,
for as many minutes as in `make from-scratch`. One of the encoder–decoders takes as long for a step
as the transformer, the other has as many parameters. All have tiny's vocabulary and are ranked by
tiny's CLIP. What is trained stays in runs/compare_mini, and a run that was cut off goes on there.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from minidalle import DATA, mini_measures, weights
from minidalle.commands import machine, today
from minidalle.dalle_mini.vqgan import VQGAN
from minidalle.dvae import DVAE
from minidalle.files import whole_file

RUNS = Path("runs/compare_mini")
SEEDS = (0, 1, 2)
# name → preset, model
TOKENIZERS = {
    "dVAE": ("tiny", "dvae"),
    "VQGAN": ("tiny", "vqgan"),
    "VQGAN with a discriminator": ("tiny-adversarial", "vqgan"),
    "VQGAN with a perceptual term": ("tiny-perceptual", "vqgan"),
}
# name → preset, model, tokenizer
TRANSFORMERS = {
    "tiny": ("tiny", "dalle", "dVAE"),
    "mini": ("tiny", "mini", "VQGAN"),
    "mini, as many parameters": ("tiny-shallow", "mini", "VQGAN"),
}
PARTS = "unseen", "combination"
CAPTIONS = 100  # for each seed


def minutes(name: str) -> float:
    """A number of minutes of the Makefile."""
    return float(re.findall(rf"^{name} = ([\d.]+)$", Path("Makefile").read_text(), re.M)[0])


def command(*words: str | Path) -> None:
    """Run minidalle, on one thread."""
    words = sys.executable, "-m", "minidalle", *words
    subprocess.run([*map(str, words)], check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


def train(folder: Path, preset: str, model: str, seed: int, lasting: float) -> None:
    """Train a part from nothing, unless that was done already."""
    if not (folder / f"{model}.safetensors").exists():
        command(
            *("train", model, "--preset", preset, "--data", "scenes", "--out", folder),
            *("--seed", str(seed), "--minutes", str(lasting), "--threads", "1", "--overwrite"),
        )


def tokenizer(seed: int, name: str) -> dict:
    """Train a tokenizer; what is left of pictures that it encodes and paints again."""
    (preset, model), folder = TOKENIZERS[name], RUNS / str(seed) / name
    train(folder, preset, model, seed, minutes("DVAE_MINUTES"))
    network = weights.load(folder / f"{model}.safetensors", {"dvae": DVAE, "vqgan": VQGAN}[model])
    steps = weights.read_about(folder / f"{model}.safetensors")["steps"]
    return {"seed": seed, "steps": steps} | mini_measures.tokenizer(network, CAPTIONS, seed)


def transformer(seed: int, name: str) -> dict:
    """Train a transformer and measure its drawings: how large it is, and its rates."""
    (preset, model, codes), folder = TRANSFORMERS[name], RUNS / str(seed) / name
    folder.mkdir(parents=True, exist_ok=True)
    ranked_by = DATA / "tiny" / "clip.safetensors"
    made = RUNS / str(seed) / codes / f"{TOKENIZERS[codes][1]}.safetensors"
    for file in DATA / "tiny" / "bpe.json", ranked_by, made:
        shutil.copy(file, folder)
    train(folder, preset, model, seed, minutes("MINUTES"))
    command(
        *("evaluate", "--weights", folder, "--captions", str(CAPTIONS), "--seed", str(seed)),
        *(word for part in PARTS for word in ("--split", part)),
        "--into",
        folder / "evaluation.json",
    )
    tensors, about = weights.read_tensors(folder / f"{model}.safetensors")
    rates = json.loads((folder / "evaluation.json").read_text())
    return {
        "seed": seed,
        "steps": about["steps"],
        "million parameters": sum(tensor.numel() for tensor in tensors.values()) / 1e6,
    } | {f"{part}: {what}": rates[part][what] for part in PARTS for what in rates[part]}


def main() -> None:
    """Two at a time; then everything into one file."""
    torch.set_num_threads(1)
    found: dict[str, list[dict]] = {}
    with ThreadPoolExecutor(2) as two:
        for names, measure in (TOKENIZERS, tokenizer), (TRANSFORMERS, transformer):
            runs = [(seed, name) for seed in SEEDS for name in names]
            for (_, name), figures in zip(runs, two.map(measure, *zip(*runs))):
                found.setdefault(name, []).append(figures)
    how = {"date": today(), "machine": machine(), "captions": CAPTIONS * len(SEEDS)}
    how |= {"minutes": minutes("DVAE_MINUTES") + minutes("MINUTES")}
    with whole_file(DATA / "comparison_mini.json") as part:
        part.write_text(json.dumps(how | found, indent=2) + "\n")


if __name__ == "__main__":
    main()
