"""The page of a comparison, or of a study with several parts."""

import importlib.resources
import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from grokjax.reading import comparison
from grokjax.reading.arms import Arm
from grokjax.reading.findings import Finding
from grokjax.reading.page import numbers, sections
from grokjax.reading.page.lead import lead
from grokjax.reading.pictures import style
from grokjax.reading.rows import Row
from grokjax.recording.files import replacing
from grokjax.recording.output import warn

NAME = "page.html"
LONG = 24  # characters of a name
SCRIPTS = (
    "tools.js",
    "charts.js",
    "grids.js",
    "measures.js",
    "controls.js",
    "page.js",
    "follow.js",
)
SLOT = re.compile(r"\{\{(\w+)\}\}")


class Part(NamedTuple):
    """A comparison: its arms, and the rows of its table."""

    arms: Sequence[Arm]
    summary: Sequence[Row]
    note: str = ""
    findings: Sequence[Finding] = ()


def check() -> None:
    """Raises a ValueError if plotly, which draws, is not installed."""
    _plotly()


def wanted(asked: bool | None, usual: bool) -> bool:
    """Is the page to be written? What is usual is left out where it cannot be drawn, with a line.

    Args:
        asked: what --html says; None if it was not given.
        usual: what is done then.

    Raises:
        ValueError: if it is asked for and cannot be drawn.
    """
    if not (usual if asked is None else asked):
        return False
    try:
        check()
    except ValueError as error:
        if asked:
            raise
        warn(f"{NAME} is left out: {error}")
        return False
    return True


