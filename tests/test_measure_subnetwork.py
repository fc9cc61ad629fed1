"""Neurons that are enough: networks written by hand, and every number tried one by one."""

import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from grokjax.core import losses
from grokjax.core.prefixes import plain
from grokjax.measures import subnetwork
from grokjax.models import lstm, mlp, tokenformer, transformer
from grokjax.tasks import modular

TASK = modular.make("add", 7)
INPUTS_NxL = TASK.examples.inputs_NxL


@functools.cache
def _apply(network):
    return jax.jit(lambda params: network.apply({"params": params}, plain(INPUTS_NxL)))


def _predictions(network, params):
    return np.asarray(_apply(network)(params)).argmax(1)


def _params(network):
    return jax.jit(network.init)(jax.random.key(0), plain(INPUTS_NxL[:1]))["params"]


def train_rows(size):
    place_B = np.arange(size)
    return 48 - place_B % 49, jnp.asarray(place_B < 49)


def _measured(network, params, labels_N, examples=49, keep=1.0):
    """The values of a network, all of whose table is its training set in reversed order."""

    @jax.jit
    def measured(params):
        fields = dict(
            params=params,
            labels_N=jnp.asarray(labels_N),
            train_rows=train_rows,
            logits=lambda params, rows_B: network.apply(
                {"params": params}, plain(INPUTS_NxL[rows_B])
            ),
        )
        measure = subnetwork.make(TASK, network, examples=examples, keep=keep)
        return measure.compute(SimpleNamespace(correct=losses.correct, **fields))

    return {name: np.asarray(value) for name, value in measured(params).items()}


@pytest.mark.parametrize(("size", "threshold"), [(1, 1), (2, 2), (11, 1), (11, 11), (24, 7)])
def test_the_search_finds_every_number(size, threshold):
    def accuracy(count):
        return jnp.where(count >= threshold, 0.75, count / (2 * size))

    needed, kept_K = subnetwork.search(accuracy, size, keep=1.0)

    assert needed == threshold
    step = int(np.ceil(size**0.5))
    expected_K = [accuracy(min(k, size)) for k in range(step, size + step, step)]
    np.testing.assert_allclose(kept_K, expected_K, rtol=1e-6)


def test_a_share_of_the_accuracy_may_be_enough():
    needed, _ = subnetwork.search(lambda count: count / 20, size=20, keep=0.6)

    assert needed == 12


def test_an_mlp_needs_the_neurons_that_know_and_not_those_that_are_small():
    """Seven large neurons see one left operand each and vote for it; four small ones do nothing.

    Labels are the left operands but for 5 and 6, which the network does not tell from 0.
    """
    network = mlp.Model(9, 7, 4, code="one_hot", slots=(0,), hidden=(11,), use_bias=False)
    large_F = np.array([0, 9, 0, 8, 7, 6, 0, 5, 4, 3, 0.0])  # at neurons 1, 3, 4, 5, 7, 8, 9
    operand_F = np.array([0, 0, 0, 1, 2, 3, 0, 4, 5, 6, 0])
    kernel_IxF = np.full((9, 11), 0.01, np.float32) * (large_F == 0)
    kernel_IxF[operand_F, range(11)] += large_F
    readout_FxC = np.zeros((11, 7), np.float32)
    readout_FxC[range(11), np.where(operand_F < 5, operand_F, 0)] = large_F > 0
    params = {"kernel_0": jnp.asarray(kernel_IxF), "readout": {"kernel": jnp.asarray(readout_FxC)}}

    value = _measured(network, params, labels_N=INPUTS_NxL[:, 0])

    assert value["neurons_needed"] == 5  # 9, 8, 7, 6, 5: the next two are wrong
    np.testing.assert_allclose(value["kept"], [4 / 7, 5 / 7, 5 / 7], rtol=1e-6)
    assert _measured(network, params, INPUTS_NxL[:, 0], keep=0.7)["neurons_needed"] == 4
    more = _measured(network, params, INPUTS_NxL[:, 0], examples=53)  # four rows come again
    np.testing.assert_allclose(more["kept"], value["kept"], rtol=1e-6)


