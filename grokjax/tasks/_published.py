"""The task tables as tensorflow-datasets, for whoever reads data that way; no TensorFlow needed.

    python -m grokjax.datasets list
    python -m grokjax.datasets prepare modular/div_p97 --data_dir ~/data
    python -m grokjax.datasets fetch mnist
    python -m grokjax.datasets batches --config configs/mixture.py

Training does not come by here: the table of a task is made in a millisecond. Only the task
`images` reads files, those that `fetch` brings from the network. `batches` counts what the
batches of a config hold, task by task.
"""

import os
import sys
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from absl import flags

from grokjax import tally
from grokjax.config import registry
from grokjax.config.experiment import setup
from grokjax.core.checks import check_choice
from grokjax.core.data import Task
from grokjax.running import command_line
from grokjax.tasks import _arithmetic
from grokjax.tasks._downloads import fetch, prepared
from grokjax.tasks.images import FETCHED

DATA_DIR = flags.DEFINE_string("data_dir", "~/tensorflow_datasets", "Folder for prepared tables.")

SETTINGS = {  # task -> setting -> options of its `make`
    "modular": {
        f"{op}_p{p}": {"op": op, "p": p} for op in _arithmetic.MODULAR for p in (11, 97, 113)
    },
    "permutation": {f"s{k}": {"k": k} for k in (3, 4, 5)}
    | {f"s{k}_{op}": {"op": op, "k": k} for op in ("conjugate", "aba") for k in (3, 4, 5)},
    "mixture": {
        f"{'_'.join(ops)}_p{p}": {"ops": ops, "p": p}
        for ops in (("div", "add"), ("div", "add", "sub"))
        for p in (11, 97)
    },
    "sums": {
        f"k{length}_p{p}": {"length": length, "p": p}
        for length, p in ((2, 11), (2, 97), (3, 11), (3, 23), (4, 11))
    },
    "parity": {
        f"n{bits}_k{secret}": {"bits": bits, "secret": secret}
        for bits, secret in ((30, 2), (40, 3), (50, 3))
    },
    "binding": {
        f"a{assignments}_v{variables}": {"assignments": assignments, "variables": variables}
        for assignments, variables in ((6, 3), (18, 5))
    },
}


class TableBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """The rows of a task's table, in the table's order, as one split named `table`."""

    VERSION = tfds.core.Version("1.0.0")
    TASK: str

    def _info(self):
        task = self._task()
        length = task.examples.inputs_NxL.shape[1]
        return tfds.core.DatasetInfo(
            builder=self,
            description=registry.find("task", self.TASK).__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "inputs": tfds.features.Tensor(shape=(length,), dtype=np.int32),
                    "label": tfds.features.Scalar(dtype=np.int32),
                }
            ),
            metadata=tfds.core.MetadataDict(
                num_tokens=task.num_tokens, num_classes=task.num_classes
            ),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        del dl_manager
        return {"table": self._generate_examples()}

    def _generate_examples(self):
        table = self._task().examples
        for row, (inputs_L, label) in enumerate(zip(table.inputs_NxL, table.labels_N, strict=True)):
            yield row, {"inputs": inputs_L, "label": label}

    def _task(self):
        return task_of(f"{self.TASK}/{self.builder_config.name}")


def _configs(task):
    return [tfds.core.BuilderConfig(name=name) for name in SETTINGS[task]]


class Modular(TableBuilder):
    """Equations a o b = c (mod p)."""

    TASK = "modular"
    BUILDER_CONFIGS = _configs(TASK)


class Permutation(TableBuilder):
    """Equations a o b = c in the symmetric group S_k."""

    TASK = "permutation"
    BUILDER_CONFIGS = _configs(TASK)


class Mixture(TableBuilder):
    """Equations of several operations mod p; the inputs say which one."""

    TASK = "mixture"
    BUILDER_CONFIGS = _configs(TASK)


class Sums(TableBuilder):
    """Sums of K numbers (mod p)."""

    TASK = "sums"
    BUILDER_CONFIGS = _configs(TASK)


class Parity(TableBuilder):
    """The parity of a few secret bits among many."""

    TASK = "parity"
    BUILDER_CONFIGS = _configs(TASK)


class Binding(TableBuilder):
    """Variables are assigned; what is one of them worth?"""

    TASK = "binding"
    BUILDER_CONFIGS = _configs(TASK)


BUILDERS = {
    builder.TASK: builder for builder in (Modular, Permutation, Mixture, Sums, Parity, Binding)
}


def names() -> list[str]:
    """All tables, as `task/setting`."""
    return [f"{task}/{setting}" for task, settings in SETTINGS.items() for setting in settings]


def task_of(name: str) -> Task:
    """The task whose table goes by a name of `names`."""
    task, setting = name.split("/")
    return registry.find("task", task).make(**SETTINGS[task][setting])


def prepare(name: str, data_dir: str | Path) -> tfds.core.DatasetBuilder:
    """Writes a table as array_record files unless they are there; returns its builder.

    Rows are read by `prepare(...).as_data_source(split="table")`.
    """
    check_choice("table", name, names())
    task, setting = name.split("/")
    return prepared(BUILDERS[task], data_dir, config=setting)


def command(argv):
    """What the words of the command line ask for."""
    match argv[1:]:
        case ["list"]:
            return _list
        case ["prepare", name]:
            check_choice("table", name, names())
            return lambda: _tell(prepare(name, DATA_DIR.value))
        case ["fetch", name]:
            check_choice("data set", name, FETCHED)
            return lambda: _fetch_and_tell(name)
        case ["batches"]:
            config = command_line.config()
            command_line.use_compilation_cache()
            experiment = setup(config)
            return lambda: print(tally.text(config, experiment))
        case _:
            raise ValueError(
                "unknown command; choose from: list, prepare TASK/SETTING, fetch NAME, batches"
            )


def _list():
    for name in names():
        print(f"{name:36}{len(task_of(name).examples.labels_N):>8,} rows")


def _fetch_and_tell(name):
    try:
        _tell(fetch(name, DATA_DIR.value))
    except OSError as error:  # of the network or the disk
        sys.exit(f"error: cannot fetch {name}: {' '.join(str(error).split())}")
    except KeyboardInterrupt:
        command_line.warn(f"interrupted; {name} has not been fetched")
        os._exit(130)  # the library's threads would go on trying for minutes


def _tell(builder):
    rows = sum(split.num_examples for split in builder.info.splits.values())
    print(f"{rows:,} rows are in {builder.data_path}")


if __name__ == "__main__":
    command_line.run(command, arguments=True)
