"""Benchmarks compare the same function, and run."""

import functools
import importlib.util
import itertools
import json
import sys

import chex
import jax
import numpy as np
import pytest

import grokjax
from benchmarks import (
    checkpointing,
    compare,
    filters,
    harness,
    memory,
    plain_jax,
    plain_models,
    roofline,
    startup,
    step_time,
    sweep_throughput,
    time_to_grok,
)
from benchmarks.harness import Implementation
from benchmarks.problem import BATCHES, MODELS, choose, make_problem
from grokjax import Examples, make_dataset
from grokjax.config.experiment import make_network, make_task
from grokjax.core.split import find_strata

STEPS = 3
TOYS = {
    "transformer": dict(width=12, num_heads=2, ff_width=20),
    "gpt2": dict(width=12, num_heads=2, ff_width=20),
    "mlp": dict(embedding_width=12, hidden=(20, 17)),
    "lstm": dict(width=12),
}
COMMANDS = [
    checkpointing,
    filters,
    memory,
    roofline,
    startup,
    step_time,
    sweep_throughput,
    time_to_grok,
]
models = pytest.mark.parametrize("model", TOYS)
activations = pytest.mark.parametrize("activation", plain_models.ACTIVATIONS)


def hide_torch(patch):
    """As if PyTorch were not installed."""
    patch.delitem(sys.modules, "benchmarks.torch_reference", raising=False)
    patch.delitem(sys.modules, "benchmarks.torch_filters", raising=False)
    patch.setitem(sys.modules, "torch", None)


def results_of(benchmark, folder, *flags):
    """What a command measures, (config, numbers), and the lines that it writes; both made up."""
    measured = []

    @functools.wraps(benchmark.measure)
    def measure(config, **numbers):
        measured.append((config, numbers))
        return {"a row": 1}

    file = folder / "results.jsonl"
    made_up = benchmark._replace(measure=measure, table=lambda _: "a table")
    made_up.main(["--json", str(file), *flags])
    return measured, [json.loads(line) for line in file.read_text().splitlines()]


def make_config(model, **options):
    """Division mod 7; a batch is a shuffle of all training rows, so all take the same steps."""
    config = grokjax.base(
        task=dict(name="modular", op="div", p=7),
        model=dict(name=model, **TOYS[model], **options),
    )
    config.batch_size = 21  # half of 7 * 6
    config.runs.eps = (1e-3,)  # else Adam blows up the rounding of gradients that are zero
    config.runs.warmup = (2.0,)
    return config


def moved_problem(config):
    """A problem with its weights moved: norms start at one and biases at zero, which hides much."""
    problem = make_problem(config)
    rng = np.random.default_rng(0)

    def moved(x):
        return x + 0.1 * rng.standard_normal(x.shape).astype(np.float32)

    return problem._replace(params=jax.tree.map(moved, problem.params))


def grokjax_logits(config, problem):
    """[N, C] of the training examples, computed with shared prefixes by a model that can."""
    task = make_task(config.task)
    model = make_network(task, config.model)
    examples = Examples(problem.inputs_NxL, problem.labels_N)
    trained = task._replace(examples=examples, groups=())
    dataset = make_dataset(trained, find_strata(trained), causal=model.causal)
    tree = dataset.tree(model, np.arange(len(problem.labels_N)), train=False)
    assert (tree.num_shared > 0) == model.causal
    return jax.jit(model.apply)({"params": problem.params}, tree)


def plain_logits(problem):
    model = plain_jax.make_model(problem)
    return jax.jit(model.apply)({"params": plain_jax.weights(problem)}, problem.inputs_NxL)


def torch_logits(problem):
    torch = pytest.importorskip("torch")
    from benchmarks import torch_reference

    with torch.no_grad(), torch_reference.autocast(problem, torch_reference.where_jax_is()):
        return torch_reference.make_model(problem)(torch.tensor(problem.inputs_NxL)).float()


def grokjax_weights(config, problem):
    """The problem with the weights that grokjax has after STEPS steps."""
    params = first_run(next(step_time.grokjax_runs(config, 1, STEPS)))
    return problem._replace(params=jax.device_get(params))


def first_run(params_R):
    return jax.tree.map(lambda x: x[0], params_R)


def torch_weights(problem, **options):
    """Those of PyTorch after STEPS steps."""
    pytest.importorskip("torch")
    from benchmarks import torch_reference

    trained = next(torch_reference.train(problem, STEPS, **options))
    return {name: x.cpu() for name, x in trained.items()}


