"""Rules that a config must obey, checked before anything is traced."""

import re
from collections.abc import Iterable, Sequence

import numpy as np
from ml_collections import ConfigDict

from grokjax.config import registry
from grokjax.config.config import base, belongs_to, flat
from grokjax.config.grid import entries
from grokjax.core import batches, losses, schedules
from grokjax.core.checks import check_at_least, check_choice, did_you_mean
from grokjax.core.data import Task
from grokjax.core.run import Run
from grokjax.core.split import Strata
from grokjax.core.trainer import MATMUL_PRECISIONS

CHOICES = {  # entries that name one of a few things
    "loss.name": losses.LOSSES,
    "loss.precision": losses.PRECISIONS,
    "loss.l1": losses.PENALTIES,
    "matmul_precision": MATMUL_PRECISIONS,
    "batches": batches.BATCHES,
    "schedule.learning_rate": schedules.SCHEDULES,
    "grok.rule": ("sustained", "s3"),
}
LOWEST = {  # entries that are numbers: their least value
    "batch_size": 1,
    "schedule.num_steps": 1,
    "schedule.eval_every": 1,
    "schedule.checkpoint_every": 1,
    "schedule.keep": 1,
    "schedule.eval_block": 1,
    "schedule.eval_examples": 0,
    "schedule.stop_after_grok": 0,
    "grok.count": 1,
    "log_every": 0,
}


def check_entries(config: ConfigDict) -> None:
    """Every entry exists in the base of the same parts, and its value is one of those it may have.

    Raises:
        ValueError: for the first entry that is invalid.
    """
    chain = "+".join(config.optimizer.chain)
    usual = base(task=config.task.name, model=config.model.name, optimizer=chain)
    known = dict(flat(usual))
    values = dict(flat(config))
    for path, value in values.items():
        if path not in known:
            raise ValueError(f"unknown config entry {path!r}{hint(path, known)}")
        _check_type(path, value, type(known[path]))
    for path, low in LOWEST.items():
        check_at_least(path, values[path], low)
    for path, choices in CHOICES.items():
        check_choice(path, values[path], choices)
    if not 0 < config.grok.threshold <= 1:
        raise ValueError(f"grok.threshold = {config.grok.threshold}; choose above 0, at most 1")
    if config.grok.rule == "s3" and config.grok.to_dict() != usual.grok.to_dict() | {"rule": "s3"}:
        raise ValueError("grok.rule = 's3' has its own threshold and count; leave them as they are")
    if config.lift not in ("auto", "vmap", "map") and not re.fullmatch(r"[1-9]\d*", config.lift):
        raise ValueError(
            f"lift = {config.lift!r}; choose auto, vmap, map or a number of runs at a time"
        )
    _check_intervals(config)


def check_chain(config: ConfigDict) -> None:
    """One element of the chain steps; only those AFTER_STEP follow it, and nothing follows a LAST.

    Raises:
        ValueError: for another order, or an element whose options are invalid.
    """
    chain = config.optimizer.chain
    modules = {name: registry.find("optimizer", name) for name in chain}
    late = [name for name in chain if getattr(modules[name], "AFTER_STEP", False)]
    last = [name for name in chain if getattr(modules[name], "LAST", False)]
    steps = [
        name
        for name in chain
        if name not in late
        and "learning_rate" in registry.reads(name, config.optimizer.get(name, {}))
    ]
    _check_order(chain, steps, late, last)
    for name, option in _lengths(config):
        if (length := config.optimizer[name][option]) > config.schedule.num_steps:
            raise ValueError(
                f"optimizer.{name}.{option} = {length} steps, but schedule.num_steps is "
                f"{config.schedule.num_steps}; choose at most that, or train longer"
            )
    defaults = {name: hparam.default for name, hparam in entries(chain).items()}
    registry.make_chain(config.optimizer, defaults)


def check_table(name: str, task: Task) -> None:
    """A task's table is sound: a label for each example, tokens and labels in their ranges.

    Raises:
        ValueError: for the first thing that is wrong with it.
    """
    inputs_NxL = task.examples.inputs_NxL
    labels_N = task.examples.labels_N
    if inputs_NxL.ndim != 2 or labels_N.shape != inputs_NxL.shape[:1]:
        raise ValueError(
            f"task {name} has inputs {inputs_NxL.shape} and labels {labels_N.shape}; "
            "make inputs [N, L] and labels [N]"
        )
    for what, array, size in (
        ("token", inputs_NxL, task.num_tokens),
        ("label", labels_N, task.num_classes),
    ):
        if array.dtype != np.int32:
            raise ValueError(f"task {name} has {what}s of type {array.dtype}; make them int32")
        if not 0 <= array.min() <= array.max() < size:
            raise ValueError(
                f"task {name} has {what}s from {array.min()} to {array.max()}; make them 0 to "
                f"{size - 1}, or their number larger"
            )


