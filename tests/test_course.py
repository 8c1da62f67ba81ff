"""The course: a class in which nearly everybody does something else wrong."""

import ast
import copy
import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("nbgrader")
from minidalle.__main__ import main
from minidalle.course import execution, folder, grading, sandbox, trial, variants

A1 = folder.SOURCE / "a1" / "a1.ipynb"
ALL, WRITTEN = 24, 4  # points of a1 that tests give, and those given by hand


# ---- small parts ------------------------------------------------------------------------


def test_whose_notebook_it_is(tmp_path):
    handed_out = tmp_path / "handout" / "ada" / "a1"
    graded = tmp_path / "autograded" / "ben" / "a1"
    for path in (handed_out, graded):
        path.mkdir(parents=True)
        (path / variants.HANDED_OUT).write_text("ada\n")
    assert variants.student(handed_out) == "ada"
    assert variants.student(graded) == "ben"  # whatever name was handed in with it
    assert variants.student(tmp_path) == variants.NOBODY


def test_students_get_all_variants():
    options = ["newest", "longest", "shortest", "balanced"]
    chosen = [variants.choice(f"student{i}", "a1 rule", options) for i in range(400)]
    assert all(70 <= chosen.count(option) <= 130 for option in options)


def test_names_of_students(tmp_path):
    (tmp_path / "class.txt").write_text("ada\n\nben\nada\n")
    assert folder.students_of(["cleo"], tmp_path / "class.txt") == ["cleo", "ada", "ben"]
    for bad in ("../ada", "a b", ".", "-x", ""):
        with pytest.raises(ValueError, match="cannot be a student's name"):
            folder.students_of([bad], None)
    with pytest.raises(ValueError, match="/dev/zero is too large"):
        folder.students_of([], Path("/dev/zero"))


def test_solutions_are_read_from_a_file():
    text = "# === wrong: off by one | loses a-test, b-test\n# --- a\nx = 1\n# === right: plain\n"
    wrong, right = trial.solutions(text)
    assert wrong.loses == {"a-test", "b-test"} and wrong.cells == {"a": "x = 1\n"}
    assert right.name == "plain" and not right.loses
    for bad in ("# === right: r | loses t", "# === wrong: w", "# === right: r\nx = 1"):
        with pytest.raises(ValueError):
            trial.solutions(bad)


def test_a_change_must_fit_the_source():
    for text in ("#- x = 3\n#+ x = 4\n", "#- x\n#+ z\n"):
        with pytest.raises(ValueError, match="stands [02] times"):
            trial.written_out(text, "x = 1\nx\nx\n")


@pytest.mark.parametrize("name", folder.assignments())
def test_every_assignment_was_tried(name):
    found = trial.solutions((trial.TRIED / f"{name}.py").read_text("utf-8"))
    assert sum(bool(solution.loses) for solution in found) >= 8
    assert sum(not solution.loses for solution in found) >= 3
    tests = [cell for cell in notebook(folder.SOURCE / name / f"{name}.ipynb") if points(cell)]
    own = {
        cell["metadata"]["nbgrader"]["grade_id"] for cell in tests if cell["cell_type"] == "code"
    }
    assert own == set().union(*(solution.loses for solution in found)), "a test nobody fails"
    for cell in tests:
        if cell["cell_type"] == "code":
            assert isinstance(ast.parse(text(cell)).body[-1], ast.Assert), "no mark may be shown"


@pytest.mark.slow
def test_a_right_solution_loses_nothing_and_a_wrong_one_its_own_test():
    results = list(trial.trials(["a1"], ("ada", "cleo")))
    assert len(results) >= 2 * 12
    assert [r for r in results if not r.as_expected] == []


def test_what_is_no_course_is_not_made_one(tmp_path, capsys):
    where = "--course", str(tmp_path / "course")
    assert main(["course", "release", "a99", *where]) == 2
    assert "there is no assignment a99" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    folder.prepare(tmp_path / "course")  # and nothing was released
    assert main(["course", "report", *where]) == 2
    assert "has no marks: begin with `course release`" in capsys.readouterr().err
    assert {path.name for path in (tmp_path / "course").iterdir()} == {folder.CONFIG, "source"}


# ---- a class ----------------------------------------------------------------------------


def notebook(path: Path) -> list[dict]:
    return json.loads(path.read_text("utf-8"))["cells"]


def text(cell: dict) -> str:
    return "".join(cell["source"])


def points(cell: dict) -> int:
    return cell["metadata"].get("nbgrader", {}).get("points", 0)


def named(cells: list[dict], name: str) -> dict:
    return next(c for c in cells if c["metadata"].get("nbgrader", {}).get("grade_id") == name)