def assert_close(given, wanted, atol=1e-5):
    """Trees of arrays or tensors."""
    trees = (jax.tree.map(np.asarray, tree) for tree in (given, wanted))
    chex.assert_trees_all_close(*trees, atol=atol, rtol=0)


@models
def test_plain_jax_computes_the_same_logits(model):
    config = make_config(model)
    problem = moved_problem(config)

    assert_close(plain_logits(problem), grokjax_logits(config, problem))


@models
def test_pytorch_computes_the_same_logits(model):
    config = make_config(model)
    problem = moved_problem(config)

    assert_close(torch_logits(problem), grokjax_logits(config, problem))


@pytest.mark.slow
@activations
def test_activations_are_the_same_everywhere(activation):
    config = make_config("transformer", activation=activation)
    problem = moved_problem(config)

    wanted = grokjax_logits(config, problem)
    assert_close(plain_logits(problem), wanted)
    assert_close(torch_logits(problem), wanted)


@models
@pytest.mark.parametrize("logits_of", [plain_logits, torch_logits])
def test_bfloat16_gives_the_same_logits_to_two_digits(model, logits_of):
    problem = moved_problem(make_config(model))

    exact_NxC = np.asarray(logits_of(problem))
    rounded_NxC = np.asarray(logits_of(problem._replace(precision="bfloat16")))

    error = np.abs(rounded_NxC.astype(np.float32) - exact_NxC).max()
    assert 1e-4 < error < 0.02 * np.abs(exact_NxC).max()


@pytest.mark.slow
@models
@pytest.mark.parametrize("batches", BATCHES)
def test_plain_jax_takes_the_same_steps(model, batches):
    config = make_config(model)
    config.batches = batches
    problem = make_problem(config)

    params = next(plain_jax.train(problem, STEPS))

    assert_close(params, plain_jax.weights(grokjax_weights(config, problem)))
    assert np.abs(params["token"] - problem.params["token"]).max() > 1e-3


@pytest.mark.slow
@models
@pytest.mark.parametrize("batches", BATCHES)
def test_pytorch_takes_the_same_steps(model, batches):
    config = make_config(model)
    config.batches = batches
    problem = make_problem(config)

    params = torch_weights(problem)

    from benchmarks import torch_reference

    assert_close(params, torch_reference.weights(grokjax_weights(config, problem)))


@models
def test_a_batch_of_bfloat16_trains_float32_weights(model):
    problem = make_problem(make_config(model))._replace(precision="bfloat16")

    trained = next(plain_jax.train(problem, STEPS))

    assert {x.dtype.name for x in jax.tree.leaves(trained)} == {"float32"}
    exact = next(plain_jax.train(problem._replace(precision="default"), STEPS))
    assert_close(trained, exact, atol=5e-3)
    assert np.abs(trained["token"] - exact["token"]).max() > 0


def test_an_epoch_of_plain_jax_reads_no_row_twice():
    rows_TxB = plain_jax.batches(jax.random.key(0), steps=5, batch_size=3, num_rows=7)

    assert rows_TxB.shape == (5, 3)
    for epoch in (rows_TxB[:2], rows_TxB[2:4]):  # two whole batches of three, one row left over
        assert len(set(epoch.ravel().tolist())) == 6


@pytest.mark.slow
def test_measure_times_every_implementation(toy_config):
    rows = step_time.measure(toy_config, steps=2, rounds=3, runs=(1, 2))

    assert {row["steps"] for row in rows.values() if "note" not in row} == {2}
    pytorch = ["PyTorch", "PyTorch, compiled"]
    assert list(rows) == ["grokjax, R = 1", "grokjax, R = 2", "plain JAX", *pytorch]
    timed = [row for row in rows.values() if "note" not in row]
    assert len(timed) >= (4 if importlib.util.find_spec("torch") else 3)  # who has a compiler?
    for row in timed:
        assert len(row["ms"]) == 3
        assert 0 < row["best"] <= row["median"]
    assert rows["grokjax, R = 1"]["ratio"] == 1


class Clock:
    """A clock by hand, and a training on it: a call takes 5 ms, a step some ms more.

    A neighbour's load slows down one of the first turns by two seconds.
    """

    def __init__(self, patch, slow=None):
        self.seconds = 0.0
        self.slow = slow
        patch.setattr(harness.time, "perf_counter", lambda: self.seconds)
        patch.setattr(harness.time, "sleep", lambda _: None)

    def training(self, ms, steps):
        for turn in itertools.count():
            self.seconds += 1e-3 * (5 + ms * steps) + (2 if turn == self.slow else 0)
            steps = (yield) or steps


