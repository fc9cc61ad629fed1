"""Curves for many runs, what a diverged run does to them, and what Weights & Biases is sent."""

import errno
import json
import os
import re
import struct
import subprocess
import sys
import time
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from conftest import toy_mlp
from tensorboardX.proto.api_pb2 import Status
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.layout_pb2 import Layout
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

import grokjax
from grokjax.config.config import plain
from grokjax.config.grid import labels
from grokjax.measures import norms
from grokjax.recording import logging, writers
from grokjax.recording.history import finite_median, finite_quantiles
from grokjax.recording.online import Trackio, WeightsAndBiases, check
from grokjax.recording.tensorboard import EventFile, TensorBoard, hparams
from grokjax.recording.writer import MANY, Writer

ROOT = Path(__file__).parent.parent
CONFIG = """
from conftest import toy

def get_config():
    config = toy()
    config.runs.seed = (3, 5)
    return config
"""
STUDY = '''
"""One arm."""
from grokjax import Study, base, run_study

STUDY = Study(__file__, __doc__, lambda size: {"part/baseline": base()})
get_config = STUDY.get_config

if __name__ == "__main__":
    run_study(STUDY)
'''
SUMMARY = {
    "overall": {"runs": 2, "grokked": 1},
    "runs": [{"label": "seed=3", "grok_step": 40}, {"label": "seed=5", "grok_step": None}],
}


def test_many_runs_are_three_curves_and_diverged_ones_are_left_out(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        writer = TensorBoard(tmp_path, [f"seed={r}" for r in range(MANY + 1)])
        writer.write_scalars(1, {"train_loss": np.r_[np.nan, np.inf, np.arange(MANY - 1)]})
        writer.close()

    assert {path.name for path in tmp_path.iterdir()} == {"lowest", "median", "highest"}


def test_a_full_disk_ends_one_writer_with_one_warning_and_closes_its_files(
    tmp_path, monkeypatch, capsys
):
    """Forty scalars, which a queue with a dead reader would not take."""
    write = EventFile._write

    def until_full(self, **content):
        if content.get("step", 0) > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, **content)

    monkeypatch.setattr(EventFile, "_write", until_full)
    board = TensorBoard(tmp_path, ["seed=0", "seed=1"])
    left = [board]
    for step in range(20):
        writers.tell(left, "write_scalars", step, {"train_loss": np.ones(2)})

    assert left == []
    assert capsys.readouterr().err == (
        "warning: training goes on without TensorBoard: [Errno 28] No space left on device\n"
    )
    assert all(file._records._writer.closed for file in board._files.values())


def events_in(folder):
    """Those of the only event file."""
    (path,) = folder.iterdir()
    data = path.read_bytes()
    events = []
    while data:
        (size,) = struct.unpack_from("<Q", data)
        events.append(Event.FromString(data[12 : 12 + size]))
        data = data[size + 16 :]
    return events


def test_events_after_the_step_of_a_resume_are_marked(tmp_path):
    board = TensorBoard(tmp_path, ["seed=0"], resumed_from=7)
    board.write_scalars(8, {"val_loss": np.array([2.5])})
    board.close()
    events = events_in(tmp_path)

    assert [event.file_version for event in events] == ["brain.Event:2", "", ""]
    assert (events[1].step, events[1].session_log.status) == (8, SessionLog.START)
    (value,) = events[2].summary.value
    assert (events[2].step, value.tag, value.simple_value) == (8, "Loss/val", 2.5)


@pytest.fixture
def clu(monkeypatch):
    """Clu's modules of writers and reports, which import TensorFlow and hardly need it."""
    names = ("tensorflow", "tensorboard", "tensorboard.plugins", "tensorboard.plugins.hparams")
    with monkeypatch.context() as stubs:  # gone again when jax looks for TensorFlow
        for name in names:
            try:
                __import__(name)
            except ImportError:
                stubs.setitem(sys.modules, name, ModuleType(name))
        plugin = sys.modules["tensorboard.plugins.hparams"]
        if not hasattr(plugin, "api"):
            stubs.setattr(plugin, "api", ModuleType("api"), raising=False)
        from clu import metric_writers, periodic_actions

    return metric_writers, periodic_actions


