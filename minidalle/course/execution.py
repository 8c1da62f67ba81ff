"""How a submission is run: whatever it does, it gets its mark and one sentence for each oddity.

nbgrader's converters do the work. Two of their steps are replaced. `Inspect` compares the
submission with what was handed out, before nbgrader puts edited tests right again. `Execute` runs
the cells in a sandbox and survives a kernel that dies or hangs: what was reached is marked. It
also makes sure that a test can fail (students have patched the tools that tests use), and that a
mark depends on nothing but whether the test cell raised an error.
"""

import asyncio
import re
from random import SystemRandom
from typing import Any

from jupyter_core.utils import run_sync
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbgrader import utils
from nbgrader.api import Gradebook
from nbgrader.preprocessors import Execute as NbGraderExecute
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.preprocessors.execute import UnresponsiveKernelError
from traitlets import Integer

from minidalle.course.sandbox import Sandboxed

SECONDS = 60  # for one cell
PATIENCE = 5  # seconds, for a kernel to answer after it was interrupted
LONGEST = 10_000  # characters of what a cell printed that are kept
HIDDEN = re.compile(r"### BEGIN HIDDEN TESTS.*?### END HIDDEN TESTS", re.DOTALL)
BROKEN = (DeadKernelError, CellTimeoutError, UnresponsiveKernelError, asyncio.TimeoutError)

# Each must raise AssertionError: {a} and {b} are two different numbers.
MUST_FAIL = (
    "assert False",
    "assert {a} == {b}",
    "import torch; assert torch.equal(torch.tensor({a}), torch.tensor({b}))",
    "import torch; assert torch.allclose(torch.tensor({a}.0), torch.tensor({b}.0))",
    "import torch; torch.testing.assert_close(torch.tensor({a}.0), torch.tensor({b}.0))",
    "import numpy; assert numpy.allclose({a}.0, {b}.0)",
    "import numpy; numpy.testing.assert_allclose({a}.0, {b}.0)",
    "import math; assert math.isclose({a}, {b})",
    "assert all([{a} == {b}]) or any([{a} == {b}])",
    "assert max({a}, {b}) == min({a}, {b})",
    "assert abs({a} - {b}) < 0.5",
)
MUST_PASS = (
    "import torch; assert torch.equal(torch.tensor({a}), torch.tensor({a}))",
    "from minidalle.course import variants; assert variants.student() == ME == {student!r}",
)


def remark(nb: NotebookNode, sentence: str) -> None:
    """Note a sentence about a submission, once."""
    found = nb.metadata.setdefault("remarks", [])
    if sentence not in found:
        found.append(sentence)


def name_of(cell: NotebookNode) -> str | None:
    """nbgrader's name of a cell; None if it has none."""
    return cell.metadata.get("nbgrader", {}).get("grade_id")


class Inspect(NbGraderPreprocessor):
    """Say what was changed that was not to be changed."""

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]):
        nb.metadata.pop("remarks", None)  # a student cannot write them
        own = resources["nbgrader"]
        with Gradebook(own["db_url"]) as gradebook:
            source = gradebook.find_notebook(own["notebook"], own["assignment"])
            cells = {cell.name: cell for cell in source.source_cells}
            locked = {name: cell.source for name, cell in cells.items() if cell.locked}
        handed_in = [name for cell in nb.cells if (name := name_of(cell)) in cells]
        for name in cells:
            count = handed_in.count(name)
            if not count:
                remark(nb, f"The cell {name} was missing; it was added again.")
            elif count > 1:
                remark(nb, f"The cell {name} was there {count} times; the last one counts.")
        once = list(dict.fromkeys(handed_in))
        if once != [name for name in cells if name in once]:
            remark(nb, "The cells are in another order than in the assignment; so they were run.")
        found: set[str] = set()
        for cell in reversed(nb.cells):
            name = name_of(cell)
            if name in locked and not same(cell.source, locked[name]):
                remark(nb, f"The test {name} had been edited; the original was used.")
            if name in found or name not in cells:
                cell.metadata.pop("nbgrader", None)  # from here on an ordinary cell
            found.add(name)
        return nb, resources


