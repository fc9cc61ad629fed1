"""The command of all studies.

    python -m experiments list      # the claims
    python -m experiments all       # runs every study, and summarises them in results/summary.md
    python -m experiments report    # writes the tables of README.md from tables/*.csv

`report --results results` first copies the tables and pictures of the studies in results/.
"""

import functools
from pathlib import Path

from grokjax import run_studies

from . import report

if __name__ == "__main__":
    folder = Path(__file__).parent
    run_studies(folder, report=functools.partial(report.prepare, folder))