def study(*values):
    """The record of two seeds at each of some weight decays, with a measure, and the labels."""
    config = toy_mlp()
    config.measures = ("norms",)
    config.runs = grokjax.grid(config.runs, seed=(3, 5), weight_decay=values)
    return plain(config), labels(config.runs)


def final(label, grok_step):
    """A run of a summary; 4 stands for what is not looked at."""
    names = ("memorised_step", "delay", "train_accuracy", "train_loss", "val_loss")
    run = dict.fromkeys(names, 4) | {"label": label, "steps": 20}
    return run | {"grok_step": grok_step, "val_accuracy": 0.25}


def rows_in(folder):
    """What TensorBoard's tab HParams has for the run of a folder: values, whether it has ended."""
    values, ended = {}, False
    for event in events_in(folder):
        for value in event.summary.value:
            if value.metadata.plugin_data.plugin_name == "hparams":
                data = HParamsPluginData.FromString(value.metadata.plugin_data.content)
                assert value.tag.startswith("_hparams_/session_")
                start = data.session_start_info.hparams
                values |= {n: x.number_value or x.string_value for n, x in start.items()}
                ended |= data.session_end_info.status == Status.Value("STATUS_SUCCESS")
            elif value.tag.startswith("Final/"):
                values[value.tag] = value.simple_value
    return values, ended


def test_tensorboard_has_a_row_for_each_run_with_what_it_was_and_what_it_came_to(tmp_path):
    record, names = study(0.25, 1.0)
    board = TensorBoard(tmp_path, names, record)
    board.flush()
    begun, ended = rows_in(tmp_path / "seed=5 weight_decay=0.25")
    board.write_summary({"runs": [final(n, 15 if n == names[3] else None) for n in names]})
    board.close()

    assert not ended
    assert (begun["seed"], begun["weight_decay"], begun["learning_rate"]) == (5, 0.25, 1e-3)
    assert (begun["task"], begun["model"], begun["optimizer"]) == ("modular", "mlp", "adamw")
    for name in names:
        values, ended = rows_in(tmp_path / name)
        assert ended
        assert f"seed={values['seed']:g} weight_decay={values['weight_decay']:g}" == name
        assert values["Final/val_accuracy"] == 0.25
        assert values.get("Final/grok_step") == (15 if name == names[3] else None)


def test_many_runs_have_rows_without_curves(tmp_path):
    record, names = study(*np.arange(1, 11) / 8)
    board = TensorBoard(tmp_path, names, record)
    board.write_summary({"runs": [final(name, None) for name in names]})
    board.close()

    folders = {path.name for path in tmp_path.iterdir()}
    assert folders == {"lowest", "median", "highest", "runs"}
    assert {path.name for path in (tmp_path / "runs").iterdir()} == set(names)
    values, ended = rows_in(tmp_path / "runs" / "seed=5 weight_decay=1.25")
    assert (values["weight_decay"], values["Final/val_accuracy"], ended) == (1.25, 0.25, True)


def test_rows_of_a_shard_are_those_of_its_runs():
    record, _ = study(0.25, 1.0)
    points = hparams(record | {"shard": "2/2"})

    assert [point["seed"] for point in points] == [5, 5]
    assert [point["weight_decay"] for point in points] == [0.25, 1.0]


def test_tensorboard_has_the_config_as_text_and_a_chart_for_each_value_of_a_measure(tmp_path):
    record, names = study(1.0)
    TensorBoard(tmp_path, names, record).close()
    texts = {}
    for event in events_in(tmp_path / names[0]):
        for value in event.summary.value:
            texts[value.tag] = value.tensor.string_val
    lines = texts["config/text_summary"][0].decode().splitlines()
    layout = Layout.FromString(texts["custom_scalars__config__"][0])
    charts = {
        (category.title, chart.title): chart.multiline.tag[0]
        for category in layout.category
        for chart in category.chart
    }

    assert "| model.hidden | [11] |" in lines
    assert "| runs.seed | [3, 5] |" in lines
    assert charts["grokking", "Accuracy"] == "Accuracy/(train|val)$"
    (pattern,) = [tag for (of, _), tag in charts.items() if of == "norms" and "total" in tag]
    assert re.match(pattern, "norms/total")
    assert not re.match(pattern, "norms/total_of_more")
    assert len([of for of, _ in charts if of == "norms"]) == len(norms.TITLES)


