"""What came out of R runs: numbers for programs, lines for people."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from grokjax.recording.early_stopping import last_steps
from grokjax.recording.history import Grokking, History, finite_median, grokking, measured
from grokjax.recording.times import times

FINAL = ("train_accuracy", "val_accuracy", "train_loss", "val_loss")
TASK_COLUMNS = {  # of the table of a mixture's tasks: what stands above it, and how it is written
    "examples": ("examples", ","),
    "training_examples": ("trained on", ","),
    "proportion": ("of a batch", ".1%"),
    "train_accuracy": ("training", ".2%"),
    "val_accuracy": ("validation", ".2%"),
    "memorised_step": ("memorised", ","),
    "grok_step": ("grokked", ","),
    "delay": ("delay", ","),
    "collapses": ("collapses", ","),
}


def summarise(
    history: History,
    labels: Sequence[str],
    seconds: float,
    schedule: Mapping[str, Any],
    rule: Mapping[str, Any],
    sizes: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None,
    first: int = 0,
) -> dict[str, Any]:
    """What came out, for each run and over all; JSON values only.

    Args:
        history: of the runs that the labels name.
        labels: [R].
        seconds: wall time of the training.
        schedule, rule: the sections `schedule` and `grok` of the config.
        sizes: of a mixture's tasks in each run, as `Parts.sizes_of_tasks` gives them.
        first: the step that it began at, see `first_step`; those before took none of the seconds.
    """
    arrays = history.arrays()
    steps_R = last_steps(history, schedule, rule)
    run_steps = (steps_R - first).sum()
    groks = {
        task: (grokking(arrays, task, **rule), times(arrays, steps_R, rule, task))
        for task in ["", *history.groups]
    }
    measures = _measures(arrays, groks[""][0])
    runs = []
    for r, label in enumerate(labels):
        of_label = (sizes or {}).get(label, {})
        outcomes = {
            task: {**of_label.get(task, {}), **_outcome(arrays, task, *found, r)}
            for task, found in groks.items()
        }
        run = {"label": label, **outcomes.pop(""), "steps": int(steps_R[r])}
        run["diverged"] = run["train_loss"] is None
        run |= {"tasks": outcomes} if outcomes else {}
        run |= {"measures": measures[r]} if measures else {}
        runs.append(run)
    return {"runs": runs, "overall": _overall(arrays, groks[""][0], seconds, run_steps)}


def first_step(record: Mapping[str, Any]) -> int:
    """The step that a training began at, by its record: of a branch that goes on the state's."""
    branched = record.get("branched", {})
    return branched["steps"][0] if branched.get("goes_on") else 0


def _outcome(arrays, task, grok, crossings, r):
    of_task = f"/{task}" if task else ""
    return {
        "memorised_step": number_or_none(grok.memorised_R[r], int),
        "grok_step": number_or_none(grok.grok_R[r], int),
        "delay": number_or_none(grok.delay_R[r], int),
        "val_accuracy_at_memorising": number_or_none(grok.val_at_memorising_R[r]),
        "share_of_delay_above_90": number_or_none(grok.high_share_R[r]),
        "collapses": int(grok.collapses_R[r]),
        "times": {f"{threshold:g}": _crossing(found, r) for threshold, found in crossings.items()},
        **{name: number_or_none(arrays[name + of_task][-1, r]) for name in FINAL},
    }


def _crossing(found, r):
    """Steps, evaluations and a depth, by the names of `Crossing`."""
    numbers = {name.removesuffix("_R"): column_R[r] for name, column_R in found._asdict().items()}
    return {
        name: number_or_none(value, float if name == "depth" else int)
        for name, value in numbers.items()
    }


def _measures(arrays, grok):
    """R times {measure/name: {moment: value}}."""
    found = [{} for _ in grok.grok_R]
    for name, values in at_moments(arrays, grok).items():
        for r, of_run in enumerate(found):
            of_run[name] = {m: number_or_none(value_R[r]) for m, value_R in values.items()}
    return found


def at_moments(
    arrays: Mapping[str, np.ndarray], grok: Grokking
) -> dict[str, dict[str, np.ndarray]]:
    """{measure/name: {moment: [R]}}: when a run memorised, when it grokked, and at the end.

    That is the last value taken up to then; a measure with K values is in the history alone.
    """
    step_E = arrays["step"]
    moments = {"memorised": grok.memorised_R, "grokked": grok.grok_R, "end": step_E[-1:]}
    return {
        name: {moment: value_at(step_E, arrays[name], x_R) for moment, x_R in moments.items()}
        for name in measured(arrays)
        if arrays[name].ndim == 2
    }


