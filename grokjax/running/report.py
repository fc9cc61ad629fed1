"""Reports before and after training: the set-up, the summary, the figures."""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from clu import parameter_overview
from ml_collections import ConfigDict

from grokjax.config import grid, registry
from grokjax.config.experiment import Experiment, check
from grokjax.reading.folders import arrays_of
from grokjax.recording.history import History, grokking
from grokjax.recording.output import may_fail
from grokjax.recording.results import Results, is_time
from grokjax.recording.summary import first_step, summarise, summary_text
from grokjax.running import branch
from grokjax.running.resume import Start


def introduction(experiment: Experiment, step: int) -> str:
    """Device, data, runs and the table of parameters."""
    config = experiment.config
    num_examples, length = experiment.task.examples.inputs_NxL.shape
    trained = sorted(set(experiment.runs_R.num_train_G.sum(axis=1).tolist()))
    train = " or ".join(f"{n:,}" for n in trained)
    val = " or ".join(f"{num_examples - n:,}" for n in trained)
    batch = f"{config.batch_size}" if config.batches != "full" else "all training"
    device, labels = jax.local_devices()[0], experiment.labels
    lines = [
        f"device: {jax.local_device_count()} x {device.device_kind}, jax {jax.__version__}",
        f"task: {facts_of(config.task)}",
        f"data: {train} training and {val} validation examples of {length} tokens",
        f"vocabulary: {experiment.task.num_tokens} tokens, {experiment.task.num_classes} answers",
        f"optimizer: {' + '.join(config.optimizer.chain)}",
        f"training: {config.schedule.num_steps:,} steps of {batch} examples",
        f"runs: {len(labels)} ({labels[0]}{' ... ' + labels[-1] if len(labels) > 1 else ''})",
    ]
    if 0 < config.schedule.eval_examples < num_examples:
        lines.append(f"evaluating on a fixed subset of {config.schedule.eval_examples:,} examples")
    if "branched" in experiment.record:
        lines.append(branch.sentence(experiment.record["branched"]))
    lines.append(f"resuming after step {step:,}" if step else _parameters(experiment))
    return "\n".join(lines)


def _parameters(experiment):
    """The table of parameters of one run."""
    params = experiment.shapes_of_run().params
    return parameter_overview.get_parameter_overview(params, include_stats=False)


def conclude(config, results: Results, labels, save_path: str | None) -> str:
    """Writes the summary and the figures of a finished run; returns the summary for people.

    A figure that cannot be drawn is missing; the run is finished nevertheless.
    """
    history = History.load(results.history)
    summary = _summary(config, labels, history, results.seconds(), results.stored_config())
    results.write_summary(summary)
    with may_fail("there are no pictures"):
        _draw(config, results, history.arrays(), summary, save_path)
    early = ""
    if (step := int(history["step"][-1])) < config.schedule.num_steps:
        early = f"all runs had stopped by step {step:,}: {_stopped_by(config)}\n"
    return f"{summary_text(summary)}{early}results are in {results.folder}"


def _stopped_by(config):
    """The entry that ends runs before the last step."""
    return f"schedule.stop_after_grok = {config.schedule.stop_after_grok}"


def _draw(config, results, arrays, summary, save_path):
    from grokjax.reading.pictures import plots  # matplotlib takes a while: not when training starts

    grok = grokking(arrays, **config.grok)
    overview = functools.partial(plots.overview, arrays, grok, facts(config, summary))
    pictures = [
        (results.accuracy_figure, functools.partial(plots.accuracy, arrays, grok)),
        (results.loss_figure, functools.partial(plots.loss, arrays, grok)),
        (results.overview_figure, overview),
    ]
    if save_path:
        pictures.append((Path(save_path), overview))
    for path, draw in pictures:
        with may_fail(f"{str(path)!r} is missing"):
            path.parent.mkdir(parents=True, exist_ok=True)
            plots.save(draw(), path)


