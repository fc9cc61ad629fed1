"""Where parts meet: what a user's part gives that it must not is one line, before training."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import toy_mlp

import grokjax
from grokjax.core import loop
from grokjax.core.data import Examples, Group, Task
from grokjax.core.split import find_strata
from grokjax.models import mlp
from grokjax.optimizers import sgd
from grokjax.tasks import modular


def refused(config):
    """What `setup` says of a config."""
    with pytest.raises(ValueError, match="make") as caught:
        grokjax.setup(config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("new_state", "shapes"),
    [
        (lambda state: (*state, jnp.zeros(3)), "((), (3,)); make them ((),)"),
        (lambda state: (jnp.zeros(5),), "((5,),); make them ((),)"),
        (lambda state: {"count": state[0]}, "{'count': ()}; make them ((),)"),
    ],
    ids=["another leaf", "another shape", "another container"],
)
def test_an_optimizer_that_changes_its_state_is_named(monkeypatch, new_state, shapes):
    transform = optax.GradientTransformation(
        lambda params: (jnp.zeros(()),), lambda updates, state, params: (updates, new_state(state))
    )
    monkeypatch.setattr(sgd, "make", lambda learning_rate: transform)

    assert refused(toy_mlp("clip+sgd")) == (
        f"optimizer sgd returns another state than its init: it has shapes {shapes}"
    )


def test_an_optimizer_that_changes_the_shape_of_updates_is_named(monkeypatch):
    flat = optax.stateless(lambda updates, params: jax.tree.map(jnp.ravel, updates))
    monkeypatch.setattr(sgd, "make", lambda learning_rate: flat)

    assert "optimizer sgd returns other updates than it gets: it has" in refused(toy_mlp("sgd"))


@pytest.mark.parametrize(
    ("logits", "given"),
    [
        (jnp.zeros((1, 9)), "(1, 9) float32"),
        (jnp.zeros(7), "(7,) float32"),
        (jnp.zeros((1, 7), int), "(1, 7) int32"),
    ],
)
def test_a_model_whose_logits_are_no_batch_of_classes_is_refused(monkeypatch, logits, given):
    monkeypatch.setattr(mlp.Model, "__call__", lambda self, tree, train=False: logits)

    assert refused(toy_mlp()) == (
        f"the model gives logits {given}; make them [B, C] = (1, 7) float32"
    )


def test_groups_that_are_not_all_rows_are_refused(monkeypatch):
    made = modular.make(p=7)._replace(groups=(Group("a", 20), Group("b", 21)))
    monkeypatch.setattr(modular, "make", lambda op="div", p=7: made)

    assert refused(toy_mlp()) == "task modular has 42 rows; make its groups, (20, 21), add up"


def test_a_table_given_to_the_core_itself_is_asserted():
    """What no config has checked; to the caller of `make_dataset` it is a programming error."""
    table = modular.make(p=7).examples
    strata = find_strata(modular.make(p=7))
    for wrong in (
        Examples(table.inputs_NxL, table.labels_N[:-1]),
        Examples(table.inputs_NxL.ravel(), table.labels_N),
        Examples(table.inputs_NxL.astype(np.float32), table.labels_N),
    ):
        with pytest.raises(AssertionError, match="Chex"):
            grokjax.make_dataset(Task(wrong, num_tokens=9, num_classes=7), strata)


def test_a_state_of_another_number_of_runs_is_asserted():
    config = toy_mlp()
    config.runs.seed = (0, 1, 2)
    experiment = grokjax.setup(config)
    given = (experiment.trainer, experiment.runs_R, experiment.dataset)
    state_R = loop.init(*given)
    two_R = jax.tree.map(lambda x_R: x_R[:2], state_R)
    metrics_R = {"val_loss": np.zeros(3)}
    with pytest.raises(AssertionError, match="assert_tree_shape_prefix"):
        next(loop.chunks(*given, num_steps=5, state_R=two_R, metrics_R=metrics_R))
