"""A course folder, and the copies that students get.

It is a course of nbgrader: source/ has the assignments with solutions and hidden tests, release/
what students may see. handout/ has a folder for each student, with the name beside the notebooks,
from which the variants follow. What they hand in belongs into submitted/NAME/ASSIGNMENT/.
"""

import logging
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config, PyFileConfigLoader

from minidalle.course.variants import HANDED_OUT
from minidalle.files import lines_of, whole_file

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "notebooks" / "assignments" / "source"
MOST_NAMES = 2**20  # bytes of --students
CONFIG = "nbgrader_config.py"
SETTINGS = """# What differs from nbgrader's defaults, for its own commands too.

c = get_config()
c.CourseDirectory.course_id = "minidalle"
c.OverwriteCells.add_missing_cells = True  # a test that was deleted is run all the same
c.Autograde.sanitize_preprocessors = [
    "minidalle.course.execution.Inspect",
    "nbgrader.preprocessors.ClearOutput",
    "nbgrader.preprocessors.DeduplicateIds",
    "nbgrader.preprocessors.OverwriteKernelspec",
    "nbgrader.preprocessors.OverwriteCells",
    "nbgrader.preprocessors.CheckCellMetadata",
]
c.Autograde.autograde_preprocessors = [
    "minidalle.course.execution.Execute",
    "nbgrader.preprocessors.LimitOutput",
    "nbgrader.preprocessors.SaveAutoGrades",
    "nbgrader.preprocessors.AssignLatePenalties",
    "nbgrader.preprocessors.CheckCellMetadata",
]
c.GenerateFeedback.preprocessors = [
    "nbgrader.preprocessors.GetGrades",
    "nbgrader.preprocessors.ClearHiddenTests",  # others may still hand in, this year or next
    "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
]
"""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # of a student: also the name of a folder


def assignments(source: Path = SOURCE) -> list[str]:
    """The names of all assignments, in order."""
    return sorted(path.parent.name for path in source.glob("*/*.ipynb"))


def checked(names: list[str], known: list[str]) -> list[str]:
    """The names, or all known ones if there are none. Raises ValueError for one unknown."""
    for name in names:
        if name not in known:
            raise ValueError(f"there is no assignment {name}: choose from {', '.join(known)}")
    return names or known


def students_of(names: list[str], file: Path | None) -> list[str]:
    """The names given, and those in a file, one a line. Raises ValueError if one is no name."""
    found = list(dict.fromkeys([*names, *(lines_of(file, MOST_NAMES) if file else [])]))
    for name in found:
        if not NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} cannot be a student's name: it becomes a folder, so use letters, "
                "digits, dots, dashes and underscores"
            )
    return found


def prepare(folder: Path, source: Path = SOURCE) -> None:
    """Make a course folder, or bring an old one up to date."""
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / CONFIG) as file:
        file.write_text(SETTINGS, "utf-8")
    shutil.copytree(source, folder / "source", dirs_exist_ok=True)


def open_course(folder: Path) -> NbGraderAPI:
    """nbgrader's interface to a course folder, with its settings."""
    if not (folder / CONFIG).is_file():
        raise FileNotFoundError(f"{folder} is no course folder: make it with `course release`")
    scripts = str(Path(sys.executable).parent)  # nbgrader calls alembic by its bare name
    if scripts not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = scripts + os.pathsep + os.environ["PATH"]
    config = PyFileConfigLoader(CONFIG, path=str(folder.resolve())).load_config()
    config.merge(Config({"CourseDirectory": {"root": str(folder.resolve())}}))
    api = NbGraderAPI(CourseDirectory(config=config), config=config)
    api.log.setLevel(logging.CRITICAL)
    return api


def must(result: dict[str, Any], doing: str) -> None:
    """Raise ValueError, in one sentence, if nbgrader failed."""
    if not result["success"]:
        lines = (result.get("error") or result.get("log") or "no reason given").strip().splitlines()
        raise ValueError(f"{doing} failed: {lines[-1].strip()}")


def release(folder: Path, names: list[str], students: list[str]) -> list[Path]:
    """Make the students' versions of assignments and each student's copy; returns the folders."""
    known = {*assignments(), *assignments(folder / "source")}  # an instructor may add some
    names = checked(names, sorted(known))  # before anything is made
    prepare(folder)
    api, made = open_course(folder), []
    for name in names:
        must(api.generate_assignment(name, force=True), f"making the students' version of {name}")
        made.append(folder / "release" / name)
        for student in students:
            copy = folder / "handout" / student / name
            shutil.copytree(folder / "release" / name, copy, dirs_exist_ok=True)
            with whole_file(copy / HANDED_OUT) as file:
                file.write_text(student + "\n", "utf-8")
            made.append(copy)
    return made
