"""What every test shares: one thread, the same random numbers each time, a place for evidence."""

import shutil
from pathlib import Path

import hypothesis
import pytest
import torch
from PIL import Image
from toys import speck

from minidalle import recipes, weights
from minidalle.bpe import BPE
from minidalle.clip import CLIP
from minidalle.dvae import DVAE
from minidalle.transformer import DALLE

# The same examples on every run, and no time limit: a slow machine is not a failure.
hypothesis.settings.register_profile("minidalle", derandomize=True, deadline=None)
hypothesis.settings.load_profile("minidalle")


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """The matrices of the tiny preset are too small to share: one thread is the fastest."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def same_seed():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shipped(tmp_path_factory) -> Path:
    """A folder with all four parts."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("shipped")
    bpe = BPE.train(recipes.bpe_captions("scenes", 0, 200), 300)
    bpe.save(folder / "bpe.json")
    sizes = speck(bpe.vocab_size)
    weights.save(folder / "dvae.safetensors", DVAE(sizes.dvae))
    weights.save(folder / "dalle.safetensors", DALLE(sizes.dalle))
    weights.save(folder / "clip.safetensors", CLIP(sizes.clip))
    return folder


@pytest.fixture
def copy(shipped, tmp_path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(shipped, tmp_path / "copy"))


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> str:
    """A folder of six pictures with captions."""
    folder = tmp_path_factory.mktemp("photos")
    for i, colour in enumerate(("red", "green", "blue", "white", "black", "yellow")):
        Image.new("RGB", (20, 16), colour).save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text(f"a {colour} picture\nsomething {colour}\n")
    return str(folder)


EVIDENCE = []  # lines of the table of tests/test_peers.py, which is printed after all tests


@pytest.fixture(scope="session")
def evidence():
    """Records a row of docs/parity.md: what, compared with what, cases, largest difference."""
    docs = (Path(__file__).parents[1] / "docs" / "parity.md").read_text("utf-8")

    def add(what: str, peer: str, cases: int, difference: float) -> None:
        assert f"\n| {what} | {peer} | " in docs, f"docs/parity.md has no row for {what}, {peer}"
        EVIDENCE.append(
            f"| {what} | {peer} | {cases} | {f'{difference:.0e}' if difference else 0} |"
        )

    return add


def pytest_terminal_summary(terminalreporter):
    if EVIDENCE:
        head = ["", "| what | compared with | cases | largest difference |", "|---|---|---|---|"]
        terminalreporter.write_line("\n".join(head + EVIDENCE + [""]))
