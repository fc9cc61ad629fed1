"""Configs: plug-ins chosen by name, grids of runs, and errors before anything is traced."""

import re
from pathlib import Path

import flax.linen as nn
import numpy as np
import pytest
from conftest import toy, toy_mlp

import grokjax
from grokjax import base, grid
from grokjax.config import registry
from grokjax.config.config import load, plain
from grokjax.config.experiment import check, setup
from grokjax.config.grid import entries
from grokjax.config.rules import check_table
from grokjax.config.synonyms import hint
from grokjax.core.hparams import Hparam, above
from grokjax.models import lstm
from grokjax.optimizers import sgd
from grokjax.tasks import modular

CONFIGS = sorted(Path(__file__).parent.parent.glob("configs/*.py"))


def test_runs_are_the_grid_of_all_entries_the_last_fastest():
    config = base(optimizer="grokfast_ema+adamw")
    config.runs = grid(config.runs, seed=(4, 5), lamb=(0.0, 2.0), train_fraction=0.25)
    parts = check(config)
    runs_R = parts.runs_R

    assert parts.labels == ["seed=4 lamb=0", "seed=4 lamb=2", "seed=5 lamb=0", "seed=5 lamb=2"]
    assert runs_R.seed.tolist() == runs_R.split_seed.tolist() == [4, 4, 5, 5]
    assert runs_R.num_train_G.tolist() == [[2328]] * 4
    assert runs_R.share_G.tolist() == [[512]] * 4
    assert runs_R.hparams["lamb"].tolist() == [0, 2, 0, 2]
    assert runs_R.hparams["lamb"].dtype == np.float32


def test_the_split_can_have_a_seed_of_its_own():
    config = base()
    config.runs = grid(config.runs, seed=(0, 1), split_seed=(7,))

    assert check(config).runs_R.split_seed.tolist() == [7, 7]


def mixed(**runs):
    config = base(task=dict(name="mixture", ops=("div", "add"), p=7))
    config.batch_size = 10
    config.runs = grid(config.runs, **runs)
    return config


def test_a_mix_shares_out_the_batch_and_leaves_the_training_sets_alone():
    parts = check(mixed(mix=("50:50", "9:1", "0:1")))
    runs_R = parts.runs_R

    assert parts.labels == ["mix=50:50", "mix=9:1", "mix=0:1"]
    assert runs_R.share_G.tolist() == [[5, 5], [9, 1], [0, 10]]
    assert runs_R.num_train_G.tolist() == [[21, 24], [21, 24], [0, 24]]


def test_a_proportional_mix_thins_out_the_training_sets_too():
    config = mixed(mix=("50:50", "3:1"))
    config.split.proportional = True

    assert check(config).runs_R.num_train_G.tolist() == [[21, 21], [21, 7]]


def test_an_automatic_batch_is_at_most_half_of_the_smallest_training_set():
    config = toy()
    config.batch_size = "auto"
    config.runs = grid(config.runs, train_fraction=(0.5, 0.25))  # 21 and 10 of 42 equations
    experiment = setup(config)

    assert experiment.runs_R.share_G.tolist() == [[5], [5]]
    assert experiment.config.batch_size == experiment.record["batch_size"] == 5
    assert config.batch_size == "auto"  # what is given stays as it is
    config = base()
    config.batch_size = "auto"
    assert check(config).config.batch_size == 512


def test_of_a_mixture_no_task_fills_a_batch_with_more_than_half_of_its_own():
    config = mixed(mix=("50:50", "9:1"))  # nine tenths of 12 are 11, half of 21
    config.batch_size = "auto"

    assert check(config).runs_R.share_G.tolist() == [[6, 6], [11, 1]]


@pytest.mark.parametrize(("batches", "num_steps"), [("shuffled", 15), ("full", 10)])
def test_epochs_are_steps_of_the_largest_training_set_up_to_an_evaluation(batches, num_steps):
    """21 and 10 examples in batches of 11: two steps an epoch; full batches: one."""
    config = toy()
    config.batches = batches
    config.schedule.update(num_steps=0, num_epochs=7)
    config.runs = grid(config.runs, train_fraction=(0.5, 0.25) if batches == "full" else (0.5,))
    experiment = setup(config)

    assert experiment.config.schedule.num_steps == num_steps
    assert experiment.record["schedule"]["num_steps"] == num_steps
    assert "num_epochs" not in experiment.record["schedule"]  # as in records of earlier versions
    assert plain(setup(experiment.config).config) == plain(experiment.config)


