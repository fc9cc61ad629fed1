"""Benchmarks compare the same function, and run."""

import json
import sys

import jax
import numpy as np
import pytest

from benchmarks import harness, plain_jax, step_time
from grokjax import Examples, make_table
from grokjax.config import make_task
from grokjax.trainer import make_model

activations = pytest.mark.parametrize("activation", plain_jax.ACTIVATIONS)

STEPS = 3


@pytest.fixture
def full_batch(toy_config):
    """A batch is a shuffle of all training rows, so all contenders take the same steps."""
    toy_config.batch_size = 21  # half of 7 * 6
    toy_config.runs.eps = (1e-3,)  # else Adam blows up the rounding of gradients that are zero
    toy_config.runs.warmup = (2.0,)
    return toy_config


def moved_problem(config):
    """A problem with its weights moved: norms start at one and biases at zero, which hides much."""
    problem = step_time.make_problem(config)
    rng = np.random.default_rng(0)

    def moved(x):
        return x + 0.1 * rng.standard_normal(x.shape).astype(np.float32)

    return problem._replace(params=jax.tree.map(moved, problem.params))


def grokjax_logits(config, problem):
    """[N, C] of the training examples, computed with shared prefixes."""
    task = make_task(config)
    table = make_table(task._replace(examples=Examples(problem.inputs_NxL, problem.labels_N)))
    tree = table.prefixes.tree(np.arange(len(problem.labels_N)))
    assert tree.num_shared > 0
    return jax.jit(make_model(task, config.model).apply)({"params": problem.params}, tree)


def grokjax_weights(config, problem):
    """The problem with the weights that grokjax has after STEPS steps."""
    params_R = next(step_time.grokjax_runs(config, 1, STEPS))
    return problem._replace(params=jax.device_get(jax.tree.map(lambda x: x[0], params_R)))


def assert_close(given, wanted, atol):
    """Trees of arrays or tensors."""
    assert jax.tree.structure(given) == jax.tree.structure(wanted)
    for x, y in zip(jax.tree.leaves(given), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), atol=atol, rtol=0)


@activations
def test_plain_jax_computes_the_same_logits(toy_config, activation):
    toy_config.model.activation = activation
    problem = moved_problem(toy_config)

    model = plain_jax.Model(**problem.architecture)
    logits_NxC = jax.jit(model.apply)({"params": plain_jax.weights(problem)}, problem.inputs_NxL)

    assert_close(logits_NxC, grokjax_logits(toy_config, problem), atol=1e-5)


@pytest.mark.slow
@activations
def test_pytorch_computes_the_same_logits(toy_config, activation):
    torch = pytest.importorskip("torch")
    from benchmarks import torch_reference

    toy_config.model.activation = activation
    problem = moved_problem(toy_config)

    with torch.no_grad():
        logits_NxC = torch_reference.make_model(problem)(torch.tensor(problem.inputs_NxL))

    assert_close(logits_NxC, grokjax_logits(toy_config, problem), atol=1e-5)


@pytest.mark.slow
def test_plain_jax_takes_the_same_steps(full_batch):
    problem = step_time.make_problem(full_batch)

    params = next(plain_jax.train(problem, STEPS))

    wanted = plain_jax.weights(grokjax_weights(full_batch, problem))
    assert_close(params, wanted, atol=1e-5)
    assert np.abs(params["token"] - problem.params["token"]).max() > 1e-3


@pytest.mark.slow
def test_pytorch_takes_the_same_steps(full_batch):
    pytest.importorskip("torch")
    from benchmarks import torch_reference

    problem = step_time.make_problem(full_batch)

    params = {n: x.cpu() for n, x in next(torch_reference.train(problem, STEPS)).items()}

    wanted = torch_reference.weights(grokjax_weights(full_batch, problem))
    assert_close(params, wanted, atol=1e-5)


def test_an_epoch_of_plain_jax_reads_no_row_twice():
    rows_TxB = plain_jax.batches(jax.random.key(0), steps=5, batch_size=3, num_rows=7)

    assert rows_TxB.shape == (5, 3)
    for epoch in (rows_TxB[:2], rows_TxB[2:4]):  # two whole batches of three, one row left over
        assert len(set(epoch.ravel().tolist())) == 6


@pytest.mark.slow
def test_measure_times_every_contender(toy_config):
    rows = step_time.measure(toy_config, steps=2, rounds=3, runs=(1, 2))

    assert list(rows) == [
        *("grokjax, R = 1", "grokjax, R = 2", "plain JAX"),
        *("PyTorch", "PyTorch, compiled"),
    ]
    timed = [row for row in rows.values() if "note" not in row]
    assert len(timed) >= 3
    for row in timed:
        assert len(row["ms"]) == 3
        assert 0 < row["best"] <= row["median"]
    assert rows["grokjax, R = 1"]["ratio"] == 1


@pytest.mark.slow
def test_without_pytorch_its_rows_say_so(toy_config, monkeypatch):
    monkeypatch.delitem(sys.modules, "benchmarks.torch_reference", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)

    rows = step_time.measure(toy_config, steps=1, rounds=1, runs=(1,))

    assert rows["PyTorch"] == rows["PyTorch, compiled"] == {"note": "not installed"}
    assert "not installed" in harness.table(rows)


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--rounds", "0"], "argument --rounds: '0'; choose 1 or more"),
        (["--steps", "two"], "argument --steps: 'two'; choose 1 or more"),
        (["--fast"], "unrecognized arguments: --fast"),
        (["--json", "no/such/folder/file"], "cannot write no/such/folder/file"),
    ],
)
def test_a_wrong_flag_is_one_line_and_exit_2(flags, complaint, capsys):
    with pytest.raises(SystemExit) as exit_:
        step_time.main(flags)

    err = capsys.readouterr().err
    assert exit_.value.code == 2
    assert complaint in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("path", "value"), [("model.norm", "post"), ("model.dropout", 0.1), ("runs.l1", (0.1,))]
)
def test_what_the_plain_formulations_do_not_know_is_an_error(toy_config, path, value):
    toy_config.update_from_flattened_dict({path: value})

    with pytest.raises(ValueError, match="the plain formulations know only"):
        step_time.measure(toy_config)


def test_a_second_learning_rate_is_an_error(toy_config):
    toy_config.runs.learning_rate = (1e-3, 1e-2)

    with pytest.raises(ValueError, match="2 runs besides the seeds"):
        step_time.measure(toy_config)


def test_the_command_prints_a_table_and_appends_a_line(tmp_path, monkeypatch, capsys):
    row = {"ms": [4.0, 3.0], "median": 3.5, "best": 3.0, "ratio": 1.0}
    monkeypatch.setattr(step_time, "measure", lambda *_, **__: {"grokjax, R = 1": row})
    file = tmp_path / "times.jsonl"

    for _ in range(2):
        step_time.main(["--quick", "--json", str(file)])

    first, second = (json.loads(line) for line in file.read_text().splitlines())
    assert first["rows"] == second["rows"] == {"grokjax, R = 1": row}
    assert set(first) >= {"date", "commit", "device", "versions", "steps", "config"}
    assert "grokjax, R = 1           3.50     3.00             1.00" in capsys.readouterr().out
