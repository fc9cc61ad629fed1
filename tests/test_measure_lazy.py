"""The tangent kernel: linear models and a hidden layer by hand, alignments in closed form."""

from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from grokjax.core.prefixes import plain
from grokjax.measures import lazy
from grokjax.models import mlp
from grokjax.tasks import modular, parity

TASK = modular.make("add", 7)


class Linear(nn.Module):
    """Logits are the sum of a weight for each token at its position."""

    num_classes: int

    @nn.compact
    def __call__(self, tree):
        tokens_BxL = jnp.stack(tree.tokens, axis=1)
        return nn.Dense(self.num_classes)(_one_hot(tokens_BxL))


def _one_hot(tokens_BxL):
    return jax.nn.one_hot(tokens_BxL, 9).reshape(len(tokens_BxL), -1)


def _measured(network, params, initial_params, task=TASK):
    measure = lazy.make(task, network, examples=23, classes=3)

    @jax.jit
    def measured(params, initial_params):
        fields = dict(params=params, initial_params=lambda: initial_params)
        return measure.compute(SimpleNamespace(**fields))

    return measured(params, initial_params)


def _params(network, seed=0):
    return jax.jit(network.init)(jax.random.key(seed), plain(TASK.examples.inputs_NxL[:1]))[
        "params"
    ]


def test_a_linear_model_has_the_kernel_of_its_inputs_and_never_drifts():
    """K = X X^T + 1 for the bias, whatever the weights: how many tokens two examples share."""
    network = Linear(7)
    task = modular.make("a^3+ab", 7)  # the labels of a sum are not aligned at all
    rows_B = lazy.choose_rows(task.examples.labels_N, examples=23, classes=3)
    inputs_BxL = task.examples.inputs_NxL[rows_B]
    labels_B = task.examples.labels_N[rows_B]
    shared_BxB = (inputs_BxL[:, None] == inputs_BxL[None]).sum(axis=-1) + 1.0
    same_BxB = (labels_B[:, None] == labels_B).astype(float)
    centre_BxB = np.eye(len(rows_B)) - 1 / len(rows_B)
    k_BxB, y_BxB = (centre_BxB @ x @ centre_BxB for x in (shared_BxB, same_BxB))

    value = _measured(network, _params(network, 1), _params(network, 2), task)

    assert abs(value["drift"]) < 1e-6
    expected = np.trace(k_BxB @ y_BxB) / np.sqrt(np.trace(k_BxB @ k_BxB) * np.trace(y_BxB @ y_BxB))
    assert expected > 0.01
    np.testing.assert_allclose(value["alignment"], expected, rtol=1e-4)


def test_the_kernel_of_a_hidden_layer():
    """K = (1 + h h') + sum over its active neurons of a^2 (1 + x x'), a the weights read out."""
    network = mlp.Model(9, 7, 4, code="one_hot", hidden=(5,))
    params = _params(network)
    inputs_BxL = TASK.examples.inputs_NxL[[0, 8, 16, 3, 11, 30]]
    readout_C = np.arange(7.0, dtype=np.float32)

    def output(params, inputs_L):
        return network.apply({"params": params}, plain(inputs_L[None]))[0] @ readout_C

    kernel_BxB = jax.jit(lambda params: lazy.tangent_kernel(output, params, inputs_BxL))(params)

    x_BxI = np.asarray(_one_hot(inputs_BxL))
    input_BxF = x_BxI @ np.asarray(params["kernel_0"]) + np.asarray(params["bias_0"])
    hidden_BxF = np.maximum(input_BxF, 0)
    outgoing_F = np.asarray(params["readout"]["kernel"]) @ readout_C
    slope_BxF = (input_BxF > 0) * outgoing_F
    expected = (1 + hidden_BxF @ hidden_BxF.T) * (readout_C @ readout_C)
    expected += slope_BxF @ slope_BxF.T * (1 + x_BxI @ x_BxI.T)
    np.testing.assert_allclose(kernel_BxB, expected, rtol=1e-4)


def test_alignment_with_the_labels_in_closed_form():
    """Two classes of five and labels y = +-1: K = y y^T gives 1, K = 1 gives 1 / sqrt(B - 1)."""
    sign_B = np.repeat([1.0, -1.0], 5)
    same_BxB = lazy.centred(np.equal.outer(sign_B, sign_B).astype(np.float32))
    top_BxB = 3 * np.outer(sign_B, sign_B) + 7  # a constant does not count

    def aligned(kernel_BxB):
        return lazy.cosine(lazy.centred(kernel_BxB), same_BxB)

    np.testing.assert_allclose(aligned(top_BxB), 1, rtol=1e-6)
    np.testing.assert_allclose(aligned(np.eye(10)), 1 / 3, rtol=1e-6)
    other_B = np.tile([1.0, -1.0], 5)
    other_B[[0, 9]] = 0  # as many of both signs in both classes
    np.testing.assert_allclose(aligned(np.outer(other_B, other_B)), 0, atol=1e-6)


def test_a_kernel_that_only_grows_has_not_drifted():
    """A readout twice as large makes the hidden layer's part four times as large: some drift."""
    network = mlp.Model(9, 7, 4, code="one_hot", hidden=(5,), use_bias=False)
    params = _params(network)
    none = _measured(network, params, params)
    twice = _measured(network, jax.tree.map(lambda x: 2 * x, params), params)
    one = {"kernel_0": params["kernel_0"], "readout": {"kernel": 2 * params["readout"]["kernel"]}}

    some = _measured(network, one, params)

    assert abs(none["drift"]) < 1e-6
    assert abs(twice["drift"]) < 1e-6
    assert some["drift"] > 1e-4
    np.testing.assert_allclose(twice["alignment"], none["alignment"], rtol=1e-5)


def test_its_own_products_are_in_full_precision():
    network = mlp.Model(9, 7, 4, code="one_hot", hidden=(5,))
    params = _params(network)
    fields = dict(params=params, initial_params=lambda: params)
    compute = lazy.make(TASK, network, examples=23, classes=3).compute

    with jax.default_matmul_precision("bfloat16"):
        program = str(jax.make_jaxpr(lambda: compute(SimpleNamespace(**fields)))())

    assert program.count("dot_general[") == program.count("Precision.HIGHEST,") > 0


def test_rows_are_as_many_of_each_class():
    labels_N = np.array([4, 1, 1, 4, 2, 1, 2, 4, 2, 2, 1, 3])

    rows_B = lazy.choose_rows(labels_N, examples=11, classes=3)
    labels, counts = np.unique(labels_N[rows_B], return_counts=True)

    assert len(labels) == 3
    assert len(set(rows_B)) == len(rows_B)
    assert all(
        count == (1 if label == 3 else 3) for label, count in zip(labels, counts, strict=True)
    )
    two = lazy.choose_rows(labels_N % 2, examples=11, classes=8)
    assert np.bincount(labels_N[two] % 2).tolist() == [5, 5]


def test_too_few_examples_are_refused():
    network = mlp.Model(9, 7, 4)

    with pytest.raises(ValueError, match="examples = 15 has no two examples of each of measure.la"):
        lazy.make(TASK, network, examples=15)
    with pytest.raises(ValueError, match="lazy.classes = 1; choose 2 to 4,096"):
        lazy.make(TASK, network, classes=1)
    lazy.make(parity.make(), network)  # it has two classes
