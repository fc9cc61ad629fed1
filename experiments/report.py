"""The report on all studies: a README.md whose tables are written from csv files.

A folder of studies holds README.md, tables/ and pictures/. In the README a block such as

    <!-- table: l1_grokfast_division.csv -->
    <!-- end -->

is filled with that file of tables/; `<!-- table: FILE without COLUMN ... -->` leaves columns out,
`<!-- table: FILE of COLUMN ... -->` shows no others. tables/l1_grokfast_division.csv was
results/l1_grokfast/division/summary.csv, and other tables and the pictures are named alike.
Pictures of medians over a grid are drawn from the table, others need the histories.
"""

import csv
import re
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from grokjax.reading.pictures import grids, plots
from grokjax.reading.rows import COLUMNS, LATEST, Row, aligned, markdown
from grokjax.reading.survival import Durations, Median
from grokjax.recording.files import replacing
from grokjax.recording.history import History

TEXTS = ("part", "arm", "task", "compared_with")
ROUGHNESS = tuple(
    f"{curve}{suffix}"
    for curve in ("val_falls", "loss_rises")
    for suffix in ("", "_low", "_high", "_p")
)
LATER = ("val_at_memorising", "high_share", *ROUGHNESS, *LATEST)  # that older tables lack
LEFT_OUT = ("share", "train_accuracy", "best_val_accuracy", "diverged", "collapses", *ROUGHNESS)
OPENING = "<!-- table: "
BLOCK = re.compile(
    r"<!-- table: (\S+\.csv)(?: (without|of)((?: \w+)+))? -->\n(?:\|.*\n|\n)*<!-- end -->"
)
PICTURE = re.compile(r"\]\(pictures/(\S+\.png)\)")
DRAWN = {("curve", 1): grids.curve, ("phase", 2): grids.phase}  # over so many entries


class Arm(NamedTuple):
    """What pictures of a grid show of an arm, from its row in a table."""

    name: str
    family: str
    values: dict[str, Any]
    median: Median
    durations: Durations  # which runs grokked, but not when
    history: History  # the last evaluation, of the median run


def prepare(folder: Path, results: Path | None) -> Callable[[], None]:
    """Checks that the report can be written; returns the function that writes it.

    Args:
        folder: of the studies, with README.md, tables/ and pictures/.
        results: where studies were run, if tables and pictures are to be copied from there.
    """
    pictures = PICTURE.findall((folder / "README.md").read_text(encoding="utf-8"))
    copies = {}
    if results is not None:
        if not results.is_dir():
            raise ValueError(f"--results {results} is no folder; choose one that a study wrote")
        copies = _copies(folder, results, pictures)
    _filled(folder, copies)
    return partial(_write, folder, copies, pictures)


def read_csv(path: Path) -> list[Row]:
    """The rows that `write_csv` wrote; what is empty there is None."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = [
            dict.fromkeys(LATER) | {name: _value(name, text) for name, text in row.items()}
            for row in reader
        ]
        columns = {*(reader.fieldnames or ()), *LATER}
        missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise ValueError(f"{path} lacks the column {missing[0]!r}; choose a study's summary.csv")
    return rows


def table(rows: list[Row], which: str | None = None, columns: Sequence[str] = ()) -> str:
    """The Markdown table of a study's rows: `of` columns, or what a reader needs `without` some."""
    left_out = [*LEFT_OUT, *columns]
    if which == "of":
        left_out = [name for name, title in COLUMNS.items() if title and name not in columns]
    shown = []
    for row in rows:
        name = f"{row['part']}/{row['arm']}" if row.get("part") else row["arm"]
        shown.append(row | dict.fromkeys(left_out, "") | {"arm": name})  # empty: not shown
    return markdown(shown)


