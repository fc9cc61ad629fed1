"""The command as users type it: results, resume, signals, errors."""

import json
import os
import random
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tensorboardX.proto import event_pb2

ROOT = Path(__file__).parent.parent
CACHE = Path("~/.cache/grokjax/tests").expanduser()
STEPS = list(range(60, 1801, 60))

CONFIG = '''
"""A toy that compiles and trains in seconds."""
from grokjax import base, grid

def get_config(choice=""):
    config = base(
        choice,
        task=dict(name="modular", op="div", p=7),
        model=dict(name="transformer", width=12, num_heads=2, ff_width=20, num_blocks=1),
        optimizer=dict(grokfast_ma=dict(window=5), adamw={}),
    )
    config.batch_size = 11
    config.schedule.update(num_steps=1800, eval_every=60, checkpoint_every=180, eval_block=13)
    config.runs = grid(config.runs, seed=(0, 1), learning_rate=1e-2, weight_decay=(0.1, 0.3))
    return config
'''


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "toy.py"
    path.write_text(CONFIG)
    return path


def command(config, workdir, *flags):
    return [
        *(sys.executable, "-m", "grokjax.train", f"--config={config}", f"--workdir={workdir}"),
        f"--compilation_cache={CACHE}",
        *map(str, flags),
    ]


