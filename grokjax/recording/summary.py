"""The summary of R runs: numbers for programs, lines for people."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from grokjax.recording.early_stopping import last_steps
from grokjax.recording.history import History, finite_median, grokking

FINAL = ("train_accuracy", "val_accuracy", "train_loss", "val_loss")


def summarise(
    history: History,
    labels: Sequence[str],
    seconds: float,
    schedule: Mapping[str, Any],
    rule: Mapping[str, Any],
) -> dict[str, Any]:
    """What came out, for each run and over all; JSON values only.

    Args:
        history: of R runs.
        labels: one for each run.
        seconds: spent on training.
        schedule, rule: the sections `schedule` and `grok` of the config.
    """
    arrays = history.arrays()
    groks = {task: grokking(arrays, task, **rule) for task in ["", *history.groups]}
    steps_R = last_steps(history, schedule, rule)
    runs = []
    for r, label in enumerate(labels):
        outcomes = {task: _outcome(arrays, task, grok, r) for task, grok in groks.items()}
        run = {"label": label, **outcomes.pop("")}
        run["steps"] = int(steps_R[r])
        run["diverged"] = run["train_loss"] is None
        if outcomes:
            run["tasks"] = outcomes
        runs.append(run)
    return {"runs": runs, "overall": _overall(arrays, groks[""], seconds)}


def _outcome(arrays, task, grok, r):
    """When a run memorised and grokked, and its last accuracies and losses."""
    of_task = f"/{task}" if task else ""
    return {
        "memorised_step": number_or_none(grok.memorised_R[r], int),
        "grok_step": number_or_none(grok.grok_R[r], int),
        "delay": number_or_none(grok.delay_R[r], int),
        "collapses": int(grok.collapses_R[r]),
        **{name: number_or_none(arrays[name + of_task][-1, r]) for name in FINAL},
    }


def number_or_none(value: float, kind: type = float) -> float | int | None:
    """A number as JSON and tables hold it: None for what is not finite or never came."""
    return kind(value) if np.isfinite(value) else None


def _overall(arrays, grok, seconds):
    steps_R = np.where(grok.has_grokked_R, grok.grok_R, np.inf)
    quartiles = np.quantile(steps_R, [0.25, 0.5, 0.75], method="inverted_cdf")
    low, median, high = (number_or_none(step, int) for step in quartiles)
    return {
        "runs": steps_R.size,
        "grokked": int(grok.has_grokked_R.sum()),
        "median_grok_step": median,  # null: fewer than half grokked
        "quartiles_grok_step": [low, high],
        "resolution": int(arrays["step"][0]),  # steps between evaluations
        "median_val_accuracy": number_or_none(finite_median(arrays["val_accuracy"][-1])),
        "seconds": round(seconds, 2),
    }


def summary_text(summary: Mapping[str, Any]) -> str:
    """The summary as lines for people."""
    overall = summary["overall"]
    runs = summary["runs"]
    lines = [_line(run) for run in runs[:20]]
    if len(runs) > len(lines):
        lines.append(f"... and {len(runs) - len(lines)} more runs, all in summary.json")
    if len(runs) > 1:
        low, high = (_steps(q) for q in overall["quartiles_grok_step"])
        lines.append(
            f"{overall['grokked']} of {overall['runs']} runs grokked; median step "
            f"{_steps(overall['median_grok_step'])}, quartiles {low} to {high}"
        )
    lines.append(
        f"evaluated every {_steps(overall['resolution'])} steps; {overall['seconds']:.1f} seconds"
    )
    return "\n".join(lines) + "\n"


def _line(run):
    accuracy = f"{_accuracy(run)} at step {run['steps']:,}"
    tasks = [
        f"\n  {task}: {_found(outcome)}; {_accuracy(outcome)}"
        for task, outcome in run.get("tasks", {}).items()
    ]
    return f"{run['label']}: {_found(run, run['steps'])}; {accuracy}{''.join(tasks)}"


def _found(run, steps=None):
    if run["train_accuracy"] is None and not run.get("diverged"):
        return "no training examples"
    memorised = run["memorised_step"]
    found = ["not memorised" if memorised is None else f"memorised at {memorised:,}"]
    if run["grok_step"] is None:
        found.append("not grokked" + (f" by step {steps:,}" if steps else ""))
    else:
        delay = {None: "", 0: " (no delay)"}.get(run["delay"], f" (delay {_steps(run['delay'])})")
        found.append(f"grokked at {_steps(run['grok_step'])}{delay}")
    if run["collapses"]:
        found.append(f"collapsed {run['collapses']} times since")
    if run.get("diverged"):
        found.append("diverged")
    return ", ".join(found)


def _accuracy(run):
    train, val = (_percent(run[f"{name}_accuracy"]) for name in ("train", "val"))
    return f"accuracy train {train}, validation {val}"


def _percent(number):
    return "unknown" if number is None else f"{number:.2%}"


def _steps(number):
    return "not reached" if number is None else f"{number:,}"
