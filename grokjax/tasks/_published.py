"""The tables of the tasks as data sets of tensorflow-datasets; no TensorFlow needed."""

import functools
import importlib
import inspect
import re
import textwrap
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import chex
import numpy as np
import tensorflow_datasets as tfds

from grokjax.core.checks import check_choice
from grokjax.core.data import Examples, Task
from grokjax.tasks import _arithmetic
from grokjax.tasks._downloads import prepared

LONGEST = 100  # characters of the name of a setting
SETTINGS = {  # task -> setting -> options of its `make`
    "modular": {
        f"{op}_p{p}": {"op": op, "p": p} for op in _arithmetic.MODULAR for p in (11, 97, 113)
    },
    "permutation": {f"s{k}": {"k": k} for k in (3, 4, 5)}
    | {f"s{k}_{op}": {"op": op, "k": k} for op in ("conjugate", "aba") for k in (3, 4, 5)},
    "group": {
        group.lower().replace("_", ""): {"group": group} for group in ("Z_60", "D_30", "A_5", "Q_8")
    },
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

    def __init__(self, name: str, setting: str, task: Task, **options: Any):
        self.name = name  # pyright: ignore[reportAttributeAccessIssue]
        self.BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=setting)]
        self.task = task
        super().__init__(config=self.BUILDER_CONFIGS[0], **options)

    def _info(self):
        inputs = tfds.features.Tensor(shape=self.task.examples.inputs_NxL.shape[1:], dtype=np.int32)
        label = tfds.features.Scalar(dtype=np.int32)
        sizes = {"num_tokens": self.task.num_tokens, "num_classes": self.task.num_classes}
        return tfds.core.DatasetInfo(
            builder=self,
            description=_module(self.name).__doc__,
            features=tfds.features.FeaturesDict({"inputs": inputs, "label": label}),
            metadata=tfds.core.MetadataDict(sizes),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        del dl_manager
        return {"table": self._generate_examples()}

    def _generate_examples(self):
        table = self.task.examples
        for row, (inputs_L, label) in enumerate(zip(table.inputs_NxL, table.labels_N, strict=True)):
            yield row, {"inputs": inputs_L, "label": label}


def names() -> list[str]:
    """All tables, as `task/setting`."""
    return [f"{task}/{setting}" for task, settings in SETTINGS.items() for setting in settings]


def task_of(name: str) -> Task:
    """The task whose table goes by a name of `names`."""
    task, setting = name.split("/")
    return _module(task).make(**SETTINGS[task][setting])


def prepare(name: str, data_dir: str | Path) -> tfds.core.DatasetBuilder:
    """Writes a table as array_record files unless they are there; returns its builder.

    Rows are read by `prepare(...).as_data_source(split="table")`.
    """
    check_choice("table", name, names())
    return prepared(functools.partial(TableBuilder, *name.split("/"), task_of(name)), data_dir)


def read(name: str, options: Mapping[str, Any], task: Task, data_dir: str | Path) -> Examples:
    """The table of a task with these options, from its data set, which is prepared if need be.

    Raises:
        ValueError: if the files are damaged, or hold another table.
        OSError: if they cannot be written.
    """
    setting = _setting(name, options)
    try:
        builder: Any = prepared(functools.partial(TableBuilder, name, setting, task), data_dir)
        source = builder.as_data_source(split="table")
        rows = source.__getitems__(range(len(source)))
        labels_N = np.array([row["label"] for row in rows], np.int32)
        examples = Examples(np.stack([row["inputs"] for row in rows]), labels_N)
        chex.assert_trees_all_equal(examples, task.examples)
    except OSError:
        raise
    except Exception as error:  # whatever tfds and array_record say of what is damaged
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", 200)
        raise ValueError(
            f"the data set in {str(Path(data_dir, name, setting))!r} cannot be used ({reason}); "
            "delete that folder, or choose another task.data_dir"
        ) from error
    return examples


def _setting(name, options):
    """The name of a setting that is published, or else one made of the options."""
    defaults = {o: p.default for o, p in inspect.signature(_module(name).make).parameters.items()}
    known = SETTINGS.get(name, {}).items()
    published = (setting for setting, given in known if defaults | given == dict(options))
    own = re.sub(r"[^\w^+.=-]+", "_", "-".join(f"{o}={x}" for o, x in sorted(options.items())))
    if len(own) > LONGEST:  # what is cut off may tell it from others
        own = f"{own[:LONGEST]}-{zlib.crc32(own.encode()):08x}"
    return next(published, own)


def _module(task):
    return importlib.import_module(f"grokjax.tasks.{task}")