def train(config, workdir, *flags, **environment):
    return subprocess.run(
        command(config, workdir, *flags),
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def finished(config, tmp_path_factory):
    """A run of 1,800 steps that nothing disturbed."""
    workdir = tmp_path_factory.mktemp("results") / "whole"
    done = train(config, workdir, f"--save_path={workdir.parent}/pictures/copy.png")
    assert done.returncode == 0, done.stderr
    return workdir, done


def test_a_run_leaves_all_its_results(finished):
    workdir, done = finished
    summary = json.loads((workdir / "summary.json").read_text())
    metadata = json.loads((workdir / "experiment_metadata.json").read_text())
    history = np.load(workdir / "history.npz")

    assert history["step"].tolist() == STEPS
    assert history["label"].tolist() == [run["label"] for run in summary["runs"]]
    assert history["label"][1] == "seed=0 weight_decay=0.3"
    assert history["val_accuracy"].shape == (30, 4)
    assert summary["runs"][2]["val_loss"] == float(history["val_loss"][-1, 2])
    assert summary["overall"]["resolution"] == 60
    assert 0 < summary["overall"]["seconds"] < 600
    assert metadata["status"] == "finished"
    assert metadata["config"] == json.loads((workdir / "config.json").read_text())
    assert metadata["versions"]["jax"]
    assert (workdir / "final_metrics.txt").read_text() in done.stdout
    for name in ("accuracy.png", "loss.png", "overview.png"):
        assert (workdir / name).read_bytes().startswith(b"\x89PNG")
    assert (workdir.parent / "pictures" / "copy.png").stat().st_size > 10_000
    assert {int(p.name) for p in (workdir / "checkpoints").iterdir() if p.name.isdigit()} == {
        *(180, 1620, 1800)  # the first, because nothing is a minute old yet
    }


def evaluated(log):
    """The steps of the regular lines of a log."""
    steps = re.findall(r"^\[step ([\d,]+)\] train loss", log, re.MULTILINE)
    return [int(step.replace(",", "")) for step in steps]


def test_the_console_introduces_the_experiment_and_reports_every_evaluation(finished):
    workdir, done = finished

    for said in ("device: ", "21 training and 21 validation", "9 tokens", "Total: ", "runs: 4"):
        assert said in done.stdout
    lines = re.findall(r"^\[step ([\d,]+)\] train loss", done.stdout, re.MULTILINE)
    assert [int(line.replace(",", "")) for line in lines] == STEPS
    assert done.stdout.startswith((workdir / "training.log").read_text())
    assert done.stderr == ""


def events(folder):
    """{(tag, step): value} of the event files in a folder, read without TensorBoard."""
    found = {}
    for path in sorted(folder.glob("events*")):
        data, at = path.read_bytes(), 0
        while at + 12 <= len(data):
            (size,) = struct.unpack_from("<Q", data, at)
            event = event_pb2.Event.FromString(data[at + 12 : at + 12 + size])
            found |= {(v.tag, event.step): v.simple_value for v in event.summary.value}
            at += size + 16
    return found


def test_tensorboard_has_the_curves_of_every_run(finished):
    workdir, _ = finished
    history = np.load(workdir / "history.npz")
    curves = events(workdir / "tensorboard" / "seed=1 weight_decay=0.1")

    assert curves["Accuracy/val", 1800] == history["val_accuracy"][-1, 2]
    assert len([step for tag, step in curves if tag == "Loss/train"]) == 30


def test_a_finished_run_is_neither_overwritten_nor_trained_again(config, finished):
    workdir, _ = finished
    before = (workdir / "summary.json").read_bytes()
    refused = train(config, workdir)
    resumed = train(config, workdir, "--resume=latest")

    assert refused.returncode == 2
    assert "holds a run that is finished; choose --resume latest, --overwrite" in refused.stderr
    assert resumed.returncode == 0
    assert "is finished at step 1,800" in resumed.stdout
    assert (workdir / "summary.json").read_bytes() == before


def assert_same_run(left, right):
    """Every array of history and of the final checkpoint, bit for bit."""
    histories = [dict(np.load(workdir / "history.npz")) for workdir in (left, right)]
    assert histories[0].keys() == histories[1].keys()
    for name, array in histories[0].items():
        assert array.tobytes() == histories[1][name].tobytes(), name
    checksums = [final_checksums(workdir) for workdir in (left, right)]
    assert checksums[0] == checksums[1]


def final_checksums(workdir):
    from grokjax.recording import checkpoints

    folder = workdir / "checkpoints"
    return checkpoints._read_meta(folder, checkpoints.steps(folder)[-1])["crc"]


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(3))
def test_killing_and_resuming_is_as_if_nothing_had_happened(config, finished, tmp_path, attempt):
    workdir = tmp_path / "killed"
    moment = random.Random(attempt).uniform(0, 0.8)
    process = subprocess.Popen(
        command(config, workdir), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    while not list((workdir / "checkpoints").glob("[0-9]*[0-9]")):
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(moment)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (workdir / "checkpoints" / "1800").exists(), "killed too late to prove anything"
    resumed = train(config, workdir, "--resume=latest")

    assert resumed.returncode == 0, resumed.stderr
    assert_same_run(workdir, finished[0])
    summaries = [json.loads((w / "summary.json").read_text()) for w in (workdir, finished[0])]
    assert summaries[0]["runs"] == summaries[1]["runs"]
    log = (workdir / "training.log").read_text()
    steps = [
        int(s.replace(",", ""))
        for s in re.findall(r"^\[step ([\d,]+)\] train loss", log, re.MULTILINE)
    ]
    assert sorted(set(steps)) == STEPS  # those after the checkpoint twice
    assert "resuming after step" in log


@pytest.mark.slow
@pytest.mark.usefixtures("hangups")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_saves_and_prints_how_to_go_on(config, finished, tmp_path, number):
    workdir = tmp_path / "stopped"
    flags = ["--config", config, "--workdir", workdir, "--log_every", "60"]
    flags += ["--compilation_cache", CACHE]
    arguments = [*command(config, workdir)[:3], *flags]
    process = subprocess.Popen(
        list(map(str, arguments)), cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    while not (workdir / "history.npz").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)

    assert process.returncode == 128 + number
    assert json.loads((workdir / "experiment_metadata.json").read_text())["status"] == "interrupted"
    assert np.load(workdir / "history.npz")["step"][-1] < 1800
    (told,) = re.findall(r"^  python (-m grokjax.train .*--resume=latest)$", out, re.MULTILINE)
    assert "--log_every 60 " in told
    words = [sys.executable, *shlex.split(told)]
    resumed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert resumed.returncode == 0, resumed.stderr
    assert_same_run(workdir, finished[0])


@pytest.mark.slow
def test_ctrl_c_saves_though_the_reader_of_the_output_ends_first(config, tmp_path):
    """As with `| tee log`, where a terminal sends Ctrl-C to both."""
    workdir = tmp_path / "piped"
    process = subprocess.Popen(
        command(config, workdir, "--config.schedule.num_steps=180000"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (workdir / "history.npz").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.stdout.close()
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    err = process.stderr.read()

    assert process.wait(timeout=60) == 130
    assert err == "\nstopping after this chunk; Ctrl-C again leaves at once\n"
    assert json.loads((workdir / "experiment_metadata.json").read_text())["status"] == "interrupted"
    last = np.load(workdir / "history.npz")["step"][-1]
    assert (workdir / "checkpoints" / str(last)).exists()


@pytest.mark.slow
def test_a_job_that_slurm_starts_again_goes_on_by_itself(config, finished):
    workdir, _ = finished
    before = (workdir / "summary.json").read_bytes()
    again = train(config, workdir, "--overwrite", SLURM_RESTART_COUNT="1")

    assert again.returncode == 0, again.stderr
    assert "is finished at step 1,800" in again.stdout
    assert (workdir / "summary.json").read_bytes() == before


@pytest.mark.slow
def test_paths_of_any_letters_work_under_any_locale(config, tmp_path):
    workdir = tmp_path / "größe a∘b"
    flags = ["--config.schedule.num_steps=180"]
    ascii = dict(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    done = train(config, workdir, *flags, **ascii)
    again = train(config, workdir, *flags, "--resume=latest", **ascii)

    assert done.returncode == 0, done.stderr
    assert "is finished at step 180" in again.stdout, again.stderr


@pytest.mark.slow
def test_resuming_falls_back_loudly_from_damage_and_goes_on_with_more_steps(
    config, finished, tmp_path
):
    workdir = tmp_path / "damaged"
    shutil.copytree(finished[0], workdir)
    newest = workdir / "checkpoints" / "1800"
    largest = max((p for p in newest.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(data)
    resumed = train(config, workdir, "--resume=latest")

    assert resumed.returncode == 0
    assert "warning: checkpoint 1800" in resumed.stderr
    assert_same_run(workdir, finished[0])

    longer = train(config, workdir, "--resume=latest", "--config.schedule.num_steps=1980")
    assert longer.returncode == 0, longer.stderr
    longer_history = np.load(workdir / "history.npz")
    assert longer_history["step"][-1] == 1980
    whole = np.load(finished[0] / "history.npz")["val_loss"]
    assert longer_history["val_loss"][:30].tobytes() == whole.tobytes()


@pytest.mark.slow
def test_a_run_killed_before_its_summary_gets_it_by_resuming(config, finished, tmp_path):
    workdir = tmp_path / "unsummarised"
    shutil.copytree(finished[0], workdir)
    for name in ("summary.json", "history.npz", "overview.png"):
        (workdir / name).unlink()
    resumed = train(config, workdir, "--resume=latest")

    assert resumed.returncode == 0, resumed.stderr
    assert (workdir / "overview.png").exists()
    assert_same_run(workdir, finished[0])


@pytest.mark.slow
def test_overwriting_leaves_alone_what_no_experiment_wrote(config, finished, tmp_path):
    workdir = tmp_path / "again"
    shutil.copytree(finished[0], workdir)
    (workdir / "notes.txt").write_text("mine")
    refused = train(config, workdir, "--overwrite", "--config.task.p=8")
    assert refused.returncode == 2
    assert (workdir / "summary.json").exists()

    again = train(config, workdir, "--overwrite", "--config.schedule.num_steps=180")
    assert again.returncode == 0, again.stderr
    assert (workdir / "notes.txt").read_text() == "mine"
    assert np.load(workdir / "history.npz")["step"].tolist() == [60, 120, 180]


@pytest.mark.slow
def test_resuming_from_a_step_rewinds_to_it(config, finished, tmp_path):
    workdir = tmp_path / "rewound"
    shutil.copytree(finished[0], workdir)
    resumed = train(config, workdir, f"--resume={workdir}/checkpoints/1620")

    assert resumed.returncode == 0, resumed.stderr
    assert_same_run(workdir, finished[0])


def test_without_a_config_division_is_trained_wherever_the_command_is_typed(tmp_path):
    """Its 4,000 steps are what the override does not divide."""
    command = [sys.executable, "-m", "grokjax.train", "--config.schedule.eval_every=7"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment
    )

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "schedule.eval_every = 7 does not divide schedule.num_steps = 4000" in done.stderr


@pytest.mark.slow
def test_bad_input_is_one_line_and_exit_code_2_and_leaves_nothing(config, tmp_path):
    a_file = tmp_path / "file"
    a_file.write_text("kept")
    bad = {
        "--config.modle.width=24": "unknown config entry 'modle.width'; did you mean 'model.width'",
        "--config.task.p=96": "p = 96 is not prime",
        "--config.runs.train_fraction=0": "train_fraction has 0",
        "--config.runs.train_fraction=1": "trains on 42 of 42 examples",
        "--config.runs.train_fraction=1.5": "train_fraction has 1.5",
        "--config.runs.weight_decay=(0.1,'a')": "weight_decay has 'a'",
        "--config.model.width=13": "not divisible by model.num_heads = 2",
        "--config.runs.learning_rate=-1.0": "learning_rate has -1.0",
        "--config.batch_size=22": "reads 22 examples at once from a training set of 21",
        "--config.runs.mix=('1:1',)": "runs.mix = ('1:1',) is for mixtures",
        "--config.runs.label_noise=0.1": "runs.label_noise has 0.1; choose ints",
        "--config.split.held_out=(7,)": "split.held_out has 7; choose labels from 0 to 6",
        "--config.loss.precision=float128": "unknown loss.precision 'float128'",
        "--config.schedule.eval_every=7": "does not divide schedule.num_steps = 1800",
        "--config.schedule.num_steps=many": "invalid literal for int",
        "--resume=latest": "nothing to resume",
        "--resume=17": "nothing to resume",
        "--seeds=0": "--seeds",
        "--confg=x": "unknown flag --confg; did you mean '--config'?",
        "stray": "cannot understand 'stray'",
        f"--config={config}:optimizer=adammw": "did you mean 'adamw'",
        f"--config={tmp_path}/nope.py": "no config file",
        f"--workdir={a_file}/below": "is a file; choose a folder",
        f"--save_path={a_file}/picture.png": "is a file; choose a folder",
    }
    processes = {
        flag: subprocess.Popen(
            command(config, tmp_path / "none", flag),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"JAX_PLATFORMS": "cpu"},
        )
        for flag in bad
    }
    for flag, process in processes.items():
        out, err = process.communicate(timeout=120)
        assert (process.returncode, out) == (2, ""), flag
        assert err.count("\n") == 1, err
        assert bad[flag] in err
    assert not (tmp_path / "none").exists()
    assert a_file.read_text() == "kept"


@pytest.mark.slow
def test_a_platform_that_there_is_not_is_one_line(config, tmp_path):
    done = train(config, tmp_path / "none", JAX_PLATFORMS="abc")

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "Unable to initialize backend 'abc'" in done.stderr
    assert "choose another JAX_PLATFORMS, such as cpu" in done.stderr
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_a_backend_that_matplotlib_has_not_is_not_needed(config, finished, tmp_path):
    workdir = tmp_path / "unpictured"
    shutil.copytree(finished[0], workdir)
    (workdir / "summary.json").unlink()
    (workdir / "loss.png").unlink()
    done = train(config, workdir, "--resume=latest", MPLBACKEND="nonsense")

    assert (done.returncode, done.stderr) == (0, "")
    assert (workdir / "loss.png").exists()


@pytest.mark.slow
def test_resuming_under_another_config_names_what_differs(config, finished):
    workdir, _ = finished
    before = {path: path.stat().st_mtime_ns for path in workdir.rglob("*")}
    wider = train(config, workdir, "--resume=latest", "--config.model.width=14")
    elsewhere = train(config, workdir, "--resume=480")

    assert (wider.returncode, wider.stderr.count("\n")) == (2, 1)
    assert "model.width was 12, is 14" in wider.stderr
    assert elsewhere.returncode == 2
    assert "no checkpoint of step 480" in elsewhere.stderr
    assert {path: path.stat().st_mtime_ns for path in workdir.rglob("*")} == before


@pytest.mark.slow
def test_early_stopping_is_decided_one_evaluation_late_also_after_a_resume(config, tmp_path):
    """All runs are above 1 % at step 60: at 180 that is two evaluations ago, they stop at 240."""
    easy = ["--config.grok.threshold=0.01", "--stop_after_grok=2", "--config.grok.count=1"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert train(config, whole, *easy).returncode == 0
    assert np.load(whole / "history.npz")["step"].tolist() == [60, 120, 180, 240]

    assert train(config, parts, *easy, "--config.schedule.num_steps=180").returncode == 0
    assert train(config, parts, *easy, "--resume=latest").returncode == 0
    assert_same_run(parts, whole)
