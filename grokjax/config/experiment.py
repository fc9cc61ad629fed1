"""An experiment: a config checked and built, once."""

import copy
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np
from ml_collections import ConfigDict

from grokjax.config import grid, registry, rules
from grokjax.config.config import plain
from grokjax.config.values import ENTRIES
from grokjax.core import losses, schedules
from grokjax.core.batches import BATCHES
from grokjax.core.checks import MAX_INT, check_choice, check_number
from grokjax.core.data import Task
from grokjax.core.dataset import Dataset, checksum, make_dataset
from grokjax.core.evaluation import make_evaluation
from grokjax.core.measure import Measures
from grokjax.core.run import PRNG, Run, same_numbers
from grokjax.core.split import Strata, find_strata
from grokjax.core.trainer import MATMUL_PRECISIONS, Recipe, Trainer, make_trainer


class Parts(NamedTuple):
    """What a config asks for, on the host."""

    config: ConfigDict  # its sizes are numbers, whatever it left open
    task: Task
    strata: Strata
    runs_R: Run
    labels: list[str]  # one for each run
    recipe: Recipe

    def sizes_of_tasks(self) -> dict[str, dict[str, dict[str, Any]]]:
        """{label: {task: sizes}} of a mixture: rows, and the share of a batch, in each run."""
        sizes = {}
        for r, label in enumerate(self.labels):
            sizes[label] = {
                group.name: {
                    "examples": group.num_rows,
                    "training_examples": int(self.runs_R.num_train_G[r, g]),
                    "proportion": int(self.runs_R.share_G[r, g]) / self.config.batch_size,
                }
                for g, group in enumerate(self.task.groups)
            }
        return sizes


class Experiment(NamedTuple):
    """Everything `loop.chunks` needs, and names for the runs."""

    config: ConfigDict
    task: Task
    dataset: Dataset
    recipe: Recipe
    trainer: Trainer
    runs_R: Run
    labels: list[str]  # one for each run
    record: dict[str, Any]  # the config and a checksum of the table, for JSON

    def shapes_of_run(self) -> Any:
        """The state of one run as shapes and dtypes; it is traced once, however often asked for."""
        with same_numbers():
            run = jax.tree.map(lambda x_R: x_R[0], self.runs_R)
            return jax.eval_shape(self.trainer.init, run, self.dataset)

    def state_shapes(self) -> Any:
        """The state of all runs as shapes and dtypes."""
        shape = (len(self.labels),)
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(shape + x.shape, x.dtype), self.shapes_of_run()
        )

    def shard(self, i: int, n: int) -> "Experiment":
        """The same experiment with the i-th of n shards of its runs, i = 1 .. n."""
        num_runs = len(self.labels)
        runs = grid.shard(num_runs, i, n)
        if not runs:
            raise ValueError(
                f"shard {i}/{n} of {num_runs} runs is empty; choose at most {num_runs} shards"
            )
        return self._replace(
            runs_R=jax.tree.map(lambda x: x[runs.start : runs.stop], self.runs_R),
            labels=[self.labels[r] for r in runs],
            record=self.record | {"shard": f"{i}/{n}"},
        )


def check(config: ConfigDict) -> Parts:
    """Checks a config and builds its parts, without touching a device.

    A ValueError names the first thing in it that is invalid.
    """
    rules.check_entries(config)
    task = make_task(config.task)
    rules.check_table(config.task.name, task)
    rules.check_groups(config, task)
    strata = find_strata(task, config.split.held_out, config.split.symmetric)
    config = _with_sizes(config, task, strata)
    rules.check_chain(config)
    runs_R, labels = grid.expand(config, task.group_sizes, strata)
    rules.check_batches(config, task, strata, runs_R, labels)
    return Parts(config, task, strata, runs_R, labels, make_recipe(config, task))


def is_open(config: ConfigDict) -> bool:
    """Does it leave a size open: `batch_size = "auto"`, or epochs in place of steps?"""
    return config.batch_size == "auto" or config.schedule.num_epochs > 0


def _with_sizes(config, task, strata):
    """The config with numbers for what it leaves open, which all runs of a sweep share.

    A batch is 512, but at most half of the smallest training set, rounded up, as in openai/grok
    (danielmamay/grokking takes half of all data); no task of a mixture reads more than half of
    its own. An epoch of the largest training set has ceil(n / batch) steps, as with PyTorch's
    loader, or one if batches are full; the last is rounded up to the next evaluation.
    """
    if not is_open(config):
        return config
    sized = copy.deepcopy(config)
    sized.batch_size = _usual("batch_size") if config.batch_size == "auto" else config.batch_size
    sized.schedule.num_steps = MAX_INT  # longer than any length in steps that a run may have
    runs_R, _ = grid.expand(sized, task.group_sizes, strata)
    if config.batch_size == "auto":
        sized.batch_size = _half_of_the_smallest(runs_R, sized.batch_size)
    num_steps = _steps_of_epochs(sized, runs_R) or config.schedule.num_steps
    if config.schedule.num_steps not in (0, _usual("schedule.num_steps"), num_steps):
        raise ValueError(
            f"schedule.num_epochs = {config.schedule.num_epochs:,} makes {num_steps:,} steps, but "
            f"schedule.num_steps is {config.schedule.num_steps:,}; choose one of them, and 0 for "
            "the other"
        )
    sized.schedule.update(num_steps=num_steps, num_epochs=0)
    return sized


def _usual(path):
    """The default of an entry."""
    return ENTRIES[path].default


