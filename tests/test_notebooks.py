"""Every notebook is fit to be handed out: executed, quiet, small, and about public names only.

What the cells compute is nbval's business (`make test`). Here is the rest: `faults` says in
words what is wrong with a notebook, and is itself tried on a sound one and on spoilt copies.
"""

import ast
import copy
import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"
# Not those in assignments/, which have holes.
NOTEBOOKS = sorted([*FOLDER.glob("*.ipynb"), *FOLDER.glob("more/*.ipynb")])
SOLUTIONS = sorted(FOLDER.glob("solutions/*.ipynb"))
LARGEST = 600 * 1024  # bytes, outputs included
LONGEST_CELL, LONGEST_FUNCTION = 25, 10  # lines
CHECKED = "nbval-check-output"  # the tag of cells whose output never changes
BY_HAND = "by-hand"  # the tag of the twin of a library function, which may be longer
SAME = "same-as:"  # begins the tag of a cell that writes part of this module of the library
MACHINE = re.compile(r"/(?:home|root|work|tmp|Users)/|[A-Z]:\\+Users")


def faults(notebook: dict) -> list[str]:
    """What is wrong with a notebook, given as the dictionary that its JSON holds."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    found = list(faults_of_all(notebook, cells))
    for number, cell in enumerate(cells, 1):
        found += [f"code cell {number}: {fault}" for fault in faults_of_one(cell)]
    return found


def faults_of_all(notebook: dict, cells: list[dict]) -> Iterator[str]:
    if notebook["metadata"].get("kernelspec", {}).get("name") != "python3":
        yield "the kernel is not named python3"
    if "widgets" in notebook["metadata"]:
        yield "the state of widgets was saved"
    if [cell["execution_count"] for cell in cells] != list(range(1, len(cells) + 1)):
        yield "the cells were not run once each, from first to last"
    checked = [cell for cell in cells if CHECKED in cell["metadata"].get("tags", [])]
    if 3 * len(checked) < len(cells):
        yield f"{len(checked)} of {len(cells)} code cells have the tag {CHECKED}: under a third"
    if not notebook["cells"] or not text(notebook["cells"][0]["source"]).startswith("# "):
        yield "it does not begin with a title"
    for cell in notebook["cells"]:
        path = MACHINE.search(text(cell["source"]) + written(cell))
        if path:
            yield f"it names a path of somebody's machine, {path[0]}"


def faults_of_one(cell: dict) -> Iterator[str]:
    source, tags = text(cell["source"]), cell["metadata"].get("tags", [])
    for output in cell["outputs"]:
        if output["output_type"] == "error" or output.get("name") == "stderr":
            yield "an error or a warning is shown"
    lines = len(source.splitlines())
    if lines > LONGEST_CELL:
        yield f"{lines} lines"
    tree = ast.parse(re.sub(r"^( *)[%!].*$", r"\1pass", source, flags=re.M))  # magics
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = node.end_lineno - node.lineno + 1
            if lines > LONGEST_FUNCTION and not any(t.startswith((BY_HAND, SAME)) for t in tags):
                yield f"the function {node.name} has {lines} lines: it belongs into the library"
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from faulty_imports(node)


def faulty_imports(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """Names imported from minidalle that do not exist or are private."""
    if isinstance(node, ast.Import):
        wanted = [(name.name, None) for name in node.names]
    else:
        wanted = [(node.module or "", name.name) for name in node.names]
    for module, name in wanted:
        if module.split(".")[0] != "minidalle":
            continue
        whole = f"{module}.{name}" if name else module
        if any(part.startswith("_") for part in whole.split(".")):
            yield f"{whole} is not public"
        elif not exists(module, name):
            yield f"{whole} does not exist"


def exists(module: str, name: str | None) -> bool:
    try:
        if name is None or hasattr(importlib.import_module(module), name):
            return bool(importlib.import_module(module))
        return bool(importlib.import_module(f"{module}.{name}"))  # a module of the package
    except ImportError:
        return False


def text(source: str | list[str]) -> str:
    """The format allows one string, or a list of lines."""
    return "".join(source)


def written(cell: dict) -> str:
    """What the outputs say, without their pictures (any letters can stand in those)."""
    return json.dumps([
        {kind: value for kind, value in output.get("data", output).items()
         if not kind.startswith("image/")} for output in cell.get("outputs", [])
    ])  # fmt: skip


# ---- what is built is what the library has ----------------------------------------------


def unlike(notebook: dict) -> Iterator[str]:
    """Functions and methods that cells with the tag "same-as:MODULE" write otherwise than MODULE.

    Docstrings, annotations and comments do not count. A class begun must be written whole.
    """
    written: dict[str, dict[str, str]] = {}  # module → name, or Class.name → its code
    for cell in notebook["cells"]:
        for tag in cell["metadata"].get("tags", []):
            if tag.startswith(SAME):
                found = definitions(text(cell["source"]))
                written.setdefault(tag.removeprefix(SAME), {}).update(found)
    for module, ours in written.items():
        path = (ROOT / module.replace(".", "/")).with_suffix(".py")
        theirs = definitions(path.read_text("utf-8"))
        begun = {name.split(".")[0] for name in ours if "." in name}
        missing = {n for n in theirs if "." in n and n.split(".")[0] in begun} - set(ours)
        yield from (f"{module}.{name} is not written" for name in sorted(missing))
        for name, code in ours.items():
            if theirs.get(name) != code:
                yield f"{name} is not as in {module}"


def definitions(source: str) -> dict[str, str]:
    """Every function and method of a source, by name, as bare code."""
    found = {}
    for node in ast.parse(re.sub(r"^( *)[%!].*$", r"\1pass", source, flags=re.M)).body:
        if isinstance(node, ast.ClassDef):
            for part in node.body:
                if isinstance(part, ast.FunctionDef):
                    found[f"{node.name}.{part.name}"] = bare(part)
        elif isinstance(node, ast.FunctionDef):
            kinds = [d.args[0].id for d in node.decorator_list if is_add_to(d)]
            node.decorator_list = [d for d in node.decorator_list if not is_add_to(d)]
            found[".".join([*kinds, node.name])] = bare(node)
    return found


def is_add_to(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and getattr(decorator.func, "id", None) == "add_to"


def bare(function: ast.FunctionDef) -> str:
    """A function's code without docstring, annotations and comments."""
    function = copy.deepcopy(function)
    for node in ast.walk(function):
        if isinstance(node, ast.FunctionDef):
            node.returns, body = None, node.body
            if ast.get_docstring(node) is not None:
                node.body = body[1:] or [ast.Pass()]
        elif isinstance(node, ast.arg):
            node.annotation = None
    return ast.unparse(function)


