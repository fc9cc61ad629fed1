"""Trains the runs of a config: `python -m grokjax.train --config configs/moddiv.py`."""

import contextlib
import functools
import sys

from grokjax.config.experiment import Experiment
from grokjax.core import devices, loop
from grokjax.recording import resume
from grokjax.recording.checkpoints import Checkpoints
from grokjax.recording.logging import Console, MetricLogger
from grokjax.recording.results import Results
from grokjax.running import command_line, meeting, report, request, turns
from grokjax.running.signals import Interrupts


def prepare(_):
    """Checks what was asked for, before anything is written; gives what is to be done."""
    meeting.meet_others()
    config, (folder, step) = request.config(), request.folder_and_step()
    experiment = request.experiment(config)
    mine, n = turns.plan(experiment)
    if n == 1:
        return begin(config, experiment, Results(folder), step)
    return turns.prepare(begin, config, experiment, folder, mine, n)


def begin(config, experiment: Experiment, results: Results, step: int | None, one_of_many=False):
    """What is to be done in a folder: all of the training, what is left of it, or nothing."""
    start = request.start(experiment, results, step, one_of_many)
    given = config, experiment, results, start
    if request.is_finished(config, start):
        return functools.partial(report.conclude_again, *given, request.SAVE_PATH.value)
    return functools.partial(main, *given)


def main(config, experiment: Experiment, results: Results, start: resume.Start) -> int | None:
    """Trains; says how to go on if something came between. A late signal is returned."""
    request.make_room(results, start)
    try:
        signal = train(config, experiment, results, start)
    except BaseException:
        command_line.warn(f"failed; {request.how_to_go_on(results)}")
        raise
    if signal and not results.is_complete():
        print(f"stopped by a signal; {request.how_to_go_on(results)}")
        sys.exit(128 + signal)
    return signal


def train(config, experiment: Experiment, results: Results, start: resume.Start) -> int | None:
    """Trains from `start` to the end, or until a signal, whose number is returned."""
    schedule, labels = config.schedule, experiment.labels
    with (
        results.session(experiment.record, start.step) as session,
        Interrupts(request.PARENT.value) as interrupts,
        Checkpoints(results.checkpoints, schedule) as checkpoints,
        Console(results.log, schedule.num_steps, start.step) as console,
        contextlib.ExitStack() as stack,
    ):
        writers = [
            stack.enter_context(contextlib.closing(writer))
            for writer in request.writers_of(experiment, results, start)
        ]
        logger = MetricLogger(start.history, labels, config, console, writers)
        logger.log_text(report.introduction(config, experiment, start.step), start.step)
        for t, state_R, metrics_R in loop.chunks(
            *(experiment.trainer, experiment.runs_R, experiment.dataset),
            num_steps=schedule.num_steps,
            lift=config.lift,
            **start.arguments(),
            active=logger.tracker.active,
        ):
            if metrics_R is not None:
                logger.log_later(t, metrics_R)  # reads the evaluation before, while this one runs
            finished = t == schedule.num_steps or logger.tracker.all_stopped(t)
            signal = interrupts.received
            if signal or finished or checkpoints.is_due(t):
                logger.flush()
                checkpoints.save(
                    t,
                    devices.cut(state_R, len(labels)),
                    logger.history.arrays(),
                    experiment.record,
                )
                results.write_history(logger.history, labels)
                session.reached(t)
                for writer in writers:
                    writer.flush()
            console.advanced(t)
            if signal or finished:
                break
        if finished:
            console.say(report.conclude(config, results, labels, request.SAVE_PATH.value))
            for writer in writers:
                writer.write_summary(results.read_summary())
        session.end("finished" if finished else "interrupted")
    return signal


cli = functools.partial(command_line.run, prepare)  # `grokjax-train`, without `python -m`


if __name__ == "__main__":
    cli()
