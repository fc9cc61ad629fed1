"""What every model of `models/` has to be, and the initialisers they share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import initial

from grokjax import lookup
from grokjax.layers import INITS
from grokjax.prefixes import plain
from grokjax.tasks import modular
from grokjax.trainer import make_model


@pytest.mark.parametrize("name", lookup.names("model"))
def test_every_model_answers_each_sequence_of_a_batch_on_its_own(name):
    task = modular.make(p=7)
    small = dict(width=12, num_heads=2, hidden=(11, 13))
    known = lookup.options("model", name)
    network = make_model(task, {"name": name} | {o: small[o] for o in small if o in known})
    inputs_BxL = jnp.asarray(task.examples.inputs_NxL[:5])
    params = initial(network, plain(inputs_BxL))
    apply = jax.jit(lambda inputs_BxL: network.apply({"params": params}, plain(inputs_BxL)))
    logits_BxC = apply(inputs_BxL)

    assert logits_BxC.shape == (5, 7)
    assert isinstance(network.causal, bool)
    assert network.last_layer(params).shape[1] == 7
    np.testing.assert_allclose(apply(inputs_BxL[::-1]), logits_BxC[::-1], atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [dict(), dict(embedding_width=0, use_bias=False, slots=(0, 2)), dict(layer_norm=True)],
    ids=["embeddings", "one-hot operands", "layer norm"],
)
def test_tables_of_first_layer_products_are_the_layer_on_concatenated_embeddings(options):
    task = modular.make(p=7)
    network = make_model(task, dict(name="mlp", hidden=(11,), **options))
    inputs_BxL = jnp.asarray(task.examples.inputs_NxL)
    params = initial(network, plain(inputs_BxL))

    code_VxD = params.get("token", jnp.eye(9))
    x = code_VxD[inputs_BxL[:, list(network.slots or range(4))]].reshape(42, -1)
    x = jax.nn.relu(x @ params["kernel_0"] + params.get("bias_0", 0))
    if network.layer_norm:
        x = (x - x.mean(1, keepdims=True)) / jnp.sqrt(x.var(1, keepdims=True) + 1e-5)
    expected = x @ params["readout"]["kernel"] + params["readout"].get("bias", 0)
    logits = jax.jit(network.apply)({"params": params}, plain(inputs_BxL))

    np.testing.assert_allclose(logits, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(slots=(0, 4)), "choose from positions 0 to 3"),
        (dict(hidden=()), "number of model.hidden layers = 0"),
        (dict(hidden=(3, 0)), "narrowest of model.hidden = 0"),
        (dict(dropout=-0.1), "model.dropout = -0.1"),
    ],
)
def test_an_mlp_that_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_model(modular.make(p=7), dict(name="mlp", **options))


def test_the_torch_preset_is_uniform_within_one_over_the_root_of_fan_in():
    kernel = INITS["torch"].kernel(jax.random.key(0), (100, 50))
    bias = INITS["torch"].bias(jax.random.key(1), (50,), 100)
    embedding = INITS["torch"].embedding(jax.random.key(2), (100, 50))

    assert 0.099 < float(jnp.abs(kernel).max()) <= 0.1
    assert 0.08 < float(jnp.abs(bias).max()) <= 0.1
    assert float(embedding.std()) == pytest.approx(1.0, rel=0.05)


def test_the_lecun_preset_keeps_the_variance_of_its_input():
    kernel = INITS["lecun"].kernel(jax.random.key(0), (100, 50))

    assert float(kernel.std()) == pytest.approx(0.1, rel=0.05)
    assert not INITS["lecun"].bias(jax.random.key(1), (50,), 100).any()
