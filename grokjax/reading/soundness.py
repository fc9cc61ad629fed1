"""What has to be true of the files of a results folder before anything is made of them."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from grokjax.config.config import flat
from grokjax.config.grid import MAX_RUNS, count
from grokjax.config.values import ENTRIES, check_value
from grokjax.core.hparams import check_ranges

SECTIONS = ("grok", "schedule")  # of a config that say how its runs came out
KINDS = {"step": "i", "label": "U"}  # NumPy's; of metrics: a number of any kind


def check_history(arrays: Mapping[str, np.ndarray]) -> None:
    """Arrays of a history are of their types, and its steps increase.

    Raises:
        ValueError: for the first that is not.
    """
    for name, array in arrays.items():
        if array.dtype.kind not in KINDS.get(name, "biuf"):
            raise ValueError(f"{name} is of type {array.dtype}")
        if name in KINDS and array.ndim != 1:
            raise ValueError(f"{name} is {array.shape}, not a list")
    if (np.diff(arrays["step"], prepend=0) <= 0).any():
        raise ValueError("its steps do not increase")


def check_record(config: Mapping[str, Any]) -> None:
    """The record of a config has a grid of runs, and sections and a shard that could be trained.

    Raises:
        ValueError: for the first that is not so; entries that are lacking are at their defaults.
    """
    runs = config.get("runs")
    if not isinstance(runs, dict) or not all(isinstance(v, list) for v in runs.values()):
        raise ValueError("it says nothing of its runs")
    for name, values in runs.items():
        check_value(f"runs.{name}", tuple(values), tuple[int | float | str, ...])
    if count(runs) > MAX_RUNS:
        raise ValueError(f"it has {count(runs):,} runs")

    given = dict(flat({name: config.get(name, {}) for name in SECTIONS}))
    for path, value in given.items():
        if path in ENTRIES:
            check_value(path, value, type(ENTRIES[path].default))
            check_ranges("", given, {path: ENTRIES[path].range})
        elif not path.startswith("schedule."):  # which may have had more entries once
            raise ValueError(f"unknown entry {path!r}")

    numbers = re.fullmatch("([0-9]{1,6})/([0-9]{1,6})", str(config.get("shard", "1/1")))
    if not numbers or not 1 <= int(numbers[1]) <= int(numbers[2]):
        raise ValueError(f"shard {config['shard']!r} is none")
