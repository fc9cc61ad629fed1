"""Checks of a whole config, before anything is traced."""

import re

import numpy as np
from ml_collections import ConfigDict

from grokjax.config import registry
from grokjax.config.config import base, flat, static
from grokjax.config.grid import NOT_HPARAMS, RUNS, expand, typed
from grokjax.core import batches, losses, schedules
from grokjax.core.checks import check_at_least, check_choice, did_you_mean
from grokjax.core.data import Task
from grokjax.core.split import find_strata
from grokjax.core.trainer import MATMUL_PRECISIONS

READ_BY_TRAINER = (*NOT_HPARAMS, "init_scale", "learning_rate", "l1", "label_noise")

CHOICES = {  # entries that name one of a few things
    "loss.name": losses.LOSSES,
    "loss.precision": losses.PRECISIONS,
    "loss.l1": losses.PENALTIES,
    "matmul_precision": MATMUL_PRECISIONS,
    "batches": batches.BATCHES,
    "schedule.learning_rate": schedules.SCHEDULES,
    "grok.rule": ("sustained", "s3"),
}
POSITIVE = (
    *("batch_size", "schedule.num_steps", "schedule.eval_every", "schedule.checkpoint_every"),
    *("schedule.keep", "schedule.eval_block", "grok.count"),
)
NOT_NEGATIVE = ("schedule.eval_examples", "schedule.stop_after_grok", "log_every")


def check(config: ConfigDict, task: Task) -> None:
    """Raises a ValueError for the first thing in a config that cannot be meant."""
    for low, paths in ((1, POSITIVE), (0, NOT_NEGATIVE)):
        for path in paths:
            check_at_least(path, _at(config, path), low)
    for path, choices in CHOICES.items():
        check_choice(path, _at(config, path), choices)
    if not 0 < config.grok.threshold <= 1:
        raise ValueError(f"grok.threshold = {config.grok.threshold}; choose above 0, at most 1")
    usual = base().grok
    if config.grok.rule == "s3" and config.grok.to_dict() != {**usual.to_dict(), "rule": "s3"}:
        raise ValueError("grok.rule = 's3' has its own threshold and count; leave them as they are")
    if config.lift not in ("auto", "vmap", "map") and not re.fullmatch(r"[1-9]\d*", config.lift):
        raise ValueError(
            f"lift = {config.lift!r}; choose auto, vmap, map or a number of runs at a time"
        )
    _check_schedule(config.schedule)
    if config.log_every % config.schedule.eval_every:
        raise ValueError(
            f"log_every = {config.log_every} is not a multiple of schedule.eval_every = "
            f"{config.schedule.eval_every}; metrics are known only then"
        )
    for name in RUNS:
        typed(name, config.runs[name])
    _check_chain(static(config)["optimizer"])
    _check_all_read(config)
    _check_groups(config, task)
    _check_batch(config, task)


def hint(path: str, known) -> str:
    """What a user may have meant by an entry that does not exist."""
    kind, _, option = path.partition(".")
    nested = [k for k in known if k.startswith(f"{kind}.") and k.endswith(f".{option}")]
    if nested:
        return f"; did you mean {nested[0]!r}?"
    if kind in registry.KINDS and option in ("", "name"):
        return "; choose plug-ins behind a colon: --config file.py:task=...,model=...,optimizer=a+b"
    return did_you_mean(path, known) or "; see --help"


def check_sections(config):
    """Every entry exists in the base of the same plug-ins, and has its type."""
    reference = base(
        task=config.task.name, model=config.model.name, optimizer="+".join(config.optimizer.chain)
    )
    known = dict(flat(reference))
    for path, value in flat(config):
        if path not in known:
            raise ValueError(f"unknown config entry {path!r}{hint(path, known)}")
        wanted = type(known[path])
        fits = isinstance(value, wanted) or (wanted is float and isinstance(value, int))
        if known[path] is not None and (not fits or (wanted is int and isinstance(value, bool))):
            raise ValueError(f"{path} = {value!r}; a {wanted.__name__} is needed")


