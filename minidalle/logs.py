"""The log of a run, NAME.csv: a row of averages for every few steps."""

import csv
import sys
from pathlib import Path


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

    An incomplete last row is dropped too. A log that was edited is renamed to NAME.csv.old.
    """
    if not table.exists():
        return
    try:
        head, *lines = table.read_text("utf-8").splitlines(keepends=True)
        rows = [line for line in lines if line.count(",") == head.count(",")]
        kept = [row for row in rows if int(row.split(",")[0]) <= step]
        as_written = head.startswith("step,") and len(rows) >= len(lines) - 1
    except ValueError:
        as_written = False
    if as_written:
        table.write_text("".join([head, *kept]), "utf-8") if kept else table.unlink()
        return
    aside = table.with_name(table.name + ".old")
    table.replace(aside)
    print(
        f"minidalle: {table} was changed since it was written: renamed to {aside.name}",
        file=sys.stderr,
    )