def same(cell: str, original: str) -> bool:
    """Is this the locked cell, as students have it: without hidden tests?"""
    return cell.split() == HIDDEN.sub("", original).split()


class Execute(NbGraderExecute):
    """Run every cell, in a sandbox; go on whatever happens."""

    timeout = Integer(SECONDS, allow_none=True).tag(config=True)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, kernel_manager_class=Sandboxed, **kwargs)

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any], **kwargs):
        self.ended = ""  # why no more cells can be run
        self.student = resources["nbgrader"]["student"]
        return super().preprocess(nb, resources, **kwargs)

    async def async_execute_cell(self, cell: NotebookNode, cell_index: int, *args, **kwargs):
        """Run one cell. A test's outputs are what it raised, and nothing else."""
        if cell.cell_type != "code" or not cell.source.strip():
            return cell
        tested, where = utils.is_grade(cell), name_of(cell) or f"number {cell_index + 1}"
        if not self.ended and tested:
            await self.guard(where)
        if self.ended:
            cell.outputs = [failure("NotRun", self.ended)]
            return cell
        try:
            await super().async_execute_cell(cell, cell_index, *args, **kwargs)
        except BROKEN as error:
            slow = isinstance(error, (CellTimeoutError, UnresponsiveKernelError))
            why = "did not end in time and could not be stopped" if slow else "ended Python"
            self.stop(f"The cell {where} {why}; nothing after it was run.")
            cell.outputs = [failure("NotRun", self.ended)]
        else:
            if any(output.get("ename") == "CellTimeoutError" for output in cell.outputs):
                remark(self.nb, f"The cell {where} was stopped after {self.timeout} seconds.")
                await self.see_whether_it_answers(where)
        cell.outputs = kept(cell.outputs, only_errors=tested)
        return cell

    execute_cell = run_sync(async_execute_cell)  # nbclient's is bound to its own

    def stop(self, sentence: str) -> None:
        self.ended = sentence
        remark(self.nb, sentence)

    async def guard(self, where: str) -> None:
        """Before a test: does a wrong assertion still fail, and a right one pass?"""
        a, b = SystemRandom().sample(range(10, 99), 2)
        rows = [(code.format(a=a, b=b), "AssertionError") for code in MUST_FAIL]
        rows += [(code.format(a=a, student=self.student), None) for code in MUST_PASS]
        SystemRandom().shuffle(rows)
        try:
            for code, raised in rows:
                if await self.raises(code, SECONDS) != raised:
                    return self.stop(f"Before the test {where}, what tests rely on was changed.")
        except BROKEN:
            self.stop(f"Before the test {where}, Python had ended; nothing after it was run.")

    async def raises(self, code: str, seconds: int) -> str | None:
        """The name of the error that some code raises in the kernel; None if it raises none."""
        message = self.kc.execute(code, store_history=False, silent=False, stop_on_error=False)
        usual, self.timeout = self.timeout, None  # a slow import is nobody's fault
        try:
            reply = await asyncio.wait_for(self.async_wait_for_reply(message), seconds)
        finally:
            self.timeout = usual
        return reply["content"].get("ename")

    async def see_whether_it_answers(self, where: str) -> None:
        try:
            await self.raises("pass", PATIENCE)
        except BROKEN:
            self.stop(f"The cell {where} could not be stopped; nothing after it was run.")


def failure(name: str, sentence: str) -> NotebookNode:
    """An output that says what went wrong."""
    return NotebookNode(
        output_type="error", ename=name, evalue=sentence, traceback=[f"{name}: {sentence}"]
    )


def kept(outputs: list[NotebookNode], only_errors: bool) -> list[NotebookNode]:
    """What is kept of a cell's outputs.

    nbgrader takes a number that a test displays for a mark, and anything written to stderr, such
    as a warning, for a failure. Neither may decide about points, so of a test only the error
    remains, without the lines of hidden tests that a traceback would show.
    """
    if only_errors:
        errors = [output for output in outputs if output.output_type == "error"][:1]
        return [failure(error.ename, error.evalue or "see the test above") for error in errors]
    for output in outputs:
        if output.output_type == "stream":
            output.text = output.text[:LONGEST]
    return outputs
