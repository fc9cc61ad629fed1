"""A table of arms: how many runs grokked, when, and whether the arms differ."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grokjax.reading import times
from grokjax.reading.arms import Arm
from grokjax.reading.evidence import compared, holm, rate_interval
from grokjax.reading.references import References
from grokjax.reading.roughness import median_of, rank_test, roughness
from grokjax.reading.survival import (
    Durations,
    delay_times,
    horizon,
    median_time,
    restricted_mean,
    times_until,
)
from grokjax.recording.files import replacing
from grokjax.recording.history import Grokking, finite_median
from grokjax.recording.summary import at_moments, number_or_none

Row = dict[str, Any]

LATEST = (  # in the csv file alone
    *("share_low", "share_high"),  # 95 % interval
    *("mean_step", "mean_step_error", "mean_until"),  # restricted mean, and its horizon
    *("grok_seconds", "grok_flops"),  # the median step, times those of a run's step
    *("log_rank_p_holm", "smallest_p", "smallest_hazard_ratio", "smallest_median_ratio"),
    *times.COLUMNS,
)
COLUMNS = {  # column -> what a person reads above it; "" is shown within another column
    "arm": "arm",
    "task": "task",  # of a mixture; "" is all examples
    "runs": "runs",
    "grokked": "grokked",
    "share": "share",
    "median_grok_step": "median grok step [95 % interval]",
    "low": "",
    "high": "",
    "memorised_step": "memorised",
    "delay": "delay",
    "val_at_memorising": "validation when memorised",
    "high_share": "of the delay above 90 %",
    "train_accuracy": "training accuracy",
    "val_accuracy": "validation accuracy",
    "best_val_accuracy": "best validation accuracy",
    "diverged": "diverged",
    "collapses": "collapsed after",  # runs, not times
    "val_falls": "accuracy falls [95 % interval]",  # see roughness.py
    "val_falls_low": "",
    "val_falls_high": "",
    "val_falls_p": "rank p of falls",
    "loss_rises": "log loss rises [95 % interval]",
    "loss_rises_low": "",
    "loss_rises_high": "",
    "loss_rises_p": "rank p of rises",
    "log_rank_p": "log-rank p",
    "compared_with": "",  # the arm that p values are for
    "steps": "",  # the last step that a run was followed up to
    **dict.fromkeys(LATEST, ""),
}
TEXTS = ("arm", "task")
P_VALUES = ("val_falls_p", "loss_rises_p", "log_rank_p")
INTERVALS = {"median_grok_step": ",", "val_falls": ".2%", "loss_rises": ".3f"}  # how written
PERCENT = (
    "share",
    "val_at_memorising",
    "high_share",
    "train_accuracy",
    "val_accuracy",
    "best_val_accuracy",
)


def rows(arms: Sequence[Arm]) -> list[Row]:
    """A row for each arm, and one more for each task that an arm of a mixture trains on.

    Medians count all runs: one that did not grok while we looked has a step, and a delay,
    longer than any. P values compare with the first arm that has the task, or if the first
    folder has an arm with these very values, with that; they are those of one comparison, whatever
    their number. Arms of other tasks are not compared.
    """
    table = []
    durations = {}  # of the rows before: {task: {arm's name: durations}}
    references = {}  # {task: the arms before}
    for arm in arms:
        for task in ["", *arm.trained_tasks]:
            grok = arm.grokking_of(task)
            own = times_until(grok.grok_R, arm.observed_until_R)
            row = _row(arm, task, grok, own) | times.columns(arm, task)
            before = durations.setdefault(task, {})
            others = references.setdefault(task, References())
            if reference := others.of(arm):
                row |= {"compared_with": reference.name} | compared(before[reference.name], own)
            if not task:
                row |= _roughness(arm, reference) | _measures(arm)
            before[arm.name] = own
            others.add(arm)
            table.append((row, own))
    for task in durations:
        _look_at_all([(row, own) for row, own in table if row["task"] == task])
    return [row for row, _ in table]


def _look_at_all(of_task):
    """Adds to the rows of a task what depends on all arms: a common horizon, and their number."""
    until = horizon([own for _, own in of_task])
    p_values = [np.nan if row["log_rank_p"] is None else row["log_rank_p"] for row, _ in of_task]
    for (row, own), p in zip(of_task, holm(p_values), strict=True):
        mean, error = restricted_mean(own, until)
        row |= {"mean_step": mean, "mean_until": int(until)}
        row["mean_step_error"] = error or None  # 0: nothing that it could be estimated from
        row["log_rank_p_holm"] = number_or_none(p)


def best_of_families(arms: Sequence[Arm]) -> list[Arm]:
    """Of each family the arm with the smallest median, then most grokked, then best accuracy."""

    def rank(arm):
        median = np.nan_to_num(arm.median.median, nan=np.inf)
        accuracy = np.nan_to_num(finite_median(arm.history["val_accuracy"][-1]))
        return median, -arm.durations.event_observed_R.mean(), -accuracy

    families = dict.fromkeys(arm.family for arm in arms)
    return [min((a for a in arms if a.family == family), key=rank) for family in families]


def write_csv(rows: Sequence[Row], path: Path, columns: Sequence[str] = tuple(COLUMNS)) -> None:
    """The table for programs; what is not known is empty.

    Columns of a caller's own come first, those of measures last.
    """
    others = dict.fromkeys(name for row in rows for name in row if name not in columns)
    of_measures = [name for name in others if "/" in name]
    own = [name for name in others if name not in of_measures]
    with replacing(path) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*own, *columns, *of_measures])
        writer.writeheader()
        for row in rows:
            numbers = {n: f"{x:.6g}" for n, x in row.items() if isinstance(x, float)}
            writer.writerow(row | numbers)


def columns(rows: Sequence[Row]) -> dict[str, list[str]]:
    """{column: a text for each row} for people, without the columns that are empty everywhere."""
    texts = {name: [_shown(name, row) for row in rows] for name in COLUMNS if COLUMNS[name]}
    return {name: of_rows for name, of_rows in texts.items() if any(of_rows)}


def markdown(rows: Sequence[Row]) -> str:
    """The table for people."""
    return aligned({COLUMNS[name]: texts for name, texts in columns(rows).items()}, left=TEXTS)


def aligned(columns: Mapping[str, Sequence[str]], left: Sequence[str]) -> str:
    """A table of {header: a text for each row}, all cells of a column equally wide.

    Args:
        left: headers of texts; other columns are numbers, which are set to the right.
    """
    padded = []
    for header, texts in columns.items():
        width = max(3, *map(len, (header, *texts)))
        rule = "-" * width if header in left else "-" * (width - 1) + ":"
        cells = [f"{x:{'<' if header in left else '>'}{width}}" for x in (header, *texts)]
        padded.append([cells[0], rule, *cells[1:]])
    return "".join(f"| {' | '.join(line)} |\n" for line in zip(*padded, strict=True))


def _row(arm: Arm, task: str, grok: Grokking, durations: Durations) -> Row:
    of_task = f"/{task}" if task else ""
    train_ExR = arm.history[f"train_accuracy{of_task}"]
    val_ExR = arm.history[f"val_accuracy{of_task}"]
    grok_step = median_time(durations)
    memorised_step = median_time(times_until(grok.memorised_R, arm.observed_until_R))
    delay = median_time(delay_times(grok, arm.observed_until_R))
    low, high = rate_interval(int(grok.has_grokked_R.sum()), grok.grok_R.size)
    return dict.fromkeys(COLUMNS) | {
        "arm": arm.name,
        "task": task,
        "runs": grok.grok_R.size,
        "grokked": int(grok.has_grokked_R.sum()),
        "share": float(grok.has_grokked_R.mean()),
        "median_grok_step": number_or_none(grok_step.median, int),
        "low": number_or_none(grok_step.low, int),
        "high": number_or_none(grok_step.high, int),
        "memorised_step": number_or_none(memorised_step.median, int),
        "delay": number_or_none(delay.median, int),
        "val_at_memorising": number_or_none(finite_median(grok.val_at_memorising_R)),
        "high_share": number_or_none(finite_median(grok.high_share_R)),
        "train_accuracy": number_or_none(finite_median(train_ExR[-1])),
        "val_accuracy": number_or_none(finite_median(val_ExR[-1])),
        "best_val_accuracy": number_or_none(finite_median(np.fmax.reduce(val_ExR))),
        "diverged": int(arm.diverged_R.sum()),
        "collapses": int((grok.collapses_R > 0).sum()),
        "steps": int(arm.observed_until_R.max()),
        "grok_seconds": number_or_none(grok_step.median * arm.seconds_per_step),
        "grok_flops": number_or_none(grok_step.median * arm.flops_per_step),
        "share_low": low,
        "share_high": high,
    }


def _measures(arm: Arm) -> Row:
    """Medians over the runs of each measure when they memorised, when they grokked, at the end."""
    return {
        f"{name} {moment}": number_or_none(finite_median(value_R))
        for name, values in at_moments(arm.history.arrays(), arm.grokking).items()
        for moment, value_R in values.items()
    }


def _roughness(arm: Arm, reference: Arm | None) -> Row:
    row = {}
    before = roughness(reference.history, reference.grokking) if reference else {}
    for name, values_R in roughness(arm.history, arm.grokking).items():
        for suffix, value in zip(("", "_low", "_high"), median_of(values_R), strict=True):
            row[name + suffix] = number_or_none(value)
        if name in before:
            row[f"{name}_p"] = number_or_none(rank_test(before[name], values_R))
    return row


def _shown(name: str, row: Row) -> str:
    """For people: `2,100 [1,900, none]`, `> 5,000`, `99.34%`, `< 0.001`."""
    value = row[name]
    if name in ("median_grok_step", "memorised_step") and value is None:
        return f"> {row['steps']:,}"
    if value in (None, ""):
        return ""
    if name in INTERVALS:
        prefix = "" if name == "median_grok_step" else f"{name}_"
        numbers = (value, row[f"{prefix}low"], row[f"{prefix}high"])
        text, low, high = ("none" if x is None else f"{x:{INTERVALS[name]}}" for x in numbers)
        return text if low == "none" else f"{text} [{low}, {high}]"
    if name in P_VALUES:
        return "< 0.001" if value < 0.001 else f"{value:.3f}"
    if name in PERCENT:
        return f"{value:.2%}"
    return str(value).replace("|", r"\|") if name in TEXTS else f"{value:,}"
