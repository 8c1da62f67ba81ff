"""nbgrader's settings, copied into every course folder: its own commands do the same as ours."""

c = get_config()  # noqa: F821
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