class Service(ModuleType):
    """A module that remembers what it was asked for, as W&B's and Trackio's are used."""

    def __init__(self, name):
        super().__init__(name)
        self.calls = []
        self.summary = {}
        self.Settings = dict

    def init(self, **options):
        print("* a line of its own")
        self.calls.append(("init", options))
        return self

    def log(self, row, step):
        self.calls.append(("log", step, row))

    def finish(self, **options):
        self.calls.append(("finish", options))


def test_a_service_is_told_the_group_and_the_axes_of_a_sweep(tmp_path, monkeypatch):
    wandb = Service("wandb")
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    record, names = study(0.25, 1.0)
    writer = WeightsAndBiases(tmp_path / "study" / "part" / "arm", names, record)
    writer.close()
    (_, options), *_ = wandb.calls

    assert (options["group"], options["name"]) == ("study/part", "arm")
    assert options["config"]["sweep"] == {"seed": [3, 5], "weight_decay": [0.25, 1.0]}
    assert options["config"]["task"] == record["task"]


def test_trackio_is_sent_the_same_and_says_nothing(tmp_path, monkeypatch, capsys):
    trackio = Service("trackio")
    monkeypatch.setitem(sys.modules, "trackio", trackio)
    record, names = study(1.0)
    folder = tmp_path / "study" / "part" / "arm"
    for resumed_from in (0, 10):
        writer = Trackio(folder, names, record, resumed_from)
        writer.write_scalars(resumed_from + 5, {"val_loss": np.float32([0.5, 0.25])})
        writer.close()
    begins = [call[1] for call in trackio.calls if call[0] == "init"]

    assert capsys.readouterr().out == ""
    assert [(o["project"], o["group"], o["name"]) for o in begins] == 2 * [
        ("grokjax", "study/part", "study/part/arm")
    ]
    assert [options["resume"] for options in begins] == ["never", "allow"]
    assert begins[0]["config"]["sweep"] == {"seed": [3, 5]}
    logged = [call for call in trackio.calls if call[0] == "log"]
    assert logged == [
        ("log", step, {"val_loss/seed=3": 0.5, "val_loss/seed=5": 0.25}) for step in (5, 15)
    ]
    assert trackio.calls[-1] == ("finish", {})


def test_any_writer_of_clu_can_be_given_and_is_left_open(clu, monkeypatch, capsys):
    metric_writers, _ = clu
    lines, flushes = [], []

    class Memory(metric_writers.LoggingWriter):
        def flush(self):
            flushes.append(len(lines))

        def close(self):
            raise AssertionError("it is the caller's")

    class Broken(Memory):
        def write_scalars(self, step, scalars):
            raise OSError("no connection")

    logged = metric_writers.logging_writer.logging
    monkeypatch.setattr(logged, "info", lambda text, *values: lines.append(text % values))
    config = toy_mlp()
    config.runs.seed = (3, 5)
    given = [metric_writers.MultiWriter([Memory(), Memory()]), Broken()]
    history = grokjax.train(config, writers=given).history

    assert [line.split()[0] for line in lines] == [f"[{t}]" for t in (5, 5, 10, 10, 15, 15, 20, 20)]
    assert f"val_loss/seed=5={float(history['val_loss'][-1, 1]):.6g}" in lines[-1]
    assert flushes == [8, 8]
    assert capsys.readouterr().err == "warning: training goes on without Broken: no connection\n"


