"""Linear layers, norms, attention and positions against plain formulas."""

import functools

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import initial

from grokjax.core.prefixes import plain
from grokjax.models import lstm, transformer
from grokjax.models._attention import QK_NORMS, Attention, attend, rotate, slopes
from grokjax.models._layers import ACTIVATIONS, BitLinear, Linear, eight_bits, ternary
from grokjax.models.tokenformer import Pattention


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def test_ternary_weights_are_a_third_each_of_minus_zero_and_plus_the_mean_size():
    kernel_IxO = jnp.array([[0.9, -0.1], [-3.0, 0.0], [0.5, 1.5]])  # mean size 1

    np.testing.assert_allclose(ternary(kernel_IxO), [[1, 0], [-1, 0], [0, 1]])
    assert len(np.unique(ternary(normal(0, 13, 17)))) == 3


def test_eight_bits_round_each_row_to_127_steps_of_its_largest_number():
    x_MxI = jnp.array([[127.0, 3.4, -8.6], [1.27, -0.013, 0.0]])

    np.testing.assert_allclose(eight_bits(x_MxI), [[127, 3, -9], [1.27, -0.01, 0]], rtol=1e-6)


def test_bits_compute_with_what_was_rounded_and_pass_the_gradient_straight_through():
    layer = BitLinear(5, use_bias=False)
    x_MxI = normal(0, 3, 7)
    params = layer.init(jax.random.key(1), x_MxI)
    kernel_IxO = params["params"]["kernel"]
    cotangent_MxO = normal(2, 3, 5)
    x_MxI /= jnp.sqrt((x_MxI**2).mean(1, keepdims=True))  # which its own norm leaves alone
    grads = jax.grad(lambda params: (layer.apply(params, x_MxI) * cotangent_MxO).sum())(params)

    expected_MxO = eight_bits(x_MxI) @ ternary(kernel_IxO)
    np.testing.assert_allclose(layer.apply(params, x_MxI), expected_MxO, atol=1e-5)
    expected_IxO = eight_bits(x_MxI).T @ cotangent_MxO
    np.testing.assert_allclose(grads["params"]["kernel"], expected_IxO, atol=1e-4)


def test_pattention_is_its_formula():
    layer = Pattention(3, 11, "gelu", "lecun")
    x_MxI = normal(0, 5, 7)
    params = layer.init(jax.random.key(1), x_MxI)["params"]

    score_MxF = np.asarray(x_MxI) @ params["keys"]
    score_MxF *= 11**0.5 / np.linalg.norm(score_MxF, axis=1, keepdims=True)
    expected_MxO = ACTIVATIONS["gelu"](score_MxF) @ params["values"]
    np.testing.assert_allclose(layer.apply({"params": params}, x_MxI), expected_MxO, atol=1e-5)


def test_rotary_scores_depend_on_the_distance_alone():
    q = normal(0, 5, 3, 8)
    k = normal(1, 5, 3, 8)

    def score(m, n):
        return (rotate(q, m) * rotate(k, n)).sum(-1)

    np.testing.assert_allclose(score(5, 2), score(9, 6), atol=1e-5)
    assert jnp.abs(score(5, 2) - score(5, 3)).min() > 1e-4
    np.testing.assert_allclose(rotate(q, 0), q)


def test_the_first_pair_of_rotary_rotates_by_one_radian_a_position():
    rotated = rotate(jnp.array([[[1.0, 0.0, 0.0, 0.0]]]), 3)  # pairs are (0, 2) and (1, 3)

    np.testing.assert_allclose(rotated[0, 0], [np.cos(3), 0, np.sin(3), 0], atol=1e-6)


@pytest.mark.parametrize("few_keys", [0, 8], ids=["matmul", "sum"])
def test_alibi_costs_each_head_its_slope_times_the_distance(few_keys, monkeypatch):
    """With queries of zero the scores are the costs: weights 2^-8d and so on, up to their sum."""
    monkeypatch.setattr("grokjax.models._attention.FEW_KEYS", few_keys)
    assert slopes(4).tolist() == [1 / 4, 1 / 16, 1 / 64, 1 / 256]
    q_U = [jnp.zeros((1, 2, 1))]
    v_S = [jnp.full((1, 2, 1), value) for value in (0.0, 0.0, 1.0)]
    out = attend(q_U, v_S, v_S, lambda x: x, slope_H=np.log(np.float32([2, 3])))

    np.testing.assert_allclose(out[0, :, 0], [4 / 7, 9 / 13], rtol=1e-6)  # 4 : 2 : 1, 9 : 3 : 1


