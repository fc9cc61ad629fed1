"""In what arms differ: entries of `config.runs`, and the rest of their configs."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from grokjax.config.config import flat
from grokjax.config.synonyms import hint
from grokjax.reading.arms import SEEDS, Arm

SECTIONS = (  # beside `runs`
    *("task", "model", "optimizer", "loss", "split", "batch_size", "batches", "grok"),
    *("freeze", "branch"),
)


def settings(arm: Arm) -> dict[str, Any]:
    """{entry of `config.runs`, or dotted path of another: its value}, without the seeds."""
    runs = {name: values[0] if values else None for name, values in arm.config["runs"].items()}
    rest = flat({name: arm.config[name] for name in SECTIONS if name in arm.config})
    return {n: x for n, x in (*rest, *(runs | arm.values).items()) if n not in SEEDS}


def differing(arms: Sequence[Arm], names: Sequence[str] = ()) -> list[str]:
    """The settings other than `names` that are not the same in all arms."""
    every = [settings(arm) for arm in arms]
    known = dict.fromkeys(name for of_arm in every for name in of_arm if name not in names)
    return [n for n in known if any(of_arm.get(n) != every[0].get(n) for of_arm in every)]


def numbers(arms: Sequence[Arm], name: str) -> np.ndarray:
    """[A]: the value of an entry of `config.runs` in each arm.

    Raises:
        ValueError: if an arm has no such entry, or no number, or all have the same.
    """
    every = [settings(arm) for arm in arms]
    common = [n for n in every[0] if "." not in n and all(n in of_arm for of_arm in every)]
    varying = [n for n in differing(arms) if n in common and _is_number(every[0][n])]
    choices = f"; what varies: {', '.join(varying) or 'no entry that is a number'}"
    if name in SEEDS:
        raise ValueError(f"{name} tells runs of one setting apart and has no law{choices}")
    if name not in common:
        close = hint(f"runs.{name}", [f"runs.{n}" for n in common]).replace("runs.", "")
        raise ValueError(f"config.runs has no entry {name!r} in all folders{close or choices}")
    values = [of_arm[name] for of_arm in every]
    if not all(map(_is_number, values)):
        raise ValueError(f"{name} is {values[0]!r}, not a number{choices}")
    if len(set(values)) == 1:
        raise ValueError(f"{name} is {values[0]:g} in all runs{choices}")
    return np.array(values, float)


def _is_number(value):
    return isinstance(value, int | float)
