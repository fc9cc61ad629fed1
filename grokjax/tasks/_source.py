"""Where a task's table comes from: made anew, or read from a data set of tensorflow-datasets."""

from collections.abc import Callable, Mapping
from typing import Any

from grokjax.core.checks import check_choice
from grokjax.core.data import Task

SOURCES = ("computed", "tfds")


def make(
    task: Callable[..., Task],
    options: Mapping[str, Any],
    *,
    source: str = "computed",
    data_dir: str = "~/tensorflow_datasets",
) -> Task:
    """What the `make` of a task's module gives; `tfds` reads the same rows from `data_dir`.

    A data set that is not there yet is prepared, as array_record files. A table takes a
    millisecond to compute, so files are compared with it: where it comes from changes no bit.

    Raises:
        ValueError: for an unknown source, or files that do not hold the task's table.
        OSError: if they cannot be written.
    """
    check_choice("task.source", source, SOURCES)
    made = task(**options)
    if source == "computed":
        return made
    from grokjax.tasks import _published  # tfds takes half a second

    name = task.__module__.rpartition(".")[2]
    return made._replace(examples=_published.read(name, options, made, data_dir))


def without_source(section: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a `task` section that say what is computed, if it is."""
    places = ("source", "data_dir") if section.get("source") == "computed" else ()
    return {name: value for name, value in section.items() if name not in places}