def attended(few_keys, coefficient, monkeypatch):
    """Five positions of three rows and two heads attend: a function of queries, keys, values."""
    monkeypatch.setattr("grokjax.models._attention.FEW_KEYS", few_keys)

    def attend_all(*qkv_UxMxHxK):
        options = dict(slope_H=slopes(2), coefficient=coefficient)
        out = attend(*map(list, qkv_UxMxHxK), lambda weights: weights, **options)
        return out.reshape(5, 3, 2, 7)

    return attend_all, np.random.default_rng(0).normal(size=(3, 5, 3, 2, 7)).astype(np.float32)


@pytest.mark.parametrize("few_keys", [0, 8], ids=["matmul", "sum"])
def test_alibi_without_a_mask_costs_the_distance_either_way(few_keys, monkeypatch):
    """Queries at 0, 1 and 2: the last value's weight is 1 in 7, 1 in 4 and 4 in 7, and so on."""
    monkeypatch.setattr("grokjax.models._attention.FEW_KEYS", few_keys)
    q_U = [jnp.zeros((1, 2, 1))] * 3
    v_S = [jnp.full((1, 2, 1), value) for value in (0.0, 0.0, 1.0)]
    options = dict(slope_H=np.log(np.float32([2, 3])), causal=False)
    out_UxH = attend(q_U, v_S, v_S, lambda x: x, **options)[:, :, 0]

    expected = [[1 / 7, 1 / 13], [1 / 4, 1 / 5], [4 / 7, 9 / 13]]
    np.testing.assert_allclose(out_UxH, expected, rtol=1e-6)


@pytest.mark.parametrize("few_keys", [0, 8], ids=["matmul", "sum"])
def test_without_learned_attention_the_values_up_to_a_position_are_summed(few_keys, monkeypatch):
    """Whatever queries, keys and slopes are; that is the mean of n values, times n."""
    attend_all, qkv = attended(few_keys, 0.0, monkeypatch)
    expected = [n * np.mean(qkv[2, :n], axis=0) for n in range(1, 6)]

    np.testing.assert_allclose(jax.jit(attend_all)(*qkv), expected, atol=1e-5)


@pytest.mark.parametrize("few_keys", [0, 8], ids=["matmul", "sum"])
def test_without_learned_attention_queries_and_keys_have_no_gradient(few_keys, monkeypatch):
    attend_all, qkv = attended(few_keys, 0.0, monkeypatch)
    gradient = jax.jit(jax.grad(lambda *qkv: (attend_all(*qkv) ** 2).sum(), argnums=(0, 1, 2)))
    of_queries, of_keys, of_values = map(np.asarray, gradient(*qkv))

    assert not of_queries.any()
    assert not of_keys.any()
    assert of_values.all()


@pytest.mark.parametrize("few_keys", [0, 8], ids=["matmul", "sum"])
def test_the_attention_coefficient_mixes_the_softmax_with_ones(few_keys, monkeypatch):
    """Weights 1/3 and 2/3 of two keys become .25 / 3 + .75 and .5 / 3 + .75."""
    monkeypatch.setattr("grokjax.models._attention.FEW_KEYS", few_keys)
    q_U = [jnp.ones((1, 1, 1))]
    k_S = [jnp.full((1, 1, 1), x) for x in (0.0, np.log(2))]
    v_S = [jnp.full((1, 1, 1), x) for x in (1.0, 100.0)]
    out = attend(q_U, k_S, v_S, lambda x: x, coefficient=0.25)

    np.testing.assert_allclose(out.item(), 0.25 / 3 + 0.75 + 100 * (0.5 / 3 + 0.75), rtol=1e-6)


def test_an_attention_coefficient_of_1_is_learned_attention_bit_for_bit():
    tree = plain(np.array([[3, 0, 4, 1], [2, 2, 0, 4]]))
    small = functools.partial(transformer.Model, 5, 7, 4, width=6, num_heads=2, num_blocks=1)
    networks = small(), small(attention_coefficient=1), small(attention_coefficient=0.99)
    params = initial(networks[0], tree)
    apply = jax.jit(lambda params: [n.apply({"params": params}, tree) for n in networks])
    learned, one, nearly = apply(params)

    np.testing.assert_array_equal(learned, one)
    assert 1e-4 < jnp.abs(nearly - learned).max() < 1


