"""A course that grades itself: `minidalle course release | grade | report | check`.

The assignments are notebooks in notebooks/assignments/source, in nbgrader's format; nbgrader
makes the students' copies, runs them and keeps the marks. What is added here:

    variants.py    each student's own numbers and rules, from a hash of the name
    folder.py      a course folder, the students' copies, what may be handed in
    execution.py   how a submission is run: whatever it does, it gets its mark and a sentence
    sandbox.py     the process in which it is run: no network, no files, limits
    grading.py     one student after another, feedback, one table
    trial.py       the tests are tested: planted mistakes must lose just their own points
"""
