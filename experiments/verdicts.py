"""Published numbers beside ours: does theirs lie where single runs of ours do?

A table of runs, data/reproductions.csv, has a line for every run: its row, its number, its value (a
step, in the unit of the source, or a measure) and whether it came to it. From that file and the
rows of `reproductions.py` everything else is written: REPRODUCTIONS.md and its picture.
"""

import csv
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

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
*inside*: the published number lies in the interval into which a further run of ours falls with
95 % probability (with fewer than 39 runs it is their whole range, and the probability is less), or
a log-rank test does not tell the published runs from ours at 5 %. *outside*: neither. *setting not
stated*: outside, but the source leaves open what may decide about it."""
LINK = f"![Every run of ours over the published number]({PICTURE})"


def collect(
    rows: Mapping[str, Published], configs: Mapping[str, ConfigDict], results: Path
) -> dict[str, Durations]:
    """Ours of every row whose arm is finished in a folder of results.

    Raises:
        ValueError: for an arm of another config than the row's.
    """
    found = {}
    for name, published in rows.items():
        if Results(results / name).status() == "finished":
            arm, *others = arms.read(results / name)
            changed = differences(arm.config, configs[name])
            if changed or others:
                raise ValueError(f"{results / name} has another config: {changed}; train it again")
            found[name] = published.measured(arm)
    return found


def write_data(path: Path, found: Mapping[str, Durations]) -> None:
    """A line for every run."""
    with replacing(path) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["row", "run", "value", "reached"])
        for name, (value_R, reached_R) in found.items():
            for r, (value, reached) in enumerate(zip(value_R, reached_R, strict=True)):
                writer.writerow([name, r, f"{value:.6g}", int(reached)])


def read_data(path: Path) -> dict[str, Durations]:
    """What `write_data` wrote."""
    values = {}
    with path.open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            pair = (float(line["value"]), line["reached"] == "1")
            values.setdefault(line["row"], []).append(pair)
    found = {}
    for name, pairs in values.items():
        value_R, reached_R = np.array(pairs).T
        found[name] = Durations(value_R, reached_R > 0)
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
        found |= collect(rows, configs, results / "reproductions")
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
    print(f"wrote {len(found)} of {len(rows)} rows to {folder / PAGE}")


def page(rows: Mapping[str, Published], found: Mapping[str, Durations]) -> str:
    """The text of the page."""
    outcomes = {name: judge(found[name], rows[name]) for name in found}
    counts = [(v, sum(o.verdict == v for o in outcomes.values())) for v in VERDICTS]
    head = ["row", "published", "ours: median [95 %]", "quartiles", "runs", "verdict"]
    lines = [f"| {' | '.join(head)} |", "|---|---:|---:|---:|---:|---|"]
    for name, ours in found.items():
        cells = [f"[{name}](#{_anchor(name)})", _theirs(rows[name]), *_ours(ours)]
        lines.append(f"| {' | '.join(cells)} | {outcomes[name].verdict} |")
    details = [_details(name, rows[name], found[name], outcomes[name]) for name in found]
    missing = [name for name in rows if name not in found]
    waiting = [f"Not run yet: {', '.join(missing)}."] if missing else []
    summary = ", ".join(f"{count} {verdict}" for verdict, count in counts if count)
    parts = [
        HEAD,
        f"{len(found)} of {len(rows)} rows have been run: {summary}.",
        "\n".join(lines),
        *waiting,
        LINK,
        *details,
    ]
    return "\n\n".join(parts) + "\n"


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
    value_R = np.sort(np.where(ours.event_observed_R, ours.duration_R, np.inf))
    middle, low, high = (_number(x) for x in median_time(ours))
    quartiles = [_number(value_R[int(q * (len(value_R) - 1) + 0.5)]) for q in (0.25, 0.75)]
    return [f"{middle} [{low}, {high}]", " to ".join(quartiles), f"{len(value_R)}"]


def _details(name, published, ours, outcome):
    source = f"[{published.source}]({published.link}), {published.what}: {published.setting}."
    if np.isnan(outcome.p):
        interval = f"{_number(outcome.low)} to {_number(outcome.high)}"
        coverage = min(0.95, (len(ours.duration_R) - 1) / (len(ours.duration_R) + 1))
        why = f"A further run of ours falls into {interval} ({coverage:.0%})."
    else:
        values = ", ".join(_number(value) for value in published.values)
        why = f"Theirs {values}: log-rank p = {outcome.p:.2g}."
    if missed := int((~ours.event_observed_R).sum()):
        why += f" {missed} of ours have not come to it."
    unstated = f" Not stated there: {published.unstated}." if published.unstated else ""
    verdict = f"**{outcome.verdict.capitalize()}.**"
    command = f"`python -m experiments.reproductions --only '{name}'`"
    return f"## {name}\n\n{source}{unstated}\n\n{why} {verdict}\n\n{command}"


@style.ours
def picture(rows: Mapping[str, Published], found: Mapping[str, Durations]) -> Figure:
    """A line for every row: our runs, their median and the published values, over the latter."""
    figure = Figure(figsize=(11, 1.2 + 0.42 * len(found)), layout="constrained")
    axes = figure.subplots()
    for y, (name, ours) in enumerate(found.items()):
        unit = np.median(rows[name].values)
        spread_R = y + 0.26 * np.linspace(-1, 1, len(ours.duration_R))
        x_R = ours.duration_R / unit
        reached_R = ours.event_observed_R
        dots: Any = dict(ls="none", color=style.BLUE, ms=3, alpha=0.5)
        axes.plot(x_R[reached_R], spread_R[reached_R], marker="o", **dots)
        axes.plot(x_R[~reached_R], spread_R[~reached_R], marker=">", mfc="none", **dots)
        axes.plot(median_time(ours).median / unit, y, "D", color=style.INK, ms=6)
        theirs = np.array(rows[name].values) / unit
        axes.plot(theirs, np.full(theirs.size, y), "|", color=style.VERMILION, ms=17, mew=2)
    style.dress(axes, "Ours over what is published")
    axes.set(xscale="log", xlabel="ours / published", ylim=(len(found) - 0.5, -0.5))
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.5), max(high, 2))
    ticks = [x for x in RATIOS if axes.get_xlim()[0] <= x <= axes.get_xlim()[1]]
    axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
    axes.set_xticks([], minor=True)
    axes.set_yticks(range(len(found)), [f"{name}: {rows[name].what}" for name in found])
    keys = [
        style.mark_key("a run of ours", "o", color=style.BLUE),
        style.mark_key("not come to it by the end", ">", color=style.BLUE, mfc="none"),
        style.mark_key("median of ours", "D", color=style.INK),
        style.mark_key("published", "|", color=style.VERMILION, mew=2),
    ]
    style.legend(figure, *keys)
    return figure
