"""What `inspection` and `pruning` found, as lines for people."""

from collections.abc import Sequence

import jax
import numpy as np

from grokjax.config.config import flat
from grokjax.core import weight_stats
from grokjax.reading.inspected import Inspected, differences, metadata, milestones
from grokjax.reading.pruning import Pruned
from grokjax.reading.survival import Median
from grokjax.recording.history import Grokking, finite_median

MOST_RUNS = 20


def listed(step: int, size: int, of: Inspected | None, damage: str = "") -> str:
    """One line about a checkpoint, or about what is wrong with it."""
    if of is None:
        what = f"damaged: {damage}"
    else:
        train, val = (_percent(of.median(f"{side}_accuracy")) for side in ("train", "val"))
        what = f"training {train:>8}  validation {val:>8}  {_grokked(of)}"
    return f"  step {step:>9,}  {_bytes(size):>9}  {what}"


def inspected(of: Inspected) -> str:
    """How far a checkpoint is, how each run does, how large it is, and its config."""
    num_steps, facts = of.config["schedule"]["num_steps"], metadata(of.place.results)
    versions = ", ".join(f"{name} {v}" for name, v in facts.get("versions", {}).items())
    lines = [
        f"checkpoint: {of.place.folder}, {_bytes(of.place.size)} on disk",
        f"progress: step {of.place.step:,} of {num_steps:,} ({of.place.step / num_steps:.0%})",
        f"status of training: {facts.get('status', 'unknown')}",
        f"device: {facts.get('device', 'unknown')}",
        f"versions: {versions or 'unknown'}",
        f"runs: {of.num_runs}, {_grokked(of)}",
        *_runs(of),
        *_weights(of),
        "config:",
        *(f"  {path} = {_value(value)}" for path, value in flat(of.config)),
    ]
    return "\n".join(lines)


def compared(inspections: Sequence[Inspected]) -> str:
    """A column for each checkpoint; below, the entries in which their configs differ."""
    columns = [_facts(of) for of in inspections]
    names = [str(of.place.results.folder) for of in inspections]
    rows = [[fact, *(column[fact] for column in columns)] for fact in columns[0]]
    found = differences([of.config for of in inspections])
    other = [[path, *map(_value, values)] for path, values in found.items()]
    heading = "entries of the config that differ:" if other else "their configs are the same"
    widths = _widths([["", *names], *rows, *other])
    return "\n".join(
        [_row(["", *names], widths), *(_row(row, widths) for row in rows), heading]
        + [_row(row, widths) for row in other]
    )


def pruned(found: Pruned, labels: Sequence[str]) -> str:
    """For each threshold the median over runs; below it every run, if there are several."""
    rows = [["threshold", "run", "weights set to 0", "training", "validation"]]
    for threshold, *values in zip(*found, strict=True):
        before = "" if threshold else " (before)"
        shown = [_percent(finite_median(value_R)) for value_R in values]
        runs = zip(labels, *values, strict=True)
        each = [["", label, *map(_percent, numbers)] for label, *numbers in runs]
        one = labels[0] if len(labels) == 1 else f"median of {len(labels)}"
        rows += [[f"{threshold:g}{before}", one, *shown]] + (each if len(labels) > 1 else [])
    widths = _widths(rows)
    return "\n".join(_row(row, widths) for row in rows)


def _runs(of):
    """A line for each run, up to a number of them."""
    labels = of.labels[:MOST_RUNS]
    if of.grok is not None:
        lines = [f"  {label}: {_run(of, r)}" for r, label in enumerate(labels)]
    else:
        lines = [f"  {label}: not evaluated yet" for label in labels]
    more = of.num_runs - len(lines)
    return lines + ([f"  ... and {more} more runs"] if more else [])


def _run(of, r):
    sides = {"training": "train", "validation": "val"}
    done = [
        f"{name} {_percent(of.latest(f'{side}_accuracy')[r])} "
        f"(loss {_number(of.latest(f'{side}_loss')[r])})"
        for name, side in sides.items()
    ]
    return f"{', '.join(done)}; {_grokking(of.grok, r)}"


def _grokking(grok: Grokking, r):
    steps = {"memorised": grok.memorised_R[r], "grokked": grok.grok_R[r]}
    words = [
        f"{name} at {step:,.0f}" if np.isfinite(step) else f"not {name}"
        for name, step in steps.items()
    ]
    if np.isfinite(grok.delay_R[r]):
        words.append(f"delay {grok.delay_R[r]:,.0f}")
    return ", ".join(words)


def _weights(of):
    """Number and size of the weights, and medians over some runs of what `weights` measures."""
    one_run = jax.tree.map(lambda w: w[0], of.params_R)
    total = sum(w.nbytes for w in jax.tree.leaves(one_run))
    some_R = jax.tree.map(lambda w: w[:MOST_RUNS], of.params_R)  # singular values take their time
    small_R = jax.vmap(weight_stats.sparsity)(some_R)
    norms_R = jax.vmap(weight_stats.spectral_norms)(some_R)
    return [
        f"parameters: {weight_stats.count(one_run):,} a run, {_bytes(total)}; "
        f"{_percent(finite_median(small_R))} of them smaller than {weight_stats.SMALL}",
        "spectral norms:",
        *(f"  {name} = {finite_median(norm_R):.3g}" for name, norm_R in norms_R.items()),
    ]


def _facts(of):
    """What is compared, by name: medians over runs, with intervals where there are several."""
    last = f"not by {int(of.history['step'][-1]):,}" if len(of.history) else "unknown"
    came = milestones(of)
    never = dict(memorised=last, grokked=last, delay="not reached" if came else "unknown")
    times = {
        event: _time(getattr(came, event), of.num_runs, unknown) if came else unknown
        for event, unknown in never.items()
    }
    return {
        "step": f"{of.place.step:,}",
        "runs": str(of.num_runs),
        "training accuracy": _percent(of.median("train_accuracy")),
        "validation accuracy": _percent(of.median("val_accuracy")),
        "runs that grokked": str(of.num_grokked),
        **times,
        "weight norm": _number(of.median("weight_norm")),
    }


def _time(of: Median, num_runs, never):
    if np.isnan(of.median):
        return never
    low, high = ("?" if np.isnan(limit) else f"{limit:,.0f}" for limit in (of.low, of.high))
    return f"{of.median:,.0f}" + (f" ({low} to {high})" if num_runs > 1 else "")


def _grokked(of):
    return f"{of.num_grokked} of {of.num_runs} grokked"


def _percent(share):
    return f"{share:.2%}" if np.isfinite(share) else "unknown"


def _number(value):
    return f"{value:.4g}" if np.isfinite(value) else "unknown"


def _value(value):
    """As a config writes it; lists of one, as most entries of `runs` are, by what is in them."""
    if isinstance(value, list):
        return f"({', '.join(map(_value, value))})" if len(value) != 1 else _value(value[0])
    return "-" if value is None else str(value)


def _bytes(size):
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} GB"


def _widths(rows):
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def _row(cells, widths):
    return "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()