def says(name: str, code: str, before: bool = True):
    """A change: code before or after what a cell has."""

    def change(cells: list[dict]) -> None:
        cell = named(cells, name)
        cell["source"] = f"{code}\n{text(cell)}" if before else f"{text(cell)}\n{code}"

    return change


def twice(cells):
    for name in ("a1-merge", "a1-merge-test"):
        cells.append(copy.deepcopy(named(cells, name)))


def without_test(cells):
    cells.remove(named(cells, "a1-merge-test"))


def reordered(cells):
    cells.remove(test := named(cells, "a1-merge-test"))
    cells.insert(cells.index(named(cells, "a1-merge")), test)


def edited(cells):
    named(cells, "a1-merge-test")["source"] = "assert True"
    named(cells, "a1-merge")["source"] = "merge = None"


WRONG = "\ncount_pairs = lambda words: {}"
STRIPPED = """
import ast
class Without(ast.NodeTransformer):
    def visit_Assert(self, node): return ast.Pass()
get_ipython().ast_transformers.append(Without())"""
SEARCH = """
import os
found = []
for at, folders, names in os.walk("/"):
    folders[:] = [name for name in folders if name not in ("usr", "proc", "lib", "lib64")]
    found += [name for name in names if name.endswith((".ipynb", ".db", ".csv"))]
print("found", found)"""
STUBBORN = """
while True:
    try:
        while True: pass
    except KeyboardInterrupt:
        pass"""
DEAF = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
CLASS = {  # student → what is changed in a solved notebook, points of a1, words of the remark
    "good": (lambda cells: None, ALL, None),
    "twice": (twice, ALL, "The cell a1-merge was there 2 times"),
    "deleted": (without_test, ALL, "The cell a1-merge-test was missing"),
    "order": (reordered, ALL - 2, "in another order"),
    "edited": (edited, ALL - 2, "The test a1-merge-test had been edited"),
    "exit": (says("a1-merge", "exit()"), 7, "ended"),
    "killed": (says("a1-merge", "import os; os._exit(0)"), 7, "The cell a1-merge ended Python"),
    "endless": (says("a1-merge", "while True: pass"), ALL - 2, "was stopped after"),
    "stubborn": (says("a1-merge", STUBBORN), ALL - 2, "was stopped after"),
    "deaf": (says("a1-merge", DEAF), 7, "could not be stopped"),
    "memory": (says("a1-merge", "x = bytearray(1 << 40)"), ALL - 2, None),
    "files": (says("a1-merge", "open('../../../stolen.txt', 'w').write('x')"), ALL, None),
    "reads": (says("a1-merge", SEARCH), ALL, None),
    "stripped": (says("a1-count", STRIPPED + WRONG, False), 0, "what tests rely on was changed"),
    "silent": (
        says("a1-count", "get_ipython().showtraceback = lambda *a, **k: None" + WRONG, False),
        ALL - 2,
        None,
    ),
    "stderr": (
        says("a1-count", "import sys\nf = count_pairs\ndef count_pairs(words):\n"
             "    print('careful', file=sys.stderr)\n    return f(words)", False),
        ALL,
        None,
    ),
    "score": (
        says("a1-count", "def count_pairs(words):\n    get_ipython().displayhook(99)\n"
             "    return {}", False),
        ALL - 2,
        None,
    ),
}  # fmt: skip
PROCESSES = """
import subprocess
many = []
for _ in range(10_000):
    many.append(subprocess.Popen(["sleep", "600"]))"""
CLASS["processes"] = (says("a1-merge", PROCESSES), ALL - 2, None)
FILES = {  # student → the file that was handed in, words of the remark
    "empty": (b"", "is not a notebook"),
    "huge": (b" " * (grading.LARGEST + 1), "MB, more than"),
    "image": (b"\x89PNG\r\n", "is not a notebook"),
    "list": (b"[]", "is not a notebook"),
    "other": (b'{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}', "handed out"),
}


