"""Published numbers beside ours: does theirs lie where single runs of ours do?

A table of runs, data/reproductions.csv, has a line for every run: its row, its number, its value (a
step, in the unit of the source, or a measure), whether it came to it, and what trained it. From
that file and the rows of `reproductions.py` everything else is written: REPRODUCTIONS.md and its
picture. A row that makes another choice, where a source leaves one open, is told of with that row.
"""

import csv
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from grokjax.reading import arms
from grokjax.reading.pictures import style
from grokjax.reading.published import VERDICTS, Published, judge
from grokjax.reading.survival import Durations, median_time
from grokjax.recording.files import replacing
from grokjax.recording.results import Results
from grokjax.studies.study import differences

DATA = "data/reproductions.csv"
PAGE = "REPRODUCTIONS.md"
PICTURE = "pictures/reproductions.png"
RATIOS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
HEAD = """\
# Published numbers and ours

Written by `python -m experiments verdicts`; every run is in [one table](data/reproductions.csv).
*inside*: the published number lies in the interval into which a further run of ours falls with 95 %
probability, or, if it is a mean, the mean of as many further runs (by Student's t); or, where it is
given run by run, a log-rank test does not tell theirs from ours at 5 %. Of fewer than 39 runs the
interval of one is their whole range, whose probability is less: 90 % of 20 runs. *outside*: not
inside, as one number in twenty is by chance, of 20 runs one in ten. *setting not stated*: outside,
but the source leaves open what may decide about it. Of some that were missed, another choice was
tried afterwards; it is told below the row and changes no verdict. A row is *corrected* if it was
changed after a first run of ours had been seen; its verdict counts for less. Medians are
Kaplan-Meier estimates."""
LINK = f"![Every run of ours over the published number]({PICTURE})"


class Ours(NamedTuple):
    """What our runs of a row came to, and what trained them."""

    values: Durations
    machine: str


def collect(
    rows: Mapping[str, Published], configs: Mapping[str, ConfigDict], results: Path
) -> dict[str, Ours]:
    """Ours of every row whose arm is finished in a folder of results.

    Raises:
        ValueError: for an arm of another config than the row's.
    """
    found = {}
    for name, published in rows.items():
        folder = Results(results / name)
        if folder.status() == "finished":
            arm, *others = arms.read(results / name)
            changed = differences(arm.config, configs[name])
            if changed or others:
                raise ValueError(f"{results / name} has another config: {changed}; train it again")
            found[name] = Ours(published.measured(arm), _machine(folder))
    return found


def _machine(results):
    """The processor, or another device, and the version of JAX; more than one if it was moved."""
    names = []
    for machine in (session["machine"] for session in results.sessions()):
        device = machine["device"].partition(" x ")[2]  # 1 x NVIDIA H200 (gpu), 2 x cpu (cpu)
        name = machine["processor"] if device == "cpu (cpu)" else device.rpartition(" (")[0]
        names.append(f"{name}, jax {machine['versions']['jax']}")
    return ", and ".join(dict.fromkeys(names))


def write_data(path: Path, found: Mapping[str, Ours]) -> None:
    """A line for every run."""
    with replacing(path) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["row", "run", "value", "reached", "machine"])
        for name, ((value_R, reached_R), machine) in found.items():
            for r, (value, reached) in enumerate(zip(value_R, reached_R, strict=True)):
                writer.writerow([name, r, f"{value:.6g}", int(reached), machine])


def read_data(path: Path) -> dict[str, Ours]:
    """What `write_data` wrote."""
    values = {}
    machines = {}
    with path.open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            pair = (float(line["value"]), line["reached"] == "1")
            values.setdefault(line["row"], []).append(pair)
            machines[line["row"]] = line["machine"]
    found = {}
    for name, pairs in values.items():
        value_R, reached_R = np.array(pairs).T
        found[name] = Ours(Durations(value_R, reached_R > 0), machines[name])
    return found


