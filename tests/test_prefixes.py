"""Sharing prefixes is exact: the same logits and gradients as one row for every example."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import initial, toy

import grokjax
from grokjax.config import registry
from grokjax.config.experiment import make_network
from grokjax.core import dataset
from grokjax.core.prefixes import Prefixes, find_prefixes, plain
from grokjax.models import transformer
from grokjax.models._attention import POSITIONS
from grokjax.models._decoder import Block
from grokjax.tasks import modular, permutation, sums


def test_the_prefixes_of_a_small_table():
    table = find_prefixes(np.array([[3, 9, 5, 8], [3, 9, 6, 8], [4, 9, 5, 8]]))

    assert [row.tolist() for row in table.tokens] == [[3, 4], [9, 9]]
    assert [row.tolist() for row in table.row_of_example] == [[0, 0, 1], [0, 0, 1]]
    assert [[row.tolist() for row in path] for path in table.ancestors] == [[], [[0, 1]]]


def test_only_positions_with_fewer_prefixes_than_examples_are_shared():
    table = find_prefixes(modular.make(op="div", p=7).examples.inputs_NxL)

    assert table.tree(jnp.arange(7)).num_shared == 0
    tree = table.tree(jnp.arange(8))
    assert [row.size for row in tree.tokens] == [7, 7, 8, 8]
    assert tree.positions_M.tolist() == [0] * 7 + [1] * 7 + [2] * 8 + [3] * 8


def difference(task, rows_B, shared=2, **model):
    """Largest difference of each example's logits [B], and of gradients, of shared and plain."""
    network = make_network(task, {"name": "transformer"} | model)
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

    both = map(logits_and_grads, trees)
    (grads, logits_BxC) = jax.tree.map(lambda a, b: np.abs(a - b), *both)
    return logits_BxC.max(axis=1), max(x.max() for x in jax.tree.leaves(grads))


CAUSAL = [
    dict(name=name)
    for name in registry.names("model")
    if registry.find("model", name).Model.causal is True
]
VARIANTS = [
    dict(norm="post", activation="relu", initializer="torch"),
    dict(norm="overwrite", norm_kind="rms", activation="silu"),
    dict(norm="none", positions="none"),
    dict(block_repeats=2, tied_readout=True, num_blocks=1),
    dict(head_width=5, activation="gelu_tanh", embedding_scale=3.0),
    dict(name="gpt2", positions="rotary", qk_norm="rms"),
    dict(name="gpt2", positions="alibi", qk_norm="layer"),
    dict(name="gpt2_resv", variant="svformer"),
    dict(attention_coefficient=0.3),
]
SLOW = [
    pytest.param(dict(name="gpt2_meta", frames=2, **options), marks=pytest.mark.slow)
    for options in (dict(positions="alibi"), dict(frame_blocks=True, qk_norm="rms"))
]


def named(model):
    return " ".join(map(str, model.values()))


@pytest.mark.parametrize("model", CAUSAL + VARIANTS + SLOW, ids=named)
def test_sharing_is_exact_for_modular_tasks(model):
    """Batches of 101 examples over 31 first numbers."""
    task = modular.make(op="div", p=31)
    rows_B = jax.random.permutation(jax.random.key(1), 31 * 30)[:101]
    logits_B, grads = difference(task, rows_B, width=24, num_heads=3, **model)

    assert logits_B.max() < 1e-5
    assert grads < 1e-5


def test_sharing_is_exact_but_for_what_bits_round_to():
    """A number between two that can be represented may round to either."""
    task = modular.make(op="div", p=31)
    rows_B = jax.random.permutation(jax.random.key(1), 31 * 30)[:101]
    logits_B, grads = difference(task, rows_B, width=24, num_heads=3, linear="bit")

    assert (logits_B > 1e-5).mean() <= 0.02
    assert grads < 1e-2


def test_sharing_is_exact_for_s5():
    rows_B = jax.random.permutation(jax.random.key(1), 14400)[:311]

    logits_B, grads = difference(permutation.make(), rows_B, width=24, num_heads=3)
    assert max(logits_B.max(), grads) < 1e-5


@pytest.mark.parametrize("positions", POSITIONS)
def test_sharing_is_exact_on_a_deeper_tree_with_a_matmul_over_its_keys(positions):
    """Sums of five numbers mod 3: 3, 3, 9, 9, 27, 27 and 81 prefixes, ten positions."""
    rows_B = jax.random.permutation(jax.random.key(1), 3**5)[:59]

    task = sums.make(length=5, p=3)
    sizes = dict(width=24, num_heads=3, positions=positions)
    logits_B, grads = difference(task, rows_B, shared=6, **sizes)
    assert max(logits_B.max(), grads) < 1e-5


@pytest.mark.slow
def test_sharing_is_exact_at_the_size_of_the_papers():
    rows_B = jax.random.permutation(jax.random.key(1), 9312)[:512]

    logits_B, grads = difference(modular.make(), rows_B, width=128, num_heads=4)
    assert max(logits_B.max(), grads) < 1e-5