def _check_schedule(schedule):
    for name in ("num_steps", "checkpoint_every"):
        if schedule[name] % schedule.eval_every:
            raise ValueError(
                f"schedule.eval_every = {schedule.eval_every} does not divide "
                f"schedule.{name} = {schedule[name]}; choose a multiple"
            )


def _check_chain(chain):
    """The order is right, and every element can be made."""
    reads = {name: registry.hparams("optimizer", name, options) for name, options in chain.items()}
    _check_order(list(chain), [name for name in chain if "learning_rate" in reads[name]])
    for name, options in chain.items():
        make = registry.find("optimizer", name).make
        make(**{h: RUNS[h].default[0] for h in reads[name]}, **options)


def _check_order(chain, rated):
    """One element steps; only those AFTER_STEP stand behind it, and nothing behind a LAST."""
    late, last = (
        [name for name in chain if getattr(registry.find("optimizer", name), mark, False)]
        for mark in ("AFTER_STEP", "LAST")
    )
    steps = [name for name in rated if name not in late]

    def rank(name):
        """0 filters, 1 the step, 2 what acts on it, 3 what has to see it finished."""
        return 3 if name in last else 2 if name in late else int(name in rated)

    def ordered(names):
        return "+".join(sorted(names, key=rank))

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


def _check_all_read(config):
    chain = static(config)["optimizer"]
    schedule = config.schedule.learning_rate
    read = {h for name, o in chain.items() for h in registry.hparams("optimizer", name, o)}
    read |= schedules.reads(schedule)
    for name, entry in RUNS.items():
        if config.runs[name] == entry.default or name in (*READ_BY_TRAINER, *read):
            continue
        others = [o for o in registry.names("optimizer") if o not in chain]
        readers = [o for o in others if name in registry.hparams("optimizer", o)]
        readers += [s for s in schedules.SCHEDULES if name in schedules.reads(s)]
        raise ValueError(
            f"runs.{name} = {config.runs[name]} is read by nothing in this config (optimizer "
            f"{'+'.join(chain)}, schedule {schedule}); it belongs to {', '.join(readers)}"
        )


def _check_groups(config, task):
    for entry, value in (
        ("runs.mix", config.runs.mix),
        ("split.proportional", config.split.proportional),
    ):
        if value and not task.groups:
            raise ValueError(
                f"{entry} = {value!r} is for mixtures; task {config.task.name} is one task"
            )


def _check_batch(config, task):
    """Every task with a share has rows on both sides, and no slot of a batch repeats one."""
    runs_R, labels = expand(config, task)
    strata = find_strata(task, config.split.held_out, config.split.symmetric)
    slack = np.bincount(strata.unit_N).max() // 2  # by so much a split moves to a unit's border
    noise_R = runs_R.hparams["label_noise"]
    for r, label in enumerate(labels):
        for g in np.flatnonzero(runs_R.share_G[r]):
            where = f"run {label!r}" + (f", task {task.groups[g].name!r}" if task.groups else "")
            asked, num_rows = int(runs_R.num_train_G[r, g]), task.group_sizes[g]
            if asked - slack < 1 or asked + slack >= num_rows:
                raise ValueError(
                    f"{where} trains on {asked} of {num_rows} examples; "
                    "choose a train_fraction that leaves some on both sides"
                )
            slots = int(runs_R.share_G[r, g])
            if config.batches == "shuffled" and slots > asked - slack:
                raise ValueError(
                    f"batch_size = {config.batch_size} reads {slots} examples at once from a "
                    f"training set of {asked} ({where}); choose less, or batches = 'full'"
                )
            if noise_R[r] > asked - slack:
                raise ValueError(
                    f"runs.label_noise has {noise_R[r]:g}, more labels than the {asked} that "
                    f"{where} trains on"
                )
    examples = config.batch_size * config.schedule.num_steps
    if config.batches == "shuffled" and examples >= 2**32:
        raise ValueError(
            f"batch_size * schedule.num_steps = {examples}; choose less than 2**32 examples in all"
        )


def _at(config, path):
    for name in path.split("."):
        config = config[name]
    return config