# ---- the notebooks ----------------------------------------------------------------------


@pytest.mark.parametrize("path", NOTEBOOKS + SOLUTIONS, ids=lambda path: path.stem)
def test_notebook(path):
    assert faults(json.loads(path.read_text(encoding="utf-8"))) == []
    assert path.stat().st_size <= LARGEST, f"{path.stat().st_size} bytes"


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_solutions_pass_the_checks_of_their_notebook(path):
    """Word for word the same checks, and each has printed that all is right."""
    main, solved = (json.loads((p / path.name).read_text("utf-8")) for p in (FOLDER, path.parent))
    checks, passed = tagged(main, "check"), tagged(solved, "check")
    assert checks and len(tagged(main, "exercise")) >= 3
    assert [text(cell["source"]) for cell in checks] == [text(cell["source"]) for cell in passed]
    for cell in passed:
        said = "".join(text(output.get("text", "")) for output in cell["outputs"])
        assert CHECKED in cell["metadata"]["tags"]
        assert said and all(line.startswith("right") for line in said.splitlines()), said
    for cell in checks:
        assert CHECKED not in cell["metadata"]["tags"], "a solved notebook must pass as well"


def tagged(notebook: dict, tag: str) -> list[dict]:
    return [cell for cell in notebook["cells"] if tag in cell["metadata"].get("tags", [])]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_is_built_is_what_the_library_has(path):
    assert list(unlike(json.loads(path.read_text(encoding="utf-8")))) == []


def test_reading_order():
    names = [path.name for path in NOTEBOOKS if path.parent == FOLDER]
    assert all(re.fullmatch(r"\d\d_[a-z0-9_]+\.ipynb", name) for name in names), names
    assert len({name[:2] for name in names}) == len(names), names  # no number twice


