"""What came out of all studies, in one table."""

import math
from collections.abc import Sequence
from pathlib import Path

from grokjax.reading.page import page
from grokjax.reading.rows import markdown
from grokjax.recording.files import replacing
from grokjax.studies.runner import Runner

LEFT_OUT = ("share", "best_val_accuracy", "diverged", "collapses")
NOTES = """\
Of each study, or part of one, the first arm and the one that groks earliest, chosen by these very
runs; all arms and what the columns mean are in the studies' own summaries:
"""


def write(runners: Sequence[Runner], folder: Path) -> str:
    """Writes summary.md in the folder of all results; returns it."""
    shown, texts = [], [NOTES]
    for runner in runners:
        name = runner.study.name
        for part, rows in runner.outcome.items():
            of_all = [row for row in rows if not row["task"]]
            best = min(of_all, key=lambda r: (r["median_grok_step"] or math.inf, -r["share"]))
            for row in [best] if best is of_all[0] else [of_all[0], best]:
                arm = "/".join(filter(None, [name, part, row["arm"]]))
                shown.append(row | dict.fromkeys(LEFT_OUT, "") | {"arm": arm})
        missing = f" Not finished: {', '.join(runner.missing)}." if runner.missing else ""
        link = f"[{name}]({name}/summary.md)" if runner.outcome else name
        if (folder / name / page.NAME).is_file():
            link += f" ([page]({name}/{page.NAME}))"
        texts.append(f"* {link}: {runner.study.claim}{missing}")
    whole = "\n".join(["# All studies\n", markdown(shown) if shown else "", *texts, ""])
    with replacing(folder / "summary.md") as path:
        path.write_text(whole, encoding="utf-8")
    return whole
