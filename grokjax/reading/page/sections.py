"""The parts of a page as HTML: what was found, the table, the figures, where it comes from."""

import base64
import io
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from grokjax.config.config import flat
from grokjax.reading.arms import Arm
from grokjax.reading.comparison import NOTES
from grokjax.reading.findings import Finding
from grokjax.reading.page.lead import listed
from grokjax.reading.rows import COLUMNS, TEXTS, Row, columns
from grokjax.recording.results import LATEST, Results
from grokjax.recording.times import threshold_of

CORE = (  # columns that are seen at first
    *("arm", "task", "runs", "grokked", "median_grok_step", "memorised_step", "delay"),
    *("val_accuracy", "log_rank_p"),
)
SHORT = 12  # characters of a header that is not broken
MOST_ROWS = 300  # of a table with all columns
MOST_SPOKEN = 8  # arms in the text for those who cannot see a chart
MACHINE = ("processor", "threads")


def table(summary: Sequence[Row]) -> str:
    """The table that `rows.markdown` writes, with headers that sort it; a long one is narrow."""
    texts = columns(summary)
    if len(summary) > MOST_ROWS:
        texts = {name: of_rows for name, of_rows in texts.items() if name in CORE}
    heads = []
    for name in texts:
        text = escape(COLUMNS[name])
        kinds = ["more"] * (name not in CORE) + ["short"] * (len(text) <= SHORT)
        heads.append(
            f'<th scope="col" class="{" ".join(kinds)}"><button type="button">{text}</button></th>'
        )
    lines = [f"<thead><tr>{''.join(heads)}</tr></thead><tbody>"]
    for number in range(len(summary)):
        cells = []
        for name, of_column in texts.items():
            text = escape(of_column[number].replace(r"\|", "|"))
            if name == "arm":
                cells.append(f'<th scope="row">{text}</th>')
                continue
            kinds = ["text"] * (name in TEXTS) + ["more"] * (name not in CORE)
            kind = f' class="{" ".join(kinds)}"' if kinds else ""
            cells.append(f"<td{kind}>{text}</td>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return "\n".join([*lines, "</tbody>"])


def spoken(summary: Sequence[Row]) -> str:
    """What charts of when runs grok show, in words."""
    said = []
    for row in [row for row in summary if not row["task"]][:MOST_SPOKEN]:
        run = "run" if row["runs"] == 1 else "runs"
        count = f"{row['arm']}: {row['grokked']:,} of {row['runs']:,} {run} grokked"
        median = row["median_grok_step"]
        said.append(count + (f", half of them all by step {median:,}" if median else ""))
    left = len({row["arm"] for row in summary}) - len(said)
    return "; ".join(said) + (f"; and {left} more arms, see the table" if left else "") + "."


def criteria(folders: Mapping[str, Arm]) -> str:
    """What memorising and grokking are, by each rule that the configs of some folders have.

    Args:
        folders: an arm of each, by name.
    """
    names: dict[str, list[str]] = {}
    for name, arm in folders.items():
        names.setdefault(_criterion(arm.config.get("grok", {})), []).append(name)
    texts = [f"In {listed(own)}: {text}" if len(names) > 1 else text for text, own in names.items()]
    return "".join(f'<p class="criterion">{escape(text)}</p>' for text in texts)


def _criterion(rule):
    threshold = f"{100 * threshold_of(rule):.6g} %"
    count = rule.get("count", 3)
    often = f" and stays there for {count} evaluations in a row" if count > 1 else ""
    if rule.get("rule") == "s3":
        often = " more than 1,000 steps later"
    return (
        f"A run has memorised when its accuracy on the training examples reaches {threshold}; it "
        f"has grokked when accuracy on the others, the validation examples, does{often}."
    )


def threshold(arms: Sequence[Arm]) -> float | None:
    """The accuracy that a run groks at; None if it is not the same in all arms."""
    found = {threshold_of(arm.config.get("grok", {})) for arm in arms}
    return found.pop() if len(found) == 1 else None


def notes() -> str:
    """How to read the table."""
    return "".join(f"<p>{escape(part)}</p>" for part in NOTES.strip().split("\n\n"))


def finding(found: Finding) -> str:
    """Its text, and its picture if there is one."""
    title = escape(found.name.capitalize())
    text = f"<h3>{title}</h3>{marked(found.text)}"
    if found.draw is None:
        return text
    file = io.BytesIO()
    found.draw().savefig(file, format="png", dpi=110, bbox_inches="tight", facecolor="white")
    image = base64.b64encode(file.getvalue()).decode()
    return (
        f'{text}<img alt="{title}: the numbers of the text above as a picture" '
        f'src="data:image/png;base64,{image}">'
    )


def marked(text: str) -> str:
    """Markdown as summaries have it: headings, paragraphs and tables."""
    blocks = []
    for block in re.split(r"\n\s*\n", text.strip()):
        if not block.startswith("|"):
            tag = "h4" if block.startswith("#") else "p"
            blocks.append(f"<{tag}>{escape(block.lstrip('# '))}</{tag}>")
            continue
        lines = [line[1:-1].split(" | ") for line in block.splitlines()]
        rows = []
        for line in (lines[0], *lines[2:]):  # the second is a rule
            tag = "td" if rows else "th"
            cells = [escape(cell.strip().replace(r"\|", "|")) for cell in line]
            first = f'<{tag} class="text">{cells[0]}</{tag}>'
            others = "".join(f"<{tag}>{cell}</{tag}>" for cell in cells[1:])
            rows.append(f"<tr>{first}{others}</tr>")
        table = f"<table><tbody>{''.join(rows)}</tbody></table>"
        blocks.append(f'<div class="table marked" role="region" tabindex="0">{table}</div>')
    return "".join(blocks)


def provenance(folders: Mapping[str, Arm]) -> str:
    """What trained which folders, an arm of each by name, and the command that does it again."""
    facts: dict[str, list[str]] = {}
    commands = []
    seconds = 0.0
    for name, folder in [(name, arm.folder) for name, arm in folders.items() if arm.folder]:
        results = Results(folder)
        facts.setdefault(json.dumps(_facts(results)), []).append(name)
        words = ("--config", str(folder), "--workdir", f"{folder}_again")
        commands.append(shlex.join(["python", "-m", "grokjax.train", *words]))
        seconds += results.seconds()
    texts = []
    for text, names in facts.items():
        known = {"arms": ", ".join(names), **json.loads(text)}
        items = "".join(f"<dt>{escape(n)}</dt><dd>{escape(x)}</dd>" for n, x in known.items())
        texts.append(f"<dl>{items}</dl>")
    if seconds:
        texts.append(f"<p>Wall time of all training: {_time(seconds)}.</p>")
    if commands:
        lines = escape("\n".join(commands))
        texts.append(f"<p>One folder is trained again by its line of these.</p><pre>{lines}</pre>")
    return "".join(texts)


def _facts(results):
    """{what: text} of the latest session."""
    stored = results.facts()
    machine = (results.sessions() or [{}])[-1].get("machine", {})
    known = {name: stored.get(name) for name in LATEST} | {n: machine.get(n) for n in MACHINE}
    versions = known.pop("versions")
    texts = {name.replace("_", " "): str(x) for name, x in known.items() if x not in (None, "")}
    if isinstance(versions, Mapping):
        texts["versions"] = ", ".join(f"{name} {version}" for name, version in versions.items())
    return texts


def _time(seconds):
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def configs(folders: Mapping[str, Arm]) -> str:
    """The config of the first folder, and what others have otherwise; an arm of each by name."""
    texts = []
    first: dict[str, Any] = {}
    for name, arm in folders.items():
        config = dict(flat(arm.config))
        entries = [n for n in dict.fromkeys([*first, *config]) if first.get(n) != config.get(n)]
        lines = [f"{entry} = {json.dumps(config.get(entry))}" for entry in entries]
        first = first or config
        texts.append(f"<h4>{escape(name)}</h4><pre>{escape(chr(10).join(lines))}</pre>")
    return "".join(texts)


def figure(kind: str, title: str, caption: str, alt: str) -> str:
    """A place for a chart, with what it shows in words."""
    return (
        f'<figure class="{kind}"><h3>{escape(title)}</h3><p class="caption">{escape(caption)}</p>'
        f'<div class="controls"></div>'
        f'<div class="chart" data-kind="{kind}" role="img" aria-label="{escape(alt)}"></div>'
        "</figure>"
    )
