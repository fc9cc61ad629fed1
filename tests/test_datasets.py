"""The published tables are the tables that training uses."""

import subprocess
import sys
from pathlib import Path

import chex
import numpy as np
import pytest
from conftest import toy_mlp

import grokjax
from grokjax import datasets
from grokjax.config import registry
from grokjax.config.experiment import make_task
from grokjax.running.resume import check_same
from grokjax.tasks import _published, modular
from grokjax.tasks._arithmetic import MODULAR

ROOT = Path(__file__).parent.parent


def rows_of(builder):
    """Inputs and labels of a prepared table, in the order of its file."""
    source = builder.as_data_source(split="table")
    rows = source.__getitems__(range(len(source)))
    return np.stack([row["inputs"] for row in rows]), np.array([row["label"] for row in rows])


@pytest.mark.parametrize(
    "name",
    [
        *("modular/div_p11", "modular/add_p11", "permutation/s3"),
        *("sums/k2_p11", "parity/n40_k3", "binding/a6_v3"),
        *("mixture/div_add_p11", "mixture/div_add_sub_p11", "permutation/s3_conjugate"),
    ],
)
def test_prepared_rows_are_the_rows_of_the_task(name, tmp_path):
    task, setting = name.split("/")
    table = registry.find("task", task).make(**_published.SETTINGS[task][setting]).examples
    builder = _published.prepare(name, tmp_path)
    inputs_NxL, labels_N = rows_of(builder)

    np.testing.assert_array_equal(inputs_NxL, table.inputs_NxL)
    np.testing.assert_array_equal(labels_N, table.labels_N)
    assert builder.info.metadata["num_classes"] == len(set(table.labels_N))


def test_every_task_but_images_is_published():
    assert set(_published.SETTINGS) == set(registry.names("task")) - {"images"}


def section(task, data_dir, **options):
    """That of a task in a config, which is to read a data set."""
    return dict(grokjax.base(task=dict(name=task, source="tfds", **options)).task) | {
        "data_dir": str(data_dir)
    }


@pytest.mark.parametrize(
    ("task", "options", "setting"),
    [
        ("modular", dict(op="add", p=11), "add_p11"),
        ("permutation", dict(k=3), "s3"),
        ("sums", dict(length=2, p=11), "k2_p11"),
        ("parity", dict(bits=30, secret=2), "n30_k2"),
        ("mixture", dict(p=7), "form=a_o_b_=-heads=False-ops=_div_add_-p=7"),
        ("binding", dict(lines=40), "assignments=18-lines=40-path=None-seed=0-variables=5"),
    ],
)
def test_a_task_that_reads_its_data_set_is_the_task_that_is_computed(
    task, options, setting, tmp_path
):
    """Groups and operands too; settings that are published are found under their names."""
    read = make_task(section(task, tmp_path, **options))
    made = registry.find("task", task).make(**options)

    chex.assert_trees_all_equal(read.examples, made.examples)
    chex.assert_trees_all_equal_dtypes(read.examples, made.examples)
    chex.assert_trees_all_equal(read.cyclic, made.cyclic)
    assert read._replace(examples=None, cyclic=None) == made._replace(examples=None, cyclic=None)
    assert (tmp_path / task / setting / "1.0.0/features.json").exists()


def test_settings_with_long_names_do_not_share_a_folder():
    """The operations come first, and their names are cut off before the modulus."""
    names = {_published._setting("mixture", dict(ops=tuple(MODULAR), p=p)) for p in (7, 11)}

    assert len(names) == 2
    assert all(len(name) < 120 for name in names)


def test_training_from_a_data_set_changes_no_bit(tmp_path):
    """It is prepared at the first training and only read at the second."""
    config = toy_mlp()
    computed = grokjax.train(config)
    config.task.update(source="tfds", data_dir=str(tmp_path))
    first = grokjax.train(config)
    (file,) = tmp_path.glob("modular/*/*/*.array_record*")
    written = file.stat().st_mtime_ns
    second = grokjax.train(config)

    for read in (first, second):
        chex.assert_trees_all_equal(read.history.arrays(), computed.history.arrays())
        chex.assert_trees_all_equal(read.state_R, computed.state_R)
    assert file.stat().st_mtime_ns == written
    assert computed.experiment.record["task"] == dict(name="modular", op="div", p=7, form="a o b =")
    check_same(computed.experiment.record, second.experiment)  # one may resume the other


def test_a_data_set_that_cannot_be_used_is_one_line(tmp_path):
    """Cut off, of other rows, or where nothing can be written."""
    options = section("modular", tmp_path, p=7)
    make_task(options)
    (file,) = tmp_path.glob("modular/*/*/*.array_record*")
    whole = file.read_bytes()
    file.write_bytes(whole[:1000])
    with pytest.raises(ValueError, match="cannot be used .*delete that folder") as cut_off:
        make_task(options)
    file.write_bytes(whole)
    other = modular.make("mul", p=7)
    with pytest.raises(ValueError, match="cannot be used .*differ in leaves.*delete") as changed:
        _published.read("modular", dict(op="div", p=7, form="a o b ="), other, tmp_path)
    with pytest.raises(OSError, match="Not a directory"):
        make_task(options | {"data_dir": str(file)})
    with pytest.raises(ValueError, match="'tdfs'; choose from computed, tfds; did you mean 'tfds'"):
        make_task(options | {"source": "tdfs"})

    assert "\n" not in str(cut_off.value) + str(changed.value)


def test_list_tells_how_many_rows_each_table_has(capsys):
    datasets.command(["datasets", "list"])()
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())

    assert list(rows) == _published.names()
    assert rows["modular/div_p97"] == "9,312 rows"
    assert rows["sums/k4_p11"] == "14,641 rows"


def command(*arguments):
    return [sys.executable, "-m", "grokjax.datasets", *map(str, arguments)]


@pytest.mark.slow
def test_two_processes_may_prepare_the_same_table_at_once(tmp_path):
    arguments = command("prepare", "modular/div_p97", "--data_dir", tmp_path)
    processes = [
        subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    last_lines = [process.communicate()[0].splitlines()[-1] for process in processes]

    assert [process.returncode for process in processes] == [0, 0]
    assert last_lines[0] == last_lines[1]
    assert last_lines[0].startswith("9,312 rows are in ")
    assert len(rows_of(_published.prepare("modular/div_p97", tmp_path))[1]) == 9312


@pytest.mark.slow
def test_the_batches_of_a_config_are_counted():
    short = [f"--config.schedule.{n}=10" for n in ("num_steps", "eval_every", "checkpoint_every")]
    arguments = command("batches", "--config", "configs/mixture_three.py", *short)
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True)

    assert "seed=0: 10 batches" in done.stdout
    for op, number in (("div", 171), ("add", 171), ("sub", 170)):
        assert f"  {op}: {number} in each batch" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prepare", "modular/dvi_p97"], "did you mean 'modular/div_p97'?"),
        (["prepair"], "choose from: list, prepare TASK/SETTING, fetch NAME"),
        ([], "choose from: list, prepare TASK/SETTING, fetch NAME"),
        (["batches"], "no config given; choose one with --config"),
        (["batches", "--config=configs/mixture.py", "--config.runs.mix=('1:x',)"], "has '1:x'"),
        (["fetch", "mnits"], "choose from mnist, fashion_mnist, kmnist; did you mean 'mnist'?"),
    ],
)
def test_a_wrong_command_is_one_line_and_exit_code_2(arguments, message):
    done = subprocess.run(
        command(*arguments), cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