def test_steps_per_second_are_those_that_clu_reports(clu, monkeypatch, tmp_path):
    """Five steps in two seconds: ten more take four."""
    metric_writers, periodic_actions = clu
    told = {"clu": [], "ours": []}

    class Memory(metric_writers.LoggingWriter):
        def write_scalars(self, step, scalars):
            told["clu"].append((step, scalars))

    report = periodic_actions.ReportProgress(writer=Memory(), on_steps=(5, 10))
    report(5, t=100.0)
    report(10, t=102.0)

    writer = Writer()
    writer.write_scalars = lambda step, scalars_R: told["ours"].append((step, scalars_R))
    clock = iter((100.0, 102.0))
    monkeypatch.setattr(logging.time, "monotonic", lambda: next(clock))
    metrics_R = {name: np.ones(1) for name in logging.COLUMNS}
    with logging.Console(tmp_path / "log", num_steps=20) as console:
        logger = logging.MetricLogger(grokjax.History(), ["seed=0"], toy_mlp(), console, [writer])
        for step in (5, 10):
            logger.log_later(step, metrics_R)
            logger.flush()

    assert told["clu"][0] == (10, {"steps_per_sec": 2.5})
    assert [(step, s.get("steps_per_sec")) for step, s in told["ours"]] == [(5, None), (10, [2.5])]
    assert (tmp_path / "log").read_text().endswith(" | 2.5 steps/s, 0:00:04 left\n")


def test_quantiles_of_finite_values():
    assert finite_quantiles([3.0, np.nan, 1.0, np.inf, 2.0], [0, 0.5, 1]).tolist() == [1, 2, 3]
    assert np.isnan(finite_median([np.nan, np.inf]))


@pytest.fixture
def offline(monkeypatch):
    """Weights & Biases without a network, if it is installed."""
    pytest.importorskip("wandb")
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")


def records(folder):
    """What W&B has kept in a folder to be sent later, one list for each session.

    Another process writes it, and on a busy machine may still be at it.
    """
    until = time.monotonic() + 60
    while True:
        paths = sorted(folder.glob("wandb/offline-run-*/*.wandb"))
        sessions = [list(read_records(path)) for path in paths]
        ended = [any(record.HasField("exit") for record in session) for session in sessions]
        if (sessions and all(ended)) or time.monotonic() > until:
            return sessions
        time.sleep(0.1)


def read_records(path):
    """The records of LevelDB's log format: pieces in blocks of 32 KiB that none reaches across."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, record = path.read_bytes(), 7, b""  # behind W&B's own header
    while at + 7 <= len(data):
        if (left := -at % 32768) < 7:  # too little for a header of checksum, size and kind
            at += left
            if left:
                continue
        size, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        record += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last piece
            yield Record.FromString(record)
            record = b""


def rows(session):
    """{step: {key: number}} of a session's records."""
    found = {}
    for record in session:
        if record.HasField("history"):
            items = {
                item.key or "/".join(item.nested_key): json.loads(item.value_json)
                for item in record.history.item
            }
            step = items.pop("_step")
            found[step] = {key: items[key] for key in items if not key.startswith("_")}
    return found


def test_weights_and_biases_is_sent_a_curve_for_each_of_a_few_runs(tmp_path, offline):
    folder = tmp_path / "study" / "part" / "arm"
    writer = WeightsAndBiases(folder, ["seed=3", "seed=5"], {"batch_size": 11})
    writer.write_texts(0, {"introduction": "two runs"})
    writer.write_scalars(20, {"val_loss": np.float32([0.5, 0.25]), "l1": np.float32([0, np.inf])})
    writer.write_scalars(40, {"val_loss": np.float32([0.125, 1.0])})
    writer.write_summary(SUMMARY)
    writer.close()
    (session,) = records(folder)
    run = next(record.run for record in session if record.HasField("run"))
    config = {item.key: item.value_json for item in run.config.update}
    summary = {
        item.key or item.nested_key[0]: item.value_json
        for record in session
        for item in record.summary.update
    }

    assert (run.project, run.run_group, run.display_name) == ("grokjax", "study/part", "arm")
    assert config["batch_size"] == "11"
    assert rows(session) == {
        20: {"val_loss/seed=3": 0.5, "val_loss/seed=5": 0.25, "l1/seed=3": 0, "l1/seed=5": np.inf},
        40: {"val_loss/seed=3": 0.125, "val_loss/seed=5": 1.0},
    }
    assert summary["grokked"] == "1"
    assert (summary["grok_step/seed=3"], summary["grok_step/seed=5"]) == ("40", "null")
    assert [r.exit.exit_code for r in session if r.HasField("exit")] == [0]