# ---- the checks themselves --------------------------------------------------------------


def code(source: str, count: int, *tags: str, outputs: tuple = ()) -> dict:
    return {"cell_type": "code", "source": source, "execution_count": count,
            "metadata": {"tags": list(tags)}, "outputs": list(outputs)}  # fmt: skip


@pytest.fixture
def sound() -> dict:
    title = {"cell_type": "markdown", "source": ["# Title\n", "words"], "metadata": {}}
    picture = {
        "output_type": "display_data",
        "data": {"image/png": "ab/tmp/cd", "text/plain": "Figure"},
    }
    cells = [
        title,
        code("import minidalle\nfrom minidalle.masks import causal_mask", 1, CHECKED),
        code("from minidalle import masks, bpe", 2, outputs=(picture,)),
        code("%matplotlib inline\n1 + 1", 3, CHECKED),
    ]
    return {"cells": cells, "metadata": {"kernelspec": {"name": "python3"}}}


def test_a_sound_notebook(sound):
    assert faults(sound) == []


LONG = "def long():\n" + "    1\n" * 10
WRITTEN = {"output_type": "stream", "name": "stdout", "text": "saved to /" + "home/ann/a.png"}
WARNED = {"output_type": "stream", "name": "stderr", "text": "careful"}
FAILED = {"output_type": "error", "ename": "ValueError", "evalue": "", "traceback": []}


@pytest.mark.parametrize("cell, words", [
    (code("1", 4), "run once each"),
    (code("1", None), "run once each"),
    (code("1", 2, outputs=(WRITTEN,)), "/home/"),
    (code("open('/tmp/a')", 2), "/tmp/"),
    (code("1", 2, outputs=(WARNED,)), "error or a warning"),
    (code("1", 2, outputs=(FAILED,)), "error or a warning"),
    (code("1\n" * 26, 2), "26 lines"),
    (code(LONG, 2), "function long has 11 lines"),
    (code("from minidalle.world.scenes import _star", 2), "not public"),
    (code("from minidalle._secret import star", 2), "not public"),
    (code("from minidalle.world.scenes import tsar", 2), "scenes.tsar does not exist"),
    (code("import minidalle.sculpture", 2), "sculpture does not exist"),
    (code("if 1:\n    from minidalle.sculpture import star", 2), "sculpture.star does not exist"),
])  # fmt: skip
def test_a_spoilt_cell(sound, cell, words):
    sound["cells"][2] = cell
    (fault,) = faults(sound)
    assert words in fault


def test_a_spoilt_notebook(sound):
    other = copy.deepcopy(sound)
    other["metadata"]["kernelspec"]["name"] = "venv"
    assert faults(other) == ["the kernel is not named python3"]
    other = copy.deepcopy(sound)
    for cell in other["cells"][1:]:
        cell["metadata"] = {}
    assert "0 of 3 code cells" in faults(other)[0]
    assert "title" in faults({**sound, "cells": sound["cells"][1:]})[0]


HALF = """
class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
"""
CAUSAL = """
def attention_weights(q, k, mask):  # comments and docstrings do not count
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    return scores.masked_fill(~mask, -math.inf).softmax(-1)
"""


def test_what_is_unlike_the_library(sound):
    tag = SAME + "minidalle.transformer"
    sound["cells"][2] = code(CAUSAL, 2, tag)
    assert list(unlike(sound)) == []
    sound["cells"][2] = code(CAUSAL.replace("~mask", "mask"), 2, tag)
    assert list(unlike(sound)) == ["attention_weights is not as in minidalle.transformer"]
    sound["cells"][2] = code(HALF, 2, tag)
    missing, changed = unlike(sound)
    assert "Block.forward is not written" in missing and "Block.__init__ is not as" in changed
    sound["cells"][3] = code("@add_to(Block)\ndef forward(self, x):\n    return x", 3, tag)
    assert "Block.forward is not as in minidalle.transformer" in list(unlike(sound))


def test_what_is_written_by_hand_may_be_longer(sound):
    sound["cells"][2] = code(LONG, 2, BY_HAND)
    assert faults(sound) == []