@pytest.mark.parametrize("slow", [None, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("ms", [0.002, 0.5, 10.0, 3000.0])
def test_the_call_is_less_than_a_fiftieth_of_a_turn(ms, slow, monkeypatch):
    training = functools.partial(Clock(monkeypatch, slow).training, ms)
    row = harness.compare({"it": Implementation(training)}, steps=None, rounds=3)["it"]

    assert ms < row["best"] < 1.02 * ms
    assert row["best"] * row["steps"] >= 1e3 * harness.TURN


def test_a_number_of_steps_is_taken_as_it_is(monkeypatch):
    training = functools.partial(Clock(monkeypatch).training, 0.5)
    row = harness.compare({"it": Implementation(training, 2)}, steps=10, rounds=3)["it"]

    assert row["steps"] == 10
    assert row["best"] == pytest.approx((5 + 10 * 0.5) / 10 / 2)  # of a step, of two runs


@pytest.mark.parametrize("name", ["grokjax", "plain JAX", "PyTorch", "PyTorch, torch.func"])
def test_a_turn_takes_as_many_steps_as_are_sent(name):
    config = make_config("mlp")
    problem = make_problem(config)
    ways = {
        "grokjax": functools.partial(step_time.grokjax_runs, config, 1),
        "plain JAX": functools.partial(plain_jax.train, problem),
    }
    if name.startswith("PyTorch"):
        pytest.importorskip("torch")
        from benchmarks import torch_ensemble, torch_reference

        ways["PyTorch"] = functools.partial(torch_reference.train, problem)
        ways["PyTorch, torch.func"] = functools.partial(torch_ensemble.train, problem, 2)

    at_once = next(ways[name](3))
    in_turns = ways[name](1)
    next(in_turns)

    assert_close(in_turns.send(2), at_once)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["transformer", "gpt2", "mlp"])  # no rule for an LSTM
@pytest.mark.parametrize("batches", BATCHES)
def test_an_ensemble_of_pytorch_takes_the_same_steps(model, batches):
    pytest.importorskip("torch")
    from benchmarks import torch_ensemble, torch_reference

    config = make_config(model)
    config.batches = batches
    problem = make_problem(config)

    stacks = next(torch_ensemble.train(problem, 2, STEPS)).values()

    wanted = torch_reference.weights(grokjax_weights(config, problem))
    names = dict(torch_reference.make_model(problem).named_parameters())
    for i in range(2):
        assert_close(dict(zip(names, (x[i] for x in stacks), strict=True)), wanted)


def test_runs_one_after_the_other_take_the_steps_of_all():
    problem = make_problem(make_config("mlp"))
    pytest.importorskip("torch")
    from benchmarks import torch_reference

    assert_close(dict(next(torch_reference.train(problem, 1, num_runs=3))), torch_weights(problem))


@pytest.mark.slow
@pytest.mark.parametrize("module", [step_time, filters, roofline, sweep_throughput])
def test_a_toy_is_measured_and_compared_with_itself(module, tmp_path, capsys):
    file = str(tmp_path / "results.jsonl")
    module.BENCHMARK.main(["--quick", "--json", file])
    shown = capsys.readouterr().out
    compare.main([file, file])

    assert not [x for x in shown.splitlines() if "failed: " in x and "compiled" not in x]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| best times, ms ")  # nothing differs
    assert len(lines) > 4
    assert all(" 1.000 |" in line for line in lines[2:])


def test_what_cannot_be_timed_is_a_note():
    def not_installed(steps):
        raise ModuleNotFoundError(name="torch")

    def too_large(steps):
        raise MemoryError("no memory\nfor this")

    implementations = {
        "count": Implementation(itertools.count),
        "PyTorch": Implementation(not_installed),
        "large": Implementation(too_large, may_fail=True),
    }
    rows = harness.compare(implementations, steps=1, rounds=3)

    assert len(rows["count"]["ms"]) == 3
    assert rows["PyTorch"] == {"note": "not installed"}
    assert rows["large"] == {"note": "failed: no memory"}
    with pytest.raises(MemoryError):
        harness.compare({"large": Implementation(too_large)}, steps=1, rounds=1)


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--model", "mlpp"], "flag --model=mlpp: value should be one of <transformer|mlp|"),
        (["--batches", "512"], "flag --batches=512: value should be one of <shuffled|full|all>"),
        (["--rounds", "0"], "flag --rounds=0: 0 is not a positive integer"),
        (["--steps", "two"], "flag --steps=two: invalid literal"),
        (["--fast"], "Unknown command line flag 'fast'"),
        (["7"], "cannot understand '7'; flags start with --"),
        (["--json", "no/such/folder/file"], "cannot write no/such/folder/file"),
    ],
)
def test_a_wrong_flag_is_one_line_and_exit_2(flags, complaint, capsys):
    with pytest.raises(SystemExit) as exit_:
        step_time.BENCHMARK.main(flags)

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


