"""Rows of seconds, and how a reader sees them."""

from collections.abc import Mapping, Sequence
from statistics import median


def row(seconds: Sequence[float], note: str = "", **more) -> dict:
    """The `seconds` of every round, their `median` and `best`, what a reader is told, and more."""
    more |= {"note": note} if note else {}
    return {"seconds": list(seconds), "median": median(seconds), "best": min(seconds), **more}


def table(rows: Mapping[str, Mapping]) -> str:
    """A line for every row, in their order."""
    width = max(map(len, rows)) + 2
    lines = [f"{'seconds':<{width}}{'median':>8}{'best':>8}"]
    for name, row in rows.items():
        numbers = f"{row['median']:>8.2f}{row['best']:>8.2f}"
        lines.append(f"{name:<{width}}{numbers}  {row.get('note', '')}".rstrip())
    return "\n".join(lines)