def _half_of_the_smallest(runs_R, batch_size):
    """The batch of which no group in any run reads more than half of its training set."""
    share_RxG = np.maximum(runs_R.share_G, 1)
    half_RxG = -(-runs_R.num_train_G * batch_size // (2 * share_RxG))
    return int(half_RxG[runs_R.share_G > 0].min().clip(1, batch_size))


def _steps_of_epochs(config, runs_R):
    """`num_epochs` of the largest training set in steps, rounded up to an evaluation."""
    schedule = config.schedule
    num_train = int(runs_R.num_train_G.sum(axis=1).max())
    per_epoch = 1 if config.batches == "full" else -(-num_train // config.batch_size)
    num_steps = -(-schedule.num_epochs * per_epoch // schedule.eval_every) * schedule.eval_every
    what = f"schedule.num_epochs = {schedule.num_epochs:,} of {per_epoch:,} steps"
    check_number(f"{what}, in steps,", num_steps)
    return num_steps


def setup(config: ConfigDict) -> Experiment:
    """Checks a config and builds its experiment; a ValueError before anything is computed."""
    parts = check(config)
    config = parts.config
    if config.matmul_precision == "bfloat16" and jax.default_backend() == "cpu":
        raise ValueError(
            "matmul_precision = 'bfloat16' changes nothing on a CPU, whose products are float32; "
            "choose default"
        )
    dataset = make_dataset(parts.task, parts.strata, causal=parts.recipe.network.causal)
    if parts.recipe.evaluation.num_rows < len(parts.task.examples.labels_N):
        _check_subset(config, parts, dataset)
    trainer = make_trainer(parts.recipe)
    state = rules.check_state(parts.recipe, trainer, parts.runs_R, dataset)
    rules.check_measures(parts.recipe, state.params, dataset)
    return Experiment(
        config=config,
        task=parts.task,
        dataset=dataset,
        recipe=parts.recipe,
        trainer=trainer,
        runs_R=parts.runs_R,
        labels=parts.labels,
        record=_record(config) | {"table_checksum": checksum(parts.task), "prng": PRNG},
    )


def _record(config):
    """The config as JSON would give it back, without entries of `runs` that nothing reads."""
    record = plain(config)
    del record["schedule"]["num_epochs"]  # none are left, and earlier records do not have it
    if not config.freeze:  # nor this, nor the next
        del record["freeze"]
    if config.branch.origin == "none":
        del record["branch"]
    record["task"] = registry.without_source(record["task"])
    if not config.measures:
        del record["measures"], record["measure"], record["schedule"]["measure_every"]
    read = grid.read_by(config)
    return record | {"runs": {n: values for n, values in record["runs"].items() if n in read}}


def _check_subset(config, parts, dataset):
    """A subset that is evaluated has examples of both sides, of every run and task with a share."""
    count = functools.partial(
        parts.recipe.evaluation.counts, examples=dataset.examples, strata=dataset.strata
    )
    with same_numbers():
        counts_RxGx2 = jax.jit(lambda runs_R: jax.lax.map(count, runs_R))(parts.runs_R)
    lacking = np.argwhere((counts_RxGx2 == 0) & (parts.runs_R.share_G > 0)[..., None])
    if len(lacking):
        r, g, side = lacking[0]
        task = f" of task {parts.task.groups[g].name!r}" if parts.task.groups else ""
        raise ValueError(
            f"schedule.eval_examples = {config.schedule.eval_examples} has no "
            f"{('training', 'validation')[side]} examples{task} in run {parts.labels[r]!r}; "
            "choose more, or 0 for all"
        )


def make_recipe(config: ConfigDict, task: Task) -> Recipe:
    """The static half of an experiment: every name in the config as the object it stands for."""
    schedule = config.schedule
    make_chain = functools.partial(registry.make_chain, freeze=config.freeze)
    network = make_network(task, config.model)
    sections = config.measure.to_dict()
    measures = registry.make_measures(config.measures, sections, task, network)
    loss = losses.in_precision(losses.LOSSES[config.loss.name], config.loss.precision)
    return Recipe(
        network=network,
        matmul_precision=MATMUL_PRECISIONS[config.matmul_precision],
        make_optimizer=functools.partial(make_chain, config.optimizer.to_dict()),
        schedule=functools.partial(schedules.factor, schedule.learning_rate, schedule.num_steps),
        per_example=losses.of_own_head(loss, task.num_heads),
        penalty=losses.PENALTIES[config.loss.l1],
        draw_batch=functools.partial(BATCHES[config.batches], batch_size=config.batch_size),
        eval_every=schedule.eval_every,
        evaluation=make_evaluation(task, schedule.eval_examples, schedule.eval_block),
        measures=Measures(schedule.measure_every or schedule.eval_every, measures),
        correct=losses.of_own_head(losses.correct, task.num_heads),
    )


def make_task(section: Mapping[str, Any]) -> Task:
    """The task of a config's `task` section.

    Rows that are read are compared with those computed, which takes a millisecond: no bit differs.
    """
    options = dict(section)
    name = options.pop("name")
    place = {entry: options.pop(entry) for entry in registry.SOURCE if "source" in section}
    task = registry.find("task", name).make(**options)
    if not place:
        return task  # it has read files itself
    check_choice("task.source", place["source"], registry.SOURCES)
    if place["source"] == "computed":
        return task
    from grokjax.tasks import _published  # takes half a second

    return task._replace(examples=_published.read(name, options, task, place["data_dir"]))


def make_network(task: Task, section: Mapping[str, Any]) -> nn.Module:
    """The model of a config's `model` section, sized for a task."""
    options = dict(section)
    return registry.find("model", options.pop("name")).Model(
        num_tokens=task.num_tokens,
        num_classes=task.num_classes,
        length=task.examples.inputs_NxL.shape[1],
        **options,
    )
