"""The files around the package agree with each other, and make does what the README says."""

import ast
import os
import re
import shutil
import subprocess
import sys
import threading
from functools import partial
from graphlib import TopologicalSorter
from http.server import HTTPServer, SimpleHTTPRequestHandler
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
CONDA_NAME = {"torch": "pytorch", "matplotlib": "matplotlib-base"}

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def pins(python: str, *extras: str) -> dict[str, str]:
    """Name → version of what this Python installs: the core packages and those of the extras."""
    found = map(Requirement, requires("minidalle"))
    places = [{"python_version": python, "extra": extra} for extra in ("", *extras)]
    return {
        r.name: str(r.specifier).removeprefix("==")
        for r in found
        if not r.marker or any(r.marker.evaluate(place) for place in places)
    }


def make(*arguments: str, **variables: str) -> subprocess.CompletedProcess:
    """Run make as from a new terminal, without what the make around these tests passes on."""
    ours = ("MAKEFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "MFLAGS", "CAPTION")
    env = {k: v for k, v in os.environ.items() if k not in ours} | variables
    return subprocess.run(["make", *arguments], cwd=ROOT, env=env, capture_output=True, text=True)


@pytest.fixture
def fake_venv(tmp_path):
    """An environment that looks installed, whose `minidalle` prints its arguments, one a line."""
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "minidalle"
    command.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    command.chmod(0o755)
    (tmp_path / ".core").touch()
    return f"VENV={tmp_path}"


# ------------------------------------------------------------------ dependencies


def test_core_packages():
    core = "matplotlib numpy pillow regex safetensors torch tqdm".split()
    assert sorted(pins("3.10")) == sorted(pins("3.14")) == core


def test_every_version_is_exact():
    for requirement in map(Requirement, requires("minidalle")):
        assert re.fullmatch(r"==[\d.]+", str(requirement.specifier)), requirement


def test_conda_has_the_same_versions():
    lines = (ROOT / "environment.yml").read_text().splitlines()
    conda = dict(line[4:].split("=") for line in lines if line.startswith("  - ") and "=" in line)
    ours = pins(conda.pop("python"), "lab", "test")
    assert conda == {CONDA_NAME.get(name, name): version for name, version in ours.items()}


# ------------------------------------------------------------------ make


@needs_make
def test_make_names_the_torch_it_installs():
    assert f"torch=={pins('3.12')['torch']} " in make("help").stdout


def test_docs_name_only_targets_that_exist():
    texts = [path.read_text("utf-8") for path in (ROOT / "README.md", *ROOT.glob("docs/*.md"))]
    code = re.findall(r"`[^`\n]+`|^    .*", "\n".join(texts), re.MULTILINE)
    named = set(re.findall(r"\bmake ([a-z-]+)", "\n".join(code)))
    assert {"draw", "test", "lab", "quick"} <= named
    assert named <= set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_each_promise_names_tests_that_exist():
    """A promise is a list item; those of what is not noticed need no test."""
    text = (ROOT / "docs" / "promises.md").read_text("utf-8")
    promises = [line for line in text.splitlines() if line.startswith("- ")]
    for line in promises:
        named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", line)
        assert named or "not noticed" in line, line
        for file, test in named:
            assert f"\ndef {test}(" in (ROOT / "tests" / file).read_text("utf-8"), test


def test_the_readme_is_two_screens_and_its_map_is_whole():
    readme = (ROOT / "README.md").read_text("utf-8")
    assert len(readme.splitlines()) <= 120
    map_ = readme[readme.index("## The map") : readme.index("## Limits")]
    package = ROOT / "minidalle"
    there = {path.name for path in package.glob("*.py")} - {"__init__.py"}
    there |= {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    named = set(re.findall(r"`(\w+(?:\.py|/))`", map_)) - {
        "minidalle/",
        "data/",
        "launch/",
        "tests/",
    }
    assert named == there
    for target in re.findall(r"\]\(([^)]+)\)", readme):
        assert (ROOT / target).is_file(), target


@needs_make
@pytest.mark.parametrize(
    "caption",
    [
        "a red star above a blue circle",
        'a "red" $(shell echo hi) `id`; star',
        "it's $5, $$5 & $HOME \\ 50% # ★ | > *",
    ],
)
def test_any_caption_arrives_as_typed(fake_venv, caption):
    by_argument = make("draw", f"CAPTION={caption}", fake_venv, "ARGS=--keep 2")
    by_environment = make("draw", fake_venv, "ARGS=--keep 2", CAPTION=caption)
    for result in (by_argument, by_environment):
        assert result.stdout.splitlines() == ["draw", "--keep", "2", "--", caption]


@needs_make
def test_no_caption_is_one_sentence(fake_venv):
    result = make("draw", fake_venv)
    assert result.returncode != 0 and result.stdout == ""
    assert "say what to draw" in result.stderr.splitlines()[0]


@needs_make
def test_unusable_python_is_one_sentence(tmp_path):
    result = make("draw", "CAPTION=a star", f"VENV={tmp_path}", "PYTHON=no-such-python")
    assert result.returncode != 0 and not list(tmp_path.iterdir())
    assert "Python 3.10 to 3.14 is needed" in result.stderr.splitlines()[0]


@pytest.fixture
def index(tmp_path):
    """The address of an index that has a page about torch."""
    (tmp_path / "torch").mkdir()
    serve = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with HTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


NOWHERE = "http://127.0.0.1:9"  # nobody listens there


@needs_make
@pytest.mark.skipif(shutil.which("timeout") is None, reason="it pretends to be on Linux")
@pytest.mark.parametrize("system, driver, asked, answers, words, taken", [
    ("Linux", "", "", True, "for the CPU", "the index"),
    ("Linux", "", "", False, "does not answer", None),
    ("Linux", "/usr/bin/nvidia-smi", "", True, "with CUDA", None),
    ("Darwin", "", "", True, "the usual torch", None),
    ("Linux", "", "https://mine", True, "from https://mine", "https://mine"),
])  # fmt: skip
def test_which_torch_is_taken_and_why(
    tmp_path, index, system, driver, asked, answers, words, taken
):
    """The Python in this environment prints what it is asked to install."""
    (tmp_path / "bin").mkdir()
    for name in ("python", "pip"):
        (tmp_path / "bin" / name).write_text('#!/bin/sh\necho "asked: $*"\n')
        (tmp_path / "bin" / name).chmod(0o755)
    where = index if answers else NOWHERE
    result = make(
        f"{tmp_path}/.core",
        f"VENV={tmp_path}",
        f"PYTHON={sys.executable}",
        f"CPU_INDEX={where}",
        f"SYSTEM={system}",
        f"NVIDIA={driver}",
        f"TORCH_INDEX={asked}",
        no_proxy="127.0.0.1",
    )
    said = result.stdout.splitlines()
    assert result.returncode == 0 and words in said[1], result
    option = f" --index-url {index if taken == 'the index' else taken}" if taken else ""
    assert said[2].endswith(f" torch=={pins('3.12')['torch']}{option}")


# ------------------------------------------------------------------ the package

# From the ground up: a module imports only what stands before it, or what is in its own room.
FLOORS = """
    minidalle config files words world weights datasets
    bpe masks dvae transformer sampling resnet clip
    runtime logs optimizers training recipes dalle2 dalle_mini models
    openai scale plots diagrams pipeline lesson rates understanding naming failures evaluate
    dalle2_measures mini_measures bench course
    commands commands_dalle2 commands_evaluate commands_train commands_course options __main__
""".split()
APART = {
    "world": {"minidalle"},
    "datasets": {"minidalle", "files", "words", "world", "weights"},
}  # know no chapter


def imports_of(path: Path) -> set[str]:
    """The modules of this package that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "minidalle":
            found |= {f"{node.module}.{name.name}" for name in node.names}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names if name.name.split(".")[0] == "minidalle"}
    return found


def module_of(name: str) -> str:
    """The module in which an imported name lies: minidalle.dvae.DVAE → minidalle.dvae."""
    parts = name.split(".")
    while not (ROOT / "/".join(parts)).with_suffix(".py").is_file() and len(parts) > 1:
        if (ROOT / "/".join(parts) / "__init__.py").is_file():
            break
        parts.pop()
    return ".".join(parts)


def room_of(module: str) -> str:
    """minidalle.world.scenes → world, minidalle.dvae → dvae."""
    return [*module.split("."), "minidalle"][1]


def test_imports_go_one_way():
    """No import points up from layer to layer, and there is no cycle within a folder."""
    graph = {}
    for path in (ROOT / "minidalle").rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        graph[name] = {module_of(found) for found in imports_of(path)} - {name}
    for name, found in graph.items():
        room = room_of(name)
        others = {room_of(other) for other in found} - {room}
        too_high = {other for other in others if FLOORS.index(other) > FLOORS.index(room)}
        assert not too_high, f"{name} imports {too_high} from above"
        assert others <= APART.get(room, others), f"{name} imports {others}"
    TopologicalSorter(graph).prepare()  # CycleError if there is a circle


IMPORT_ALL = """
import importlib, pkgutil, torch, minidalle
state = lambda: (torch.is_grad_enabled(), torch.get_num_threads(), torch.get_default_dtype(),
                 torch.get_rng_state().tolist())
before = state()
for module in pkgutil.walk_packages(minidalle.__path__, "minidalle."):
    importlib.import_module(module.name)
assert state() == before, "an import changed torch's state"
"""


@pytest.mark.slow
def test_a_wheel_brings_its_weights(tmp_path):
    """Built from these sources, installed elsewhere and run from there, it draws a picture."""
    source, site, away = tmp_path / "source", tmp_path / "site", tmp_path / "away"
    away.mkdir()
    ignored = shutil.ignore_patterns(
        ".*", "build", "*.egg-info", "__pycache__", "runs", "notebooks"
    )
    shutil.copytree(ROOT, source, ignore=ignored, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, source], check=True
    )
    subprocess.run(
        [*pip, "install", "--no-deps", "--target", site, next(tmp_path.glob("*.whl"))], check=True
    )
    draw = [
        sys.executable,
        "-m",
        "minidalle",
        "draw",
        "a red star",
        "--candidates",
        "1",
        "--keep",
        "1",
    ]
    subprocess.run(draw, cwd=away, env=os.environ | {"PYTHONPATH": str(site)}, check=True)
    assert (away / "sheet.png").is_file()


@pytest.mark.slow
def test_imports_do_nothing_else():
    result = subprocess.run([sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr


def test_no_file_names_local_folders():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    private = re.compile(rb"(?<![\w.])/(home|Users|root|work|mnt)/\w[^\s\"']*")
    for name in listed.stdout.split("\0")[:-1]:
        path = ROOT / name
        if path.is_file() and b"\0" not in (content := path.read_bytes()):
            found = private.search(content)
            assert not found, f"{name} names {found[0].decode()}"
