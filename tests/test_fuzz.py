"""Whatever stands in an entry of a config, it is an experiment or one line, and soon."""

import contextlib
import math
import signal
from types import SimpleNamespace

import pytest
from conftest import toy, toy_mlp

import grokjax
from grokjax.config import registry
from grokjax.config.config import base, flat
from grokjax.core.checks import MAX_INT, MAX_WIDTH, is_a
from grokjax.running import command_line, memory, shards

SECONDS = 20  # on a busy machine; a config is set up in well under one
NUMBERS = (
    -1,
    0,
    1.5,
    math.nan,
    math.inf,
    -math.inf,
    1e39,
    1e-46,
    10**31,
    2**31,
    MAX_INT,
    2**24 + 1,
)
TEXTS = ("abc", "", "a\nb", "a\0b", "x" * 500, "x" * 5000, "~nobody/x")
ELEMENTS = (1, "a", None, (1,), math.nan, -1, 0, 10**31, 1 - 1e-9, 1e-46, True)
VALUES = [*NUMBERS, *TEXTS, None, True, {"a": 1}, [1], (), (1, 2), *((x,) for x in ELEMENTS)]
FEW = (*VALUES[::7], 2**31, (1 - 1e-9,))


@contextlib.contextmanager
def soon(what):
    """Fails where something takes long."""

    def too_long(*_):
        pytest.fail(f"{what} takes longer than {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def refusal(config):
    """What `setup` says against a config; a dot if nothing."""
    try:
        grokjax.setup(config)
    except ValueError as error:
        return str(error)
    return "."


def check_values(make_config, paths, values):
    """Puts each value into each entry, whatever type that has, and sets up the experiment."""
    for path in paths:
        for value in values:
            config = make_config()
            put(config, path, value)
            what = f"{path} = {str(value)[:40]!r}"
            with soon(what):
                try:
                    line = refusal(config)
                except Exception as error:
                    raise AssertionError(what) from error
            assert len(line.splitlines()) == 1, what
            assert len(line) < 2000, what


def put(config, path, value):
    """Changes an entry without the config's own check of types."""
    *sections, last = path.split(".")
    for name in sections:
        config = config[name]
    with config.ignore_type():
        config[last] = value


def paths_of(config, section=""):
    return [path for path, _ in flat(config) if path.startswith(section)]


def test_any_value_of_an_entry_is_an_experiment_or_one_line():
    check_values(toy_mlp, paths_of(toy_mlp()), FEW)


@pytest.mark.slow
def test_any_value_of_an_entry_that_is_of_no_part_is_an_experiment_or_one_line():
    check_values(toy, paths_of(toy()), VALUES)


@pytest.mark.slow
@pytest.mark.parametrize("kind", registry.KINDS)
def test_any_value_of_an_option_is_an_experiment_or_one_line(kind):
    """Of every part, and of what the optimizers read of `config.runs`."""
    for name in registry.names(kind):
        chain = [name] if kind == "optimizer" else ["adamw"]
        if "learning_rate" not in registry.hparams(chain[0]) or name == "update_noise":
            late = getattr(registry.find("optimizer", chain[0]), "AFTER_STEP", False)
            chain = ["sgd", *chain] if late else [*chain, "sgd"]
        chosen = {"task": "modular", "model": "mlp", "optimizer": "+".join(chain)}
        if kind != "optimizer":
            chosen["measures" if kind == "measure" else kind] = name
        options = paths_of(base(**chosen), f"{kind}.")
        if kind == "optimizer":
            options += [f"runs.{hparam}" for hparam in registry.hparams(name)]
        check_values(lambda: base(**chosen), options, VALUES)  # noqa: B023, called at once


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("runs.b1", (1 - 1e-9,), "runs.b1 has 0.999999999, in float32 1.0; choose 0 to below 1"),
        ("runs.learning_rate", (1e-46,), "runs.learning_rate = 1e-46; choose 0 or a size of 1.2e-"),
        ("runs.weight_decay", (1e39,), r"runs.weight_decay = 1e\+39; choose 0 or a size of"),
        ("runs.weight_decay", (0.1, 0.1 + 1e-12), "has a value twice"),
        ("runs.label_noise", (2**24 + 1,), "runs.label_noise = 16,777,217; choose at most 16,777"),
        ("runs.seed", tuple(range(100_001)), "a grid of 100,001 runs; choose at most 100,000"),
        ("model.norm_eps", 1e-46, "model.norm_eps = 1e-46; choose 0 or a size of"),
        ("model.embedding_scale", math.nan, "model.embedding_scale = nan; choose 0 or a size of"),
        ("model.dropout", 1 - 1e-9, "model.dropout = 0.999999999; choose 0 to below 1"),
        ("model.width", 2**31, "model.width = 2,147,483,648; choose at most 2,147,483,647"),
        ("model.width", 2 * MAX_WIDTH, "model.width = 131,072; choose 1 to 65,536"),
        ("model.width", MAX_WIDTH, "numbers in its weights and its optimizer; choose a smaller"),
        ("model.head_width", "a", r"model.head_width = 'a'; choose a value of type int \| None"),
        ("model.num_blocks", MAX_INT, "model.num_blocks = 2,147,483,647; choose 1 to 128"),
        ("model.block_repeats", 200, "model.block_repeats = 200; choose 1 to 128"),
        ("batch_size", MAX_INT, "batch_size = 2,147,483,647; choose 1 to 1,000,000"),
        ("schedule.num_steps", 2**31, "schedule.num_steps = 2,147,483,648; choose at most"),
        ("schedule.eval_block", True, "schedule.eval_block = True; choose a value of type int"),
        ("optimizer.chain", (1,), r"optimizer.chain = \(1,\); choose a value of type tuple\[str"),
        ("model.name", 3, "model.name = 3; choose a value of type str"),
        ("split.held_out", ("a",), r"split.held_out = \('a',\); choose a value of type tuple\[int"),
        ("loss.name", "x" * 5000, "loss.name is a text of 5,000 characters; choose at most 1,000"),
        ("loss.name", "a\nb", r"loss.name = 'a\\nb' has control characters; choose a text without"),
        ("grok", {}, "the config has no entry 'grok.threshold'; start from grokjax.base"),
    ],
)
def test_types_and_sizes_are_checked_as_they_are_trained(path, value, message):
    config = toy()
    put(config, path, value)

    with soon(path), pytest.raises(ValueError, match=message):
        grokjax.setup(config)


