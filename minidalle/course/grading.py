"""Grade what was handed in, one student after another, and write one table of all marks.

Each submission is graded by a process of its own, so that nothing a student hands in can stop
the class or reach another's marks. nbgrader keeps the marks in gradebook.db; beside each graded
notebook lies `remarks.json`, with a sentence for everything that was odd.
"""

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import nbformat
from nbgrader.api import Gradebook, MissingEntry

from minidalle.course.folder import assignments, checked, must, open_course
from minidalle.files import whole_file

LARGEST = 5_000_000  # bytes of a notebook that is handed in
SECONDS = 900  # for all cells of a submission
REMARKS = "remarks.json"
HEAD = ("student", "assignment", "points", "of", "by hand", "remarks")


def unfit(path: Path) -> str | None:
    """Why a file cannot be graded at all; None if it can."""
    if not path.is_file():
        return f"{path.name} was not handed in."
    if (size := path.stat().st_size) > LARGEST:
        return f"{path.name} has {size / 1e6:.0f} MB, more than the {LARGEST / 1e6:.0f} allowed."
    try:
        notebook = nbformat.reads(path.read_text("utf-8"), as_version=4)
        nbformat.validate(notebook)
    except Exception:  # whatever a file can hold
        return f"{path.name} is not a notebook."
    if not any(cell.metadata.get("nbgrader") for cell in notebook.cells):
        return f"{path.name} is not the notebook that was handed out."
    return None


def handed_in(folder: Path, assignment: str, students: list[str]) -> list[str]:
    """Who handed in something, or of these who did."""
    found = sorted(path.parent.name for path in folder.glob(f"submitted/*/{assignment}"))
    return [name for name in found if not students or name in students]


def grade(
    folder: Path, names: list[str], students: list[str], jobs: int = 2
) -> Iterator[tuple[str, str, list[str]]]:
    """Grade submissions; yields (student, assignment, remarks) as each is done."""
    open_course(folder)
    for assignment in checked(names, assignments(folder / "source")):
        who = handed_in(folder, assignment, students)
        with ThreadPoolExecutor(jobs) as pool:
            done = pool.map(partial(grade_one, folder, assignment), who)
            for student, remarks in zip(who, done):
                yield student, assignment, remarks


def grade_one(folder: Path, assignment: str, student: str) -> list[str]:
    """Grade one submission in another process; returns its remarks."""
    submitted = folder / "submitted" / student / assignment / f"{assignment}.ipynb"
    command = [sys.executable, "-m", __name__, str(folder), assignment, student]
    if reason := unfit(submitted):
        command.append(reason)
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    )
    try:
        _, said = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return note(folder, assignment, student, ["Grading took too long and was stopped."])
    if process.returncode:
        last = (said.strip().splitlines() or ["no reason given"])[-1]
        return note(folder, assignment, student, [f"It could not be graded: {last}"])
    return remarks_of(folder, assignment, student)


def note(folder: Path, assignment: str, student: str, remarks: list[str]) -> list[str]:
    """Store the remarks about a submission."""
    path = folder / "autograded" / student / assignment / REMARKS
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write_text(json.dumps(remarks, ensure_ascii=False, indent=1), "utf-8")
    return remarks


def remarks_of(folder: Path, assignment: str, student: str) -> list[str]:
    path = folder / "autograded" / student / assignment / REMARKS
    return json.loads(path.read_text("utf-8")) if path.is_file() else []


def run(folder: Path, assignment: str, student: str, reason: str = "") -> None:
    """What the other process does. With a reason, the submission is worth no points."""
    api = open_course(folder)
    if reason:
        with Gradebook(api.coursedir.db_url) as gradebook:
            gradebook.update_or_create_student(student)
            submission = gradebook.update_or_create_submission(assignment, student)
            for notebook in submission.notebooks:
                for mark in notebook.grades:
                    mark.auto_score, mark.needs_manual_grade = 0, False
            gradebook.db.commit()
        note(folder, assignment, student, [reason])
        return
    must(api.autograde(assignment, student, force=True), "grading")
    graded = folder / "autograded" / student / assignment / f"{assignment}.ipynb"
    found = nbformat.read(graded, as_version=4).metadata.get("remarks", [])
    note(folder, assignment, student, found)
    must(api.generate_feedback(assignment, student, force=True), "writing the feedback")


def report(folder: Path) -> list[dict[str, str | float]]:
    """A row for each submission: its points, what is still to be graded by hand, and remarks."""
    api, rows = open_course(folder), []
    if not (folder / "gradebook.db").is_file():  # nbgrader would make an empty one
        raise FileNotFoundError(f"{folder} has no marks: begin with `course release`")
    with Gradebook(api.coursedir.db_url) as gradebook:
        for assignment in gradebook.assignments:
            for student in handed_in(folder, assignment.name, []):
                try:
                    submission = gradebook.find_submission(assignment.name, student)
                except MissingEntry:
                    continue
                by_hand = [
                    m for n in submission.notebooks for m in n.grades if m.needs_manual_grade
                ]
                values = (student, assignment.name, submission.score, submission.max_score)
                left = sum(mark.max_score for mark in by_hand)
                told = " ".join(remarks_of(folder, assignment.name, student))
                rows.append(dict(zip(HEAD, (*values, left, told))))
    return sorted(rows, key=lambda row: (row["assignment"], row["student"]))


def write_report(folder: Path, path: Path) -> int:
    """Write the table as CSV; returns how many rows it has."""
    rows = report(folder)
    with whole_file(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, HEAD)
        table.writeheader()
        table.writerows(rows)
    return len(rows)


if __name__ == "__main__":
    run(Path(sys.argv[1]), *sys.argv[2:])
