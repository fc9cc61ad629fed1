"""Mixtures: several operations in one table, trained side by side, reported one by one."""

import numpy as np
import pytest
from conftest import toy_mlp

import grokjax
from grokjax import datasets, grid
from grokjax.config.experiment import check
from grokjax.core import loop
from grokjax.recording.summary import summarise, summary_text
from grokjax.tasks import mixture, modular


def test_each_operation_has_its_token_and_its_neighbouring_rows():
    task = mixture.make(ops=("div", "add", "sub"), p=7)
    table = task.examples

    assert [tuple(group) for group in task.groups] == [("div", 42), ("add", 49), ("sub", 49)]
    assert (task.num_tokens, task.num_classes) == (11, 7)
    assert (table.inputs_NxL[:, 1] == np.repeat([7, 8, 9], [42, 49, 49])).all()
    for op, inputs_NxL, labels_N in zip(
        ("div", "add", "sub"),
        np.split(table.inputs_NxL, [42, 91]),
        np.split(table.labels_N, [42, 91]),
        strict=True,
    ):
        alone = modular.make(op=op, p=7).examples
        assert (inputs_NxL[:, ::2][:, :1] == alone.inputs_NxL[:, :1]).all()
        assert (labels_N == alone.labels_N).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(ops=("add",)), "choose two different operations or more"),
        (dict(ops=("add", "add")), "choose two different operations or more"),
        (dict(ops=("add", "dvi")), "unknown ops 'dvi'; choose from add"),
        (dict(ops=("add", 5)), "unknown ops 5; choose from add"),
        (dict(ops=("add", "div"), p=96), "p = 96 is not prime, so div meets"),
        (dict(p=2000), "p = 2,000; choose 2 to 1,000"),
    ],
)
def test_a_mixture_that_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        mixture.make(**options)


@pytest.fixture(scope="module", params=["map", "vmap"])
def trained(request):
    """The metrics [E, R] of three mixes and the same three with noisy labels."""
    config = toy_mlp()
    config.task = grokjax.base("task=mixture").task
    config.task.p = 11
    config.schedule.update(num_steps=80, eval_every=40, checkpoint_every=40)
    config.runs = grid(
        config.runs, mix=("5:6", "10:1", "1:0"), label_noise=(0, 50), learning_rate=1e-2
    )
    config.runs = grid(config.runs, weight_decay=0.0)
    experiment = grokjax.setup(config)
    history = grokjax.History()
    given = (experiment.trainer, experiment.runs_R, experiment.dataset)
    for t, _, metrics_R in loop.chunks(*given, num_steps=80, lift=request.param):
        if metrics_R is not None:
            history.append(t, metrics_R)
    return history, experiment.runs_R.num_train_G


def test_overall_figures_are_those_of_the_tasks_weighted_by_their_rows(trained):
    history, num_train_RxG = trained
    for r in range(4):  # the last two leave addition out
        parts = [history[f"train_loss/{task}"][-1, r] for task in ("div", "add")]
        expected = np.average(parts, weights=num_train_RxG[r])
        assert history["train_loss"][-1, r] == pytest.approx(expected, rel=1e-5)


def test_a_task_without_a_share_is_reported_and_does_not_count(trained):
    history, _ = trained

    assert np.isnan(history["train_accuracy/add"][-1, 4:]).all()
    assert np.isfinite(history["val_accuracy/add"][-1]).all()
    assert (history["val_loss"][-1, 4:] == history["val_loss/div"][-1, 4:]).all()


def test_the_mix_decides_what_is_learnt_first(trained):
    """Ten of eleven slots: division is fitted better than at five of eleven, addition worse."""
    history, _ = trained

    assert history["train_loss/add"][0, 0] < history["train_loss/add"][0, 2]
    assert history["train_loss/div"][0, 0] > history["train_loss/div"][0, 2]


def test_runs_with_noisy_labels_train_on_them(trained):
    """Which labels are redrawn is tested in test_split.py."""
    history, _ = trained

    for name in ("train_loss", "val_loss"):
        assert (history[name][-1, 1::2] != history[name][-1, ::2]).all()


def test_a_history_knows_its_tasks(trained):
    history, _ = trained
    grok = grokjax.grokking(history, "div", threshold=0.0, count=1)

    assert sorted(history.groups) == ["add", "div"]
    assert grok.grok_R.tolist() == [40] * 6


def test_batches_are_counted_task_by_task(capsys):
    config = grokjax.base(task=dict(name="mixture", ops=("div", "add"), p=7))
    config.batch_size = 10
    config.schedule.update(num_steps=21, eval_every=21, checkpoint_every=21)  # nine epochs of div
    config.runs = grid(config.runs, mix=("9:1", "1:0"))

    datasets._print_batches(grokjax.setup(config))

    assert capsys.readouterr().out.splitlines() == [
        "mix=9:1: 21 batches",
        "  div: 9 in each batch, 21 of 21 training examples read (each 9 x)",
        "  add: 1 in each batch, 21 of 24 training examples read (each 1 x)",
        "mix=1:0: 21 batches",
        "  div: 10 in each batch, 21 of 21 training examples read (each 10 x)",
        "  add: 0 in each batch, 0 of 0 training examples read",
    ]


def test_the_summary_reports_each_task(trained):
    history, _ = trained
    sizes = {"run 0": {"div": {"examples": 110, "training_examples": 55, "proportion": 5 / 11}}}
    labels = [f"run {r}" for r in range(6)]
    summary = summarise(history, labels, 1.0, schedule={}, rule={}, sizes=sizes)

    assert summary["runs"][0]["tasks"]["add"]["val_accuracy"] == pytest.approx(
        float(history["val_accuracy/add"][-1, 0])
    )
    assert summary["runs"][5]["tasks"]["add"]["train_accuracy"] is None  # it has no share
    text = summary_text(summary).splitlines()
    assert text[0].startswith("run 0: ")
    assert text[1].startswith("  task  examples  trained on  of a batch  training  validation")
    assert "  div        110          55       45.5%" in text[2:4][text[2].startswith("  add")]
    assert summary["runs"][0]["tasks"]["div"]["examples"] == 110


def test_each_task_has_its_sizes_in_each_run():
    config = grokjax.base(task=dict(name="mixture", ops=("div", "add"), p=7))
    config.batch_size = 10
    config.runs = grid(config.runs, mix=("9:1", "1:0"))
    sizes = check(config).sizes_of_tasks()

    div = {"examples": 42, "training_examples": 21}
    assert sizes == {
        "mix=9:1": {
            "div": div | {"proportion": 0.9},
            "add": {"examples": 49, "training_examples": 24, "proportion": 0.1},
        },
        "mix=1:0": {
            "div": div | {"proportion": 1.0},
            "add": {"examples": 49, "training_examples": 0, "proportion": 0.0},
        },
    }