def other_table(path: Path, columns: Sequence[str]) -> str:
    """The Markdown table of some columns of any other csv file, such as precursors.csv."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    known = list(rows[0]) if rows else []
    for name in columns or known:
        if name not in known:
            raise ValueError(f"README.md: no column {name!r}; choose from {', '.join(known)}")
    texts = {name: [_short(row[name]) for row in rows] for name in columns or known}
    words = [name for name in texts if any(re.match("[a-zA-Z]", row[name]) for row in rows)]
    return aligned({name.replace("_", " "): cells for name, cells in texts.items()}, words)


def _short(text):
    """A number with three digits or more where it is large; words as they are."""
    try:
        number = float(text)
    except ValueError:
        return text
    if number and abs(number) < 0.001:
        return "< 0.001"
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def arms_of(rows: list[Row]) -> list[Arm]:
    """The arms of a table whose rows have names such as `adamw weight_decay=1`."""
    last_steps = {}  # of each family: its arms are columns of one history
    for row in rows:
        family = row["arm"].split(" ")[0]
        last_steps[family] = max(row["steps"], last_steps.get(family, 0))
    return [_arm(row, last_steps) for row in rows]


def _arm(row, last_steps):
    family, *entries = row["arm"].split(" ")
    values = dict(entry.split("=") for entry in entries)
    interval = (row["median_grok_step"], row["low"], row["high"])
    followed_R = np.full(row["runs"], row["steps"], float)
    last_evaluation = {
        "step": np.array([last_steps[family]]),
        "val_accuracy": np.array([[row["val_accuracy"]]], float),
    }
    return Arm(
        name=row["arm"],
        family=family,
        values={name: float(value) for name, value in values.items()},
        median=Median(*(np.nan if step is None else step for step in interval)),
        durations=Durations(followed_R, np.arange(row["runs"]) < row["grokked"]),
        history=History(last_evaluation),
    )


def _value(name, text):
    if name in TEXTS or not text:
        return text or None
    number = float(text)
    return int(number) if number.is_integer() else number


def _copies(folder, results, pictures):
    """{file here: file in `results`} of the tables and pictures of the studies in `results`."""
    names = {f"tables/{path.name}" for path in (folder / "tables").glob("*.csv")}
    names |= {f"pictures/{name}" for name in pictures}
    copies = {}
    for path in [*results.glob("*/*"), *results.glob("*/*/*")]:
        parts = path.relative_to(results).parts
        if path.name == "summary.csv":
            name = f"tables/{'_'.join(parts[:-1])}.csv"
        else:
            name = f"{'tables' if path.suffix == '.csv' else 'pictures'}/{'_'.join(parts)}"
        if name in names:
            copies[folder / name] = path
    return copies


def _filled(folder, copies):
    """The text of the README with its tables as the csv files have them."""

    def block(match):
        path = folder / "tables" / match[1]
        if not path.is_file():
            raise ValueError(f"README.md has a table of {path}, which does not exist; correct one")
        columns = (match[3] or "").split()
        text = _table(copies.get(path, path), match[2], columns)
        first_line = match[0].splitlines()[0]
        return f"{first_line}\n\n{text}\n<!-- end -->"

    old = (folder / "README.md").read_text(encoding="utf-8")
    text, count = BLOCK.subn(block, old)
    if count != old.count(OPENING):
        raise ValueError("README.md: a table's block has no '<!-- end -->' right after its rows")
    return text


def _table(path, which, columns):
    if not _is_summary(path):
        return other_table(path, columns)
    for name in columns:
        if name not in COLUMNS:
            raise ValueError(f"README.md: no column {name!r}; choose from {', '.join(COLUMNS)}")
    return table(read_csv(path), which, columns)


def _is_summary(path):
    with path.open(encoding="utf-8") as file:
        return {"runs", "grokked"} <= set(file.readline().strip().split(","))


def _write(folder, copies, pictures):
    for here, there in copies.items():
        with replacing(here) as path:
            shutil.copyfile(there, path)
        print(f"copied {there} to {here}")
    text = _filled(folder, {})
    with replacing(folder / "README.md") as path:
        path.write_text(text, encoding="utf-8")
    print(f"wrote {text.count(OPENING)} tables to {folder / 'README.md'}")
    left = [name for name in pictures if folder / "pictures" / name not in copies]
    for name in _drawn(folder, left):
        print(f"drew {folder / 'pictures' / name}")
        left.remove(name)
    if left:
        print(f"left as they are: {', '.join(left)}")


def _drawn(folder, pictures):
    """Draws the pictures whose numbers are in a table; yields their names."""
    for name in list(pictures):
        study, _, kind = name.removesuffix(".png").rpartition("_")
        table = folder / f"tables/{study}.csv"
        if not table.is_file() or not _is_summary(table):
            continue
        arms = arms_of(read_csv(table))
        draw = DRAWN.get((kind, len(arms[0].values)))
        if draw:
            with replacing(folder / "pictures" / name) as path:
                plots.save(draw(arms, *arms[0].values), path)
            yield name
