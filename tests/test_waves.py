"""Gromov's weights add modulo p without having learned to."""

import functools

import jax
import numpy as np
import pytest

import grokjax
from grokjax.config.experiment import make_network
from grokjax.core import loop
from grokjax.models import _waves
from grokjax.tasks import modular

P = 11
QUADRATIC = dict(name="mlp", code="one_hot", activation="square", use_bias=False)
GROMOV = QUADRATIC | dict(initializer="gromov")


@functools.cache
def measured(form="a b", neurons=211, lift="map"):
    """The measures of three seeds, at the weights they begin with, and their accuracies."""
    slots = (0, 2) if form == "a o b =" else (0, 1)
    config = grokjax.base(
        task=dict(name="modular", op="add", p=P, form=form),
        model=GROMOV | dict(hidden=(neurons,), slots=slots),
        optimizer="sgd",
        measures="fourier+groups",
    )
    config.batch_size = 7
    config.lift = lift
    config.schedule.update(num_steps=1, eval_every=1, checkpoint_every=1)
    config.runs = grokjax.grid(config.runs, seed=(0, 1, 2), learning_rate=1e-30, warmup=0.0)
    experiment = grokjax.setup(config)
    given = (experiment.trainer, experiment.runs_R, experiment.dataset)
    state_R = loop.init(*given, lift=lift)
    evaluate = loop.over_runs(
        lambda state, run: experiment.trainer.evaluate(state, run, experiment.dataset), lift
    )
    metrics_R = jax.jit(evaluate)(state_R, experiment.runs_R)
    return {name: np.asarray(x_R) for name, x_R in metrics_R.items()}


@pytest.mark.parametrize("lift", ["map", "vmap"])
def test_a_wide_network_adds_without_a_mistake_and_every_neuron_has_one_frequency(lift):
    """Its square has a fifth of its variance at twice the frequency: .8 and .2 squared are .68."""
    found = measured(lift=lift)

    assert (found["train_accuracy"] == 1).all()
    assert (found["val_accuracy"] == 1).all()
    assert (found["fourier/restricted_val_accuracy"] == 1).all()
    np.testing.assert_allclose(found["fourier/embedding_ipr"], 1, rtol=1e-5)
    np.testing.assert_allclose(found["fourier/neurons_ipr"], 0.68, rtol=1e-4)
    # 211 neurons have frequencies 1 to 5, the first once more than the others
    shares_3x5 = np.tile([43 / 211, 42 / 211, 42 / 211, 42 / 211, 42 / 211], (3, 1))
    np.testing.assert_allclose(found["fourier/embedding"], shares_3x5, rtol=1e-5)
    norm = (3 * 211 * P / 2) ** 0.5 * (2 / 211) ** (1 / 3)  # of 3 x 211 cosines
    np.testing.assert_allclose(found["weight_norm"], norm, rtol=1e-5)
    assert len({*found["val_loss"].tolist()}) == 3  # seeds differ


def test_a_narrow_network_does_not():
    assert (measured(neurons=3)["val_accuracy"] < 0.5).all()


def test_the_weights_are_the_same_in_every_form_and_signs_have_none():
    usual = measured()
    for form in ("a o b =", "a b ="):
        found = measured(form)
        assert found.keys() == usual.keys()
        same = (
            "val_loss",
            "fourier/logits",
            "groups/similarity",
            "groups/coset_size",
            "weight_norm",
        )
        for name in same:
            np.testing.assert_allclose(found[name], usual[name], rtol=1e-4, err_msg=name)


def test_weights_have_the_size_of_the_authors():
    """Columns of the 100 neurons in https://github.com/d-doshi/Grokking, where p is 17.

    Three values in a row of a wave of frequency w have x_0 + x_2 = 2 cos(w) x_1, and so a size.
    """
    x_3 = np.array([0.2675654, 0.26600957, 0.22852772])  # of one of their neurons
    cos = (x_3[0] + x_3[2]) / (2 * x_3[1])
    quadrature = (x_3[2] - x_3[0]) / (2 * np.sqrt(1 - cos**2))
    theirs = np.hypot(x_3[1], quadrature)
    left_pxF = _waves.draw(jax.random.key(0), 17, 100).left_pxF

    assert np.arccos(cos) == pytest.approx(2 * np.pi / 17, rel=1e-4)
    np.testing.assert_allclose(
        np.linalg.norm(left_pxF, axis=0), theirs * (17 / 2) ** 0.5, rtol=1e-4
    )


@pytest.mark.parametrize("p", [2, 3, 12, 13])
def test_frequencies_are_those_below_half_of_p_as_often_as_each_other(p):
    left_pxF = np.asarray(_waves.draw(jax.random.key(1), p, 29).left_pxF)
    power_kxF = np.abs(np.fft.rfft(left_pxF, axis=0)) ** 2
    of_neuron_F = power_kxF.argmax(axis=0)
    counts = np.bincount(of_neuron_F)[1:]

    assert len(counts) == max(1, (p - 1) // 2)
    assert counts.min() >= counts.max() - 1
    assert power_kxF.max(axis=0).sum() == pytest.approx(power_kxF.sum(), rel=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        dict(code="embedding"),
        dict(activation="relu"),
        dict(use_bias=True),
        dict(hidden=(7, 7)),
        dict(slots=()),
        dict(summed=True),
        dict(layer_norm=True),
    ],
)
def test_another_network_cannot_begin_with_them(options):
    with pytest.raises(ValueError, match="initializer = 'gromov' is for one layer that squares"):
        make_network(modular.make("add", p=7), GROMOV | dict(slots=(0, 2)) | options)
