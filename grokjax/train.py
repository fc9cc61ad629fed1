"""Trains the runs of a config: `python -m grokjax.train --config configs/moddiv.py`."""

import contextlib
import functools
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

import jax
from ml_collections import ConfigDict

from grokjax.config.experiment import Experiment, setup
from grokjax.core import devices, loop
from grokjax.recording.checkpoints import Checkpoints
from grokjax.recording.early_stopping import RunTracker
from grokjax.recording.logging import Console, MetricLogger, evaluation_line
from grokjax.recording.output import may_fail
from grokjax.recording.results import Results
from grokjax.recording.trained import Trained
from grokjax.recording.writer import Given, Writer, scalars
from grokjax.recording.writers import open_writers, tell
from grokjax.running import cache, command_line, cores, entry_table, report, resume, shards, xla
from grokjax.running.options import Options
from grokjax.running.resume import Start
from grokjax.running.shards import Plan
from grokjax.running.signals import Interrupts


def prepare(_):
    """Options, the experiment that they ask for, and a plan of where it is trained."""
    options = Options.from_flags()
    if options.show:
        return functools.partial(entry_table.show, entry_table.rows(options.config))
    shards.rendezvous(options)
    cores.use(options.num_runs(), options.cores)
    cache.use()
    experiment = setup(options.config)
    xla.check(experiment)
    if options.shard and not options.join:
        experiment = experiment.shard(*options.shard)
    return functools.partial(main, shards.plan(experiment, options), options)


def main(plan: Plan, options: Options) -> None:
    """Trains what is planned, one experiment after the other, each in its folder."""
    for experiment, results in plan.remaining():
        signal = train_in(results, experiment, options, one_of_many=plan.n > 1)
        if signal and not plan.is_complete():
            print(f"stopped by a signal; {options.how_to_go_on(results)}")
            sys.exit(128 + signal)
    if plan.n > 1:
        plan.merge()


def train_in(
    results: Results, experiment: Experiment, options: Options, one_of_many: bool = False
) -> int | None:
    """Trains in a folder what is not trained yet; returns the number of a signal that came."""
    may_be_new = one_of_many or options.requeued
    with command_line.one_line_errors():
        start = resume.find_start(results, experiment, options, may_be_new=may_be_new)
        experiment = start.recorded(experiment)
        options.try_out(results)
    if start.is_finished(experiment):
        report.conclude_again(results, experiment, start, options.save_path)
        return None
    resume.make_room(results, start)
    if start.is_resumed:
        resume.warn_of_another_machine(results)
    try:
        return train_from(start, results, experiment, options)
    except BaseException:
        command_line.warn(f"failed; {options.how_to_go_on(results)}")
        raise


def train_from(
    start: Start,
    results: Results,
    experiment: Experiment,
    options: Options,
    chunks: Callable = loop.chunks,
) -> int | None:
    """Trains to the end, or until a signal, whose number is returned.

    Args:
        chunks: the generator that trains; a benchmark gives one that keeps time.
    """
    labels = experiment.labels
    num_steps = experiment.config.schedule.num_steps
    said: set[str] = set()  # warnings that a full disk would repeat
    with (
        Interrupts(options.parent, lambda: options.how_to_go_on(results)) as interrupts,
        results.session(experiment.record, start.step) as session,
    ):
        with (
            Checkpoints(results.checkpoints, experiment.config.schedule) as checkpoints,
            Console(results.log, num_steps, start.step, experiment.record.get("shard")) as console,
            open_writers(results, experiment, start.step, options.services) as writers,
        ):
            logger = MetricLogger(start.history, labels, experiment.config, console, writers)
            resumed = start.step if start.is_resumed else 0
            logger.log_text(report.introduction(experiment, resumed), start.step)
            for t, state_R, metrics_R in chunks(
                experiment.trainer,
                experiment.runs_R,
                experiment.dataset,
                num_steps=num_steps,
                lift=experiment.config.lift,
                active=logger.tracker.active,
                **start.arguments(),
            ):
                if metrics_R is not None:
                    logger.log_later(t, metrics_R)  # reads the one before, while this runs
                finished = t == num_steps or logger.tracker.all_stopped(t)
                signal = interrupts.received
                last = signal or finished
                if last or checkpoints.is_due(t):
                    logger.flush()
                    state_R = devices.unpad(state_R, len(labels))
                    content = (state_R, logger.history.arrays(), experiment.record)
                    checkpoints.save_or_warn(t, *content, last=last)
                    block = may_fail("a history is not written", said=said)
                    with contextlib.nullcontext() if last else block:
                        results.write_history(logger.history, labels)
                        session.reached(t)
                console.advanced(t)
                if last:
                    break
            if finished:
                console.say(report.conclude(experiment.config, results, labels, options.save_path))
                logger.write_summary(results.read_summary())
        session.end("finished" if finished else "interrupted")  # the last checkpoint is written
    return signal


def train(config: ConfigDict, *, progress: bool = False, writers: Iterable = ()) -> Trained:
    """Trains the runs of a config in memory: no file is written.

    Args:
        config: from `base` or `load`.
        progress: print a line for each evaluation.
        writers: of type `clu.metric_writers.MetricWriter`, for the metrics; they are not closed.

    Raises:
        ValueError: for the first thing in the config that is invalid.
        WrongSums: if the compiler computes sums of this size wrong.
    """
    experiment = setup(config)
    config = experiment.config
    xla.check(experiment)
    given: list[Writer] = [Given(writer, experiment.labels) for writer in writers]
    start = resume.begin(experiment)
    history = start.history
    tracker = RunTracker(len(experiment.labels), config.schedule, config.grok)
    for evaluation in history.evaluations():
        tracker.update(*evaluation)
    for t, state_R, metrics_R in loop.chunks(  # noqa: B007, the last state is returned
        experiment.trainer,
        experiment.runs_R,
        experiment.dataset,
        num_steps=config.schedule.num_steps,
        lift=config.lift,
        active=tracker.active,
        **start.arguments(),
    ):
        if metrics_R is not None:
            metrics_R = jax.device_get(metrics_R)
            history.append(t, metrics_R)
            tracker.update(t, metrics_R)
            tell(given, "write_scalars", t, scalars(metrics_R))
            if progress:
                grokked = int(tracker.grokking.has_grokked_R.sum())
                with may_fail("a line of progress"):
                    print(f"[step {t:,}] {evaluation_line(metrics_R, grokked)}")
        if tracker.all_stopped(t):
            break
    tell(given, "flush")
    state_R = devices.unpad(state_R, len(experiment.labels))
    return Trained(history, tracker.grokking, state_R, start.recorded(experiment))


class _Module(types.ModuleType):
    """Lets `grokjax.train` be what it is in `python -m grokjax.train`, and a function as well."""

    def __call__(self, config: ConfigDict, **options: Any) -> Trained:
        return train(config, **options)


sys.modules[__name__].__class__ = _Module
cli = functools.partial(command_line.run, prepare, takes=None)  # `grokjax-train`


if __name__ == "__main__":
    cli()
