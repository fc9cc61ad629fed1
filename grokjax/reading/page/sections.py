"""The parts of a page as HTML: what was found, the table, the figures, where it comes from."""

import base64
import io
import json
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from grokjax.config.config import flat
from grokjax.reading.arms import Arm
from grokjax.reading.comparison import NOTES
from grokjax.reading.findings import Finding
from grokjax.reading.rows import COLUMNS, TEXTS, Row, columns
from grokjax.recording.results import LATEST, Results

CORE = (  # columns that are seen at first
    *("arm", "task", "runs", "grokked", "median_grok_step", "memorised_step", "delay"),
    *("val_accuracy", "log_rank_p"),
)
SHORT = 12  # characters of a header that is not broken
MOST_ROWS = 300  # of a table with all columns
MOST_SPOKEN = 8  # arms in the text for those who cannot see a chart
MACHINE = ("processor", "threads")


def lead(summary: Sequence[Row], is_choice: bool = True) -> str:
    """The arm that groks earliest, beside the first one; how many grok if arms are no choice."""
    of_all = [row for row in summary if not row["task"]]
    first = of_all[0]
    best = min(of_all, key=lambda row: (row["median_grok_step"] or math.inf, -row["share"]))
    count = f"{best['grokked']:,} of {best['runs']:,}"
    if best["median_grok_step"] is None:
        where = f"in {best['arm']}, " if len(of_all) > 1 else ""
        return f"Less than half of the runs grokked{' in every arm' * bool(where)}: {where}{count}."
    if not is_choice:
        half = sum(row["median_grok_step"] is not None for row in of_all)
        return f"Half of the runs or more grokked in {half:,} of {len(of_all):,} arms."
    if len(of_all) == 1:
        return f"Half of the runs had grokked by {_median(best)}; {count} did in the end."
    if best is first:
        return (
            f"{best['arm']}, the first arm, groks earliest: half of its runs had grokked by "
            f"{_median(best)}."
        )
    if first["median_grok_step"] is None:
        other = f"less than half of {first['arm']} by step {first['steps']:,}"
    else:
        other = f"those of {first['arm']} by {_median(first)}"
    p = columns([best]).get("log_rank_p", [""])[0]
    told = f" Log-rank p against {best['compared_with']}: {p}." if p else ""
    return (
        f"{best['arm']} groks earliest: half of its runs had grokked by {_median(best)}, {other}."
        f"{told} It is chosen by these very runs."
    )


def _median(row):
    text = f"step {row['median_grok_step']:,}"
    if row["low"] is not None and row["high"] is not None:
        text += f" (95 % interval {row['low']:,} to {row['high']:,})"
    return text


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
        count = f"{row['arm']}: {row['grokked']:,} of {row['runs']:,} runs grokked"
        median = row["median_grok_step"]
        said.append(count + (f", half of them all by step {median:,}" if median else ""))
    left = len({row["arm"] for row in summary}) - len(said)
    return "; ".join(said) + (f"; and {left} more arms, see the table" if left else "") + "."


def criterion(arm: Arm) -> str:
    """What memorising and grokking are, by the rule of a config."""
    rule = arm.config.get("grok", {})
    threshold = f"{rule.get('threshold', 0.99):.0%}".replace("%", " %")
    count = rule.get("count", 3)
    often = f" and stays there for {count} evaluations in a row" if count > 1 else ""
    if rule.get("rule") == "s3":
        threshold, often = "95 %", " more than 1,000 steps later"
    return (
        f"A run has memorised when its accuracy on the training examples reaches {threshold}; it "
        f"has grokked when accuracy on the others, the validation examples, does{often}."
    )


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


def provenance(arms: Sequence[Arm]) -> str:
    """What trained which arms, and the command that does it again."""
    facts: dict[str, list[str]] = {}
    commands = []
    seconds = 0.0
    for folder, arm in {arm.folder: arm for arm in arms if arm.folder}.items():
        results = Results(folder)
        facts.setdefault(json.dumps(_facts(results)), []).append(arm.family)
        words = ("--config", str(folder), "--workdir", f"{folder}_again")
        commands.append(shlex.join(["python", "-m", "grokjax.train", *words]))
        seconds += results.seconds()
    texts = []
    for text, families in facts.items():
        known = {"arms": ", ".join(families), **json.loads(text)}
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


def configs(arms: Sequence[Arm]) -> str:
    """The config of the first folder, and what the others have otherwise."""
    of_family = {arm.family: dict(flat(arm.config)) for arm in reversed(arms)}
    texts = []
    first: dict[str, Any] = {}
    for family in dict.fromkeys(arm.family for arm in arms):
        config = of_family[family]
        names = [n for n in dict.fromkeys([*first, *config]) if first.get(n) != config.get(n)]
        lines = [f"{name} = {json.dumps(config.get(name))}" for name in names]
        first = first or config
        texts.append(f"<h4>{escape(family)}</h4><pre>{escape(chr(10).join(lines))}</pre>")
    return "".join(texts)


def figure(kind: str, title: str, caption: str, alt: str) -> str:
    """A place for a chart, with what it shows in words."""
    return (
        f'<figure class="{kind}"><h3>{escape(title)}</h3><p class="caption">{escape(caption)}</p>'
        f'<div class="controls"></div>'
        f'<div class="chart" data-kind="{kind}" role="img" aria-label="{escape(alt)}"></div>'
        f'<p class="drawn" aria-live="polite"></p></figure>'
    )