def test_training_in_memory_ends_after_the_epochs():
    config = toy_mlp()
    config.schedule.update(num_steps=0, num_epochs=2)

    assert grokjax.train(config).history["step"].tolist() == [5]


def test_what_is_held_out_is_not_counted_by_the_fraction():
    config = toy()
    config.split.held_out = (0, 1)
    config.schedule.eval_block = 7
    config.runs = grid(config.runs, train_fraction=(0.5, 0.9))

    assert check(config).runs_R.num_train_G.tolist() == [[15], [27]]  # 6 equations for each answer


@pytest.mark.parametrize(
    ("mix", "message"),
    [
        ("1:1:1", "3 shares for 2 tasks"),
        ("1:-1", "choose shares of 0 or more"),
        ("90", "choose shares such as '90:10'"),
    ],
)
def test_a_mix_that_cannot_be_is_one_clear_error(mix, message):
    with pytest.raises(ValueError, match=message):
        grokjax.setup(mixed(mix=mix))


def test_a_task_that_would_leave_nothing_to_validate_on_is_one_clear_error():
    with pytest.raises(ValueError, match="task 'div' trains on 42 of 42 examples"):
        grokjax.setup(mixed(mix="1:0", train_fraction=1.0))


def test_a_symmetric_split_needs_room_for_the_largest_unit():
    """Five operands stand in up to 120 orders; a split may be off by half of that."""
    config = toy()
    config.task = base("task=sums").task
    config.task.update(length=5, p=5)
    config.split.symmetric = True
    config.runs = grid(config.runs, train_fraction=0.02)
    with pytest.raises(ValueError, match="reads 11 examples at once from a training set of 62"):
        grokjax.setup(config)


def test_a_task_without_enough_examples_for_its_share_is_one_clear_error():
    config = mixed(mix="9:1", train_fraction=0.1)  # 9 slots for 4 of 42 equations
    with pytest.raises(
        ValueError, match="reads 9 examples at once from a training set of 4 .*task 'div'"
    ):
        grokjax.setup(config)


def test_a_choice_replaces_plug_ins_and_gives_their_options():
    config = base("task=permutation,optimizer=grokfast_ma+adamw", task=dict(name="modular", p=7))

    own = dict(name="permutation", op="compose", k=5, form="a o b =")
    assert config.task.to_dict() == own | dict(source="computed", data_dir="~/tensorflow_datasets")
    assert config.optimizer.chain == ("grokfast_ma", "adamw")
    assert config.optimizer.grokfast_ma.window == 100


CHAINS = {
    name: f"{name}+adamw" if not reads_rate else name
    for name in registry.names("optimizer")
    for reads_rate in ["learning_rate" in registry.hparams(name)]
} | {
    name: f"adamw+{name}"
    for name in ("hold_norm", "norm_ceiling", "update_noise", "grokfast_rate", "raise_layer")
}


@pytest.mark.parametrize(
    "choice",
    [f"task={name}" for name in registry.names("task") if name != "images"]
    + [f"model={name}" for name in registry.names("model")]
    + [f"optimizer={chain}" for chain in CHAINS.values()],
)
def test_everything_can_be_chosen_by_a_flag_alone(choice):
    kind, _, name = choice.partition("=")
    config = load(f"configs/moddiv.py:{choice}")

    assert grokjax.setup(config).labels == ["seed=0"]
    assert name == ("+".join(config.optimizer.chain) if kind == "optimizer" else config[kind].name)


def test_a_chain_keeps_its_order():
    config = base(optimizer="grokfast_ma+grokfast_ema+adamw")

    assert plain(config)["optimizer"]["chain"] == ["grokfast_ma", "grokfast_ema", "adamw"]


def test_base_has_a_default_in_range_for_every_entry_of_runs():
    for name, hparam in entries(registry.names("optimizer")).items():
        assert all(hparam.range.holds(value) for value in hparam.values), name