def test_a_model_without_a_plain_formulation_is_an_error(toy_config):
    toy_config.model = grokjax.base(model="tokenformer").model

    with pytest.raises(ValueError, match="unknown model.name 'tokenformer'; choose from transf"):
        step_time.measure(toy_config)


def test_a_second_learning_rate_is_an_error(toy_config):
    toy_config.runs.learning_rate = (1e-3, 1e-2)

    with pytest.raises(ValueError, match="2 runs besides the seeds"):
        step_time.measure(toy_config)


@pytest.mark.parametrize("module", COMMANDS)
def test_every_command_measures_at_toy_size_and_appends_a_line(module, tmp_path, capsys):
    for _ in range(2):
        [(config, numbers)], lines = results_of(module.BENCHMARK, tmp_path, "--quick")

    assert len(lines) == 2
    line = lines[0]
    assert set(line) >= {"date", "commit", "device", "cpu", "cores", "devices", "settings"}
    assert line["quick"] is True
    assert set(line["versions"]) == {"python", "jax", "jaxlib", "torch"}
    assert set(module.BENCHMARK.choices) <= set(compare.CHOICES)
    assert line["benchmark"] == module.__name__.removeprefix("benchmarks.")
    assert line["config"] == json.loads(json.dumps(config.to_dict()))
    assert line["rows"] == {"a row": 1}
    assert numbers.items() >= module.BENCHMARK.quick.items()
    assert "\na table\n" in capsys.readouterr().out


@pytest.mark.parametrize("module", COMMANDS)
def test_the_help_of_every_command_has_its_docstring_and_its_flags(module, capsys):
    with pytest.raises(SystemExit) as exit_:
        module.BENCHMARK.main(["--help"])

    out = capsys.readouterr().out
    assert not exit_.value.code
    assert out.startswith(module.__doc__)
    assert "--json" in out


def test_a_number_on_the_command_line_goes_before_that_of_the_toy(tmp_path):
    flags = ["--quick", "--rounds", "5", "--steps=4"]
    [(_, numbers)], _ = results_of(filters.BENCHMARK, tmp_path, *flags)

    assert numbers == {"rounds": 5, "steps": 4, "windows": (2, 3)}


def test_a_table_is_markdown():
    row = {"ms": [4.0, 3.0], "median": 3.5, "best": 3.0, "steps": 1234, "ratio": 1.0}

    shown = harness.table({"grokjax, R = 1": row, "[3]x5": {"note": "failed"}})

    assert shown.splitlines() == [
        "| ms per step and run | median | best | steps a turn | grokjax / this |",
        "|---------------------|--------|------|--------------|----------------|",
        "| grokjax, R = 1      |   3.50 | 3.00 |        1,234 |           1.00 |",
        "| [3]x5               | failed |      |              |                |",
    ]


def test_a_choice_makes_the_config(tmp_path):
    flags = ["--quick", "--model", "lstm", "--batches", "full"]
    _, [line] = results_of(step_time.BENCHMARK, tmp_path, *flags)

    assert (line["model"], line["batches"], line["precision"]) == ("lstm", "full", "float32")
    assert line["config"]["model"]["name"] == "lstm"
    assert line["config"]["batches"] == "full"


def test_all_of_a_choice_is_every_combination_with_those_not_given(tmp_path, capsys):
    flags = ["--quick", "--model", "all", "--precision", "float32"]
    _, lines = results_of(step_time.BENCHMARK, tmp_path, *flags)

    assert len(lines) == len({(line["model"], line["batches"]) for line in lines}) == 8
    assert {line["config"]["matmul_precision"] for line in lines} == {"default"}
    assert "\ngpt2, full, float32\n\na table\n" in capsys.readouterr().out


@models
def test_the_config_of_a_choice_is_covered(model):
    problem = make_problem(choose(True, model, "full", "float32"))

    assert problem.model == model
    assert problem.batch_size is None
    assert MODELS[model].toy.items() <= problem.architecture.items()