def check_groups(config: ConfigDict, task: Task) -> None:
    """What is for mixtures is given for mixtures only."""
    entries = {"runs.mix": config.runs.mix, "split.proportional": config.split.proportional}
    for entry, value in entries.items():
        if value and not task.groups:
            raise ValueError(
                f"{entry} = {value!r} is for mixtures; task {config.task.name} is one task"
            )


def check_batches(
    config: ConfigDict, task: Task, strata: Strata, runs_R: Run, labels: Sequence[str]
) -> None:
    """Every task with a share has rows on both sides, and no slot of a batch repeats one.

    Raises:
        ValueError: for the first run of which that is not true.
    """
    slack = np.bincount(strata.unit_N).max() // 2  # by so much a split moves to a unit's border
    noise_R = runs_R.hparams["label_noise"]
    for r, label in enumerate(labels):
        for g in np.flatnonzero(runs_R.share_G[r]):
            where = f"run {label!r}" + (f", task {task.groups[g].name!r}" if task.groups else "")
            num_train = int(runs_R.num_train_G[r, g])
            num_rows = task.group_sizes[g]
            if num_train - slack < 1 or num_train + slack >= num_rows:
                raise ValueError(
                    f"{where} trains on {num_train} of {num_rows} examples; "
                    "choose a train_fraction that leaves some on both sides"
                )
            slots = int(runs_R.share_G[r, g])
            if config.batches == "shuffled" and slots > num_train - slack:
                raise ValueError(
                    f"batch_size = {config.batch_size} reads {slots} examples at once from a "
                    f"training set of {num_train} ({where}); choose less, or batches = 'full'"
                )
            if noise_R[r] > num_train - slack:
                raise ValueError(
                    f"runs.label_noise has {noise_R[r]:g}, more labels than the {num_train} that "
                    f"{where} trains on"
                )
    examples = config.batch_size * config.schedule.num_steps
    if config.batches == "shuffled" and examples >= 2**32:
        raise ValueError(
            f"batch_size * schedule.num_steps = {examples}; choose less than 2**32 examples in all"
        )


def hint(path: str, known: Iterable[str]) -> str:
    """What a user may have meant by an entry that does not exist."""
    kind, _, option = path.partition(".")
    nested = [k for k in known if k.startswith(f"{kind}.") and k.endswith(f".{option}")]
    if nested:
        return f"; did you mean {nested[0]!r}?"
    if kind in registry.KINDS and option in ("", "name"):
        return "; choose plug-ins behind a colon: --config file.py:task=...,model=...,optimizer=a+b"
    if kind == "runs" and registry.readers(option):
        return belongs_to(option, ())
    return did_you_mean(path, known) or "; see --help"


def _check_type(path, value, wanted):
    fits = isinstance(value, (int, float) if wanted is float else wanted)
    if wanted is not type(None) and (not fits or (wanted is int and isinstance(value, bool))):
        raise ValueError(f"{path} = {value!r}; a {wanted.__name__} is needed")


def _check_intervals(config):
    schedule = config.schedule
    for name in ("num_steps", "checkpoint_every"):
        if schedule[name] % schedule.eval_every:
            raise ValueError(
                f"schedule.eval_every = {schedule.eval_every} does not divide "
                f"schedule.{name} = {schedule[name]}; choose a multiple"
            )
    if config.log_every % schedule.eval_every:
        raise ValueError(
            f"log_every = {config.log_every} is not a multiple of schedule.eval_every = "
            f"{schedule.eval_every}; metrics are known only then"
        )


def _lengths(config):
    """(optimizer, option) of a chain's options that are lengths in steps: a module's `STEPS`."""
    for name in config.optimizer.chain:
        for option in getattr(registry.find("optimizer", name), "STEPS", ()):
            yield name, option


def _check_order(chain, steps, late, last):
    def ordered(names):
        """Filters, the step, what acts on it, what has to see it finished."""
        ranks = {name: (name in last, name in late, name in [*steps, "adamw"]) for name in names}
        return "+".join(sorted(ranks, key=ranks.__getitem__))

    what = f"optimizer {'+'.join(chain)!r}"
    if not steps:  # filters alone would walk uphill
        better = ordered([*chain, "adamw"])
        raise ValueError(f"{what} has no step of its own; choose {better}, say")
    if len(steps) > 1:  # the second would turn the first around
        raise ValueError(f"{what} steps twice; choose one of {', '.join(steps)}")
    (step,) = steps
    if late and step in last:
        better = ordered("adamw" if name == step else name for name in chain)
        raise ValueError(f"{what}: nothing may change the steps of {step}; choose {better}, say")
    if "+".join(chain) != ordered(chain):
        raise ValueError(f"{what} is out of order; choose {ordered(chain)}")
