"""Results as one labelled cube: an `xarray.Dataset` over steps and the axes of a sweep.

Hoyer & Hamman, 2017, "xarray: N-D labeled Arrays and Datasets in Python",
https://doi.org/10.5334/jors.148. Shape letters: E steps, R runs, K entries of a measure.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from grokjax.config.grid import grid_points, label, varying_points
from grokjax.reading import arms, folders
from grokjax.reading.arms import SEEDS, Arm
from grokjax.reading.times import KINDS
from grokjax.recording.results import LATEST, Results
from grokjax.recording.times import THRESHOLDS

if TYPE_CHECKING:
    import xarray

NOT_SAME = ("runs", "shard", "branched")  # in configs of one arm


class Layout(NamedTuple):
    """How R runs lie in the cube."""

    axes: tuple[str, ...]
    values: Mapping[str, Sequence]  # of each axis
    order_R: np.ndarray  # the runs in the order of the grid, the last axis fastest
    coordinates: dict[str, Any]  # as xarray takes them

    def shaped(self, array_RxX: np.ndarray) -> np.ndarray:
        """[R, ...] with the axes in place of R."""
        shape = [len(self.values[axis]) for axis in self.axes]
        return array_RxX[self.order_R].reshape(*shape, *array_RxX.shape[1:])


class Part(NamedTuple):
    """The runs of one setting in a folder."""

    folder: Path
    arm: Arm
    points: list[dict[str, Any]]  # R times the entries of config.runs
    facts: dict[str, Any]  # device, versions, commit


def open(*paths: str | Path) -> "xarray.Dataset":
    """The runs of all results at or beneath some folders.

        results = grokjax.open("results/moddiv")
        results.val_accuracy.sel(learning_rate=0.001).median("seed")

    Dimensions are `step` and, where the runs are a whole grid, its axes: `arm`, of folders whose
    configs differ in more than their seeds, and the entries of `config.runs` that vary, such as
    `seed`. Runs that are no whole grid have one axis `run`, with the entries as coordinates. Shards
    of one training are one arm.

    Variables are the metrics and measures, NaN where a run was not evaluated; `memorised_step`,
    `grok_step`, `delay`, `trained_to`; and `first_step`, `sustained_step`, `strict_step` over
    `threshold`, NaN for never. `norms/total` is called norms_total, K values of a measure have the
    axis NAME_entry (it is left out where folders have another K), and `l1_metric` is the loss term
    where `l1` is its weight. The attributes `config`, `device`, `versions` and `git_commit` are
    JSON: one value, or one for each arm.

    Keep it by `results.to_netcdf("runs.nc")`, or as a table with a line for every step of every
    run by `results[["val_accuracy"]].to_dataframe().to_parquet("runs.parquet")`.

    Raises:
        ValueError: if a path holds no results, they are damaged, or a run is there twice; if
            xarray is not installed.
    """
    try:
        import xarray
    except ImportError:
        raise ValueError(
            "open needs the package xarray; install it with pip install 'grokjax[analysis]'"
        ) from None
    if not paths:
        raise ValueError("no folder given; choose one of results or more")
    parts = _read(paths)
    arm_of_folder = _arms(parts)
    points = [
        {"arm": arm_of_folder[part.folder], **point} for part in parts for point in part.points
    ]
    _check_once(parts, points)
    layout = _lay_out(points)

    step_E = np.unique(np.concatenate([part.arm.history["step"] for part in parts]))
    coordinates = layout.coordinates | {"step": step_E, "threshold": list(THRESHOLDS)}
    variables = {}
    for name, array in _metrics(parts, step_E).items():
        variable = name.replace("/", "_") + "_metric" * (name in coordinates)
        dimensions = (*layout.axes, "step", *[f"{variable}_entry"] * (array.ndim - 2))
        variables[variable] = (dimensions, layout.shaped(array))
    for name, array in _times(parts).items():
        dimensions = (*layout.axes, *["threshold"] * (array.ndim - 1))
        variables[name] = (dimensions, layout.shaped(array))
    return xarray.Dataset(variables, coordinates, _attributes(parts, arm_of_folder))


def _read(paths):
    places = {folder.resolve(): folder for path in paths for folder in folders.find(Path(path))}
    names = folders.names(list(places))
    parts = []
    for place, folder in places.items():
        stored = Results(folder).facts()
        facts = {name: stored.get(name) for name in LATEST}
        of_folder = arms.read(folder, names[place])
        parts += [Part(folder, arm, _points(arm), facts) for arm in of_folder]
    return parts


def _points(arm):
    """R times the entries of `config.runs`."""
    runs = arm.config["runs"]
    labels = map(label, varying_points(runs))
    of_label = dict(zip(labels, grid_points(runs), strict=True))
    return [of_label[text] for text in arm.labels]


def _arms(parts) -> dict[Path, str]:
    """{folder: name of its arm}; folders whose configs differ in their seeds alone are one."""
    names = {}
    found = {}
    for part in parts:
        config = part.arm.config
        runs = {name: values for name, values in config["runs"].items() if name not in SEEDS}
        others = {name: value for name, value in config.items() if name not in NOT_SAME}
        key = json.dumps([others, runs], sort_keys=True)
        names[part.folder] = found.setdefault(key, part.arm.family)
    return names


def _check_once(parts, points):
    folder_R = [part.folder for part in parts for _ in part.points]
    seen = {}
    for folder, point in zip(folder_R, points, strict=True):
        key = json.dumps(point, sort_keys=True)
        if key in seen:
            shown = label({name: point[name] for name in point if name == "seed"})
            raise ValueError(f"run {shown!r} is in {seen[key]} and in {folder}; choose one of them")
        seen[key] = folder


def _lay_out(points: Sequence[Mapping]) -> Layout:
    """A grid if the runs are one, else a row of runs."""
    values, decided = _axes(points)
    place_R = _places(points, values)
    if math.prod(map(len, values.values())) == len(points):
        coordinates: dict[str, Any] = dict(values)
        for name, axis in decided.items():
            known = {point[axis]: point.get(name, np.nan) for point in points}
            coordinates[name] = (axis, [known[value] for value in values[axis]])
        return Layout(tuple(values), values, np.argsort(place_R), coordinates)
    row = {name: ("run", [p.get(name, np.nan) for p in points]) for name in (*values, *decided)}
    return Layout(("run",), {"run": points}, np.arange(len(points)), row)


def _axes(points) -> tuple[dict[str, list], dict[str, str]]:
    """{entry that varies: its values}, and {entry that another one decides: that one}.

    The second are entries of which each arm has one value, and a `split_seed` that is the seed.
    """
    names = list(dict.fromkeys(name for point in points for name in point))
    values = {name: list(dict.fromkeys(p.get(name, np.nan) for p in points)) for name in names}
    varied = [name for name in names if len(values[name]) > 1] or ["seed"]
    decided = {}
    for name in varied:
        for key in ("arm", "seed"):
            if name not in ("arm", "seed") and key in varied and _decides(points, key, name):
                decided[name] = key
    return {name: _sorted(values[name]) for name in varied if name not in decided}, decided


def _sorted(values):
    """Numbers in increasing order; names as they come."""
    return values if any(isinstance(value, str) for value in values) else sorted(values)


def _decides(points, key, name):
    pairs = {(point[key], point.get(name, np.nan)) for point in points}
    return len(pairs) == len({first for first, _ in pairs})


def _places(points, axes):
    """[R]: the place of each run in the grid, the last axis fastest."""
    place_R = np.zeros(len(points), int)
    for name, values in axes.items():
        index = {value: i for i, value in enumerate(values)}
        place_R = place_R * len(values) + [index[point.get(name, np.nan)] for point in points]
    return place_R


def _metrics(parts, step_E):
    """{name: [R, E] or [R, E, K]}, NaN where a run has none."""
    histories = [part.arm.history.arrays() for part in parts]
    names = list(dict.fromkeys(name for each in histories for name in each if name != "step"))
    found = {}
    for name in names:
        sizes = {each[name].shape[2:] for each in histories if name in each}
        if len(sizes) > 1:
            continue  # such as the spectra of two groups
        (size,) = sizes
        columns = []
        for each in histories:
            num_runs = each["train_loss"].shape[1]
            column = np.full((num_runs, len(step_E), *size), np.nan, np.float32)
            if name in each:
                column[:, np.searchsorted(step_E, each["step"])] = np.swapaxes(each[name], 0, 1)
            columns.append(column)
        found[name] = np.concatenate(columns)
    return found


def _times(parts):
    """{name: [R] or [R, thresholds]} in steps."""
    columns = []
    for part in parts:
        grok = part.arm.grokking
        crossings = [part.arm.times_of("")[threshold] for threshold in THRESHOLDS]
        columns.append(
            {
                "memorised_step": grok.memorised_R,
                "grok_step": grok.grok_R,
                "delay": grok.delay_R,
                "trained_to": part.arm.last_R,
                **{
                    f"{kind}_step": np.stack([getattr(c, f"{kind}_R") for c in crossings], axis=1)
                    for kind in KINDS
                },
            }
        )
    return {
        name: np.concatenate([column[name] for column in columns]).astype(float)
        for name in columns[0]
    }


def _attributes(parts, arm_of_folder):
    """{name: JSON} of the first folder of each arm."""
    found: dict[str, dict] = {name: {} for name in (*LATEST, "config")}
    for part in parts:
        for name, value in {**part.facts, "config": part.arm.config}.items():
            found[name].setdefault(arm_of_folder[part.folder], value)
    return {
        name: json.dumps(of_arm if len(of_arm) > 1 else next(iter(of_arm.values())))
        for name, of_arm in found.items()
    }
