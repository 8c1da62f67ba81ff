"""`minidalle course`: hand out assignments, grade what comes back, and test the tests.

Needs nbgrader: `pip install minidalle[course]`.
"""

import sys
from collections import defaultdict


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
        print(path)


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
    print(f"feedback in {args.course / 'feedback'}")


def report(args) -> None:
    """Write one table of all marks."""
    needs_nbgrader()
    from minidalle.course import grading

    path = args.out or args.course / "marks.csv"
    print(f"{path}: {grading.write_report(args.course, path)} submissions")


def check(args) -> None:
    """Try the tests of the assignments on right and wrong solutions; exit code 1 if one fails."""
    needs_nbgrader()
    from minidalle.course.trial import trials

    rows: dict[tuple, list] = defaultdict(list)
    for result in trials(args.assignment):
        rows[result.assignment, result.solution.name].append(result)
    for (assignment, name), own in rows.items():
        fitting = sum(result.as_expected for result in own)
        loses = ", ".join(sorted(own[0].solution.loses)) or "nothing"
        print(f"{assignment}  {name}: loses {loses}, for {fitting} of {len(own)} students")
        for result in own:
            if not result.as_expected:
                lost = "; ".join(f"{k}: {v}" for k, v in sorted(result.lost.items())) or "nothing"
                print(f"      as {result.student}: {lost}")
                break
    if wrong := sum(not result.as_expected for own in rows.values() for result in own):
        raise ValueError(f"{wrong} trials did not lose just what they should")
