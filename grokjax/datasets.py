"""Data: the tasks' tables as tensorflow-datasets, images from the network, the contents of batches.

    python -m grokjax.datasets list
    python -m grokjax.datasets prepare modular/div_p97 --data_dir ~/data
    python -m grokjax.datasets fetch mnist
    python -m grokjax.datasets batches --config configs/mixture.py

`prepare` publishes a table for other programs; training makes it anew in a millisecond, or reads it
with `--config.task.source=tfds`. The task `images` reads what `fetch` downloads. `batches` counts
the examples of each task in every batch of a config.
"""

import functools
import os
import sys
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from grokjax.config.experiment import Experiment, setup
from grokjax.core.batches import BATCHES
from grokjax.core.checks import check_choice
from grokjax.core.run import same_numbers, streams
from grokjax.core.split import draw_split
from grokjax.running import cache, command_line
from grokjax.tasks import _published
from grokjax.tasks._downloads import fetch
from grokjax.tasks.images import FETCHED

DATA_DIR = command_line.define_path(
    "data_dir", "~/tensorflow_datasets", "Folder for prepared tables."
)
MOST = 2000  # batches that are drawn


def command(argv: Sequence[str]) -> Callable[[], None]:
    """Checks the words of the command line; returns the work that they ask for."""
    match argv[1:]:
        case ["list"]:
            return _list
        case ["prepare", name]:
            check_choice("table", name, _published.names())
            return lambda: _print_rows(_published.prepare(name, DATA_DIR.value))
        case ["fetch", name]:
            check_choice("data set", name, FETCHED)
            return functools.partial(_fetch, name)
        case ["batches"]:
            config = command_line.config()
            cache.use()
            return functools.partial(_print_batches, setup(config))
        case _:
            raise ValueError(
                "unknown command; choose from: list, prepare TASK/SETTING, fetch NAME, batches"
            )


def _list():
    for name in _published.names():
        print(f"{name:36}{len(_published.task_of(name).examples.labels_N):>8,} rows")


def _fetch(name):
    try:
        _print_rows(fetch(name, DATA_DIR.value))
    except OSError as error:  # of the network or the disk
        sys.exit(f"error: cannot fetch {name}: {' '.join(str(error).split())}")
    except KeyboardInterrupt:
        command_line.warn(f"interrupted; {name} has not been fetched")
        os._exit(130)  # the library's threads would go on trying for minutes


def _print_rows(builder):
    rows = sum(split.num_examples for split in builder.info.splits.values())
    print(f"{rows:,} rows are in {builder.data_path}")


def _print_batches(experiment):
    task = experiment.task
    names = [group.name for group in task.groups] or ["all"]
    for r, label in enumerate(experiment.labels):
        in_batch_TxG, reads_N, num_train_G = _count_batches(experiment, r)
        print(f"{label}: {len(in_batch_TxG):,} batches")
        reads = np.split(reads_N, np.cumsum(task.group_sizes)[:-1])
        columns = zip(names, in_batch_TxG.T, reads, num_train_G, strict=True)
        for name, in_batch_T, of_group_N, num_train in columns:
            read_N = of_group_N[of_group_N > 0]
            times = f" (each {_range(read_N)} x)" if read_N.size else ""
            seen = f"{read_N.size:,} of {num_train:,} training examples read{times}"
            print(f"  {name}: {_range(in_batch_T)} in each batch, {seen}")


def _count_batches(experiment: Experiment, r: int) -> tuple[np.ndarray, ...]:
    """Draws the first T batches of run r as training does; only rows that have a weight count.

    Returns the examples of each group in each batch [T, G], how often each row of the table was
    read [N], and the training rows of each group [G].
    """
    config = experiment.config
    run = jax.tree.map(lambda x_R: jnp.asarray(x_R[r]), experiment.runs_R)
    draw = BATCHES[config.batches]

    @jax.jit
    def count(run, dataset):
        split = draw_split(run, dataset.examples, dataset.strata)
        key = streams(run.seed).batch

        def one_batch(reads_N, t):
            batch = draw(key, t, split, run.share_G, config.batch_size)
            read_N = jnp.zeros_like(reads_N).at[batch.rows_B].add(batch.weights_B > 0)
            in_batch_G = jnp.zeros_like(run.share_G).at[dataset.strata.group_N].add(read_N)
            return reads_N + read_N, in_batch_G

        steps_T = jnp.arange(min(config.schedule.num_steps, MOST))
        reads_N, in_batch_TxG = jax.lax.scan(one_batch, jnp.zeros_like(split.order_N), steps_T)
        return in_batch_TxG, reads_N, split.num_train_G

    with same_numbers():
        return jax.tree.map(np.asarray, count(run, experiment.dataset))


def _range(numbers):
    """`256`, or `3 to 4`."""
    low, high = numbers.min(), numbers.max()
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


if __name__ == "__main__":
    command_line.run(command, ("config", cache.FOLDER.name), arguments=True)
