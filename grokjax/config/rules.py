"""Rules that a config must obey, checked before anything is traced."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from grokjax.config import registry
from grokjax.config.config import flat
from grokjax.config.grid import entries
from grokjax.config.synonyms import SEE_ALL, hint
from grokjax.config.values import NAMES, check_value, declared
from grokjax.core import losses
from grokjax.core.checks import MAX_INT, check_at_least
from grokjax.core.data import Task
from grokjax.core.dataset import Dataset
from grokjax.core.hparams import check_ranges
from grokjax.core.measure import shown
from grokjax.core.prefixes import plain
from grokjax.core.run import Run
from grokjax.core.split import Strata
from grokjax.core.trainer import Recipe, Trainer, try_out


def check_entries(config: ConfigDict) -> None:
    """Every entry exists in the base of the same parts, and its value is one of those it may have.

    Raises:
        ValueError: for the first entry that is invalid.
    """
    if not isinstance(config, ConfigDict):
        raise ValueError(f"{config!r} is no config; choose grokjax.load(FILE) or grokjax.base()")
    values = dict(flat(config))
    for path, wanted in NAMES.items():
        check_value(path, values.get(path), wanted)
    known = declared(config)
    for path, value in values.items():
        if path not in known and (name := _measure_not_taken(path, config)):
            raise ValueError(f"{path} is of a measure that is not taken; add {name!r} to measures")
        if path not in known:
            raise ValueError(f"unknown config entry {path!r}{hint(path, known) or SEE_ALL}")
        check_value(path, value, known[path].type or type(known[path].default))
    # an entry of `runs` may be lacking, or an option of a measure: they have defaults
    if lacking := [path for path in known if path not in values and not _has_default(path)]:
        raise ValueError(
            f"the config has no entry {lacking[0]!r}; start from grokjax.base(), or choose other "
            "parts behind the colon of --config FILE:optimizer=..."
        )
    ranges = {p: x.range for p, x in known.items() if p in values and p[:5] != "runs."}
    check_ranges("", values, ranges)
    usual = [values[path] == known[path].default for path in ("grok.threshold", "grok.count")]
    if config.grok.rule == "s3" and not all(usual):
        raise ValueError("grok.rule = 's3' has its own threshold and count; leave them as they are")
    _check_intervals(config)


def _measure_not_taken(path, config):
    """The measure that an entry is an option of, if there is one and it is not chosen."""
    section, _, rest = path.partition(".")
    name = rest.partition(".")[0]
    known = section == "measure" and name in registry.names("measure")
    return name if known and name not in config.measures else ""


def _has_default(path):
    return path.startswith(("runs.", "measure."))


def check_chain(config: ConfigDict) -> None:
    """One element of the chain steps; only those AFTER_STEP follow it, and nothing follows a LAST.

    Raises:
        ValueError: for another order, or an element whose options are invalid.
    """
    chain = config.optimizer.chain
    if len(set(chain)) < len(chain):
        raise ValueError(f"optimizer {'+'.join(chain)!r} names an element twice; choose each once")
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
    if sum(sizes := task.group_sizes) != len(labels_N):
        raise ValueError(f"task {name} has {len(labels_N)} rows; make its groups, {sizes}, add up")
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
    if task.num_heads > 1 and any(config.runs.get("label_noise", ())):
        raise ValueError(
            f"runs.label_noise = {config.runs.label_noise} draws labels of all tasks, and with "
            "task.heads each has its own; choose 0"
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
                    f"training set of {num_train} ({where}); choose less, auto, or batches = 'full'"
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


def check_measures(recipe: Recipe, params: Any, dataset: Dataset) -> None:
    """The model shows what measures read, and they have the whole table.

    Raises:
        ValueError: for the first measure of which that is not so.
    """
    if not recipe.measures.measures:
        return
    any_input = plain(dataset.examples.inputs_NxL[:1])
    known = shown(recipe.network, params, any_input)
    is_whole = recipe.evaluation.num_rows == dataset.examples.labels_N.size
    for name, measure in recipe.measures.measures.items():
        if lacking := [output for output in measure.reads if output not in known]:
            raise ValueError(
                f"measure {name} reads the {lacking[0]} of a model, and this one shows none; "
                f"choose another measure, or add sow(..., {lacking[0]!r}, ...) to the model"
            )
        if measure.reads and not is_whole:
            raise ValueError(
                f"measure {name} reads the whole table; choose schedule.eval_examples = 0"
            )
        if "logits" in measure.reads and recipe.correct is not losses.correct:
            raise ValueError(
                f"measure {name} is for one softmax over all classes; choose a task without heads"
            )


def check_state(recipe: Recipe, trainer: Trainer, runs_R: Run, dataset: Dataset) -> Any:
    """A run's state by shapes, if it is of a size that can be trained; nothing is computed.

    Raises:
        ValueError: if it is not, or the model and the optimizer do not give what they have to.
    """
    state = try_out(recipe, trainer, jax.tree.map(lambda x_R: x_R[0], runs_R), dataset)
    num_numbers = sum(x.size for x in jax.tree.leaves(state))
    if num_numbers > MAX_INT:
        raise ValueError(
            f"a run would have {num_numbers:,} numbers in its weights and its optimizer; choose a "
            f"smaller model or window, for at most {MAX_INT:,}"
        )
    return state


def _check_intervals(config):
    schedule = config.schedule
    check_at_least("schedule.num_steps", schedule.num_steps, 0 if schedule.num_epochs else 1)
    steps = ("checkpoint_every",) if schedule.num_epochs else ("num_steps", "checkpoint_every")
    for name in steps:
        if schedule[name] % schedule.eval_every:
            raise ValueError(
                f"schedule.eval_every = {schedule.eval_every} does not divide "
                f"schedule.{name} = {schedule[name]}; choose a multiple, or evaluate every "
                f"{math.gcd(schedule.eval_every, schedule[name])} steps by --log_every"
            )
    if schedule.measure_every % schedule.eval_every:
        raise ValueError(
            f"schedule.measure_every = {schedule.measure_every} is not a multiple of "
            f"schedule.eval_every = {schedule.eval_every}; measures are taken at evaluations"
        )
    if config.log_every % schedule.eval_every:
        raise ValueError(
            f"log_every = {config.log_every} is not a multiple of schedule.eval_every = "
            f"{schedule.eval_every}; metrics are known only then (--log_every sets both)"
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
