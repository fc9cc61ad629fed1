"""The values that entries of a config may have: their types, and what they are at most."""

import inspect
import re
import reprlib
from collections.abc import Mapping
from typing import Any, Literal

from ml_collections import ConfigDict

from grokjax.config import registry
from grokjax.core import batches, losses, schedules
from grokjax.core.checks import (
    MAX_ROWS,
    check_at_least,
    check_between,
    check_choice,
    check_number,
    is_a,
)
from grokjax.core.trainer import MATMUL_PRECISIONS

SIZES = {"batch_size": int | Literal["auto"]}
NAMES = {"task.name": str, "model.name": str, "optimizer.chain": tuple[str, ...]}
CHOICES = {  # entries that name one of a few things
    "loss.name": losses.LOSSES,
    "loss.precision": losses.PRECISIONS,
    "loss.l1": losses.PENALTIES,
    "matmul_precision": MATMUL_PRECISIONS,
    "batches": batches.BATCHES,
    "schedule.learning_rate": schedules.SCHEDULES,
    "grok.rule": ("sustained", "s3"),
}
LONGEST = 1000  # characters of a text
LOWEST = {  # entries that are numbers: their least value
    "schedule.num_epochs": 0,
    "schedule.eval_every": 1,
    "schedule.checkpoint_every": 1,
    "schedule.keep": 1,
    "schedule.eval_block": 1,
    "schedule.eval_examples": 0,
    "schedule.stop_after_grok": 0,
    "grok.count": 1,
    "log_every": 0,
}


def annotations_of(config: ConfigDict) -> dict[str, Any]:
    """{path: type} of the entries that say more of it than their default does."""
    types: dict[str, Any] = {"split.held_out": tuple[int, ...], **SIZES, **NAMES}
    sections = {"task": ("task", config.task.name), "model": ("model", config.model.name)}
    sections |= {f"optimizer.{name}": ("optimizer", name) for name in config.optimizer.chain}
    for section, part in sections.items():
        for option, parameter in registry.options(*part).items():
            if parameter.annotation is not parameter.empty:
                types[f"{section}.{option}"] = parameter.annotation
    return types


def check_value(path: str, value: Any, wanted: Any) -> None:
    """It is of its type, and each number or text in it of a size that training can have."""
    if not is_a(value, wanted):
        type_ = inspect.formatannotation(wanted)
        raise ValueError(f"{path} = {reprlib.repr(value)}; choose a value of type {type_}")
    for element in value if isinstance(value, tuple) else (value,):
        if isinstance(element, str) and len(element) > LONGEST:
            size = f"{len(element):,} characters"
            raise ValueError(f"{path} is a text of {size}; choose at most {LONGEST:,}")
        if isinstance(element, str) and re.search(r"[\x00-\x1f]", element):
            raise ValueError(f"{path} = {element!r} has control characters; choose a text without")
        if isinstance(element, int | float):
            check_number(path, element)


def check_ranges(values: Mapping[str, Any]) -> None:
    """Entries {path: value} that belong to no part are in range, and choices exist."""
    for path, low in LOWEST.items():
        check_at_least(path, values[path], low)
    fewest = 0 if values["schedule.num_epochs"] else 1
    check_at_least("schedule.num_steps", values["schedule.num_steps"], fewest)
    if values["batch_size"] != "auto":
        check_between("batch_size", values["batch_size"], 1, MAX_ROWS)
    for path, choices in CHOICES.items():
        check_choice(path, values[path], choices)
    threshold = values["grok.threshold"]
    if not 0 < threshold <= 1:
        raise ValueError(f"grok.threshold = {threshold}; choose above 0, at most 1")