def _plotly() -> str:
    """The script that draws charts."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise ValueError(
            "the page needs the package plotly; install it with pip install 'grokjax[html]'"
        ) from error
    return get_plotlyjs()


def write(path: Path, parts: Mapping[str, Part], title: str, command: str) -> None:
    """Writes the page; see `text`."""
    whole = text(parts, title, command)
    with replacing(path) as scratch:
        scratch.write_text(whole, encoding="utf-8")


def text(parts: Mapping[str, Part], title: str, command: str, stamp: str = "") -> str:
    """The page as one text, with all that it needs.

    Args:
        parts: of a study by name; a comparison is one part without a name.
        title: the claim of a study.
        command: that makes the page.
        stamp: of the results, if a server shows them while training goes on.
    """
    arms = [arm for part in parts.values() for arm in part.arms]
    runs = sum(len(arm.durations.duration_R) for arm in arms)
    folders: dict[str, Arm] = {}  # an arm of each; names repeat from part to part
    for name, part in parts.items():
        for arm in part.arms:
            folders.setdefault("/".join(filter(None, [name, arm.family])), arm)
    from grokjax.reading.page import tokens  # and with it whatever trains

    films = tokens.films([part.arms for part in parts.values()])
    found = [
        _part(i, name, part, own)
        for i, ((name, part), own) in enumerate(zip(parts.items(), films, strict=True))
    ]
    names = [name for name in parts if name]
    links = [f'<a href="#part-{i}">{escape(name)}</a>' for i, name in enumerate(names)]
    content = {"colours": style.COLOURS, "parts": [data for _, data in found]}
    data = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return _filled(
        "page.html",
        stamp=escape(stamp),
        title=escape(title),
        style=_file("page.css"),
        runs=f"{runs:,} run{'s' * (runs > 1)} in {len(arms):,} arm{'s' * (len(arms) > 1)}",
        links="".join(links),
        criteria=sections.criteria(folders),
        parts="\n".join(html for html, _ in found),
        provenance=sections.provenance(folders),
        configs=sections.configs(folders),
        notes=sections.notes(),
        command=escape(command),
        data=re.sub("[<>&\u2028\u2029]", lambda match: f"\\u{ord(match[0]):04x}", data),
        plotly=_plotly(),
        script="\n".join(map(_file, SCRIPTS)),
    )


def waiting(stamp: str, why: str) -> str:
    """A page that is seen until there are results."""
    return _filled("waiting.html", stamp=escape(stamp), why=escape(why), script=_file("follow.js"))


def _file(name: str) -> str:
    return importlib.resources.files("grokjax.reading.page").joinpath(name).read_text("utf-8")


def _filled(template: str, **texts: str) -> str:
    """A template with its slots filled; what they are filled with is left as it is."""
    return SLOT.sub(lambda match: texts[match[1]], _file(template))


def _part(number: int, name: str, part: Part, films: list) -> tuple[str, dict[str, Any]]:
    """The section of a part, and the numbers of its charts."""
    arms, summary, note, findings = part
    few = comparison.fewer(arms)
    if not any(arm is arms[0] for arm in few):
        few = [arms[0], *few]  # what others are compared with
    data = {
        "name": name,
        **numbers.arms_of(arms, few),
        "measures": numbers.groups_of(few),
        "films": films,
        "threshold": sections.threshold(arms),
    }
    verdict = comparison.verdict(summary)
    is_choice = not comparison.differ_in_data(arms)
    kind = "table long" if max(len(arm.name) for arm in arms) > LONG else "table"
    html = "\n".join(
        [
            f'<section class="part" id="part-{number}">',
            f"<h2>{escape(name or 'What came out')}</h2>",
            f'<p class="lead">{escape(lead(summary, is_choice))}</p>',
            *[f"<p>{escape(text)}</p>" for text in (verdict, note) if text],
            '<div class="arms" role="group" aria-label="Arms that are shown"></div>',
            '<h3>Table</h3><div class="controls"></div>',
            f'<div class="{kind}" role="region" tabindex="0" aria-label="Table of the arms">',
            f"<table>{sections.table(summary)}</table></div>",
            *_figures(part, data),
            *map(sections.finding, findings),
            "</section>",
        ]
    )
    return html, data


def _figures(part: Part, data: Mapping[str, Any]) -> list[str]:
    alt = sections.spoken(part.summary)
    drawn = sum(len(arm["grok"]) for arm in data["arms"])
    runs = sum(arm["runs"] for arm in data["arms"])
    evaluations = max(arm["evaluations"] for arm in data["arms"])
    kept = max(map(len, data["steps"]))
    some = fewer = ""
    if drawn < runs:
        some = f" {drawn:,} of {runs:,} runs are drawn, evenly chosen."
    if kept < evaluations:
        fewer = f" Of {evaluations:,} evaluations up to {kept:,} are drawn."
    several = "" if runs == len(data["arms"]) else " Bands are the quartiles of the runs."
    figures = [
        ("survival", "How many runs have grokked by each step", SURVIVAL, alt),
        ("dots", "Steps to grok", DOTS + some, alt),
        ("curves", "Accuracy of every run", CURVES + some + fewer, f"Accuracy by step. {alt}"),
    ]
    varying = _varying(part.arms)
    alone = [next(iter(sizes.items())) for sizes in varying if len(sizes) == 1]
    if entries := dict.fromkeys(entry.replace("_", " ") for entry, size in alone if size > 2):
        figures.append(("entry", f"Over {', '.join(entries)}", ENTRY, alt))
    if any(len(sizes) > 1 for sizes in varying):
        figures.append(("phase", "Phase diagram", PHASE, alt))
    if data["measures"]:
        words = ", ".join(group["title"] for group in data["measures"])
        text = f"Accuracy, and {words}, against the step"
        figures.append(("measures", "Measures beside accuracy", MEASURES + several, text))
    if data["films"]:
        text = "Embeddings of the tokens, projected to the plane, at every checkpoint"
        figures.append(("films", "Embeddings in the course of training", FILMS, text))
    return [sections.figure(*each) for each in figures]


def _varying(arms):
    """{entry that varies: how many numbers} in each family, or where texts vary too for each."""
    values: dict[tuple, dict[str, set]] = {}
    for arm in arms:
        numbers = {e: x for e, x in arm.values.items() if not isinstance(x, str)}
        texts = tuple((e, x) for e, x in arm.values.items() if e not in numbers)
        own = values.setdefault((arm.family, texts), {})
        for entry, value in numbers.items():
            own.setdefault(entry, set()).add(value)
    return [{e: len(x) for e, x in own.items() if len(x) > 1} for own in values.values()]


SURVIVAL = (
    "The share of runs that have grokked by a step (Kaplan-Meier); bands are 95 % intervals. A "
    "tick is a run that was followed up to there and had not grokked."
)
DOTS = (
    "A dot is a run, at the step from which it generalised. Open triangles had not grokked by "
    "their last evaluation. The diamond is the median over all runs with its 95 % interval."
)
CURVES = "A thin line is a run, a thick one the median of an arm. Point at a line to see its run."
ENTRY = (
    "Medians over all runs with their 95 % interval, where it has bounds. Open triangles are arms "
    "of which less than half grokked, at their last step."
)
PHASE = (
    "A cell is an arm: the median steps to grok, and validation accuracy at the end. A grey cell "
    "has no median, because less than half of its runs grokked; it says how many did."
)
MEASURES = (
    "Medians of the runs of each arm. The slider sets the step at which values are read in all "
    "panels, and of which spectra are shown."
)
FILMS = (
    "The first run of a folder: the first two principal components of its token embeddings. Many "
    "networks that have grokked a sum mod p lay the numbers on circles. The share of the variance "
    "is what both components show of it."
)
