"""The models one by one, options that they refuse, and the initialisers they share."""

import functools

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import initial

from grokjax.config import registry
from grokjax.config.experiment import make_network
from grokjax.core.data import Examples, Task
from grokjax.core.prefixes import plain
from grokjax.tasks import modular


@pytest.mark.parametrize(
    "options",
    [dict(), dict(code="one_hot", use_bias=False, slots=(0, 2)), dict(layer_norm=True)],
    ids=["embeddings", "one-hot operands", "layer norm"],
)
def test_tables_of_first_layer_matmuls_are_the_layer_on_concatenated_embeddings(options):
    """Gradients too, of a loss in which every logit has a weight of its own."""
    task = modular.make(p=7)
    network = make_network(task, dict(name="mlp", hidden=(11,), **options))
    inputs_BxL = jnp.asarray(task.examples.inputs_NxL)
    params = initial(network, plain(inputs_BxL))

    weights_BxC = jax.random.normal(jax.random.key(1), (42, 7))

    def concatenated(params):
        code_VxD = params.get("token", jnp.eye(9))
        x = code_VxD[inputs_BxL[:, list(network.slots or range(4))]].reshape(42, -1)
        x = jax.nn.relu(x @ params["kernel_0"] + params.get("bias_0", jnp.zeros(11))[None])
        if network.layer_norm:
            norm = params["norm"]
            x = (x - x.mean(1, keepdims=True)) / jnp.sqrt(x.var(1, keepdims=True) + 1e-5)
            x = x * norm["scale"][None] + norm["bias"][None]
        return x @ params["readout"]["kernel"] + params["readout"].get("bias", jnp.zeros(7))[None]

    def logits_and_grads(forward):
        def loss(params):
            logits_BxC = forward(params)
            return (weights_BxC * logits_BxC).sum(), logits_BxC

        return jax.jit(jax.grad(loss, has_aux=True))(params)

    tables = logits_and_grads(lambda p: network.apply({"params": p}, plain(inputs_BxL)))
    expected = logits_and_grads(concatenated)

    assert all(jnp.abs(grad).max() > 0.1 for grad in jax.tree.leaves(expected[0]))
    chex.assert_trees_all_close(tables, expected, atol=1e-4)


@pytest.mark.parametrize("slots", [(), (0, 2)])
def test_pixels_are_multiplied_as_numbers_from_0_to_1(slots):
    task = modular.make(p=7)
    network = make_network(task, dict(name="mlp", code="pixels", hidden=(11,), slots=slots))
    inputs_BxL = jnp.asarray(task.examples.inputs_NxL)
    params = initial(network, plain(inputs_BxL))

    x = inputs_BxL[:, list(slots or range(4))] / 8  # tokens are 0 to 8
    x = jax.nn.relu(x @ params["kernel_0"] + params["bias_0"][None])
    expected = x @ params["readout"]["kernel"] + params["readout"]["bias"][None]
    logits = jax.jit(network.apply)({"params": params}, plain(inputs_BxL))

    assert set(params) == {"kernel_0", "bias_0", "readout"}
    np.testing.assert_allclose(logits, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(slots=(0, 4)), "choose from positions 0 to 3"),
        (
            dict(code="onehot"),
            "unknown model.code 'onehot'; choose from embedding, own_embedding, one_hot, pixels",
        ),
        (dict(embedding_width=0), "model.embedding_width = 0; choose 1 to 65,536"),
        (dict(hidden=()), "number of model.hidden layers = 0"),
        (dict(hidden=(3, 0)), "model.hidden = 0; choose 1 to 65,536"),
        (dict(dropout=-0.1), "model.dropout = -0.1"),
        (dict(code="pixels", summed=True), "model.summed adds codes of tokens, and pixels have"),
    ],
)
def test_an_mlp_that_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_network(modular.make(p=7), dict(name="mlp", **options))


def logits_and_params(name, params=None, **options):
    """Of all divisions mod 7, with the weights of key 0 or those given."""
    task = modular.make(op="div", p=7)
    network = make_network(task, dict(name=name, width=12, num_heads=2) | options)
    tree = plain(jnp.asarray(task.examples.inputs_NxL))
    params = initial(network, tree) if params is None else params
    return jax.jit(network.apply)({"params": params}, tree), params


def test_gpt2_reads_out_with_the_embeddings_of_the_classes():
    logits_BxC, params = logits_and_params("gpt2")
    turned = params | {"token": params["token"].at[3].multiply(-1)}
    rows = np.asarray(modular.make(op="div", p=7).examples.inputs_NxL != 3).all(axis=1)
    turned_BxC, _ = logits_and_params("gpt2", turned)

    assert "readout" not in params
    np.testing.assert_allclose(turned_BxC[rows, 3], -logits_BxC[rows, 3], atol=1e-6)
    np.testing.assert_allclose(turned_BxC[rows, :3], logits_BxC[rows, :3], atol=1e-6)


