"""The writers of a training: TensorBoard, and the services that were asked for."""

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import Any

from grokjax.config.experiment import Experiment
from grokjax.recording.online import SERVICES
from grokjax.recording.output import LONGEST, in_one_line, may_fail, warn
from grokjax.recording.results import Results
from grokjax.recording.tensorboard import TensorBoard
from grokjax.recording.writer import Writer


@contextlib.contextmanager
def open_writers(
    results: Results, experiment: Experiment, step: int, services: Sequence[str]
) -> Iterator[list[Writer]]:
    """The writers of a training that starts at a step, or is resumed from it.

    Training goes on without one that fails.
    """
    facts = (experiment.labels, experiment.record, step)
    makers = [functools.partial(TensorBoard, results.tensorboard, *facts)]
    makers += [functools.partial(SERVICES[name], results.folder, *facts) for name in services]
    writers: list[Writer] = []
    for make in makers:
        with may_fail(f"training goes on without {make.func.__name__}"):
            writers.append(make())
    try:
        yield writers
    finally:
        tell(writers, "close")


def tell(writers: list[Writer], method: str, *arguments: Any) -> None:
    """Calls a method of every writer; one that fails is closed and leaves the list."""
    for writer in list(writers):
        try:
            getattr(writer, method)(*arguments)
        except Exception as error:
            reason = in_one_line(error, LONGEST)
            warn(f"warning: training goes on without {writer.name}: {reason}")
            writers.remove(writer)
            with contextlib.suppress(Exception):
                writer.close()
