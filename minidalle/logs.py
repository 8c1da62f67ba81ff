"""The log of a run, NAME.csv: a row of averages for every few steps."""

import csv
import sys
from pathlib import Path

from minidalle.files import whole_file
from minidalle.words import shown


def append_row(table: Path, row: dict[str, float]) -> None:
    """Append a row, below the names of the columns in a new file; OSError names the file."""
    new = not table.exists()
    try:
        with open(table, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, row)
            if new:
                writer.writeheader()
            writer.writerow(row)
    except OSError as error:
        raise OSError(f"{table} cannot be written ({error.strerror or error})") from None


def cut_table(table: Path, step: int) -> None:
    """Drop rows later than `step`: a killed run may have logged more than it saved.

    A row that was torn by the kill is dropped too. A file that is no log as written here is renamed
    to NAME.csv.old, or NAME.csv.old2, …, and stderr says so.
    """
    if not table.exists():
        return
    try:
        kept = rows_until(step, text_of(table))
    except ValueError:
        aside = free_name(table)
        table.replace(aside)
        said = f"{table} is not as it was written: renamed to {aside.name}"
        print(f"minidalle: {shown(said)}", file=sys.stderr)
        return
    if len(kept) > 1:
        with whole_file(table) as part:
            part.write_bytes("".join(kept).encode("utf-8"))
    else:
        table.unlink()


def text_of(table: Path) -> str:
    """The text in a file; raises ValueError if there is none, or no end of it, as in a device."""
    if table.exists() and not (table.is_file() or table.is_dir()):
        raise ValueError("no ordinary file")
    return table.read_bytes().decode("utf-8")


def rows_until(step: int, text: str) -> list[str]:
    """The lines of a log up to a step, with the names of its columns; ValueError if it is none."""
    lines = text.splitlines(keepends=True)
    torn = "" if not lines or lines[-1].endswith("\n") else lines.pop()
    if not lines and "step,lr,loss".startswith(torn[:12]):
        return []
    head, *rows = lines
    columns = head.strip().split(",")
    if columns[:3] != ["step", "lr", "loss"]:
        raise ValueError("other columns")
    rows = [row for row in rows if row.strip()]
    numbers = [list(map(float, row.split(","))) for row in rows]
    if any(len(row) != len(columns) for row in numbers):
        raise ValueError("other columns")
    return [head] + [row for row, (at, *_) in zip(rows, numbers) if at <= step]


def free_name(table: Path) -> Path:
    """NAME.csv.old, or the first of NAME.csv.old2, … that does not exist."""
    names = (table.with_name(f"{table.name}.old{n or ''}") for n in (0, *range(2, 10_000)))
    return next(name for name in names if not name.exists())
