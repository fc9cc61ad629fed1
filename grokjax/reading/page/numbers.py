"""The numbers behind a page's charts, for JSON: whole for a few runs, thinned for many.

Accuracies and shares are whole numbers of 0.01 %; what is not known is None. Shape letters:
E evaluations, R runs, K entries of a measure.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from grokjax.reading.arms import Arm
from grokjax.reading.pictures import charts, measures, style
from grokjax.reading.survival import kaplan_meier
from grokjax.recording.history import finite_median

MOST_RUNS = 1000  # that are drawn; medians, intervals and shares are those of all
MOST_POINTS = 40_000  # of the curves of one accuracy, or of one measure
MOST_ARMS = 12  # whose measures can be told apart
QUARTILES = slice(1, 4)  # of `style.QUANTILES`
USUAL = {  # values that every training has -> titles
    **{name: title for name, title in charts.CURVES.items() if name != "val_accuracy"},
    **charts.WEIGHTS,
    "misclassified": "Misclassified training examples",
}


def arms_of(arms: Sequence[Arm], few: Sequence[Arm]) -> dict[str, Any]:
    """What each arm's charts need; those of `few` are shown at first.

    Arms that were evaluated at the same steps share a list of `steps`, by its number.
    """
    runs = sum(len(arm.durations.duration_R) for arm in arms)
    at_most = int(np.clip(MOST_POINTS // min(runs, max(MOST_RUNS, len(arms))), 20, 400))
    shown = {arm.name for arm in few}
    found = []
    steps: list[list[int]] = []
    for arm in arms:
        own = _arm(arm, min(1, MOST_RUNS / runs), at_most)
        if own["step"] not in steps:
            steps.append(own["step"])
        own |= {"shown": arm.name in shown, "step": steps.index(own["step"])}
        found.append(own)
    return {"arms": found, "steps": steps}


def _arm(arm, share, at_most):
    duration_R, has_grokked_R = arm.durations
    number = max(1, int(share * len(duration_R)))
    kept_R = np.linspace(0, len(duration_R) - 1, number).astype(int)
    step_E = arm.history["step"]
    kept_E = thinned(step_E, at_most)
    curve = kaplan_meier(arm.durations)
    sides = {side: arm.history[f"{side}_accuracy"][kept_E] for side in ("train", "val")}
    is_over_ExR = step_E[kept_E, None] > arm.last_R  # the last values, repeated
    return {
        "name": arm.name,
        "family": arm.family,
        "values": arm.values,
        "runs": len(duration_R),
        "grokked": int(has_grokked_R.sum()),
        "median": plain(arm.median),
        "final": shares([finite_median(arm.history["val_accuracy"][-1])])[0],
        "labels": [arm.labels[r] for r in kept_R] if arm.labels else [],
        "grok": plain(duration_R[kept_R]),
        "observed": has_grokked_R[kept_R].astype(int).tolist(),
        "censored": plain(np.unique(duration_R[~has_grokked_R])),
        "incidence": {
            "step": plain(curve.step_E),
            "share": shares(curve.incidence_E),
            "low": shares(curve.low_E),
            "high": shares(curve.high_E),
        },
        "evaluations": len(step_E),
        "step": step_E[kept_E].tolist(),
        **{
            side: [shares(x_E) for x_E in np.where(is_over_ExR, np.nan, x_ExR)[:, kept_R].T]
            for side, x_ExR in sides.items()
        },
        **_medians(sides),
    }


def _medians(sides):
    """Over the runs; of one run they are that run."""
    return {
        f"{side}_median": shares(style.quantiles(x_ExR)[2])
        for side, x_ExR in sides.items()
        if x_ExR.shape[1] > 1
    }


def groups_of(arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """Every measure, and first what each training has, with a panel for each of its values."""
    arms = arms[:MOST_ARMS]
    first = {"title": "Losses and weights", "panels": _panels(arms, USUAL, charts.LOGARITHMIC)}
    tasks = dict.fromkeys(task for arm in arms for task in arm.history.groups)
    titles = {f"val_accuracy/{task}": f"Validation accuracy, {task}" for task in tasks}
    groups = [first, {"title": "Tasks", "panels": _panels(arms, titles, ()) if titles else []}]
    for name in measures.names(arms):
        titles = {f"{name}/{key}": text for key, text in measures.declared(name, "TITLES").items()}
        present = dict.fromkeys(v for arm in arms for v in arm.history.arrays())
        for value in present:
            if value.startswith(f"{name}/"):
                titles.setdefault(value, value.partition("/")[2].replace("_", " "))
        logarithmic = [f"{name}/{key}" for key in measures.declared(name, "LOGARITHMIC")]
        entries = {f"{name}/{k}": x for k, x in measures.declared(name, "ENTRIES").items()}
        groups.append({"title": name, "panels": _panels(arms, titles, logarithmic, entries)})
    return [group for group in groups if group["panels"]]


def _panels(
    arms: Sequence[Arm],
    titles: Mapping[str, str],
    logarithmic: Iterable[str],
    entries: Mapping[str, str] | None = None,
) -> list[dict]:
    panels = []
    histories = {arm.name: arm.history.arrays() for arm in arms}
    at_most = int(np.clip(MOST_POINTS // (len(arms) * len(titles)), 20, 200))
    for value, title in titles.items():
        curves = {}
        spectrum = None
        for name, history in histories.items():
            if value not in history:
                continue
            step_E, value_Ex = measures.taken(history["step"], history[value])
            kept_E = thinned(step_E, at_most)
            if not kept_E.size:
                continue
            if value_Ex.ndim == 3:
                spectrum = spectrum or _spectrum(name, step_E, value_Ex, at_most)
                continue
            low_E, median_E, high_E = style.quantiles(value_Ex[kept_E])[QUARTILES]
            curve = {"step": step_E[kept_E].tolist(), "median": plain(median_E)}
            if value_Ex.shape[1] > 1:
                curve |= {"low": plain(low_E), "high": plain(high_E)}
            curves[name] = curve
        if spectrum:
            spectrum["entry"] = (entries or {}).get(value, "entry")
        if curves or spectrum:
            is_logarithmic = value in logarithmic and bool(curves)
            panel = {"title": title, "log": is_logarithmic, "arms": curves, "spectrum": spectrum}
            panel["share"] = value.startswith("val_accuracy/") or value.endswith("accuracy")
            panels.append(panel)
    return panels


def _spectrum(arm, step_E, value_ExRxK, at_most):
    """The K entries of an arm's first run: the median of runs with other peaks would show none."""
    kept_E = thinned(step_E, min(at_most, 60))
    return {
        "arm": arm,
        "step": step_E[kept_E].tolist(),
        "values": [plain(x_K, 3) for x_K in value_ExRxK[kept_E, 0]],
    }


def thinned(step_E: np.ndarray, at_most: int) -> np.ndarray:
    """Places of at most so many evaluations: half even in the step, half in its logarithm."""
    if len(step_E) <= at_most:
        return np.arange(len(step_E))
    first, last, half = max(step_E[0], 1), step_E[-1], at_most // 2
    wanted = np.concatenate([np.geomspace(first, last, half), np.linspace(first, last, half)])
    return np.unique(np.searchsorted(step_E, wanted).clip(max=len(step_E) - 1))


def shares(values: Sequence[float] | np.ndarray) -> list[int | None]:
    """Whole numbers of 0.01 %."""
    values = np.asarray(values, float)
    whole = np.rint(10_000 * np.nan_to_num(values)).astype(int).tolist()
    return [n if ok else None for n, ok in zip(whole, np.isfinite(values), strict=True)]


def plain(values: Iterable[float], digits: int = 6) -> list[float | int | None]:
    """Numbers with so many digits."""
    found = []
    for value in map(float, values):
        if not np.isfinite(value):
            found.append(None)
        elif value.is_integer() and abs(value) < 1e15:
            found.append(int(value))
        else:
            found.append(float(f"{value:.{digits}g}"))
    return found