@pytest.mark.parametrize("tied_readout", [True, False])
def test_on_the_sphere_the_length_of_embeddings_and_readout_does_not_matter(tied_readout):
    options = dict(norm="sphere", positions="rotary", tied_readout=tied_readout)
    logits_BxC, params = logits_and_params("gpt2", **options)
    longer = params | {"token": 7 * params["token"]}
    if not tied_readout:
        longer["readout"] = {"kernel": 5 * params["readout"]["kernel"]}
    longer_BxC, _ = logits_and_params("gpt2", longer, **options)

    np.testing.assert_allclose(longer_BxC, logits_BxC, atol=1e-4)
    assert 1 < jnp.abs(logits_BxC).max() <= 10


def test_gpt2_begins_with_smaller_weights_where_branches_end():
    network = make_network(modular.make(p=7), dict(name="gpt2", width=100, num_blocks=8))
    params = initial(network, plain(jnp.zeros((1, 1), jnp.int32)))
    block = params["block_7"]
    out, down = block["attention"]["out"]["kernel"], block["mlp"]["down"]["kernel"]

    assert float(block["mlp"]["up"]["kernel"].std()) == pytest.approx(0.02, rel=0.05)
    assert float(out.std()) == pytest.approx(0.005, rel=0.05)  # .02 / sqrt(16)
    assert float(down.std()) == pytest.approx(0.005, rel=0.05)


def test_resformer_begins_half_and_half_and_with_its_own_values_alone_is_gpt2():
    expected, params = logits_and_params("gpt2")
    half, begun = logits_and_params("gpt2_resv")
    block = params["block_1"]
    attention = block["attention"] | {"mixture": jnp.array([1.0, 0.0])}
    own = params | {"block_1": block | {"attention": attention}}

    assert begun["block_1"]["attention"]["mixture"].tolist() == [0.5, 0.5]
    assert "mixture" not in begun["block_0"]["attention"]
    np.testing.assert_allclose(logits_and_params("gpt2_resv", own)[0], expected, atol=1e-6)
    assert jnp.abs(half - expected).max() > 1e-6


def test_svformer_projects_values_in_its_first_block_alone_and_is_resformer_with_those():
    expected, params = logits_and_params("gpt2_resv", variant="svformer", num_blocks=3)
    assert [name in params["block_0"]["attention"] for name in ("value", "mixture")] == [
        True,
        False,
    ]
    assert [set(params[f"block_{i}"]["attention"]) for i in (1, 2)] == [{"query", "key", "out"}] * 2

    first = {"mixture": jnp.array([0.0, 1.0]), "value": params["block_0"]["attention"]["value"]}
    for i in (1, 2):
        block = params[f"block_{i}"]
        params = params | {f"block_{i}": block | {"attention": block["attention"] | first}}
    mixed, _ = logits_and_params("gpt2_resv", params, num_blocks=3)
    np.testing.assert_allclose(mixed, expected, atol=1e-6)


def test_gpt2_meta_without_frames_is_gpt2():
    chex.assert_trees_all_equal(logits_and_params("gpt2_meta", frames=0), logits_and_params("gpt2"))