def prepare(
    folder: Path,
    rows: Mapping[str, Published],
    configs: Mapping[str, ConfigDict],
    results: Path | None,
) -> Callable[[], None]:
    """Checks that the page can be written; returns the function that writes it.

    Args:
        folder: of the studies.
        rows: by the names of the arms.
        configs: likewise, of rows that may be in `results`.
        results: where the study was run, if the table of runs is to be made anew from there.
    """
    if results is not None and not results.is_dir():
        raise ValueError(f"--results {results} is no folder; choose one that a study wrote")
    data = folder / DATA
    found = read_data(data) if data.is_file() else {}
    if results is not None:
        trained = collect(rows, configs, results / "reproductions")
        found = found | trained if trained else {}
    found = {name: found[name] for name in rows if name in found}
    if not found:
        place = data if results is None else results / "reproductions"
        raise ValueError(f"no row is finished in {place}; run python -m experiments.reproductions")
    return functools.partial(_write, folder, rows, found)


def _write(folder, rows, found):
    for file in (DATA, PICTURE):
        (folder / file).parent.mkdir(exist_ok=True)
    write_data(folder / DATA, found)
    found = read_data(folder / DATA)  # what is judged is what is kept
    style.save(picture(rows, found), folder / PICTURE)
    with replacing(folder / PAGE) as path:
        path.write_text(page(rows, found), encoding="utf-8")
    known = len(_of_rows(rows, found))
    print(f"wrote {known} of {len(_of_rows(rows, rows))} rows to {folder / PAGE}")