def test_weights_and_biases_is_sent_three_curves_of_many_runs(tmp_path, offline):
    writer = WeightsAndBiases(tmp_path / "many", [f"seed={r}" for r in range(MANY + 1)], {})
    writer.write_scalars(7, {"val_loss": np.arange(MANY + 1)})
    writer.close()
    (session,) = records(tmp_path / "many")

    assert rows(session) == {
        7: {"val_loss/lowest": 0, "val_loss/median": 8, "val_loss/highest": 16},
    }
    assert [r.exit.exit_code for r in session if r.HasField("exit")] == [1]  # no summary: stopped


def test_a_resumed_training_goes_on_in_its_weights_and_biases_run(tmp_path, offline):
    for resumed_from in (0, 20, 0):  # the last one overwrites what was there
        writer = WeightsAndBiases(tmp_path, ["seed=3"], {}, resumed_from)
        writer.write_scalars(resumed_from + 10, {"val_loss": np.float32([0.5])})
        writer.close()
    sessions = records(tmp_path)
    known = {next(r.run.run_id for r in s if r.HasField("run")): rows(s) for s in sessions}

    assert len(sessions) == 3
    assert sorted(list(session) for session in map(rows, sessions)) == [[10], [10], [30]]
    assert len(known) == 2
    assert (tmp_path / "wandb" / "id").read_text() in known


@pytest.mark.parametrize("service", ["wandb", "trackio"])
def test_without_the_package_a_line_says_how_to_get_it(service, monkeypatch):
    for module in (None, ModuleType(service)):  # the second is a folder of results
        monkeypatch.setitem(sys.modules, service, module)
        with pytest.raises(ValueError, match=rf"pip install 'grokjax\[{service}\]'"):
            check([service])


def train(tmp_path, *flags, **environment):
    (tmp_path / "toy.py").write_text(CONFIG)
    path = f"{tmp_path}/missing:{ROOT}/tests" if environment.pop("missing", 0) else f"{ROOT}/tests"
    flags = [f"--config={tmp_path}/toy.py", f"--workdir={tmp_path}/run", "--wandb", *flags]
    return subprocess.run(
        [sys.executable, "-m", "grokjax.train", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": f"{path}:{ROOT}"} | environment,
    )


@pytest.mark.slow
def test_the_command_sends_what_is_in_the_history(tmp_path, offline):
    first = train(tmp_path, "--config.schedule.num_steps=10")
    resumed = train(tmp_path, "--resume=latest")
    history = np.load(tmp_path / "run" / "history.npz")
    sessions = list(map(rows, records(tmp_path / "run")))

    assert (first.returncode, resumed.returncode) == (0, 0), first.stderr + resumed.stderr
    assert [list(session) for session in sessions] == [[5, 10], [15, 20]]
    assert history["step"].tolist() == [5, 10, 15, 20]
    for e, row in enumerate([row for session in sessions for row in session.values()]):
        assert row["val_loss/seed=5"] == history["val_loss"][e, 1]


@pytest.mark.slow
def test_a_study_passes_the_wish_on_to_its_arms(tmp_path, offline):
    (tmp_path / "toy_study.py").write_text(STUDY)
    done = subprocess.run(
        [sys.executable, "toy_study.py", "--size=smoke", "--wandb"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    arm = tmp_path / "results" / "toy_study" / "part" / "baseline"
    (session,) = records(arm)

    assert done.returncode == 0, done.stdout + done.stderr
    assert [r.run.run_group for r in session if r.HasField("run")][:1] == ["toy_study/part"]
    assert list(rows(session)) == np.load(arm / "history.npz")["step"].tolist()


@pytest.mark.slow
def test_a_command_that_cannot_send_writes_nothing(tmp_path):
    (tmp_path / "missing" / "wandb").mkdir(parents=True)  # such a folder is no package either
    (tmp_path / "missing" / "wandb" / "__init__.py").write_text("raise ImportError('missing')")
    missing = train(tmp_path, missing=True)

    assert (missing.returncode, missing.stdout) == (2, "")
    assert missing.stderr == (
        "error: --wandb needs the package wandb; install it with pip install 'grokjax[wandb]'\n"
    )
    assert not (tmp_path / "run").exists()


def test_what_is_no_writer_is_refused_before_training():
    with pytest.raises(ValueError, match="3 is no writer; choose those of clu.metric_writers"):
        grokjax.train(toy_mlp(), writers=[3])
