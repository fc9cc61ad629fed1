"""Sharing prefixes is exact: the same logits and gradients as one row for every example."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import initial, toy

import grokjax
from grokjax.prefixes import Prefixes, find_prefixes, plain
from grokjax.tasks import modular, permutation, sums
from grokjax.trainer import make_model


def test_the_prefixes_of_a_small_table():
    table = find_prefixes(np.array([[3, 9, 5, 8], [3, 9, 6, 8], [4, 9, 5, 8]]))

    assert [row.tolist() for row in table.tokens] == [[3, 4], [9, 9]]
    assert [row.tolist() for row in table.places] == [[0, 0, 1], [0, 0, 1]]
    assert [[row.tolist() for row in path] for path in table.ancestors] == [[], [[0, 1]]]


def test_only_positions_with_fewer_prefixes_than_examples_are_shared():
    table = find_prefixes(modular.make(op="div", p=7).examples.inputs_NxL)

    assert table.tree(jnp.arange(7)).num_shared == 0
    tree = table.tree(jnp.arange(8))
    assert [row.size for row in tree.tokens] == [7, 7, 8, 8]
    assert tree.positions_M.tolist() == [0] * 7 + [1] * 7 + [2] * 8 + [3] * 8


def difference(task, rows_B, shared=2, **model):
    """Largest difference of logits and of gradients between shared and plain."""
    network = make_model(task, dict(name="transformer", **model))
    table = jax.tree.map(jnp.asarray, task.examples)
    inputs_NxL, labels_N = table.inputs_NxL, table.labels_N
    trees = find_prefixes(np.asarray(inputs_NxL)).tree(rows_B), plain(inputs_NxL[rows_B])
    assert trees[0].num_shared == shared
    params = initial(network, trees[1])

    @jax.jit
    def logits_and_grads(tree):
        def loss(params):
            logits_BxC = network.apply({"params": params}, tree)
            labels_B = labels_N[rows_B]
            losses_B = optax.softmax_cross_entropy_with_integer_labels(logits_BxC, labels_B)
            return losses_B.mean(), logits_BxC

        return jax.grad(loss, has_aux=True)(params)

    shared, unshared = map(logits_and_grads, trees)
    return max(jax.tree.leaves(jax.tree.map(lambda a, b: jnp.abs(a - b).max(), shared, unshared)))


@pytest.mark.parametrize(
    "model",
    [
        dict(),
        dict(norm="post", activation="relu", initializer="torch"),
        dict(block_repeats=2, tied_readout=True, num_blocks=1),
        dict(head_width=5, activation="gelu_tanh", embedding_scale=3.0),
    ],
    ids=["default", "post-norm", "repeated and tied", "odd sizes"],
)
def test_sharing_is_exact_for_modular_tasks(model):
    """Batches of 101 examples over 31 first numbers."""
    task = modular.make(op="div", p=31)
    rows_B = jax.random.permutation(jax.random.key(1), 31 * 30)[:101]

    assert difference(task, rows_B, width=24, num_heads=3, **model) < 1e-5


def test_sharing_is_exact_for_s5():
    rows_B = jax.random.permutation(jax.random.key(1), 14400)[:311]

    assert difference(permutation.make(), rows_B, width=24, num_heads=3) < 1e-5


def test_sharing_is_exact_on_a_deeper_tree_with_a_product_over_its_keys():
    """Sums of five numbers mod 3: 3, 3, 9, 9, 27, 27 and 81 prefixes, ten positions."""
    rows_B = jax.random.permutation(jax.random.key(1), 3**5)[:59]

    task = sums.make(length=5, p=3)
    assert difference(task, rows_B, shared=6, width=24, num_heads=3) < 1e-5


@pytest.mark.slow
def test_sharing_is_exact_at_the_size_of_the_papers():
    rows_B = jax.random.permutation(jax.random.key(1), 9312)[:512]

    assert difference(modular.make(), rows_B, width=128, num_heads=4) < 1e-5


def test_dropout_turns_sharing_off_in_training_and_leaves_it_on_in_evaluation(monkeypatch):
    """p = 7 is below the batch of 11, so that something would be shared."""
    seen = []
    for name in ("plain", "tree"):
        owner = grokjax.trainer.prefixes if name == "plain" else Prefixes
        original = getattr(owner, name)

        def spy(*args, name=name, original=original):
            seen.append(name)
            return original(*args)

        monkeypatch.setattr(owner, name, spy)

    experiment = grokjax.setup(toy(dropout=0.1))
    run = jax.tree.map(lambda x: x[0], experiment.runs_R)
    state = jax.eval_shape(experiment.trainer.init, run, experiment.table)
    seen.clear()
    jax.eval_shape(experiment.trainer.step, state, 0, run, experiment.table)
    assert seen == ["plain"]
    jax.eval_shape(experiment.trainer.evaluate, state, run, experiment.table)
    assert seen == ["plain", "tree"]


def test_nothing_flows_from_later_tokens_to_earlier_rows():
    """Causality by exactly zero: the answer's gradient reaches all tokens, theirs not the later."""
    task = modular.make(op="div", p=7)
    network = make_model(task, dict(name="transformer", width=12, num_heads=2))
    inputs_BxL = jnp.asarray(task.examples.inputs_NxL[:5])
    params = initial(network, plain(inputs_BxL))

    @functools.partial(jax.jit, static_argnums=0)
    def answer_at(length, params):
        tree = plain(inputs_BxL[:, :length])
        return network.apply({"params": params}, tree).sum()

    for length in (1, 2, 3, 4):
        grad_LxD = jax.grad(lambda p, n=length: answer_at(n, p))(params)["position"]
        reached = np.asarray(jnp.abs(grad_LxD).max(axis=1) > 0)
        assert reached.tolist() == [place < length for place in range(4)]


def test_a_batch_of_longer_sequences_takes_the_product_and_agrees_with_the_sum(monkeypatch):
    inputs_BxL = jax.random.randint(jax.random.key(0), (5, 11), 0, 7)
    task = modular.make(op="div", p=7)
    task = task._replace(examples=task.examples.replace(inputs_NxL=inputs_BxL))
    network = make_model(task, dict(name="transformer", width=12, num_heads=2))
    params = initial(network, plain(inputs_BxL))
    product = network.apply({"params": params}, plain(inputs_BxL))
    monkeypatch.setattr("grokjax.layers.FEW_KEYS", 11)
    summed = network.apply({"params": params}, plain(inputs_BxL))

    chex.assert_trees_all_close(product, summed, atol=1e-5)
