"""Studies: arms trained by processes of their own, whatever happens to them in between."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import chex
import jax
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from made_results import leave

import grokjax
from grokjax.config.experiment import check, setup
from grokjax.core import loop
from grokjax.reading import arms
from grokjax.reading.rows import rows as table
from grokjax.studies import command as studies_command
from grokjax.studies.process import ArmProcess
from grokjax.studies.runner import Runner
from grokjax.studies.study import find

ROOT = Path(__file__).parent.parent
STUDIES = sorted(find(ROOT / "experiments"))
CACHE = Path("~/.cache/grokjax/tests").expanduser()
TOY = '''"""Decay brings grokking forward."""

from grokjax import Study, base, grid, run_study


def arms(size):
    configs = {}
    for name, decay in {"without": 0.0, "with": 1.0}.items():
        config = base(
            task=dict(name="modular", op="add", p=5),
            model=dict(name="mlp", embedding_width=7, hidden=(11,)),
        )
        config.batch_size = 11
        config.schedule.update(num_steps=NUM_STEPS, eval_every=50, checkpoint_every=500)
        config.runs = grid(config.runs, seed=range(3), learning_rate=0.01, weight_decay=decay)
        configs[name] = config
    BREAK
    return configs


STUDY = Study(__file__, __doc__, arms)
get_config = STUDY.get_config

if __name__ == "__main__":
    run_study(STUDY)
'''


def toy(folder, num_steps=1000, extra=""):
    path = folder / "toy.py"
    path.write_text(TOY.replace("NUM_STEPS", str(num_steps)).replace("BREAK", extra or "pass"))
    return path


def command(path, results, *flags):
    words = [f"--results={results}", f"--compilation_cache={CACHE}", *flags]
    return [sys.executable, str(path), *words]


def conduct(path, results, *flags):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command(path, results, *flags), capture_output=True, text=True, check=False, env=environment
    )


def rows(folder):
    with (folder / "summary.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", STUDIES)
def test_every_arm_of_every_study_is_a_config_in_each_size(name):
    study = find(ROOT / "experiments")[name]

    for size in ("smoke", "default", "paper"):
        for arm, config in study.arms(size).items():
            one = study.get_config(f"{arm},{size}")
            assert one.to_json() == config.to_json()
            check(config)
            is_long = config.schedule.num_steps >= 50_000
            assert size != "paper" or is_long or name == "reproductions"  # as long as published


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_the_first_and_the_last_arm_of_every_study_train_at_toy_size(name):
    """The others are of the same plug-ins, or of one more that has a conformance test."""
    arms = find(ROOT / "experiments")[name].arms("smoke")
    names = list(arms)
    for arm in dict.fromkeys((names[0], names[-1])):
        config = arms[arm]
        config.schedule.num_steps = 4
        experiment = grokjax.setup(config)
        *_, (_, _, metrics_R) = loop.chunks(
            *(experiment.trainer, experiment.runs_R, experiment.dataset), num_steps=4
        )
        assert np.isfinite(jax.tree.leaves(metrics_R["train_loss"])).all()


def test_an_arm_may_begin_with_the_states_of_another(tmp_path):
    """Smoke size has 12 steps, of which the last has a checkpoint."""
    runner = Runner(find(ROOT / "experiments")["branches"], tmp_path, "smoke")
    commands = {name: process._command for name, process in runner._processes.items()}

    origin = f"--branch={tmp_path / 'trunk/adamw'}@12"
    assert origin in commands["later/no_decay"]
    assert not any(word.startswith("--branch") for word in commands["trunk/adamw"])
    assert runner._processes["later/no_decay"].config.branch.from_zero


def test_an_unknown_arm_is_an_error_that_names_the_arms():
    study = find(ROOT / "experiments")["l1_grokfast"]

    with pytest.raises(
        ValueError, match=r"unknown arm 'division/l2'; .* did you mean 'division/l1"
    ):
        study.get_config("division/l2")


@pytest.mark.slow
def test_a_study_trains_each_arm_once_and_writes_its_tables(tmp_path):
    path = toy(tmp_path)
    first = conduct(path, tmp_path / "results")
    again = conduct(path, tmp_path / "results")
    status = conduct(path, tmp_path / "results", "--status")
    folder = tmp_path / "results/toy"

    assert (first.returncode, again.returncode) == (0, 0), first.stderr
    assert again.stdout.count("was finished before") == 2
    assert [row["arm"] for row in rows(folder)] == ["without", "with"]
    assert [row["runs"] for row in rows(folder)] == ["3", "3"]
    assert rows(folder)[0]["log_rank_p"] == ""
    assert (folder / "survival.png").exists()
    assert status.stdout.count("finished") == 2
    assert "Decay brings grokking forward" in (folder / "summary.md").read_text()


@pytest.mark.slow
def test_arms_that_differ_in_traced_values_are_one_compiled_program(tmp_path):
    path, cache = toy(tmp_path), tmp_path / "cache"
    programs = []
    for arm in ("without", "with"):
        words = (f"--only={arm}", f"--compilation_cache={cache}", "--cores=1")  # each has its own
        done = conduct(path, tmp_path / "results", *words)
        assert done.returncode == 0, done.stderr
        programs.append(
            {p.name for p in cache.iterdir() if "advance" in p.name and "atime" not in p.name}
        )

    assert len(programs[0]) == 1
    assert programs[0] == programs[1]


@pytest.mark.slow
@pytest.mark.parametrize("whole_group", [False, True], ids=["the study", "all its processes"])
def test_a_study_killed_at_any_moment_ends_in_the_same_summary(tmp_path, whole_group):
    path = toy(tmp_path, num_steps=15_000)
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert conduct(path, undisturbed, "--only=with").returncode == 0
    process = subprocess.Popen(
        command(path, killed, "--only=with"),
        stdout=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    checkpoints = killed / "toy/with/checkpoints"
    wait_until(
        lambda: checkpoints.exists() and any(p.name.isdigit() for p in checkpoints.iterdir())
    )
    if whole_group:
        for child in children(process.pid):
            os.kill(child, signal.SIGKILL)
    process.kill()
    process.wait()
    assert not (killed / "toy/with/summary.json").exists(), "it was too fast to be killed"

    again = conduct(path, killed, "--only=with")
    assert again.returncode == 0, again.stderr
    assert "resuming after step" in (killed / "toy/with/output.log").read_text()
    for file in ("summary.csv", "summary.md"):
        assert (killed / "toy" / file).read_bytes() == (undisturbed / "toy" / file).read_bytes()
    histories = [np.load(results / "toy/with/history.npz") for results in (killed, undisturbed)]
    for name in histories[0]:
        np.testing.assert_array_equal(histories[0][name], histories[1][name], err_msg=name)


@pytest.mark.slow
def test_an_arm_that_fails_stops_no_other_and_is_tried_again(tmp_path):
    bad_luck = tmp_path / "bad_luck"
    bad_luck.touch()
    path = toy(
        tmp_path,
        extra=f"""import os, sys
    if os.path.exists({str(bad_luck)!r}) and ":without" in " ".join(sys.argv):
        raise RuntimeError("out of luck")""",
    )
    results = tmp_path / "results"
    first = conduct(path, results)
    bad_luck.unlink()
    second = conduct(path, results)

    assert first.returncode == 1
    assert "failed: toy/without; the same command tries them again" in first.stderr
    assert "out of luck" in first.stdout
    assert "Not finished yet: without" in first.stdout
    assert second.returncode == 0
    assert [row["arm"] for row in rows(results / "toy")] == ["without", "with"]
    assert second.stdout.count("was finished before") == 1


def test_an_arm_that_leaves_its_sizes_open_is_known_again(tmp_path):
    """12 training examples in batches of 6: nine epochs end before the first evaluation."""
    change = "for c in configs.values(): c.batch_size, c.schedule.num_epochs = 'auto', 9"
    toy(tmp_path, num_steps=0, extra=change)
    study = find(tmp_path)["toy"]
    folder = tmp_path / "results/with"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(setup(study.arms()["with"]).record))
    runner = Runner(study, folder.parent, "default", only="with")

    (process,) = runner._processes.values()
    assert (process.config.batch_size, process.config.schedule.num_steps) == (6, 50)
    assert study.arms("smoke")["with"].schedule.num_epochs == 0


def test_an_arm_that_cannot_be_meant_is_found_before_any_is_trained(tmp_path):
    broken = toy(tmp_path, extra='configs["with"].lift = "sideways"')
    done = conduct(broken, tmp_path / "results")

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "toy/with: lift = 'sideways'; choose auto" in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_file_that_is_no_study_is_left_out(tmp_path):
    toy(tmp_path)
    (tmp_path / "helpers.py").write_text("HELP = 1\n")

    assert {name: study.claim for name, study in find(tmp_path).items()} == {
        "toy": "Decay brings grokking forward."
    }
    (tmp_path / "unfinished.py").write_text("STUDY = (")
    with pytest.raises(ValueError, match=r"unfinished\.py is no Python"):
        find(tmp_path)


@pytest.mark.slow
def test_two_processes_share_the_arms_of_a_study(tmp_path):
    path, results = toy(tmp_path), tmp_path / "results"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    both = [
        subprocess.Popen(command(path, results), stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    said = [process.communicate()[0] for process in both]

    assert [process.returncode for process in both] == [0, 0], said
    assert sum(text.count("finished at step 1,000") for text in said) == 2
    assert "another process is training it" in "".join(said)
    assert len(rows(results / "toy")) == 2


@pytest.mark.slow
def test_shards_of_the_runs_merge_to_what_one_process_gives(tmp_path):
    """Three runs in five shards, each with a stop of its own."""
    path = toy(tmp_path, extra="[c.schedule.update(stop_after_grok=1) for c in configs.values()]")
    whole, shards = tmp_path / "whole", tmp_path / "shards"
    flags = ["--only=with"]
    assert conduct(path, whole, *flags).returncode == 0
    for i in (1, 2, 3, 4, 5):  # the first and the third have no run
        assert conduct(path, shards, *flags, f"--shard={i}/5").returncode == 0

    histories = [dict(np.load(results / "toy/with/history.npz")) for results in (shards, whole)]
    labels = [history.pop("label").tolist() for history in histories]
    assert labels[0] == labels[1]
    chex.assert_trees_all_equal(*histories)
    assert rows(shards / "toy") == rows(whole / "toy")


def test_an_arm_trained_in_shards_says_how_many_are_finished(tmp_path):
    arm = ArmProcess("toy.py:with,smoke", grokjax.base(), tmp_path / "with", [])
    assert arm.progress().status == "waiting"
    leave(tmp_path / "with/shard-1-of-3", [300])
    (tmp_path / "with/shard-1-of-3/summary.json").write_text('{"runs": []}')
    leave(tmp_path / "with/shard-3-of-3", [None], status="running")

    assert arm.progress().status == "1 of 3 shards"


def test_the_status_needs_no_permission_to_write(tmp_path, monkeypatch):
    study = find(ROOT / "experiments")["l1_grokfast"]
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    flags.FLAGS.mark_as_parsed()
    with flagsaver.flagsaver(status=True, results=str(tmp_path)):
        (runner,) = studies_command._runners(study)
        assert runner.status().row_count == len(study.arms("default"))
    refused = pytest.raises(ValueError, match="cannot be written to")
    with flagsaver.flagsaver(results=str(tmp_path)), refused:
        studies_command._runners(study)


def test_all_studies_have_one_summary_of_what_came_out(tmp_path, capsys):
    """Of each part the first arm and the earliest; their own tables are made elsewhere."""
    steps = {"slow": [800, 900, None], "fast": [300, 300, 400], "never": [None, None]}
    of_arms = [
        arms.read(leave(tmp_path / name, grok_steps), name)[0] for name, grok_steps in steps.items()
    ]

    def runner(name, outcome, missing=()):
        study = SimpleNamespace(name=name, claim=f"The claim of {name}.")
        said = dict(run=lambda _: [], summarise=lambda: None, folder=tmp_path)
        return SimpleNamespace(study=study, outcome=outcome, missing=missing, **said)

    both = [
        runner("one", {"a": table(of_arms), "b": table(of_arms[::-1])}),
        runner("two", {"": table(of_arms[2:])}, missing=["x/y"]),
    ]
    flags.FLAGS.mark_as_parsed()
    with flagsaver.flagsaver(results=str(tmp_path)):
        studies_command._work(both)
    text = (tmp_path / "summary.md").read_text()
    cells = [[cell.strip() for cell in line.split("|")[1:5]] for line in text.splitlines()[4:9]]

    assert text in capsys.readouterr().out
    assert cells == [
        ["one/a/slow", "3", "2", "900 [800, none]"],
        ["one/a/fast", "3", "3", "300 [300, none]"],
        ["one/b/never", "2", "0", "> 1,000"],
        ["one/b/fast", "3", "3", "300 [300, none]"],
        ["two/never", "2", "0", "> 1,000"],
    ]
    assert "* [two](two/summary.md): The claim of two. Not finished: x/y." in text


@pytest.mark.slow
def test_another_size_in_the_same_folder_is_refused(tmp_path):
    path, results = toy(tmp_path), tmp_path / "results"
    assert conduct(path, results, "--only=with").returncode == 0
    done = conduct(path, results, "--seeds=5")

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "runs.seed was [0, 1, 2], is [0, 1, 2, 3, 4]" in done.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--shard=1/0"], "--shard 1/0; choose the i-th of n shards"),
        (["--only=both"], "no arm is called 'both'; choose from without, with"),
        (["--seeds=x"], "--seeds x; choose a number such as 8"),
        (["--shard=3/2"], "--shard 3/2; choose the i-th of n shards"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(tmp_path, flags, words):
    done = conduct(toy(tmp_path), tmp_path / "results", *flags)

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert words in done.stderr
    assert not (tmp_path / "results").exists()


def wait_until(holds, seconds=120.0):
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.02)


def children(pid):
    """Processes that a process has started."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


@pytest.mark.parametrize(
    ("words", "folder"),
    [
        (["--size=default"], "results"),
        (["--size=desk"], "results"),
        (["--size=smoke"], "results/smoke"),
        (["--size=quick"], "results/smoke"),
        (["--size=smoke", "--results=elsewhere"], "elsewhere"),
    ],
)
def test_a_try_is_not_in_the_place_of_an_answer(words, folder):
    with flagsaver.flagsaver():
        flags.FLAGS(["study", *words])
        assert studies_command._results() == Path(folder)
