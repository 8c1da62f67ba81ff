"""The tests of the assignments are tested: on right solutions, and on planted mistakes.

Beside the sources lies, for each assignment, a file of solutions in notebooks/assignments/tried.
A right one, however it is written, must get full marks. A wrong one holds one misconception and
must lose the points of its own test, and of no test that does not depend on it. Cells that a
solution does not have are those of the source. A cell is written out, or what it changes in that
of the source: lines taken away, which must stand there once, and those in their place.

    # === right: with slices
    # --- a1-merge
    def merge(word, pair, new): ...
    # === wrong: counts words, not how often they occur | loses a1-count-test
    # --- a1-count
    #-             counts[pair] += times
    #+             counts[pair] += 1

A cell is worth its points if it raises nothing, as in nbgrader, so it is enough to execute the
cells one after the other in a process of their own.
"""

import multiprocessing
import os
import re
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from minidalle.course.folder import SOURCE, assignments, checked
from minidalle.course.variants import HANDED_OUT

TRIED = SOURCE.parent / "tried"
STUDENTS = ("ada", "ben", "cleo", "dan", "eva", "hana")  # whose variants differ
SECONDS = 120  # for a whole notebook
SOLUTION = re.compile(r"^# === (right|wrong): (.+?)(?: \| loses (.+))?$")
CELL = re.compile(r"^# --- (\S+)$")
CHANGE = re.compile(r"((?:^#- .*\n)+)((?:^#\+ .*\n)*)", re.MULTILINE)
MARKS = re.compile(r"^ *### (?:BEGIN|END) SOLUTION *\n", re.MULTILINE)


@dataclass
class Solution:
    """One solution of an assignment: the cells it has, and the tests that it must fail."""

    name: str
    loses: set[str]
    cells: dict[str, str] = field(default_factory=dict)


def solutions(text: str) -> list[Solution]:
    """The solutions in a file. Raises ValueError for lines that belong to none."""
    found: list[Solution] = []
    cell = None
    for line in text.splitlines():
        if head := SOLUTION.match(line):
            loses = set(re.split(r"[, ]+", head[3])) if head[3] else set()
            if (head[1] == "wrong") != bool(loses):
                raise ValueError(f"{head[2]!r}: a wrong solution loses tests, a right one none")
            found.append(Solution(head[2], loses))
            cell = None
        elif found and (name := CELL.match(line)):
            cell = name[1]
            found[-1].cells[cell] = ""
        elif cell:
            found[-1].cells[cell] += line + "\n"
        elif found and line.strip():
            raise ValueError(f"{line!r} belongs to no cell")
    return found


def written_out(text: str, source: str) -> str:
    """A solution's cell, given that of the source. Raises ValueError for a change that fits not.

    >>> written_out("#- x = 1\\n#+ x = 2\\n", "x = 1\\ny = 3\\n")
    'x = 2\\ny = 3\\n'
    """
    changes = CHANGE.findall(text)
    if not changes:
        return text
    for away, instead in changes:
        away, instead = (
            re.sub("^#[-+] ", "", lines, flags=re.MULTILINE) for lines in (away, instead)
        )
        if source.count(away) != 1:
            raise ValueError(
                f"{away!r} stands {source.count(away)} times in the cell of the source"
            )
        source = source.replace(away, instead)
    return source


def lost(cells: list[NotebookNode], solution: Solution, student: str) -> dict[str, str]:
    """The tests that a solution fails as this student's, and what they say."""
    context = multiprocessing.get_context("fork")  # what is imported already need not be again
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_execute, args=(cells, solution, student, there))
    process.start()
    there.close()
    try:
        return here.recv() if here.poll(SECONDS) else {"(all)": "it took too long"}
    except EOFError:
        return {"(all)": "it ended Python"}
    finally:
        process.kill()
        process.join()


def _execute(cells: list[NotebookNode], solution: Solution, student: str, answer) -> None:
    """Execute the cells and send what those that failed said."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    warnings.simplefilter("error")  # nbgrader by itself takes a warning for a failure
    failed, names = {}, {"__name__": "__main__"}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path(HANDED_OUT).write_text(student, "utf-8")
        for cell in cells:
            about = cell.metadata.get("nbgrader", {})
            name = about.get("grade_id", "a cell without a name")
            if cell.cell_type != "code":
                continue
            source = MARKS.sub("", cell.source + "\n")
            source = written_out(solution.cells.get(name, source), source)
            try:
                exec(compile(source, name, "exec"), names)
            except Exception as error:
                failed[name if about.get("grade") else f"({name})"] = repr(error)
    answer.send(failed)


@dataclass
class Result:
    """What a solution lost, beside what it had to lose."""

    assignment: str
    student: str
    solution: Solution
    lost: dict[str, str]  # test → the error it raised

    @property
    def key(self) -> tuple[str, str]:
        """Which solution it is."""
        return self.assignment, self.solution.name

    @property
    def as_expected(self) -> bool:
        return self.lost.keys() == self.solution.loses


def trials(names: list[str], students: Sequence[str] = ()) -> Iterator[Result]:
    """Every solution of the assignments, as every student's."""
    import torch
    import torch._dynamo  # here, once: every process's first optimiser would load it
    import torch.autograd.functional

    torch.set_num_threads(1)  # a forked process may not use threads that it did not start
    for name in checked(names, assignments()):
        cells = nbformat.read(SOURCE / name / f"{name}.ipynb", as_version=4).cells
        source = Solution("as in the source", set())
        for solution in [source, *solutions((TRIED / f"{name}.py").read_text("utf-8"))]:
            for student in students or STUDENTS:
                yield Result(name, student, solution, lost(cells, solution, student))