@pytest.mark.parametrize("hidden", [(23,), (5, 23)])
def test_an_mlp_needs_as_many_as_when_each_number_is_tried(hidden):
    """With numpy's own forward pass from the last hidden layer on, silent after the activation."""
    network = mlp.Model(9, 7, 4, hidden=hidden, embedding_width=3)
    params = _params(network)
    _, shown = network.apply({"params": params}, plain(INPUTS_NxL), mutable=["intermediates"])
    neurons_NxF = np.asarray(shown["intermediates"]["neurons"][0])
    kernel_IxF = params["hidden_1"]["kernel"] if len(hidden) > 1 else params["kernel_0"]
    order_F = np.argsort(-np.linalg.norm(kernel_IxF, axis=0))
    labels_N = _predictions(network, params)
    kernel_FxC, bias_C = (np.asarray(params["readout"][x]) for x in ("kernel", "bias"))
    accuracy_F = []
    for count in range(1, 24):
        kept = order_F[:count]
        logits_NxC = neurons_NxF[:, kept] @ kernel_FxC[kept] + bias_C
        accuracy_F.append((logits_NxC.argmax(1) == labels_N).mean())

    value = _measured(network, params, labels_N)

    assert value["neurons_needed"] == 1 + accuracy_F.index(1.0) > 1
    np.testing.assert_allclose(value["kept"], accuracy_F[4::5] + accuracy_F[-1:], rtol=1e-6)


@pytest.mark.parametrize(
    "network",
    [
        transformer.Model(9, 7, 4, num_blocks=2, width=6, num_heads=2, ff_width=13),
        transformer.Model(9, 7, 4, num_blocks=1, width=6, num_heads=2, ff_width=13, norm="post"),
    ],
)
def test_a_transformer_needs_as_many_as_when_neurons_get_no_input(network):
    """A neuron without incoming weights and bias is 0 after GELU: another way to silence it."""
    params = flatten_dict(_params(network))
    mlp_ = (f"block_{network.num_blocks - 1}", "mlp", "up")
    into, bias = (*mlp_, "kernel"), (*mlp_, "bias")
    down = (*mlp_[:2], "down", "kernel")
    params[down] = 4 * params[down]  # so that neurons matter
    order_F = np.argsort(-np.linalg.norm(params[into], axis=0))
    labels_N = _predictions(network, unflatten_dict(params))
    accuracy_F = []
    for count in range(1, 14):
        mask_F = np.isin(np.arange(13), order_F[:count])
        silent = {**params, into: params[into] * mask_F[None], bias: params[bias] * mask_F}
        accuracy_F.append((_predictions(network, unflatten_dict(silent)) == labels_N).mean())

    value = _measured(network, unflatten_dict(params), labels_N)

    assert value["neurons_needed"] == 1 + accuracy_F.index(1.0) > 1
    np.testing.assert_allclose(value["kept"], accuracy_F[3::4] + accuracy_F[-1:], rtol=1e-6)


def test_layers_are_found_by_number():
    shapes = {f"block_{n}": {"mlp": {"up": {"kernel": 0}, "down": {"kernel": 0}}} for n in (10, 9)}

    into, out = subnetwork.find_layers(shapes)

    assert into == ("block_10", "mlp", "up", "kernel")
    assert out == ("block_10", "mlp", "down", "kernel")


def test_models_whose_neurons_have_no_weights_of_their_own_are_refused():
    subnetwork.make(TASK, tokenformer.Model(9, 7, 4, width=8, num_heads=2))
    for network in (lstm.Model(9, 7, 4), mlp.Model(9, 7, 4, layer_norm=True)):
        with pytest.raises(ValueError, match="finds none in this model; choose model=mlp, or a tr"):
            subnetwork.make(TASK, network)
    with pytest.raises(ValueError, match="model.linear = 'bit' rounds them by their mean size; ch"):
        subnetwork.make(TASK, transformer.Model(9, 7, 4, linear="bit"))
    with pytest.raises(ValueError, match="subnetwork.keep = 0; choose above 0, at most 1"):
        subnetwork.make(TASK, mlp.Model(9, 7, 4), keep=0)
