"""`minidalle course`: hand out assignments, grade what comes back, and test the tests.

Needs nbgrader: `pip install minidalle[course]`.
"""

import sys
from itertools import groupby

from minidalle.words import shown


def needs_nbgrader() -> None:
    """Raise ValueError, in one sentence, if nbgrader is not installed."""
    try:
        import nbgrader  # noqa: F401
    except ImportError:
        raise ValueError(
            "the course needs nbgrader: pip install 'minidalle[course]', or in this repository "
            "make .venv/.test"
        ) from None


def release(args) -> None:
    """Make the students' versions, and a copy for each student named."""
    needs_nbgrader()
    from minidalle.course import folder

    students = folder.students_of(args.student, args.students)
    for path in folder.release(args.course, args.assignment, students):
        print(shown(path))


def grade(args) -> None:
    """Grade what lies in submitted/, write feedback, and say what was odd."""
    needs_nbgrader()
    from minidalle.course import folder, grading, sandbox

    if not sandbox.available():
        print(
            "minidalle: there are no namespaces here, so submissions can read files and use the "
            "network; only their memory, files and processes are limited",
            file=sys.stderr,
        )
    students, count = folder.students_of(args.student, args.students), 0
    for student, assignment, remarks in grading.grade(
        args.course, args.assignment, students, args.jobs
    ):
        count += 1
        print(f"{assignment}  {student}", *remarks, sep="  ", flush=True)
    if not count:
        raise ValueError(f"nothing was handed in: {args.course}/submitted/NAME/ASSIGNMENT is empty")
    print(f"feedback in {shown(args.course / 'feedback')}")


def report(args) -> None:
    """Write one table of all marks."""
    needs_nbgrader()
    from minidalle.course import grading

    path = args.out or args.course / "marks.csv"
    print(f"{shown(path)}: {grading.write_report(args.course, path)} submissions")


def check(args) -> None:
    """Try the tests of the assignments on right and wrong solutions; exit code 1 if one fails."""
    needs_nbgrader()
    from minidalle.course.trial import trials

    wrong = 0
    for _, group in groupby(trials(args.assignment, args.student), key=lambda result: result.key):
        own = list(group)  # the same solution, as several students
        failed = [result for result in own if not result.as_expected]
        loses = ", ".join(sorted(own[0].solution.loses)) or "nothing"
        fitting = f"for {len(own) - len(failed)} of {len(own)} students"
        print(" ".join(own[0].key) + f": loses {loses}, {fitting}", flush=True)
        for result in failed[:1]:
            lost = "; ".join(f"{name}: {said}" for name, said in sorted(result.lost.items()))
            print(f"    as {result.student}, it lost {lost or 'nothing'}", flush=True)
        wrong += len(failed)
    if wrong:
        raise ValueError(f"{wrong} trials did not lose just what they should")
