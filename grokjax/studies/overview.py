"""What came out of all studies, in one table."""

import io
import math
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from grokjax.reading.rows import Row, columns
from grokjax.recording.files import replacing
from grokjax.studies.runner import Runner

SIGNIFICANT = 0.05
HEADERS = ("study", "arms", "runs", "grokked", "first arm", "earliest arm", "verdict")
NOTES = """\
Behind an arm stands its median grok step with the 95 % interval. The earliest arm is chosen by
these very runs. The verdict counts the arms that grok earlier or later than the one that they are
compared with in the study's own summary.md: log-rank p below .05, however many arms there are.
"""


def write(runners: Sequence[Runner], folder: Path) -> str:
    """Writes summary.md in the folder of all results; returns it."""
    table = Table(*HEADERS, box=box.MARKDOWN)
    for runner in runners:
        for part, rows in runner.outcome.items():
            table.add_row(f"{runner.study.name} {part}".strip(), *cells(rows))
    text = io.StringIO()
    Console(file=text, width=10_000).print(table)
    lines = [line.strip() for line in text.getvalue().splitlines()]
    claims = [f"* [{r.study.name}]({r.study.name}/summary.md): {r.study.claim}" for r in runners]
    parts = ["# All studies", "\n".join(filter(None, lines)), NOTES.rstrip(), "\n".join(claims)]
    missing = [f"{runner.study.name}/{name}" for runner in runners for name in runner.missing]
    parts += [f"Not finished yet: {', '.join(missing)}."] if missing else []
    whole = "\n\n".join(parts) + "\n"
    with replacing(folder / "summary.md") as path:
        path.write_text(whole, encoding="utf-8")
    return whole


def cells(rows: Sequence[Row]) -> list[str]:
    """Of the arms of one part: how many, how many runs grokked, when, and which arms differ."""
    rows = [row for row in rows if not row["task"]]  # of all examples
    grokked = sum(row["grokked"] for row in rows)
    earliest = _named(min(rows, key=_rank)) if grokked else "none grokked"
    counts = [len(rows), sum(row["runs"] for row in rows), grokked]
    return [*(f"{count:,}" for count in counts), _named(rows[0]), earliest, _verdict(rows)]


def _rank(row):
    median = row["median_grok_step"]
    return (math.inf if median is None else median), -row["share"]


def _named(row):
    return f"{row['arm']}: {columns([row])['median_grok_step'][0]}"


def _verdict(rows):
    """`2 earlier, 1 no different`."""
    ranks = {row["arm"]: _rank(row) for row in rows}
    counts = {"earlier": 0, "later": 0, "no different": 0}
    for row in rows:
        if row["compared_with"] is None:
            continue
        p = row["log_rank_p"]
        if p is None or p >= SIGNIFICANT:
            counts["no different"] += 1
        else:
            earlier = ranks[row["arm"]] < ranks[row["compared_with"]]
            counts["earlier" if earlier else "later"] += 1
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count)
