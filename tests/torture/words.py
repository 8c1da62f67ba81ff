"""Command lines that nobody should type: of every command, some options with odd values."""

import argparse
import os
import shlex
import shutil
from pathlib import Path
from random import Random

from minidalle.options import parser
from torture.trial import CLOSED_PIPE, DISK, Trial, spelled, tried

# Valid commands, as small as can be. A word in one of them is damaged, or an option is added.
VALID = [
    "draw 'a red picture' --weights models --candidates 2 --keep 1",
    "draw 'a red picture' --weights models --candidates 2 --keep 1 --image picture.png --box 1 2",
    "draw 'a red picture' --weights models --candidates 2 --keep 1 --clip openai/clip.pt",
    "draw 'a red picture' --weights models --candidates 2 --keep 1 --model dalle2 --image "
    "picture.png --mask mask.png",
    "draw 'a red picture' --weights models --candidates 2 --keep 1 --model dalle2",
    "draw 'a red picture' --weights models --candidates 2 --keep 1 --model mini",
    "vary picture.jpg --weights models --keep 1 --eta 0.5",
    "vary picture.jpg picture.webp --weights models --keep 2",
    "caption picture.png --weights models",
    "caption picture.png --weights models --among captions.txt",
    "train bpe --preset speck --data photos --out new",
    "train dvae --preset speck --data photos --out new --steps 2 --wait 0.01",
    "train dvae --preset speck --data shards/{0..1}.tar --out new --steps 2 --wait 0.01",
    "train dvae --preset speck --data photos --out models --steps 6 --wait 0.01 --resume",
    "train clip --preset speck --data photos --out models --steps 2 --wait 0.01 --overwrite",
    "train dalle --preset speck --data tokens --out models --steps 2 --wait 0.01 --overwrite",
    "train prior --preset speck --data photos --out models --steps 6 --wait 0.01 --resume",
    "train up64 --preset speck --data photos --out new --steps 2 --wait 0.01",
    "tokenize --preset speck --data shards/{0..1}.tar --weights models --out new",
    "evaluate --weights models --captions 1 --candidates 1 --split judge --into figures.json",
    "plan --preset speck --gpus 8",
    "plan --preset tiny --model dalle2",
    "plan --preset mega --model mini",
    "bench attention --preset speck --repeat 1 --batch 1 --into bench.md",
    "course release a9",
    "course grade a9",
    "course report",
    "course check a9",
]  # fmt: skip
NUMBERS = [
    "0", "1", "2", "3", "-1", "-0", "+2", "07", "1_000", "１２", "0x10", "1e3", "0.5", "1.5",
    "1e-320", "1e39", "1e308", "1e400", "inf", "-inf", "nan", "65536", "100000", str(2**31 - 1),
    str(2**31), str(2**32), str(2**63), "9" * 400, "9" * 5000, " 2 ", "2\n", "1,5", "٣", "-1e-9",
]  # fmt: skip
TEXTS = [
    "", " ", "\n", "\t", "-", "--", "---", "-x", "=", "--=", "@", "\x1b[2J", "\u202eabc\u2066",
    "\x07", os.fsdecode(b"\xff\xfe"), "\x7f", "\x85", "\u2028", "é" * 300,
    "a" * 100_000, "🐙", "%s", "{}", "{0..9}", "{9..0}", "{0..99999999999}", "*", "[", "**/*",
    "$HOME", "~", "'", '"', "a b", "--help", "--steps", "None", "true", "scenes", "emoji",
    "both", "lit", "world", "tiny", "speck",
]  # fmt: skip
PATHS = [
    "missing", "missing/x.png", "photos", "photos/", "photos/0.png", "photos/*.png", "models",
    "empty", "models/dvae.safetensors", "models/dvae.checkpoint.safetensors", "models/bpe.json",
    "tokens", "shards/0.tar", "shards/{0..1}.tar", "shards/*.tar", "openai/clip.pt",
    "picture.png", "mask.png", "captions.txt", "figures.json", "bench.md", "nothing", "secret",
    "loop", "loop/x", "dangling", "esc\x1b[2J.png", "new.png", "new.jpg", "new\x1b[2J.png",
    "new\u202e.png", os.fsdecode(b"\xff.png"), "new.csv", ".", "..", "./", "/dev/null",
    "/dev/full", "/dev/zero", "/dev/null/x", "/proc/self/mem", "nothing/x", "n" * 255 + ".png",
    "n" * 300, "n/" * 2500, "new/" * 3 + "x.png", "shared",
]  # fmt: skip
LEFT_OUT = "help", "compile"  # which does nothing, and takes a minute
VARIABLES = [
    "WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
    "TORCHELASTIC_RESTART_COUNT", "COLUMNS", "HOME", "TMPDIR", "CUDA_VISIBLE_DEVICES", "LANG",
]  # fmt: skip
OUTPUTS = [
    (None, ""),
    ("", None),
    (None, None),
    ("/dev/full", ""),
    (CLOSED_PIPE, ""),
    ("", "/dev/full"),
]