@pytest.fixture(scope="module")
def graded(tmp_path_factory) -> tuple[Path, dict[str, dict]]:
    """A course folder in which a class was graded, and its table of marks by student."""
    course = tmp_path_factory.mktemp("class") / "course"
    names = [*CLASS, *FILES, "missing", "unsolved"]
    (course.parent / "class.txt").write_text("\n".join(names))
    where = "--course", str(course)
    assert (
        main(["course", "release", "a1", *where, "--students", f"{course.parent}/class.txt"]) == 0
    )
    with open(course / folder.CONFIG, "a") as file:
        file.write("c.Execute.timeout = 6\n")
    for name in names:
        shutil.copytree(course / "handout" / name / "a1", course / "submitted" / name / "a1")
    for name, (change, _, _) in CLASS.items():
        solve(course / "submitted" / name / "a1" / "a1.ipynb", change)
    for name, (content, _) in FILES.items():
        (course / "submitted" / name / "a1" / "a1.ipynb").write_bytes(content)
    os.remove(course / "submitted" / "missing" / "a1" / "a1.ipynb")
    assert main(["course", "grade", "a1", *where]) == 0
    assert main(["course", "report", *where]) == 0
    with open(course / "marks.csv", newline="", encoding="utf-8") as file:
        return course, {row["student"]: row for row in csv.DictReader(file)}


def solve(path: Path, change) -> None:
    """Put the solutions of the source into a student's copy, and change something."""
    whole = json.loads(path.read_text("utf-8"))
    source = notebook(A1)
    for cell in whole["cells"]:
        about = cell["metadata"].get("nbgrader", {})
        if about.get("solution"):
            cell["source"] = text(named(source, about["grade_id"]))
    change(whole["cells"])
    path.write_text(json.dumps(whole), "utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("student", CLASS)
def test_a_submission_gets_its_mark_and_a_sentence(graded, student):
    _, expected, words = CLASS[student]
    row = graded[1][student]
    assert float(row["points"]) == expected, row
    assert words is None or words in row["remarks"], row
    assert float(row["by hand"]) == WRITTEN or expected < ALL


@pytest.mark.slow
@pytest.mark.parametrize("student", FILES)
def test_a_file_that_is_no_notebook_costs_only_its_own_mark(graded, student):
    row = graded[1][student]
    assert float(row["points"]) == 0 and FILES[student][1] in row["remarks"], row


@pytest.mark.slow
def test_the_rest_of_the_class(graded):
    course, rows = graded
    assert float(rows["unsolved"]["points"]) == 0
    assert "was not handed in" in rows["missing"]["remarks"]
    assert float(rows["good"]["of"]) == ALL + WRITTEN and rows["good"]["remarks"] == ""
    assert (course / "feedback" / "good" / "a1" / "a1.html").stat().st_size > 10_000
    assert not (course / "stolen.txt").exists()


@pytest.mark.slow
def test_feedback_says_what_was_wrong_and_shows_no_hidden_test(graded):
    page = (graded[0] / "feedback" / "order" / "a1" / "a1.html").read_text("utf-8")
    assert "NameError" in page and "_count_pairs" not in page and "HIDDEN" not in page


@pytest.mark.slow
def test_a_student_finds_no_tests_and_no_other_submissions(graded):
    if not sandbox.available():
        pytest.skip("no namespaces here: only limits hold, and `course grade` says so")
    cells = notebook(graded[0] / "autograded" / "reads" / "a1" / "a1.ipynb")
    (said,) = named(cells, "a1-merge")["outputs"]
    assert "".join(said["text"]).strip() == "found []"


def test_students_copies_hold_no_solution(graded_once):
    released = notebook(graded_once / "handout" / "ada" / "a1" / "a1.ipynb")
    whole = "\n".join(map(text, released))
    assert "HIDDEN" not in whole and "SOLUTION" not in whole and "_encode" not in whole
    assert "YOUR CODE HERE" in whole


@pytest.fixture(scope="module")
def graded_once(tmp_path_factory) -> Path:
    course = tmp_path_factory.mktemp("once") / "course"
    folder.release(course, ["a1"], ["ada"])
    solved = course / "submitted" / "ada" / "a1"
    shutil.copytree(course / "handout" / "ada" / "a1", solved)
    solve(solved / "a1.ipynb", lambda cells: None)
    return course


@pytest.mark.slow
def test_nbgraders_own_commands_do_the_same(graded_once):
    nbgrader = str(Path(sys.executable).with_name("nbgrader"))
    for words in (["autograde", "a1"], ["generate_feedback", "a1"]):
        path = os.pathsep.join([str(Path(nbgrader).parent), os.environ["PATH"]])
        subprocess.run([nbgrader, *words], cwd=graded_once, check=True, capture_output=True,
                       env=os.environ | {"PATH": path})  # fmt: skip
    (row,) = grading.report(graded_once)
    assert (row["student"], row["points"], row["by hand"]) == ("ada", ALL, WRITTEN)


def test_what_counts_as_an_edited_test():
    original = "assert 1\n### BEGIN HIDDEN TESTS\nassert 2\n### END HIDDEN TESTS\nassert 3"
    assert execution.same("assert 1\n\nassert 3\n", original)
    assert not execution.same("assert 1", original)
