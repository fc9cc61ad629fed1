"""In what arms differ: entries of `config.runs`, and the rest of their configs."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from grokjax.config.config import flat
from grokjax.config.synonyms import hint
from grokjax.reading.arms import SEEDS, Arm

SECTIONS = (  # beside `runs`
    *("task", "model", "optimizer", "loss", "split", "batch_size", "batches", "schedule", "grok"),
    *("freeze", "branch"),
)
COURSE = "schedule.learning_rate"  # other entries of `schedule` say how runs are watched


def settings(arm: Arm) -> dict[str, Any]:
    """{entry of `config.runs`, or dotted path of another: its value}, without the seeds."""
    runs = {name: values[0] if values else None for name, values in arm.config["runs"].items()}
    rest = flat({name: arm.config[name] for name in SECTIONS if name in arm.config})
    return {n: x for n, x in (*rest, *(runs | arm.values).items()) if n not in SEEDS}


def differing(arms: Sequence[Arm], names: Sequence[str] = ()) -> list[str]:
    """The settings of training other than `names` that are not the same in all arms."""
    settled = [n for n in _varying(list(map(settings, arms))) if n not in names]
    return [n for n in settled if n == COURSE or not n.startswith("schedule.")]


def numbers(arms: Sequence[Arm], name: str) -> np.ndarray:
    """[A]: the value of an entry in each arm, of `config.runs` or by the path of another.

    Raises:
        ValueError: if an arm has no such entry, or no number, or all have the same.
    """
    every = [settings(arm) for arm in arms]
    common = [n for n in every[0] if all(n in of_arm for of_arm in every)]
    varying = [n for n in _varying(every) if n in common and _is_number(every[0][n])]
    choices = f"; what varies: {', '.join(varying) or 'no entry that is a number'}"
    if name in SEEDS:
        raise ValueError(f"{name} tells runs of one setting apart and has no law{choices}")
    if name not in common:
        given = name if "." in name else f"runs.{name}"
        paths = [n if "." in n else f"runs.{n}" for n in common]
        close = hint(given, paths).replace("runs.", "")
        raise ValueError(f"the configs have no entry {name!r} in all folders{close or choices}")
    values = [of_arm[name] for of_arm in every]
    if not all(map(_is_number, values)):
        raise ValueError(f"{name} is {values[0]!r}, not a number{choices}")
    if len(set(values)) == 1:
        raise ValueError(f"{name} is {values[0]:g} in all runs{choices}")
    return np.array(values, float)


def _varying(every):
    """The settings that are not the same in all of several dicts."""
    known = dict.fromkeys(name for of_arm in every for name in of_arm)
    return [n for n in known if any(of_arm.get(n) != every[0].get(n) for of_arm in every)]


def _is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)
