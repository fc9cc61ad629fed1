"""The entries of a config that belong to no part, and the values that entries may have."""

import inspect
import re
import reprlib
from collections.abc import Collection
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from grokjax.config import grid, registry
from grokjax.core import batches, losses, schedules
from grokjax.core.checks import MAX_ROWS, check_number, is_a
from grokjax.core.hparams import FRACTION, Range, at_least
from grokjax.core.trainer import MATMUL_PRECISIONS

NAMES = {
    "task.name": str,
    "model.name": str,
    "optimizer.chain": tuple[str, ...],
    "measures": tuple[str, ...],
}
LONGEST = 1000  # characters of a text
BATCH_SIZES = Range(
    f"1 to {MAX_ROWS:,}, or auto",
    lambda x: x == "auto" if isinstance(x, str) else 1 <= x <= MAX_ROWS,
)
LIFTS = Range(
    "auto, vmap, map or a number of runs at a time",
    lambda x: re.fullmatch("auto|vmap|map|[1-9][0-9]{0,8}", x),
)


class Entry(NamedTuple):
    """What is declared of an entry."""

    default: Any
    meaning: str  # in one line
    range: Range | Collection[str] | None = None  # or the choices; None: all of its type
    type: Any = None  # if it says more than that of the default


ENTRIES = {
    "split.held_out": Entry((), "labels that are never trained on", type=tuple[int, ...]),
    "split.symmetric": Entry(False, "keep a + b and b + a on the same side"),
    "split.proportional": Entry(False, "training sets of a mixture follow runs.mix, as batches do"),
    "loss.name": Entry("cross_entropy", "what is minimised, besides the L1 term", losses.LOSSES),
    "loss.precision": Entry("float32", "of the loss, from the logits on", losses.PRECISIONS),
    "loss.l1": Entry("normalized", "L1 term: sum |w|, plain or over ||w||_2", losses.PENALTIES),
    "schedule.num_steps": Entry(4000, "steps of training", at_least(0)),
    "schedule.num_epochs": Entry(0, "of the largest training set, in place of steps", at_least(0)),
    "schedule.eval_every": Entry(100, "steps between evaluations", at_least(1)),
    "schedule.checkpoint_every": Entry(1000, "steps between checkpoints", at_least(1)),
    "schedule.keep": Entry(2, "newest checkpoints; every tenth stays, too", at_least(1)),
    "schedule.measure_every": Entry(0, "steps between measures; 0: at evaluations", at_least(0)),
    "schedule.learning_rate": Entry("linear_warmup", "course of the rate", schedules.SCHEDULES),
    "schedule.stop_after_grok": Entry(0, "evaluations from grokking on; 0: all", at_least(0)),
    "schedule.eval_examples": Entry(0, "a random subset to evaluate on; 0: all", at_least(0)),
    "schedule.eval_block": Entry(2048, "examples evaluated at a time", at_least(1)),
    "grok.threshold": Entry(0.99, "accuracy of a run that memorised, or grokked", FRACTION),
    "grok.count": Entry(3, "evaluations in a row that reach the threshold", at_least(1)),
    "grok.rule": Entry("sustained", "s3: 95 %, 1,000 steps after memorising", ("sustained", "s3")),
    "branch.origin": Entry("none", "FOLDER@STEP, @memorised or @grokked: states to begin with"),
    "branch.take": Entry((), "parameters that are taken; (): all", type=tuple[str, ...]),
    "branch.from_zero": Entry(False, "count steps from 0, not from those of the states"),
    "freeze": Entry((), "parameters that stay as they are", type=tuple[str, ...]),
    "batch_size": Entry(
        512, "examples of a step; auto: shrinks with the data", BATCH_SIZES, int | str
    ),
    "batches": Entry("shuffled", "by epochs, drawn with replacement, or all", batches.BATCHES),
    "matmul_precision": Entry("default", "matters on accelerators", MATMUL_PRECISIONS),
    "lift": Entry("auto", "runs one after the other (map), or in one batch (vmap)", LIFTS),
    "log_every": Entry(0, "steps between lines; 0: every evaluation", at_least(0)),
}


def parts_of(config: ConfigDict) -> dict[str, tuple[str, str]]:
    """{section: (kind, name)} of the parts of a config, such as `optimizer.adamw`."""
    found = {kind: (kind, config[kind].name) for kind in ("task", "model")}
    found |= {f"optimizer.{name}": ("optimizer", name) for name in config.optimizer.chain}
    return found | {f"measure.{name}": ("measure", name) for name in config.measures}


def declared(config: ConfigDict) -> dict[str, Entry]:
    """All entries that a config of the same parts has, by their paths, section by section.

    What options of parts mean is left to `registry.meanings`, which reads source code.
    """
    found = {}
    for section, (kind, part) in parts_of(config).items():
        if kind != "measure":
            path = "optimizer.chain" if kind == "optimizer" else f"{section}.name"
            behind = f"chosen behind the colon of --config FILE:{kind}=..."
            found[path] = Entry(part, behind, registry.names(kind), NAMES[path])
        ranges = registry.ranges(kind, part)
        for name, option in registry.options(kind, part).items():
            type_ = None if option.annotation is option.empty else option.annotation
            found[f"{section}.{name}"] = Entry(option.default, "", ranges.get(name), type_)
    for name, hparam in grid.entries(config.optimizer.chain).items():
        found[f"runs.{name}"] = Entry(hparam.values, hparam.meaning, hparam.range)
    what = "what is computed at evaluations, besides losses and accuracies"
    found["measures"] = Entry((), what, registry.names("measure"), NAMES["measures"])
    return found | ENTRIES


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