def page(rows: Mapping[str, Published], found: Mapping[str, Ours]) -> str:
    """The text of the page."""
    known = _of_rows(rows, found)
    outcomes = {name: judge(ours.values, rows[name]) for name, ours in known.items()}
    counts = [(v, sum(o.verdict == v for o in outcomes.values())) for v in VERDICTS]
    head = ["row", "published", "ours: median [95 %]", "quartiles", "runs", "verdict"]
    lines = [f"| {' | '.join(head)} |", "|---|---:|---:|---:|---:|---|"]
    for name, ours in known.items():
        cells = [f"[{name}](#{_anchor(name)})", _theirs(rows[name]), *_ours(ours)]
        mark = ", corrected" if rows[name].corrected else ""
        lines.append(f"| {' | '.join(cells)} | {outcomes[name].verdict}{mark} |")
    missing = [name for name in _of_rows(rows, rows) if name not in known]
    waiting = [f"Not run yet: {', '.join(missing)}."] if missing else []
    summary = ", ".join(f"{count} {verdict}" for verdict, count in counts if count)
    parts = [
        HEAD,
        f"{len(known)} of {len(known) + len(missing)} rows have been run: {summary}.",
        "\n".join(lines),
        *waiting,
        LINK,
        *(_section(name, rows, found, outcome) for name, outcome in outcomes.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _of_rows(rows, values):
    """Without those of another choice in the place of a row's."""
    return {name: value for name, value in values.items() if not rows[name].instead_of}


def _choices(name, rows, found):
    """Other choices of what a row leaves open."""
    return [choice for choice in found if rows[choice].instead_of == name]


def _anchor(name):
    return name.replace("/", "").replace(".", "")


def _theirs(published):
    values = [_number(value) for value in published.values]
    if len(values) > 1:
        return f"{_number(np.median(published.values))} ({len(values)} runs)"
    return values[0]


def _number(value):
    if not np.isfinite(value):
        return "none"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _ours(ours):
    values = ours.values
    value_R = np.sort(np.where(values.event_observed_R, values.duration_R, np.inf))
    middle, low, high = (_number(x) for x in median_time(values))
    quartiles = [_number(value_R[int(q * (len(value_R) - 1) + 0.5)]) for q in (0.25, 0.75)]
    return [f"{middle} [{low}, {high}]", " to ".join(quartiles), f"{len(value_R)}"]


def _section(name, rows, found, outcome):
    """A row, its verdict with the reason, and what other choices give."""
    row = rows[name]
    values, machine = found[name]
    runs = len(values.duration_R)
    source = f"[{row.source}]({row.link}), {row.what}: {row.setting}."
    unstated = f" Not stated there: {row.unstated}." if row.unstated else ""
    if len(row.values) > 1:
        theirs = ", ".join(_number(value) for value in row.values)
        why = (
            f"Theirs {theirs}: log-rank p = {outcome.p:.2g}, {len(row.values)} runs against {runs}."
        )
    elif row.mean_of > 1:
        why = f"The mean of {row.mean_of} further runs of ours is {_interval(outcome)} (95 %)."
    else:
        coverage = min(95, 100 * (runs - 1) / (runs + 1))
        why = f"A further run of ours has {_interval(outcome)} ({coverage:.0f} %)."
    if missed := int((~values.event_observed_R).sum()):
        why += f" {missed} of ours never came to it."
    verdict = f"{why} **{outcome.verdict.capitalize()}.**"
    corrected = [f"Corrected: {row.corrected}."] if row.corrected else []
    choices = [_choice(rows[n], found[n]) for n in _choices(name, rows, found)]
    command = f"`python -m experiments.reproductions --only '{name}'`, {runs} runs on {machine}."
    return "\n\n".join([f"## {name}", source + unstated, verdict, *corrected, *choices, command])


def _interval(outcome):
    if np.isfinite(outcome.high):
        return f"{_number(outcome.low)} to {_number(outcome.high)}"
    return f"{_number(outcome.low)} or more, or never comes to it"


def _choice(row, ours):
    """Another choice, where the source leaves one open."""
    middle, _, runs = _ours(ours)
    inside = judge(ours.values, row).verdict == "inside"
    verdict = "inside" if inside else "not inside"
    return f"With {row.setting}: {middle}, {runs} runs on {ours.machine}; {verdict}."


@style.ours
def picture(rows: Mapping[str, Published], found: Mapping[str, Ours]) -> Figure:
    """A line for every row: our runs, their median and the published values, over the latter.

    Below a row are those of other choices.
    """
    names = [n for name in _of_rows(rows, found) for n in (name, *_choices(name, rows, found))]
    figure = Figure(figsize=(11, 1.2 + 0.42 * len(names)), layout="constrained")
    axes = figure.subplots()
    for y, name in enumerate(names):
        ours = found[name].values
        unit = np.median(rows[name].values)
        spread_R = y + 0.26 * np.linspace(-1, 1, len(ours.duration_R))
        x_R = ours.duration_R / unit
        reached_R = ours.event_observed_R
        colour = style.GREEN if rows[name].instead_of else style.BLUE
        dots: Any = dict(ls="none", color=colour, ms=3, alpha=0.5)
        axes.plot(x_R[reached_R], spread_R[reached_R], marker="o", **dots)
        axes.plot(x_R[~reached_R], spread_R[~reached_R], marker=">", mfc="none", **dots)
        axes.plot(median_time(ours).median / unit, y, "D", color=style.INK, ms=6)
        theirs = np.array(rows[name].values) / unit
        axes.plot(theirs, np.full(theirs.size, y), "|", color=style.VERMILION, ms=17, mew=2)
    style.dress(axes, "Ours over what is published")
    axes.set(xscale="log", xlabel="ours / published", ylim=(len(names) - 0.5, -0.5))
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.5), max(high, 2))
    ticks = [x for x in RATIOS if axes.get_xlim()[0] <= x <= axes.get_xlim()[1]]
    axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
    axes.set_xticks([], minor=True)
    axes.set_yticks(range(len(names)), [_label(name, rows[name]) for name in names])
    keys = [
        style.mark_key("a run of ours", "o", color=style.BLUE),
        style.mark_key("with another choice", "o", color=style.GREEN),
        style.mark_key("not come to it by the end", ">", color=style.BLUE, mfc="none"),
        style.mark_key("median of ours", "D", color=style.INK),
        style.mark_key("published", "|", color=style.VERMILION, mew=2),
    ]
    style.legend(figure, *keys)
    return figure


def _label(name, row):
    return f"with {row.setting}" if row.instead_of else f"{name}: {row.what}"
