"""What the README and the configs tell people to type works, at toy size."""

import http.client
import re
import shlex
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from made_results import change, leave
from test_images import fetch_digits

import grokjax
from grokjax.config import grid, registry
from grokjax.config.config import flat
from grokjax.studies.study import TOY, USUAL

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
CONFIGS = sorted(ROOT.glob("configs/*.py"))

CACHE = f"--compilation_cache={Path('~/.cache/grokjax/tests').expanduser()}"
SMALL = TOY | {  # whichever of these a config has
    "schedule.num_steps": 4,
    "schedule.eval_every": 2,
    "schedule.checkpoint_every": 2,
}


def trainings(text):
    """The commands in a text that train."""
    joined = text.replace("\\\n", " ")
    found = re.findall(r"(?:^|&& |`| )python -m (grokjax\.train [^`\n]*)", joined, re.MULTILINE)
    return [arguments.strip() for arguments in found]


def words_of(program):
    """The commands of the README that start a program, as lists of words."""
    found = re.findall(rf"^python -m ({re.escape(program)}[^#\n]*)", README, re.MULTILINE)
    return [shlex.split(command) for command in found]


def toy_flags(path):
    """Flags that make a config small and short."""
    file, colon, choice = path.partition(":")
    known = dict(flat(grokjax.load(f"{ROOT / file}{colon}{choice}")))
    small = {entry: value for entry, value in SMALL.items() if known.get(entry) not in USUAL}
    return [f"--config.{entry}={value}" for entry, value in small.items()]


