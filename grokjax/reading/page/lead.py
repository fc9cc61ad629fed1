"""The first sentence of a comparison: which arm groks earliest, where that can be said."""

from collections.abc import Sequence

from grokjax.reading.rows import Row, columns

MOST_NAMED = 8  # arms in a sentence


def lead(summary: Sequence[Row], is_choice: bool = True) -> str:
    """Which arm groks earliest of those that can be compared; else how many grok.

    Args:
        summary: the rows of the table.
        is_choice: may the arms be ranked? They may not if some have more data.
    """
    of_all = [row for row in summary if not row["task"]]
    if len(of_all) == 1 and of_all[0]["runs"] == 1:
        (row,) = of_all
        is_late = row["median_grok_step"] is None
        when = f"did not grok by step {row['steps']:,}" if is_late else f"grokked at {_median(row)}"
        return f"The run {when}."
    half = [row for row in of_all if row["median_grok_step"] is not None]
    if not half:
        most = max(of_all, key=lambda row: row["share"])
        where = f"in {most['arm']}, " if len(of_all) > 1 else ""
        count = f"{most['grokked']:,} of {most['runs']:,}"
        return f"Less than half of the runs grokked{' in every arm' * bool(where)}: {where}{count}."
    if len(of_all) == 1:
        count = f"{half[0]['grokked']:,} of {half[0]['runs']:,}"
        return f"Half of the runs had grokked by {_median(half[0])}; {count} did in the end."
    alike = _alike(of_all)
    ranked = [row for row in alike if row["median_grok_step"] is not None]
    if not is_choice or len(alike) == 1 or not ranked:
        return f"Half of the runs or more grokked in {len(half):,} of {len(of_all):,} arms."
    said = _ranked(alike, ranked)
    if other := len(of_all) - len(alike):
        what = "of another task or with steps that are counted from elsewhere"
        said += f" Not ranked: {other:,} of {len(of_all):,} arms, {what}."
    return said


def _alike(of_all):
    """The rows that are compared with the first, or with one that is."""
    names = {of_all[0]["arm"]}
    for row in of_all:  # what an arm is compared with comes before it
        if row["compared_with"] in names:
            names.add(row["arm"])
    return [row for row in of_all if row["arm"] in names]


def _ranked(alike, ranked):
    first = alike[0]
    least = min(row["median_grok_step"] for row in ranked)
    best = [row for row in ranked if row["median_grok_step"] == least]
    by = f"had grokked by {_median(best[0]) if len(best) == 1 else f'step {least:,}'}"
    if len(best) > 1:
        names = listed([row["arm"] for row in best])
        how = "equally early" if len(best) == len(alike) else "earliest"
        said = f"{names} grok {how}: half of the runs of each {by}"
    elif best[0] is first:
        return f"{first['arm']}, the first arm, groks earliest: half of its runs {by}."
    else:
        said = f"{best[0]['arm']} groks earliest: half of its runs {by}"
    if first in best:
        return f"{said}."
    if first["median_grok_step"] is None:
        said += f", less than half of {first['arm']} by step {first['steps']:,}."
    else:
        said += f", those of {first['arm']} by {_median(first)}."
    if len(best) > 1:
        return f"{said} They are chosen by these very runs."
    if p := columns(best).get("log_rank_p", [""])[0]:
        said += f" Log-rank p against {best[0]['compared_with']}: {p}."
    return f"{said} It is chosen by these very runs."


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and 3 more`."""
    if left := max(0, len(names) - MOST_NAMED):
        names = [*names[:MOST_NAMED], f"{left:,} more"]
    return " and ".join([*filter(None, [", ".join(names[:-1])]), names[-1]])


def _median(row):
    text = f"step {row['median_grok_step']:,}"
    if row["low"] is not None and row["high"] is not None:
        text += f" (95 % interval {row['low']:,} to {row['high']:,})"
    return text
