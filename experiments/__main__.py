"""The command of all studies.

    python -m experiments list      # the claims
    python -m experiments all       # runs every study, and summarises them in results/summary.md
    python -m experiments report    # writes the tables of README.md from tables/*.csv
    python -m experiments verdicts  # writes REPRODUCTIONS.md from data/reproductions.csv
    python -m experiments archive   # writes data/*.zip, the runs of all studies in results/

With `--results results` the last three begin with what the studies in results/ have.
"""

import functools
from pathlib import Path

from grokjax import run_studies

from . import archive, report, reproductions, verdicts

if __name__ == "__main__":
    folder = Path(__file__).parent
    rows = reproductions.rows()
    published = {name: row.published for name, row in rows.items()}
    configs = {name: row.config for name, row in rows.items()}
    run_studies(
        folder,
        report=functools.partial(report.prepare, folder),
        verdicts=functools.partial(verdicts.prepare, folder, published, configs),
        archive=functools.partial(archive.prepare, folder),
    )