BAD = [
    ("task.p", 96, "p = 96 is not prime"),
    ("runs.train_fraction", (0.0,), "runs.train_fraction has 0.0; choose above 0, at most 1"),
    ("runs.train_fraction", (1.0,), "trains on 42 of 42 examples"),
    ("runs.train_fraction", (1.5,), "runs.train_fraction has 1.5"),
    ("runs.train_fraction", (0.01,), "trains on 0 of 42 examples"),
    ("runs.weight_decay", (0.1, "a"), "runs.weight_decay has 'a'; choose floats"),
    ("runs.weight_decay", (True,), "runs.weight_decay has True"),
    ("runs.weight_decay", (float("nan"),), "runs.weight_decay = nan; choose 0 or a size"),
    ("runs.weight_decay", (), "choose a tuple of one value or more"),
    ("runs.weight_decay", (0.5, 0.5), "has a value twice"),
    ("runs.seed", (0.5,), "runs.seed has 0.5; choose ints"),
    ("runs.learning_rate", (-1e-3,), "runs.learning_rate has -0.001; choose above 0"),
    ("runs.label_noise", (22,), "has 22, more labels than the 21 that run"),
    ("runs.label_noise", (0.5,), "runs.label_noise has 0.5; choose ints"),
    ("runs.warmup", (-1.0,), "runs.warmup has -1.0; choose 0 or more steps"),
    ("runs.filter_start", (5,), "unknown .* filter_start belongs to grokfast_ema, grokfast_ma$"),
    ("runs.mix", ("1:1",), "runs.mix = .* is for mixtures; task modular is one task"),
    ("split.proportional", True, "split.proportional = True is for mixtures"),
    ("split.held_out", (7,), "split.held_out has 7; choose labels from 0 to 6"),
    ("split.held_out", tuple(range(7)), "trains on 0 of 42 examples"),
    ("matmul_precision", "half", "unknown matmul_precision 'half'; choose from default"),
    ("matmul_precision", "bfloat16", "matmul_precision = 'bfloat16' changes nothing on a CPU"),
    ("loss.precision", "bfloat16", "unknown loss.precision 'bfloat16'; choose from float16"),
    ("runs.b1", (1.0,), "runs.b1 has 1.0; choose 0 to below 1"),
    ("runs.alpha", (0.5,), "unknown config entry 'runs.alpha'; alpha belongs to grokfast_ema$"),
    ("model.width", 13, "model.width = 13 is not divisible by model.num_heads = 2"),
    ("model.dropout", 1.0, "model.dropout = 1.0; choose 0 to below 1"),
    ("model.norm", "mid", "unknown model.norm 'mid'; choose from pre, post"),
    ("batch_size", 22, "batch_size = 22 reads 22 examples at once from a training set of 21"),
    ("batch_size", 0, "batch_size = 0; choose 1 to 1,000,000, or auto"),
    ("batch_size", "atuo", "batch_size = 'atuo'; choose 1 to 1,000,000, or auto"),
    ("batch_size", True, r"batch_size = True; choose a value of type int \| str"),
    ("schedule.num_steps", 0, "schedule.num_steps = 0; choose 1 or more"),
    ("schedule.num_epochs", -1, "schedule.num_epochs = -1; choose 0 or more"),
    ("schedule.num_epochs", 7, "= 7 makes 15 steps, but schedule.num_steps is 20; choose one"),
    ("schedule.num_epochs", 2**31 - 1, "num_epochs = .* = 4,294,967,295; choose at most"),
    ("schedule.eval_every", 3, "schedule.eval_every = 3 does not divide schedule.num_steps = 20"),
    ("schedule.checkpoint_every", 7, "does not divide schedule.checkpoint_every = 7"),
    ("schedule.num_steps", 400_000_000, "choose less than 2\\*\\*32 examples"),
    (
        "loss.name",
        "focal",
        "unknown loss.name 'focal'; choose from cross_entropy, stablemax, squared_error",
    ),
    ("lift", "pmap", "lift = 'pmap'; choose auto, vmap, map"),
    ("lift", "0", "lift = '0'"),
    ("grok.threshold", 1.5, "grok.threshold = 1.5"),
    ("log_every", 7, "log_every = 7 is not a multiple of schedule.eval_every = 5"),
]