def trial(place: Path, rng: Random, number: int) -> tuple[str, str, str]:
    """Try an odd command: a column of the table, what it said, and the command."""
    folder = Path(shutil.copytree(place / "things", place / "trial", symlinks=True))
    try:
        odd = odd_trial(rng)
        return *tried(odd, folder), spelled(odd)
    finally:
        shutil.rmtree(folder)


def odd_trial(rng: Random) -> Trial:
    """A valid command with one to three things wrong, and sometimes an odd place to run."""
    words = shlex.split(rng.choice(VALID))
    options = [one for one in options_of(words) if one.option_strings and one.dest not in LEFT_OUT]
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        damage(words, options, rng)
    if rng.random() < 0.9:
        return Trial(words)
    values = [text for text in NUMBERS + TEXTS + PATHS if len(text) < 10_000]
    names = rng.sample(VARIABLES, rng.choice((1, 1, 2, 6)))
    environment = {name: rng.choice(values) for name in names} if rng.random() < 0.5 else {}
    return Trial(words, environment, rng.choice(OUTPUTS), rng.choice((DISK, 5_000, 20_000)))


def damage(words: list[str], options: list[argparse.Action], rng: Random) -> None:
    """Do something to a command line."""
    how, at = rng.random(), rng.randrange(1, len(words) + 1)
    if how < 0.7:
        give(words, rng.choice(options), rng)
    elif how < 0.8:
        words[at : at + 1] = [odd_value(rng)]
    elif how < 0.9:
        words.insert(at, odd_value(rng))
    else:
        del words[at : at + 1]


def give(words: list[str], action: argparse.Action, rng: Random) -> None:
    """Set an option to something, whether it was given or not."""
    name = rng.choice(action.option_strings)
    known = [str(choice) for choice in action.choices or ()]
    count = {None: 1}.get(action.nargs, action.nargs if isinstance(action.nargs, int) else 1)
    count += rng.choice((0, 0, 0, 0, 0, 1, -1))
    values = [rng.choice(known) if known and rng.random() < 0.5 else odd_value(rng)
              for _ in range(max(0, count))]  # fmt: skip
    if name in words:
        del words[words.index(name) : words.index(name) + 2]
    if len(values) == 1 and rng.random() < 0.4:
        words.append(f"{name}={values[0]}")
    else:
        words += [name, *values]


def odd_value(rng: Random) -> str:
    """A word that is right hardly anywhere."""
    return rng.choice(rng.choice((NUMBERS, TEXTS, PATHS)))


def options_of(words: list[str]) -> list[argparse.Action]:
    """All options of the command that these words begin with."""
    found = parser()
    for word in words:
        verbs = next((a for a in found._actions if a.dest != "model" and a.choices
                      and isinstance(a.choices, dict)), None)  # fmt: skip
        if verbs is None or word not in verbs.choices:
            break
        found = verbs.choices[word]
    return found._actions