@pytest.mark.parametrize("coefficient", [-0.1, 1.1])
def test_an_attention_coefficient_is_0_to_1(coefficient):
    with pytest.raises(
        ValueError, match=f"model.attention_coefficient = {coefficient}; choose 0 t"
    ):
        transformer.Model(5, 7, 3, attention_coefficient=coefficient)


def layer_norm(x_LxD, params):
    x_LxD = x_LxD - x_LxD.mean(1, keepdims=True)
    x_LxD = x_LxD / jnp.sqrt(x_LxD.var(1, keepdims=True) + 1e-5)
    return x_LxD * params["scale"][None] + params["bias"][None]


def linear(x_LxI, params):
    y_LxO = x_LxI @ params["kernel"]
    return y_LxO + params["bias"][None] if "bias" in params else y_LxO


def attention(x_LxD, params, num_heads=2):
    q, k, v = (
        jnp.split(linear(x_LxD, params[name]), num_heads, axis=1)
        for name in ("query", "key", "value")
    )
    out = []
    for q_LxK, k_LxK, v_LxK in zip(q, k, v, strict=True):
        score_LxL = jnp.where(np.tri(len(x_LxD)), q_LxK @ k_LxK.T / q_LxK.shape[1] ** 0.5, -jnp.inf)
        out.append(jax.nn.softmax(score_LxL) @ v_LxK)
    return linear(jnp.concatenate(out, axis=1), params["out"])


def mlp(x_LxD, params):
    return linear(jax.nn.relu(linear(x_LxD, params["up"])), params["down"])


def pre(x, p):
    x += attention(layer_norm(x, p["norm_1"]), p["attention"])
    return x + mlp(layer_norm(x, p["norm_2"]), p["mlp"])


def post(x, p):
    x = layer_norm(x + attention(x, p["attention"]), p["norm_1"])
    return layer_norm(x + mlp(x, p["mlp"]), p["norm_2"])


def overwrite(x, p):
    x = layer_norm(x, p["norm_1"])
    x += attention(x, p["attention"])
    return x + mlp(layer_norm(x, p["norm_2"]), p["mlp"])


def none(x, p):
    x += attention(x, p["attention"])
    return x + mlp(x, p["mlp"])


@pytest.mark.parametrize(
    ("block", "use_bias"),
    [(pre, True), (post, True), (overwrite, True), (none, True), (none, False)],
)
def test_a_decoder_is_its_formula(block, use_bias):
    tokens_L = jnp.array([3, 0, 4])
    options = dict(width=6, num_heads=2, norm=block.__name__, activation="relu", use_bias=use_bias)
    network = transformer.Model(5, 7, 3, initializer="torch", **options)
    params = initial(network, plain(tokens_L[None]))
    # scales and biases of norms that would show if one were taken for another
    params = jax.tree.map(lambda x: x + 0.1 * np.random.default_rng(7).normal(size=x.shape), params)

    @jax.jit
    def both(params):
        x_LxD = params["token"][tokens_L] + params["position"]
        for i in range(2):
            x_LxD = block(x_LxD, params[f"block_{i}"])
        if "norm" in params:
            x_LxD = layer_norm(x_LxD, params["norm"])
        expected_C = x_LxD[-1] @ params["readout"]["kernel"]
        return network.apply({"params": params}, plain(tokens_L[None]))[0], expected_C

    assert ("norm" in params) == (block in (pre, overwrite))
    assert ("bias" in str(jax.tree.map(jnp.shape, params))) == use_bias
    chex.assert_trees_all_close(*both(params), atol=1e-5)


def attended_by(layer, x_NxLxD):
    """The weights of an attention, moved off their start, and what it gives [N, L, D]."""
    num_examples, length, width = x_NxLxD.shape
    tree = plain(np.zeros((num_examples, length), int))
    x_MxD = jnp.swapaxes(x_NxLxD, 0, 1).reshape(-1, width)  # a tree goes position by position
    args = (x_MxD, None, tree, False, lambda weights: weights)
    params = layer.init(jax.random.key(1), *args)["params"]
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda w: w + 0.3 * jnp.float32(rng.normal(size=w.shape)), params)
    out_MxD, _ = layer.apply({"params": params}, *args)
    return params, jnp.swapaxes(out_MxD.reshape(length, num_examples, width), 0, 1)