def value_at(step_E: np.ndarray, values_ExR: np.ndarray, step_R: np.ndarray) -> np.ndarray:
    """[R]: the last finite value of each run up to a step of its own; NaN if there is none."""
    before_ExR = (step_E[:, None] <= step_R) & np.isfinite(values_ExR)
    last_R = len(step_E) - 1 - np.argmax(before_ExR[::-1], axis=0)
    values_R = values_ExR[last_R, np.arange(values_ExR.shape[1])]
    return np.where(before_ExR.any(axis=0), values_R, np.nan)


def number_or_none(value: float, kind: type = float) -> float | int | None:
    """A number as JSON and tables hold it: None for what is not finite or never came."""
    return kind(value) if np.isfinite(value) else None


def _overall(arrays, grok, seconds, run_steps):
    steps_R = np.where(grok.has_grokked_R, grok.grok_R, np.inf)
    quartiles = np.quantile(steps_R, [0.25, 0.5, 0.75], method="inverted_cdf")
    low, median, high = (number_or_none(step, int) for step in quartiles)
    seconds = round(seconds, 2)
    of_a_step = seconds / run_steps  # of one run; compiling, evaluating and writing are in it
    return {
        "runs": steps_R.size,
        "grokked": int(grok.has_grokked_R.sum()),
        "crept": int(grok.crept_R.sum()),  # of these, without a plateau
        "median_grok_step": median,  # null: fewer than half grokked
        "quartiles_grok_step": [low, high],
        "resolution": int(arrays["step"][0]),  # steps between evaluations
        "median_val_accuracy": number_or_none(finite_median(arrays["val_accuracy"][-1])),
        "seconds": seconds,
        "median_grok_seconds": None if median is None else round(median * of_a_step, 2),
    }


def summary_text(summary: Mapping[str, Any]) -> str:
    """The summary as lines for people."""
    overall = summary["overall"]
    runs = summary["runs"]
    lines = [_line(run) for run in runs[:20]]
    if len(runs) > len(lines):
        lines.append(f"... and {len(runs) - len(lines)} more runs, all in summary.json")
    if len(runs) > 1:
        steps = [overall["median_grok_step"], *overall["quartiles_grok_step"]]
        median, low, high = ("not reached" if step is None else f"{step:,}" for step in steps)
        grokked = f"{overall['grokked']} of {overall['runs']} runs grokked"
        if overall["crept"]:
            grokked += f", {overall['crept']} of them without a plateau"
        lines.append(f"{grokked}; median step {median}, quartiles {low} to {high}")
    seconds = overall["seconds"]
    lines.append(f"evaluated every {overall['resolution']:,} steps; {seconds:.1f} seconds")
    return "\n".join(lines) + "\n"


def task_table(tasks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line for each task of a mixture, below what stands above them; none if it is none."""
    rows = [["task", *(header for header, _ in TASK_COLUMNS.values())]]
    for task, outcome in tasks.items():
        values = [(outcome.get(name), style) for name, (_, style) in TASK_COLUMNS.items()]
        rows.append([task, *("-" if x is None else f"{x:{style}}" for x, style in values)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows if tasks else ():
        cells = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        lines.append("  ".join(["", first.ljust(widths[0]), *cells]))
    return lines


def _line(run):
    text = f"{run['label']}: {_found(run)}; {_final(run)} at step {run['steps']:,}"
    return "\n".join([text, *task_table(run.get("tasks", {}))])


def _found(run):
    memorised, step, delay = (run[name] for name in ("memorised_step", "grok_step", "delay"))
    found = ["not memorised" if memorised is None else f"memorised at {memorised:,}"]
    if step is None:
        found.append(f"not grokked by step {run['steps']:,}")
    else:
        high = run["share_of_delay_above_90"] or 0
        share = f", {high:.0%} of it above 90 % validation accuracy" if high else ""
        gap = f" (delay {delay:,}{share})" if delay else " (no delay)"
        how = "crept over the threshold" if high > 0.5 else "grokked"
        found.append(f"{how} at {step:,}{'' if delay is None else gap}")
    if run["collapses"]:
        found.append(f"collapsed {run['collapses']} times since")
    if run.get("diverged"):
        found.append("diverged")
    return ", ".join(found)


def _final(run):
    shown = {"accuracy": ".2%", "loss": ".3g"}
    texts = []
    for metric, spec in shown.items():
        sides = (run[f"train_{metric}"], run[f"val_{metric}"])
        train, val = ("unknown" if number is None else f"{number:{spec}}" for number in sides)
        texts.append(f"{metric} train {train}, validation {val}")
    return ", ".join(texts)