def conclude_again(
    results: Results, experiment: Experiment, start: Start, save_path: str | None
) -> None:
    """Of runs that have been trained to their end: writes what is missing or damaged."""
    bad = not_as_written(results, experiment, start.history)
    if bad or not results.is_complete():
        print(f"writing again: {', '.join(bad) or 'the results'}")
        with results.session(experiment.record, start.step) as session:
            results.write_history(start.history, experiment.labels)
            print(conclude(experiment.config, results, experiment.labels, save_path))
            session.end("finished")
    left = "there is nothing left to train"
    if start.step < experiment.config.schedule.num_steps:
        left = f"all runs had stopped ({_stopped_by(experiment.config)}; 0 trains on)"
    print(f"{results.folder} is finished at step {start.step:,}; {left}")


def _summary(config, labels, history, seconds, record):
    sizes = check(config).sizes_of_tasks() if history.groups else None
    summary = summarise(
        history, labels, seconds, config.schedule, config.grok, sizes, first_step(record)
    )
    summary["overall"]["evaluated_examples"] = config.schedule.eval_examples or "all"
    return summary


def not_as_written(results: Results, experiment: Experiment, history: History) -> list[str]:
    """Names of files that are not what the history of the last checkpoint asks for."""
    given = results.read_summary()
    overall = given.get("overall")
    seconds = overall.get("seconds") if isinstance(overall, dict) else None
    known = seconds if is_time(seconds) else 0.0
    summary = _summary(experiment.config, experiment.labels, history, known, experiment.record)
    text = summary_text(summary) if is_time(seconds) else ""
    is_sound = {
        results.config: results.stored_config() == json.loads(json.dumps(experiment.record)),
        results.summary: given == summary and text,
        results.final_metrics: _content(results.final_metrics) == text.encode(),
        results.history: _holds(results.history, history, experiment.labels),
        **{path: _is_picture(path) for path in results.figures},
    }
    return [path.name for path, sound in is_sound.items() if not sound]


def _content(path):
    return path.read_bytes() if path.is_file() else None


def _holds(path, history, labels):
    wanted = history.arrays() | {"label": np.array(labels)}
    try:
        found = arrays_of(path)
    except ValueError:
        return False
    return wanted.keys() == found.keys() and all(
        wanted[name].tobytes() == found[name].tobytes() for name in wanted
    )


def _is_picture(path):
    from PIL import Image  # only needed here

    try:
        with Image.open(path) as picture:
            picture.verify()
    except (OSError, SyntaxError, ValueError):  # SyntaxError is Pillow's for a wrong checksum
        return False
    return True


def facts_of(section) -> str:
    """`modular op=div p=97` for a config section."""
    entries = registry.without_source(section)
    return " ".join([entries.pop("name"), *(f"{name}={value}" for name, value in entries.items())])


def facts(config: ConfigDict, summary: Mapping[str, Any]) -> dict[str, str]:
    """The configuration and the grokking figures, for the box next to a figure.

    Of hyperparameters only those are shown that something in the config reads.
    """
    overall = summary["overall"]
    runs = config.runs
    model = config.model
    shown = {
        "task": facts_of(config.task),
        "model": f"{model.name}" + (f", width {model.width}" if "width" in model else ""),
        "optimizer": " + ".join(config.optimizer.chain),
        "batch": f"{config.batch_size} {config.batches}",
        "train fraction": _values(runs.train_fraction),
    }
    read = grid.read_by(config)
    for name in ("learning_rate", "weight_decay"):
        if name in read:
            shown[name.replace("_", " ")] = _values(runs[name])
    shown["runs"] = str(overall["runs"])
    shown["grokked"] = f"{overall['grokked']} of {overall['runs']}"
    shown["median grok step"] = str(overall["median_grok_step"] or "not reached")
    if runs.mix:
        shown["mix"] = ", ".join(runs.mix)
    if any(runs.l1):
        shown["l1"] = _values(runs.l1)
    return shown


def _values(values):
    return ", ".join(f"{value:g}" for value in values)