@pytest.mark.parametrize(
    ("choice", "option", "value", "message"),
    [
        ("task=sums", "task.length", MAX_INT, "length = 2,147,483,647; choose 2 to 19"),
        ("task=parity", "task.samples", MAX_INT, "a table of 2,147,483,647 rows of 40 tokens is"),
        (
            "task=binding",
            "task.assignments",
            MAX_INT,
            "assignments = 2,147,483,647; choose 2 to",
        ),
        ("task=binding", "task.lines", 10**6 + 1, "a table of 1,000,001 rows of 35 tokens is too"),
        (
            "model=mlp",
            "model.hidden",
            (3, True),
            "model.hidden = .3, True.; choose a value of type",
        ),
        ("model=lstm", "model.num_layers", 129, "model.num_layers = 129; choose 1 to 128"),
        ("model=gpt2_meta", "model.frames", 65, "model.frames = 65; choose at most 64"),
        ("model=tokenformer", "model.tokens", MAX_INT, "model.tokens = 2,147,483,647; choose 1 to"),
        ("optimizer=adamw+raise_layer", "optimizer.raise_layer.layer", "a", "no layer 'a'; choose"),
        (
            "optimizer=grokfast_ma+sgd",
            "optimizer.grokfast_ma.window",
            MAX_INT,
            "but schedule.num_steps is",
        ),
    ],
)
def test_an_option_of_a_part_that_is_too_large_is_one_clear_error(choice, option, value, message):
    config = base(choice)
    config.update_from_flattened_dict({option: value})

    with soon(option), pytest.raises(ValueError, match=message):
        grokjax.setup(config)


def test_a_value_is_of_a_type_as_python_writes_it():
    assert is_a(1, float)
    assert not is_a(True, int)
    assert is_a(None, int | None)
    assert is_a((1, 2), tuple[int, ...])
    assert not is_a((1, "a"), tuple[int, ...])
    assert not is_a([1], tuple[int, ...])


@pytest.mark.parametrize(
    "address",
    [
        "",
        "a",
        ":1",
        "localhost:",
        "localhost:0",
        "localhost:²",
        "auto:1",
        "a:99999999",
        "x.invalid:1",
    ],
)
def test_an_address_that_nobody_can_be_reached_at_is_refused_at_once(address):
    options = SimpleNamespace(coordinator=address, shard=(1, 2))

    with soon(address), pytest.raises(ValueError, match="choose auto on a cluster, or HOST:PORT"):
        shards.rendezvous(options)


@pytest.mark.parametrize("seeds", ["", "0", "5:3", "0:99999999", "2147483648", "9" * 5000, "-1"])
def test_seeds_that_are_none_or_too_many_are_refused_at_once(monkeypatch, seeds):
    monkeypatch.setattr(command_line, "SEEDS", SimpleNamespace(value=seeds))

    with soon(seeds[:20]), pytest.raises(ValueError, match="choose a number such as 8, or a range"):
        command_line.seeds()


@pytest.mark.parametrize("shard", ["", "0/2", "3/2", "1/0", "1/99999999999", "2", "a/b", "-1/2"])
def test_a_shard_that_is_none_is_refused_at_once(monkeypatch, shard):
    monkeypatch.setattr(command_line, "SHARD", SimpleNamespace(value=shard))

    with soon(shard), pytest.raises(ValueError, match="choose the i-th of n shards"):
        command_line.shard()


def test_a_run_whose_state_does_not_fit_is_refused_before_it_is_made(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda *_: 10_000)
    options = SimpleNamespace(shard=None, join=False, memory=None, resume=None)

    with pytest.raises(ValueError, match="weights and optimizer take .* choose a smaller model"):
        shards.plan(grokjax.setup(toy()), options)
