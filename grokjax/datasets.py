"""The task tables as tensorflow-datasets, for whoever reads data that way; no TensorFlow needed.

    python -m grokjax.datasets list
    python -m grokjax.datasets prepare modular/div_p97 --data_dir ~/data

Training does not come by here: the table of a task is made in a millisecond.
"""

from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from absl import flags

from grokjax import arithmetic, command_line, lookup
from grokjax.checks import check_choice

DATA_DIR = flags.DEFINE_string("data_dir", "~/tensorflow_datasets", "Folder for prepared tables.")

SETTINGS = {  # task -> setting -> options of its `make`
    "modular": {
        f"{op}_p{p}": {"op": op, "p": p} for op in arithmetic.MODULAR for p in (11, 97, 113)
    },
    "permutation": {f"s{k}": {"k": k} for k in (3, 4, 5)},
}


class TableBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """The rows of a task's table, in the table's order, as one split named `table`."""

    VERSION = tfds.core.Version("1.0.0")
    TASK: str

    def _info(self):
        table, num_tokens, num_classes = self._task()
        length = table.inputs_NxL.shape[1]
        return tfds.core.DatasetInfo(
            builder=self,
            description=lookup.find("task", self.TASK).__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "inputs": tfds.features.Tensor(shape=(length,), dtype=np.int32),
                    "label": tfds.features.Scalar(dtype=np.int32),
                }
            ),
            metadata=tfds.core.MetadataDict(num_tokens=num_tokens, num_classes=num_classes),
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
        options = SETTINGS[self.TASK][self.builder_config.name]
        return lookup.find("task", self.TASK).make(**options)


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


BUILDERS = {builder.TASK: builder for builder in (Modular, Permutation)}


def names() -> list[str]:
    """All tables, as `task/setting`."""
    return [f"{task}/{setting}" for task, settings in SETTINGS.items() for setting in settings]


def prepare(name: str, data_dir: str | Path) -> tfds.core.DatasetBuilder:
    """Writes a table as array_record files unless they are there; returns its builder.

    Rows are read by `prepare(...).as_data_source(split="table")`.
    """
    check_choice("table", name, names())
    tfds.disable_progress_bar()  # a table takes a moment
    task, setting = name.split("/")

    def open_builder():
        folder = str(Path(data_dir).expanduser())
        return BUILDERS[task](data_dir=folder, config=setting, file_format="array_record")

    builder = open_builder()
    try:
        builder.download_and_prepare()
    except FileExistsError:  # another process was faster, and its files are whole
        builder = open_builder()
    return builder


def command(argv):
    """What the words of the command line ask for."""
    match argv[1:]:
        case ["list"]:
            return lambda: print("\n".join(names()))
        case ["prepare", name]:
            check_choice("table", name, names())
            return lambda: _prepare_and_tell(name)
        case _:
            raise ValueError("unknown command; choose from: list, prepare TASK/SETTING")


def _prepare_and_tell(name):
    builder = prepare(name, DATA_DIR.value)
    rows = builder.info.splits["table"].num_examples
    print(f"{rows:,} rows are in {builder.data_path}")


if __name__ == "__main__":
    command_line.run(command, arguments=True)