def test_dropout_turns_sharing_off_in_training_and_leaves_it_on_in_evaluation(monkeypatch):
    """p = 7 is below the batch of 11, so that something would be shared."""
    seen = []
    for name in ("plain", "tree"):
        owner = dataset if name == "plain" else Prefixes
        original = getattr(owner, name)

        def spy(*args, name=name, original=original):
            seen.append(name)
            return original(*args)

        monkeypatch.setattr(owner, name, spy)

    experiment = grokjax.setup(toy(dropout=0.1))
    run = jax.tree.map(lambda x: x[0], experiment.runs_R)
    state = jax.eval_shape(experiment.trainer.init, run, experiment.dataset)
    seen.clear()
    jax.eval_shape(experiment.trainer.step, state, 0, run, experiment.dataset)
    assert seen == ["plain"]
    jax.eval_shape(experiment.trainer.evaluate, state, run, experiment.dataset)
    assert seen == ["plain", "tree"]


@pytest.mark.parametrize("model", [m for m in CAUSAL + VARIANTS if "name" in m] + SLOW, ids=named)
def test_nothing_flows_from_later_tokens_to_earlier_rows(model):
    """By exactly zero: the gradient of the rows of a block reaches the tokens up to their own.

    The same holds for what blocks carry besides them: meta tokens, the first block's values.
    """
    assert tokens_reached(model) == np.tri(4, dtype=bool).tolist()


@pytest.mark.parametrize("model", [dict(name="transformer"), *SLOW], ids=named)
def test_without_a_mask_every_row_is_reached_by_every_token(model):
    assert tokens_reached(model | dict(causal=False)) == np.ones((4, 4), bool).tolist()


def tokens_reached(model):
    """[L, L]: does a row of some block depend on a token?"""
    options = model | dict(width=12, num_heads=2, num_blocks=3)
    network = registry.find("model", options.pop("name", "transformer")).Model(11, 5, 4, **options)
    tree = plain(jnp.array([[7, 3, 10, 8]]))
    params = initial(network, tree)

    @jax.jit
    def rows(params):
        """[L]: a random number for each row, of all that its blocks compute."""
        of_blocks = dict(capture_intermediates=lambda module, _: isinstance(module, Block))
        _, captured = network.apply({"params": params}, tree, **of_blocks)
        seen = [x for x in jax.tree.leaves(captured) if len(x) == 4]  # all rows, not the last ones
        return sum(
            (x * jax.random.normal(jax.random.key(1), x.shape)).reshape(4, -1).sum(1) for x in seen
        )

    grad_LxVxD = jax.jit(jax.jacrev(rows))(params)["token"]
    reached_LxL = np.asarray(jnp.abs(grad_LxVxD).max(axis=2) > 0)[:, tree.tokens_M]
    return reached_LxL.tolist()


def test_without_a_mask_no_row_is_shared():
    """p = 7 is below the batch of 11, so that something would be shared."""
    assert len(grokjax.setup(toy()).dataset.prefixes.tokens) == 2
    assert not grokjax.setup(toy(causal=False)).dataset.prefixes.tokens


@pytest.mark.slow
def test_without_a_mask_runs_side_by_side_are_as_one_by_one():
    config = toy(causal=False)
    config.runs = grokjax.grid(config.runs, seed=(0, 1, 2))
    losses = []
    for config.lift in ("map", "vmap"):
        losses.append(grokjax.train(config).history["train_loss"])
    assert losses[0].shape == (4, 3)
    np.testing.assert_allclose(*losses, rtol=1e-4)


@pytest.mark.parametrize("positions", POSITIONS)
def test_longer_sequences_take_the_matmul_and_agree_with_the_sum(positions, monkeypatch):
    inputs_BxL = jax.random.randint(jax.random.key(0), (5, 11), 0, 7)
    network = transformer.Model(7, 7, 11, width=12, num_heads=2, positions=positions)
    params = initial(network, plain(inputs_BxL))

    def logits_with(few_keys):
        monkeypatch.setattr("grokjax.models._attention.FEW_KEYS", few_keys)
        return jax.jit(lambda: network.apply({"params": params}, plain(inputs_BxL)))()

    chex.assert_trees_all_close(logits_with(8), logits_with(11), atol=1e-5)


def test_pairs_of_token_and_position():
    table = find_prefixes(np.array([[3, 9, 5, 8], [3, 9, 6, 8], [4, 9, 5, 8]] * 2))
    tree = jax.tree.map(jnp.asarray, table).tree(jnp.array([2, 1, 4]))

    assert tree.num_shared == 2
    assert tree.tokens_E.tolist() == [3, 4, 9, 5, 6, 8]
    assert tree.positions_E.tolist() == [0, 0, 1, 2, 2, 3]
    assert tree.spread(tree.tokens_E).tolist() == tree.tokens_M.tolist()
    assert tree.tokens_M.tolist() == [3, 4, 9, 9, 5, 6, 6, 8, 8, 8]
    assert tree.spread(tree.pairs(tree.tokens_E, True), True).tolist() == [8, 8, 8]
    assert tree.of_rows.tokens_E.tolist() == tree.tokens_M.tolist()


@pytest.mark.parametrize("rows", [3, 30])
def test_an_lstm_shares_its_states(rows):
    """A state depends on a prefix alone; with 3 rows no position is shared."""
    logits_B, grads = difference(
        modular.make(p=7), jnp.arange(rows), 2 * (rows > 7), name="lstm", width=12, num_layers=3
    )

    assert logits_B.max() < 1e-6
    assert grads < 1e-6