@pytest.mark.parametrize(("path", "value", "message"), BAD, ids=[f"{p}={v}" for p, v, _ in BAD])
def test_what_cannot_be_meant_is_one_clear_error(path, value, message):
    config = toy()
    config.update_from_flattened_dict({path: value})

    with pytest.raises(ValueError, match=message) as error:
        grokjax.setup(config)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("optimizer=grokfast_ema", "has no step of its own; choose grokfast_ema\\+adamw"),
        ("optimizer=adamw+grokfast_ma", "out of order; choose grokfast_ma\\+adamw"),
        ("optimizer=clip+clip+adamw", "'clip\\+clip\\+adamw' names an element twice"),
        ("optimizer=adammw", "unknown optimizer 'adammw'.*did you mean 'adamw'"),
        ("model=transfomer", "unknown model 'transfomer'.*did you mean 'transformer'"),
        ("models=x", "cannot choose 'models=x'; write task=, model=, optimizer= or measures="),
    ],
)
def test_a_choice_that_does_not_exist_is_one_clear_error(choice, message):
    with pytest.raises(ValueError, match=message):
        grokjax.setup(base(choice))


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({}, "optimizer sgd reads 'pace', which it does not declare; add HPARAMS = {'pace'"),
        ({"pace": 0.9}, "HPARAMS has 'pace': 0.9; choose Hparam\\(default, type, range\\)"),
        (
            {"pace": Hparam(0.9, float, above(0)), "more": Hparam(1, int, above(0))},
            "optimizer sgd declares 'more', which its make does not take; leave it out",
        ),
    ],
)
def test_an_optimizer_that_declares_its_hyperparameters_wrongly_is_one_line(
    monkeypatch, declared, message
):
    monkeypatch.setattr(sgd, "HPARAMS", declared, raising=False)
    monkeypatch.setattr(sgd, "make", lambda learning_rate, pace: None)

    with pytest.raises(ValueError, match=message):
        base(optimizer="sgd")


@pytest.mark.parametrize("lacking", ["causal", "dropout", "last_layer", "num_classes"])
def test_a_model_that_lacks_what_it_has_to_say_is_one_line(monkeypatch, lacking):
    fields = {
        "__annotations__": {"num_tokens": int, "num_classes": int, "length": int},
        "causal": False,
        "dropout": 0.0,
        "last_layer": lambda self, params: params,
    }
    fields["__annotations__"].pop(lacking, None)
    fields.pop(lacking, None)
    monkeypatch.setattr(lstm, "Model", type("Model", (nn.Module,), fields))

    with pytest.raises(ValueError, match=f"model lstm has no .*{lacking}"):
        base(model="lstm")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(num_classes=6), "has labels from 0 to 6; make them 0 to 5"),
        (dict(num_tokens=8), "has tokens from 0 to 8; make them 0 to 7"),
        (dict(labels=lambda x: x[:-1]), r"has inputs \(42, 4\) and labels \(41,\); make inputs"),
        (dict(labels=lambda x: x.astype(np.int64)), "has labels of type int64; make them int32"),
    ],
)
def test_a_table_that_is_not_sound_is_one_clear_error(change, message):
    task = modular.make(p=7)
    labels_N = change.pop("labels", lambda x: x)(task.examples.labels_N)
    task = task._replace(examples=task.examples.replace(labels_N=labels_N), **change)

    with pytest.raises(ValueError, match=f"task mine {message}"):
        check_table("mine", task)


def test_an_entry_that_does_not_exist_gets_a_suggestion():
    config = toy()
    config.model.widht = 3
    with pytest.raises(ValueError, match="'model.widht'; did you mean 'model.width'"):
        grokjax.setup(config)
    assert hint("optimizer.window", ["optimizer.chain", "optimizer.grokfast_ma.window"]) == (
        "; did you mean 'optimizer.grokfast_ma.window'?"
    )
    with pytest.raises(ValueError, match="runs.warmpu .* did you mean 'runs.warmup'"):
        grid(config.runs, warmpu=2.0)
    with pytest.raises(ValueError, match="runs.lamb is unknown; .*; lamb belongs to grokfast_ema"):
        grid(config.runs, lamb=2.0)
    with pytest.raises(ValueError, match="no option 'q'.* choose from op, p"):
        base(task=dict(name="modular", q=3))
    with pytest.raises(ValueError, match="no option 'nhead'.* did you mean 'model.num_heads'"):
        base(model=dict(name="transformer", nhead=3))
    with pytest.raises(
        ValueError, match="runs.lr is unknown; .* did you mean 'runs.learning_rate'"
    ):
        grid(config.runs, lr=0.1)


