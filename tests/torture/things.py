"""One of everything that the command line reads, made by the command line, as small as can be."""

import gzip
from pathlib import Path

import torch
from PIL import Image
from toys import emoji_samples, free_port, write_shard

from minidalle.clip import CLIP
from minidalle.config import CLIPConfig
from minidalle.models import MODELS
from torture.trial import Trial, run

SPECK = "--preset speck --data photos"
MAKING = [
    f"train bpe {SPECK} --out models",
    *(f"train {name} {SPECK} --out models" for name in MODELS),
    "tokenize --preset speck --data shards/{0..1}.tar --weights models --out tokens",
    "evaluate --weights models --captions 1 --candidates 1 --split judge --into figures.json",
    f"train dvae {SPECK} --out shared",
]
COLOURS = "red", "green", "blue", "white", "black", "yellow"


def alone() -> dict[str, str]:
    """The environment of a process that torchrun started, the only one."""
    one = dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), "1")
    none = dict.fromkeys(("RANK", "LOCAL_RANK"), "0")
    return one | none | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}


def make(folder: Path) -> None:
    """Make all of it in a new folder."""
    for name in ("photos", "shards", "openai", "empty"):
        (folder / name).mkdir(parents=True)
    for i, colour in enumerate(COLOURS):
        Image.new("RGB", (20, 16), colour).save(folder / f"photos/{i}.png")
        (folder / f"photos/{i}.txt").write_text(f"a {colour} picture\nsomething {colour}\n")
    for i in range(2):
        write_shard(folder / f"shards/{i}.tar", emoji_samples(4, 4 * i))
    (folder / "captions.txt").write_text("a red picture\na blue picture\nsomething green\n")
    (folder / "bench.md").write_text(
        "before\n<!-- minidalle bench -->\n<!-- end of minidalle bench -->\nafter\n"
    )
    for kind in ("png", "jpg", "webp"):
        Image.linear_gradient("L").resize((64, 64)).convert("RGB").save(folder / f"picture.{kind}")
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, 64, 32))
    mask.save(folder / "mask.png")
    vocabulary = gzip.compress(b"a title\nc a\nca t</w>\nca t\nn o\n", mtime=0)
    (folder / "openai/bpe_simple_vocab_16e6.txt.gz").write_bytes(vocabulary)
    torch.manual_seed(0)
    clip = CLIP(CLIPConfig(32, 32, 16, 128, 1, 2, 517, 20, 128, 1, 2, end=516))
    torch.save({name: t.half() for name, t in clip.state_dict().items()}, folder / "openai/clip.pt")
    odd_things(folder)
    for line in MAKING:
        done = run(Trial(line.split(), alone() if "shared" in line else {}), folder)
        assert done.code == 0, done


def odd_things(folder: Path) -> None:
    """What nobody should name, but somebody will."""
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "nothing").touch()
    (folder / "secret").write_text("secret")
    (folder / "secret").chmod(0)
    (folder / "esc\x1b[2J.png").write_bytes((folder / "picture.png").read_bytes())