def run(arguments, workdir):
    path = re.search(r"--config[ =](\S+)", arguments)[1]
    words = [word for word in shlex.split(arguments) if not word.startswith("--config.schedule")]
    return subprocess.run(
        [sys.executable, "-m", *words, *toy_flags(path), CACHE, f"--workdir={workdir}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_commands_of_the_readme_about_studies_work(tmp_path):
    """In their order; of each study one arm, at toy size."""
    results = tmp_path / "results"
    small = [f"--results={results}", "--size=smoke", "--seeds=2", CACHE]
    for words in [*words_of("experiments.l1_grokfast"), *words_of("experiments ")]:
        flags = {"list": [], "all": [*small, "--status"]}  # to train all is to train each in turn
        flags = flags.get(words[-1], [*small, "--only=division/baseline"])
        done = python(words + flags)
        assert done.returncode == 0, (words, done.stderr)
    arm = results / "l1_grokfast/division/baseline"
    folders = dict.fromkeys(("results", "results/A", "results/B"), arm) | {
        "results/decay": made_sweep(tmp_path / "decay"),
        "results/moddiv64": made_seeds(tmp_path / "moddiv64"),
    }
    for words in [*words_of("grokjax.analyze"), *words_of("grokjax.checkpoint_tool")]:
        real = [str(folders.get(word, word)) for word in words]
        if "--serve" in words:
            check_server(real)
            continue
        if words[0] == "grokjax.analyze" and "analysis" not in words:
            real += ["--output", "analysis"]
        done = python([str(tmp_path / w) if w == "analysis" else w for w in real])
        assert done.returncode == 0, (words, done.stderr)
    assert (tmp_path / "analysis/summary.md").exists()


def check_server(words):
    """It answers, and Ctrl-C ends it."""
    command = [sys.executable, "-m", *words, "--port=0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            host, port = re.search(r"http://([\d.]+):(\d+)/", server.stdout.readline()).groups()
            connection = http.client.HTTPConnection(host, int(port), timeout=120)
            connection.request("GET", "/")
            assert b"Validation accuracy" in connection.getresponse().read()
            server.send_signal(signal.SIGINT)
            assert server.wait(timeout=60) == 0
        finally:
            server.kill()


def made_sweep(folder):
    """Five seeds of three weight decays, of which the smallest does not grok."""
    runs = {"weight_decay": [0.1, 0.3, 1.0], "seed": [0, 1, 2, 3, 4]}
    labels = grid.labels(runs)
    soonest = {"0.1": None, "0.3": 700, "1": 400}  # to grok
    of_runs = [soonest[re.search("weight_decay=([0-9.]+)", label)[1]] for label in labels]
    steps = [step and step + 100 * (i // 3 % 3) for i, step in enumerate(of_runs)]
    return leave(folder, steps, runs=runs, labels=labels)


def made_seeds(folder):
    """Forty runs of which the norm of the weights falls all the time."""
    leave(folder, [500, 600, 700, 800, 900] * 8)
    falling = lambda arrays: np.linspace(10, 5, 10)[:, None] + 0 * arrays["train_loss"]  # noqa: E731
    change(folder, weight_norm=falling)
    return folder


def python(words):
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_every_command_of_the_readme_works(tmp_path):
    commands = list(dict.fromkeys(trainings(README)))
    assert len(commands) >= 7
    for arguments in commands:
        if "--coordinator" in arguments:  # waits for others, as in test_shards.py
            continue
        if arguments == "grokjax.train --resume results/moddiv":
            trained = tmp_path / str(commands.index("grokjax.train --config configs/moddiv.py"))
            (trained / "summary.json").unlink()
            done = python(["grokjax.train", f"--resume={trained}", CACHE])
            assert (done.returncode, done.stdout[:27]) == (0, "writing again: summary.json"), done
            continue
        fresh = tmp_path / str(commands.index(arguments))
        done = run(arguments, fresh)
        assert done.returncode == 0, (arguments, done.stderr)
        if "--join" in arguments:
            done = run(arguments.replace("--shard 1/2", "--shard 2/2"), fresh)
            assert "merged all 2 shards" in done.stdout
        elif "--seeds 64" in arguments:
            assert "64 runs" in done.stdout
        assert (fresh / "summary.json").exists()


def test_the_readme_opens_results_as_a_cube(tmp_path, monkeypatch, capsys):
    *_, code = PYTHON
    archive = ROOT / "experiments/data/l1_grokfast.zip"
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path / "results/l1_grokfast")
    monkeypatch.chdir(tmp_path)
    exec(code, {"grokjax": grokjax})

    out = capsys.readouterr().out
    assert re.search(r"^l1 +0.75", out, re.MULTILINE)
    assert (tmp_path / "runs.nc").exists()


@pytest.mark.slow
def test_the_python_of_the_readme_works(monkeypatch, capsys):
    _measure, code, _cube = PYTHON
    small = code.replace("seed=range(8)", "seed=range(2)")
    loaded = grokjax.load(str(ROOT / "configs/moddiv.py"))
    loaded.task.p, loaded.model.width, loaded.batch_size = 7, 8, 9
    loaded.schedule.update(num_steps=2, eval_every=1, checkpoint_every=1)
    monkeypatch.setattr(grokjax, "load", lambda _: loaded, raising=False)
    exec(small, {})

    out = capsys.readouterr().out
    assert "medians of 4 runs, 0 grokked" in out
    assert out.endswith("[nan nan nan nan]\n")


@pytest.mark.slow
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_command_of_every_config_works(path, tmp_path):
    (first, *_) = trainings(path.read_text())
    if path.stem == "digits":
        pytest.importorskip("sklearn")
    if path.stem == "mnist":
        fetch_digits(tmp_path / "served", tmp_path / "data", num_train=40, num_test=10)
        first += f" --config.task.data_dir={tmp_path / 'data'}"
    done = run(first, tmp_path / "run")

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "overview.png").exists()


def test_the_readme_names_every_config_and_every_part():
    parts = [name for kind in registry.KINDS for name in registry.names(kind)]
    unnamed = [
        name for name in [path.name for path in CONFIGS] + parts if f"`{name}`" not in README
    ]

    assert not unnamed, "name them in README.md"
    assert all(f"{folder}/" in README for folder in registry.KINDS.values())


@pytest.mark.parametrize("page", ["README.md", "benchmarks/README.md"])
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text()
    links = re.findall(r"\]\((?!http)([^)#]+)\)", text)

    assert all(((ROOT / page).parent / link).exists() for link in links)