@pytest.mark.parametrize("frame_blocks", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_meta_tokens_change_the_logits_and_learn(frame_blocks):
    task = modular.make(p=7)
    options = dict(frames=3, frame_blocks=frame_blocks)
    network = make_network(
        task, dict(name="gpt2_meta", width=12, num_heads=2, num_blocks=1, **options)
    )
    tree = plain(jnp.asarray(task.examples.inputs_NxL))
    params = initial(network, tree)

    @jax.jit
    def loss_and_grads(params):
        return jax.value_and_grad(lambda p: (network.apply({"params": p}, tree) ** 2).sum())(params)

    loss, grads = loss_and_grads(params)
    without = jax.tree_util.tree_map_with_path(
        lambda path, x: 0 * x if "to_rows" in str(path) else x, params
    )

    assert params["frames"].shape == (3, 12)
    assert all(jnp.abs(g).max() > 0 for g in jax.tree.leaves(grads))
    assert jnp.abs(grads["frames"]).max(axis=1).min() > 0
    assert abs(loss_and_grads(without)[0] - loss) > 1e-6 * loss


def test_tokenformer_has_as_many_parameter_tokens_as_asked_for():
    network = make_network(
        modular.make(p=7), dict(name="tokenformer", width=12, tokens=5, ff_width=17)
    )
    tree = plain(jnp.zeros((1, 4), jnp.int32))
    params = jax.eval_shape(network.init, jax.random.key(0), tree)["params"]
    block = jax.tree.map(lambda x: x.shape, params["block_0"])

    assert block["mlp"] == {"keys": (12, 17), "values": (17, 12)}
    layer = {"keys": (12, 5), "values": (5, 12)}
    assert block["attention"] == dict.fromkeys(("query", "key", "value", "out"), layer)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            dict(norm="before"),
            "unknown model.norm 'before'; choose from pre, post, overwrite, sphere",
        ),
        (dict(norm_kind="mean"), "unknown model.norm_kind 'mean'; choose from layer, rms, bare"),
        (dict(linear="bits"), "unknown model.linear 'bits'; choose from dense, bit"),
        (dict(positions="sine"), "unknown model.positions 'sine'; choose from learned, rotary"),
        (dict(qk_norm="l2"), "unknown model.qk_norm 'l2'; choose from none, layer, rms"),
        (dict(positions="rotary", head_width=5), "a head is 5 wide; choose an even"),
        (dict(width=10, num_heads=4), "model.width = 10 is not divisible by model.num_heads = 4"),
        (dict(ff_width=-1), "model.ff_width = -1; choose 1 to 65,536"),
        (dict(ff_width=0), "model.ff_width = 0; choose 1 to 65,536"),
        (dict(head_width=0), "model.head_width = 0; choose 1 to 65,536"),
        (dict(norm_eps=0.0), "model.norm_eps = 0.0; choose above 0"),
        (dict(dropout=1.0), "model.dropout = 1.0; choose 0 to below 1"),
        (
            dict(name="gpt2_resv", variant="res"),
            "unknown model.variant 'res'; choose from resformer",
        ),
        (dict(name="gpt2_meta", frames=-1), "model.frames = -1; choose 0 or more"),
        (
            dict(name="gpt2_meta", frames=0, frame_blocks=True),
            "model.frame_blocks is for meta tokens; choose model.frames above 0",
        ),
        (dict(name="tokenformer", tokens=0), "model.tokens = 0; choose 1 to 65,536"),
        (dict(name="tokenformer", ff_width=0), "model.ff_width = 0; choose 1 to 65,536"),
        (dict(name="lstm", dropout=1.0), "model.dropout = 1.0; choose 0 to below 1"),
        (dict(name="tokenformer", linear="bit"), "model.linear = 'bit' has no layer"),
        (dict(name="tokenformer", use_bias=True), "a tokenformer has no biases; choose False"),
    ],
)
def test_a_decoder_that_cannot_be_is_refused_in_one_line(model, message):
    with pytest.raises(ValueError, match=message) as refused:
        make_network(modular.make(p=7), {"name": "transformer"} | model)

    assert "\n" not in str(refused.value)


def places_of_dropout(name, **options):
    """The shapes that dropout is applied to in training, of 5 sequences of 4 tokens."""
    sizes = dict(width=12, num_heads=2, num_blocks=1, ff_width=17, embedding_width=3, hidden=(11,))
    known = registry.options("model", name)
    sizes = {option: size for option, size in (sizes | options).items() if option in known}
    network = make_network(modular.make(p=7), dict(name=name, dropout=0.5, **sizes))
    tree = plain(jnp.asarray(modular.make(p=7).examples.inputs_NxL[:5]))
    params, places = initial(network, tree), []

    def watch(call, args, kwargs, context):
        if isinstance(context.module, nn.Dropout):
            places.append(args[0].shape)
        return call(*args, **kwargs)

    with nn.intercept_methods(watch):
        apply = functools.partial(network.apply, train=True)
        jax.eval_shape(apply, {"params": params}, tree, rngs={"dropout": jax.random.key(0)})
    return places


def test_dropout_of_an_lstm_is_between_its_layers_and_not_after_the_last():
    """As in torch.nn.LSTM, which only warns where there is one layer."""
    assert places_of_dropout("lstm", num_layers=3) == [(20, 12)] * 2

    with pytest.raises(ValueError, match="model.dropout = 0.5 lies between layers, and there is"):
        places_of_dropout("lstm", num_layers=1)


def test_dropout_of_an_mlp_is_behind_every_hidden_layer():
    assert places_of_dropout("mlp", hidden=(11, 13)) == [(5, 11), (5, 13)]


@pytest.mark.parametrize("name", ["transformer", "gpt2", "gpt2_resv", "tokenformer"])
def test_dropout_of_a_decoder_is_on_embeddings_attention_and_branches(name):
    """As in GPT-2; the last block computes the last of 4 positions, with 4 keys for 2 heads."""
    assert places_of_dropout(name) == [(20, 12), (5, 2, 4), (5, 12), (5, 12)]


def test_a_picture_is_too_long_for_a_decoder_and_not_for_the_others():
    pixels_NxL = np.zeros((3, 784), np.int32)
    picture = Task(Examples(pixels_NxL, np.arange(3, dtype=np.int32)), num_tokens=2, num_classes=3)
    with pytest.raises(ValueError, match="sequences of 784 tokens are too long .* or model=mlp"):
        make_network(picture, dict(name="gpt2"))

    for name in ("mlp", "lstm"):
        assert make_network(picture, dict(name=name)).length == 784
