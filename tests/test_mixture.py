"""Mixtures: several operations in one table, trained side by side, reported one by one."""

import jax
import numpy as np
import pytest
from conftest import toy_mlp

import grokjax
from grokjax import datasets, grid
from grokjax.config.experiment import check
from grokjax.core import loop, losses
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


@pytest.mark.parametrize("form", ["a b", "a b =", "a o b ="])
def test_with_heads_each_operation_has_classes_of_its_own(form):
    """3 * 5 = 1 and 3 + 5 = 1 mod 7: classes 1 and 8; which it is, a form need not say."""
    task = mixture.make(ops=("mul", "add"), p=7, form=form, heads=True)
    mul, add = (modular.make(op=op, p=7, form=form).examples for op in ("mul", "add"))
    inputs = np.split(task.examples.inputs_NxL, 2)
    pairs = [inputs_NxL[:, task.operands] for inputs_NxL in inputs]
    labels = np.split(task.examples.labels_N, 2)

    assert (task.num_tokens, task.num_classes) == ({"a b": 7, "a b =": 8, "a o b =": 10}[form], 14)
    assert (inputs[0] == inputs[1]).all() == ("o" not in form)
    np.testing.assert_array_equal(*pairs)
    np.testing.assert_array_equal(labels[0], mul.labels_N)
    np.testing.assert_array_equal(labels[1], add.labels_N + 7)
    assert [label[3 * 7 + 5] for label in labels] == [1, 8]


def test_without_heads_an_equation_has_to_name_its_operation():
    with pytest.raises(ValueError, match="task.form = 'a b' does not say which operation is meant"):
        mixture.make(form="a b")


def test_loss_and_accuracy_are_those_of_the_labels_own_head():
    """PyTorch's loss of the slice; gradients of the other heads are zero."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    logits_BxC = rng.normal(size=(11, 15)).astype(np.float32)
    labels_B = np.array([0, 4, 5, 9, 10, 14, 7, 2, 12, 6, 11])
    own = [slice(label // 5 * 5, label // 5 * 5 + 5) for label in labels_B]
    slices_Bx5 = np.stack([logits[of] for logits, of in zip(logits_BxC, own, strict=True)])
    expected_B = torch.nn.functional.cross_entropy(
        torch.tensor(slices_Bx5), torch.tensor(labels_B % 5), reduction="none"
    )
    loss, correct = (losses.of_own_head(f, 3) for f in (losses.cross_entropy, losses.correct))
    slope_BxC = np.asarray(jax.grad(lambda x_BxC: loss(x_BxC, labels_B).sum())(logits_BxC))

    np.testing.assert_allclose(loss(logits_BxC, labels_B), expected_B, rtol=1e-5)
    assert (correct(logits_BxC, labels_B) == (slices_Bx5.argmax(1) == labels_B % 5)).all()
    for slope_C, of in zip(slope_BxC, own, strict=True):
        assert slope_C[of].all()
        assert np.count_nonzero(slope_C) == 5


@pytest.mark.parametrize("lift", ["map", "vmap"])
def test_heads_are_trained_side_by_side(lift):
    """With all weights near zero, a guess costs log 11, not log 22 as among all classes."""
    config = toy_mlp()
    config.task = grokjax.base(
        task=dict(name="mixture", ops=("add", "mul"), p=11, form="a b", heads=True)
    ).task
    config.lift = lift
    config.runs = grid(config.runs, seed=(0, 1, 2), init_scale=1e-6, learning_rate=1e-30)
    config.schedule.update(num_steps=2, eval_every=2, checkpoint_every=2)
    history = grokjax.train(config).history

    for name in ("val_loss", "train_loss/add", "val_loss/mul"):
        np.testing.assert_allclose(history[name], np.full((1, 3), np.log(11)), rtol=1e-4)


def test_what_is_of_one_softmax_is_not_measured_with_heads():
    task = dict(name="mixture", ops=("add", "mul"), p=11, heads=True)
    config = grokjax.base(task=task, model="mlp", measures="softmax")
    config.batch_size = 11
    with pytest.raises(ValueError, match="measure softmax is for one softmax over all classes"):
        grokjax.setup(config)


def test_noise_would_move_a_label_to_another_head():
    config = toy_mlp()
    config.task = grokjax.base(task=dict(name="mixture", heads=True)).task
    config.runs = grid(config.runs, label_noise=5)
    with pytest.raises(ValueError, match=r"label_noise = \(5,\) draws labels of all tasks"):
        check(config)
