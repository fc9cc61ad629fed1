"""What came out of R runs: numbers for programs, lines for people."""

from collections.abc import Mapping, Sequence

import numpy as np

from grokjax.recording.history import Grokking, History, finite_median

FINAL = ("train_accuracy", "val_accuracy", "train_loss", "val_loss")


def summarise(
    history: History,
    groks: Sequence[Grokking],
    labels: Sequence[str],
    seconds: float,
    groks_of_groups: Mapping[str, Sequence[Grokking]] | None = None,
    last_R: np.ndarray | None = None,
) -> dict:
    """What came out, for each run and over all; JSON values only.

    Args:
        history: of R runs.
        groks: one for each run.
        labels: one for each run.
        seconds: spent on training.
        groks_of_groups: for each task of a mixture, one for each run.
        last_R: number of the last evaluation that each run trained to; None: of the last.
    """
    groks_of_groups, runs = groks_of_groups or {}, []
    for r, (grok, label) in enumerate(zip(groks, labels, strict=True)):
        final = {name: _number(history[name][-1, r]) for name in FINAL}
        diverged = final["train_loss"] is None
        last = len(history) - 1 if last_R is None else min(last_R[r], len(history) - 1)
        steps = int(history["step"][int(last)])
        runs.append(
            {"label": label, **grok._asdict(), **final, "steps": steps, "diverged": diverged}
        )
        for group, groks_R in groks_of_groups.items():
            final = {name: _number(history[f"{name}/{group}"][-1, r]) for name in FINAL}
            runs[-1].setdefault("tasks", {})[group] = groks_R[r]._asdict() | final
    return {"runs": runs, "overall": _overall(history, groks, seconds)}


def _number(value):
    """A float, or None for what JSON cannot say."""
    return float(value) if np.isfinite(value) else None


def _overall(history, groks, seconds):
    steps = np.array([np.inf if g.grok_step is None else g.grok_step for g in groks])
    low, median, high = (
        int(q) if np.isfinite(q) else None
        for q in np.quantile(steps, [0.25, 0.5, 0.75], method="inverted_cdf")
    )
    return {
        "runs": len(groks),
        "grokked": int(np.isfinite(steps).sum()),
        "median_grok_step": median,  # null: fewer than half grokked
        "quartiles_grok_step": [low, high],
        "resolution": int(history["step"][0]),  # steps between evaluations
        "median_val_accuracy": _number(finite_median(history["val_accuracy"][-1])),
        "seconds": round(seconds, 2),
    }


def summary_text(summary: Mapping) -> str:
    """The summary as lines for people."""
    overall, runs = summary["overall"], summary["runs"]
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
        f"\n  {task}: {_found(of)}; {_accuracy(of)}" for task, of in run.get("tasks", {}).items()
    ]
    return f"{run['label']}: {_found(run, run['steps'])}; {accuracy}{''.join(tasks)}"


def _found(run, steps=None):
    if run["train_accuracy"] is None and not run.get("diverged"):
        return "has no share"
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