def attended_by_flax(params, x_NxLxD, mask, **options):
    """Flax's attention of two heads of 5. Its keys have a bias, which is zero here."""
    weights = {
        name: {"kernel": params[name]["kernel"].reshape(12, 2, 5)}
        | {"bias": params[name].get("bias", jnp.zeros(10)).reshape(2, 5)}
        for name in ("query", "key", "value")
    }
    weights["out"] = params["out"] | {"kernel": params["out"]["kernel"].reshape(2, 5, 12)}
    norms = {f"{name}_ln": params.get(f"norm_{name}") for name in ("query", "key")}
    weights |= {name: norm for name, norm in norms.items() if norm}
    layer = nn.MultiHeadDotProductAttention(2, qkv_features=10, **options)
    return layer.apply({"params": weights}, x_NxLxD, mask=mask)


def test_the_norm_of_queries_and_keys_is_that_of_flax():
    """Without a bias, as in Dehghani et al."""
    qk_norm = functools.partial(QK_NORMS["layer"], 1e-6)
    layer = Attention(2, 5, functools.partial(Linear, initializer="torch"), qk_norm=qk_norm)
    x_NxLxD = 7 * normal(0, 3, 4, 12)
    params, out_NxLxD = attended_by(layer, x_NxLxD)
    mask = np.tri(4, dtype=bool)[None, None]

    expected_NxLxD = attended_by_flax(params, x_NxLxD, mask, normalize_qk=True)
    np.testing.assert_allclose(out_NxLxD, expected_NxLxD, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("length", [3, 4, 11])
def test_attention_with_a_mask_and_without_is_that_of_flax(length, causal):
    """Of three examples; eleven keys take the matmul."""
    layer = Attention(2, 5, functools.partial(Linear, initializer="torch"), causal=causal)
    x_NxLxD = 2 * normal(0, 3, length, 12)
    params, out_NxLxD = attended_by(layer, x_NxLxD)
    mask = np.tri(length, dtype=bool)[None, None] if causal else None

    expected_NxLxD = attended_by_flax(params, x_NxLxD, mask)
    np.testing.assert_allclose(out_NxLxD, expected_NxLxD, rtol=1e-5, atol=2e-5)


def test_of_one_block_a_mask_makes_no_difference_and_of_two_it_does():
    """The last position, which is read out, attends to all others in any case."""
    tree = plain(np.array([[3, 0, 4, 1], [2, 2, 0, 4], [1, 4, 3, 3]]))
    logits = {}
    for num_blocks in (1, 2):
        for causal in (True, False):
            options = dict(width=6, num_heads=2, num_blocks=num_blocks, causal=causal)
            network = transformer.Model(5, 7, 4, **options)
            apply = jax.jit(network.apply)
            logits[num_blocks, causal] = apply({"params": initial(network, tree)}, tree)

    np.testing.assert_array_equal(logits[1, True], logits[1, False])
    assert np.abs(logits[2, True] - logits[2, False]).max(axis=1).min() > 1e-4


def test_an_lstm_is_that_of_flax():
    """Its cell, stepped over the sequence, with weights of the same names."""
    cells = [nn.OptimizedLSTMCell(12) for _ in range(2)]
    tokens_BxL = jnp.array([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])
    network = lstm.Model(num_tokens=10, num_classes=7, length=5, width=12)
    params = initial(network, plain(tokens_BxL))
    logits_BxC = network.apply({"params": params}, plain(tokens_BxL))

    x_BxLxD = params["token"][tokens_BxL]
    for i, cell in enumerate(cells):
        x_BxLxD = nn.RNN(cell).apply({"params": {"cell": params[f"cell_{i}"]}}, x_BxLxD)
    expected_BxC = x_BxLxD[:, -1] @ params["readout"]["kernel"] + params["readout"]["bias"][None]

    np.testing.assert_allclose(logits_BxC, expected_BxC, atol=1e-6)
    assert float(jnp.abs(logits_BxC).max()) > 0.01
