"""How many examples of each task stand in every batch: a mixture's promise, counted."""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from grokjax.config.experiment import Experiment
from grokjax.core.batches import BATCHES
from grokjax.core.data import Task
from grokjax.core.run import streams
from grokjax.core.split import draw_split

MOST = 2000  # batches that are drawn


class Tally(NamedTuple):
    """What the first T batches of a run hold."""

    in_batch_TxG: np.ndarray  # examples of each group
    reads_N: np.ndarray  # how often each row of the table was read
    num_train_G: np.ndarray


def tally(config, experiment: Experiment, r: int) -> Tally:
    """Draws the batches of run r as training does, and counts the rows that have a weight."""
    run = jax.tree.map(lambda x: jnp.asarray(x[r]), experiment.runs_R)
    dataset, draw = experiment.dataset, BATCHES[config.batches]

    @jax.jit
    def count(run, dataset):
        split, key = draw_split(run, dataset.examples, dataset.strata), streams(run.seed).batch

        def one_batch(reads_N, t):
            batch = draw(key, t, split, run.share_G, config.batch_size)
            read_N = jnp.zeros_like(reads_N).at[batch.rows_B].add(batch.weights_B > 0)
            in_batch_G = jnp.zeros_like(run.share_G).at[dataset.strata.group_N].add(read_N)
            return reads_N + read_N, in_batch_G

        steps_T = jnp.arange(min(config.schedule.num_steps, MOST))
        reads_N, in_batch_TxG = jax.lax.scan(one_batch, jnp.zeros_like(split.order_N), steps_T)
        return Tally(in_batch_TxG, reads_N, split.num_train_G)

    return jax.tree.map(np.asarray, count(run, dataset))


def text(config, experiment: Experiment) -> str:
    """For every run, the numbers in its batches and how often its training rows were read."""
    lines = []
    for r, label in enumerate(experiment.labels):
        counted = tally(config, experiment, r)
        lines.append(f"{label}: {len(counted.in_batch_TxG):,} batches")
        lines += [f"  {line}" for line in _of_groups(counted, experiment.task)]
    return "\n".join(lines)


def _of_groups(counted: Tally, task: Task) -> Iterator[str]:
    names = [group.name for group in task.groups] or ["all"]
    reads = np.split(counted.reads_N, np.cumsum(task.group_sizes)[:-1])
    columns = zip(names, counted.in_batch_TxG.T, reads, counted.num_train_G, strict=True)
    for name, in_batch_T, reads_N, num_train in columns:
        reads_N = reads_N[reads_N > 0]
        times = f" (each {_range(reads_N)} x)" if reads_N.size else ""
        seen = f"{reads_N.size:,} of {num_train:,} training examples read{times}"
        yield f"{name}: {_range(in_batch_T)} in each batch, {seen}"


def _range(numbers):
    """`256`, or `3 to 4`."""
    low, high = numbers.min(), numbers.max()
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