def test_what_the_chosen_schedule_or_optimizer_does_not_read_may_not_be_set():
    config = toy()
    config.schedule.learning_rate = "constant"
    config.runs.warmup = (5.0,)
    with pytest.raises(ValueError, match="runs.warmup = .* is read by nothing .* constant"):
        grokjax.setup(config)

    config = toy("from_optax")
    config.runs.momentum = (0.5,)
    with pytest.raises(ValueError, match="runs.momentum = .* is read by nothing .* from_optax"):
        grokjax.setup(config)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no config file"),
        ("", "gives no config .KeyError: 'get_config'"),
        ("def get_config(:", "gives no config .SyntaxError"),
        ("import nothere", "gives no config .ModuleNotFoundError: No module named 'nothere'"),
        ("def get_config(choice=''): pass", "get_config.. returned None"),
        ("def get_config(): return 1", "gives no config .TypeError: get_config.. takes 0"),
    ],
)
def test_a_file_that_gives_no_config_is_one_clear_error(tmp_path, text, message):
    path = tmp_path / "mine.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        load(f"{path}:model=mlp" if "():" in (text or "") else str(path))
    assert "\n" not in str(error.value).strip()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_says_what_it_is_and_sets_up(path, tmp_path):
    text = path.read_text()
    config = load(str(path))

    assert f"--config configs/{path.name}" in text
    assert "Expected:" in text, "say what it was measured to do, or 'Expected: not measured yet'"
    assert "RESULT" not in text
    if config.task.name == "images" and config.task.dataset == "digits":
        pytest.importorskip("sklearn")
    if config.task.name == "images" and config.task.dataset == "mnist":
        config.task.data_dir = str(tmp_path)
        with pytest.raises(ValueError, match=f"fetch mnist --data_dir {tmp_path}"):
            grokjax.setup(config)
    else:
        grokjax.setup(config)


SAME = re.compile(r"[Nn]etwork (?:here )?(?:is )?(?:that )?of `(\w+)\.py`")  # in a header


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_has_the_network_that_it_names(path):
    text = " ".join(path.read_text().split('"""')[1].split())
    for other in SAME.findall(text):
        assert load(str(path)).model == load(str(path.parent / f"{other}.py")).model


AS_IN = {  # a config and what the code of the project or paper that it names has
    "held_out_answers": dict(model=dict(initializer="kaiming_normal")),  # enerrio/grokking-mlp
    "mnist": dict(schedule=dict(learning_rate="constant"), runs=dict(b2=(0.999,))),  # grokfast
    "modadd_mlp": dict(model=dict(initializer="kaiming_normal")),  # enerrio/grokking-mlp
    "modadd_power": dict(model=dict(norm="post", initializer="torch")),  # openai/grok
    "modmul_grokfast": dict(  # grokfast: nn.MultiheadAttention, ten steps of warm-up
        model=dict(norm="overwrite", initializer="torch_attention"),
        schedule=dict(learning_rate="linear_warmup"),
        runs=dict(warmup=(10.0,)),
    ),
}


@pytest.mark.parametrize("name", AS_IN)
def test_a_config_has_the_settings_of_its_source(name):
    config = load(str(CONFIGS[0].parent / f"{name}.py"))
    for section, entries_there in AS_IN[name].items():
        assert {entry: config[section][entry] for entry in entries_there} == entries_there


def test_nothing_begins_or_lasts_beyond_the_last_step():
    """A filter that never starts, a window that is never full: plain AdamW by another name."""
    config = toy("grokfast_ma+adamw+raise_layer")
    for entry, value, message in (
        (
            "filter_start",
            (3, 20),
            "runs.filter_start has 20, but .*num_steps is 20; choose 19 or less",
        ),
        ("warmup", (20.5,), "runs.warmup has 20.5, .* choose 20 or less"),
        ("raise_step", (1000,), "runs.raise_step has 1000, but .* choose 19 or less"),
    ):
        wrong = config.copy_and_resolve_references()
        wrong.runs[entry] = value
        with pytest.raises(ValueError, match=message):
            check(wrong)
    config.optimizer.grokfast_ma.window = 21
    with pytest.raises(ValueError, match="grokfast_ma.window = 21 steps, but .*num_steps is 20"):
        check(config)

    config.optimizer.grokfast_ma.window = 20
    config.runs.warmup = (20.0,)
    check(config)


def test_a_subset_without_examples_of_a_side_is_refused():
    """One of 42 equations is on one side; of 35 with 13 for training, 13 - 7 or more are."""
    config = toy()
    config.runs = grid(config.runs, train_fraction=0.3, seed=(0, 1))
    config.schedule.eval_examples = 1
    with pytest.raises(ValueError, match="eval_examples = 1 has no .* examples in run 'seed=0'"):
        setup(config)

    config.schedule.eval_examples = 35
    setup(config)


def test_a_record_holds_the_hyperparameters_that_are_read():
    config = grokjax.base(optimizer=dict(from_optax=dict(name="radam")))
    assert "weight_decay" in config.runs
    record = grokjax.setup(config).record
    assert {"b1", "b2", "seed", "learning_rate"} <= record["runs"].keys()
    assert not {"weight_decay", "momentum"} & record["runs"].keys()


def test_a_file_name_is_no_config():
    with pytest.raises(ValueError, match="'configs/moddiv.py' is no config; choose grokjax.load"):
        grokjax.train("configs/moddiv.py")
