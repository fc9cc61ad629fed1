"""Clock or pizza: networks written by hand whose two numbers are known."""

from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from grokjax.core.prefixes import plain
from grokjax.measures import clock_pizza
from grokjax.models import lstm, mlp, transformer
from grokjax.tasks import modular, parity

P = 11
SAMPLES = 37


class Circle(nn.Module):
    """Numbers on a circle, multiplied like complex numbers or added, and read out by angle."""

    num_tokens: int
    num_classes: int
    length: int = 4
    multiplies: bool = True

    @nn.compact
    def __call__(self, tree):
        token_VxD = self.param("token", nn.initializers.normal(), (self.num_tokens, 2))
        a_Bx2, b_Bx2 = token_VxD[tree.tokens[0]], token_VxD[tree.tokens[2]]
        if self.multiplies:
            (a, b), (c, d) = a_Bx2.T, b_Bx2.T
            sum_Bx2 = jnp.stack([a * c - b * d, a * d + b * c], axis=-1)
        else:
            sum_Bx2 = a_Bx2 + b_Bx2
        return sum_Bx2 @ _circle(self.num_classes, 1 if self.multiplies else 0.5).T


class Embedded(nn.Module):
    """The product of two embeddings, whose table is that of an nn.Embed, read out."""

    num_tokens: int
    num_classes: int
    length: int = 4

    @nn.compact
    def __call__(self, tree):
        embed = nn.Embed(self.num_tokens, 3, name="token")
        x_BxD = embed(tree.tokens[0]) * embed(tree.tokens[2])
        return nn.Dense(self.num_classes, name="readout")(x_BxD)


class TwoTables(Embedded):
    """It has two weights by the name of `token`."""

    @nn.compact
    def __call__(self, tree):
        x_BxD = nn.Dense(self.num_classes, name="token")(jnp.stack(tree.tokens, axis=1) * 1.0)
        return x_BxD


def _circle(n, turns=1.0):
    angle_n = 2 * np.pi * turns * np.arange(n) / n
    return np.stack([np.cos(angle_n), np.sin(angle_n)], axis=1).astype(np.float32)


def _measured(network, task, params):
    """The values of a network on a task, without an experiment around it."""
    measure = clock_pizza.make(task, network, samples=SAMPLES)

    @jax.jit
    def measured(params):
        logits_NxC = network.apply({"params": params}, plain(task.examples.inputs_NxL))
        fields = dict(params=params, outputs={"logits": logits_NxC})
        return measure.compute(SimpleNamespace(**fields))

    return measured(params)


def _wave(x_nxn, order):
    """Of deviation 1 over all numbers mod `order`."""
    return np.sqrt(2) * np.cos(2 * np.pi * x_nxn / order)


def _params(network):
    return jax.jit(network.init)(jax.random.key(0), plain(np.array([[1, 5, 1, 6]])))["params"]


def _samples(order):
    """The operands i and j that are drawn, [S] each."""
    return np.random.default_rng(0).integers(order, size=(3, SAMPLES))[:2]


def test_irrelevance_is_the_share_of_a_sum_that_does_not_depend_on_the_distance():
    """Independent parts of deviation 3 and 4 make a total of 5, of which distance explains 4."""
    i_nxn, j_nxn = np.indices((P, P))
    correct_nxn = 3 * _wave(i_nxn + j_nxn, P) + 4 * _wave(3 * (i_nxn - j_nxn), P)

    value = clock_pizza.distance_irrelevance(jnp.asarray(correct_nxn, jnp.float32))

    np.testing.assert_allclose(value, 3 / 5, rtol=1e-5)


def test_irrelevance_takes_an_even_modulus():
    """Logits that are i j: at distance d they are j (j + d mod n)."""
    products_nxn = np.outer(range(4), range(4))
    stds_d = [np.std([0, 1, 4, 9]), np.std([0, 2, 6, 0]), np.std([0, 3, 0, 3])]
    stds_d.append(stds_d[1])  # i and j may swap

    value = clock_pizza.distance_irrelevance(jnp.asarray(products_nxn, jnp.float32))

    np.testing.assert_allclose(value, np.mean(stds_d) / products_nxn.std(), rtol=1e-6)


def test_the_gradient_of_a_clock_to_one_operand_is_the_other_turned():
    """dQ/dE_i has the angle c - j and dQ/dE_j the angle c - i, so their cosine is that of i - j."""
    task = modular.make("add", P)
    token_VxD = np.concatenate([_circle(P), np.ones((2, 2), np.float32)])
    i_S, j_S = _samples(P)

    value = _measured(Circle(P + 2, P), task, {"token": jnp.asarray(token_VxD)})

    expected = np.cos(2 * np.pi * (i_S - j_S) / P).mean()
    np.testing.assert_allclose(value["gradient_symmetricity"], expected, atol=1e-6)


def test_a_pizza_has_equal_gradients_and_logits_that_distance_explains():
    """|e(i) + e(j)| is 2 |cos(pi (i - j) / n)|; at even sums of i and j the sign is right."""
    task = modular.make("add", P)
    token_VxD = np.concatenate([_circle(P), np.ones((2, 2), np.float32)])
    network = Circle(P + 2, P, multiplies=False)

    value = _measured(network, task, {"token": jnp.asarray(token_VxD)})

    np.testing.assert_allclose(value["gradient_symmetricity"], 1, rtol=1e-6)
    i_nxn, j_nxn = np.indices((P, P))
    sign_nxn = np.where(i_nxn + j_nxn < P, 1, -1)  # beyond a turn the half angle is the opposite
    correct_nxn = 2 * np.cos(np.pi * (i_nxn - j_nxn) / P) * sign_nxn
    stds_d = [correct_nxn[(i_nxn - j_nxn) % P == d].std() for d in range(P)]
    expected = np.mean(stds_d) / correct_nxn.std()
    np.testing.assert_allclose(value["distance_irrelevance"], expected, rtol=1e-5)
    size_nxn = jnp.asarray(np.abs(correct_nxn), jnp.float32)
    assert clock_pizza.distance_irrelevance(size_nxn) < 1e-6


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div"])
def test_other_operations_are_sums_of_other_numbers(op):
    """With logarithms to the base 2 and negatives by hand, the share is 3 / 5 in each group."""
    task = modular.make(op, P)
    logarithm = {2**i % P: i for i in range(P - 1)}
    order = P - 1 if op in ("mul", "div") else P
    a_N, _, b_N, _ = task.examples.inputs_NxL.T
    has_number_N = (a_N > 0) & (b_N > 0) | (order == P)
    number = np.vectorize(lambda x: logarithm.get(x, 0) if order < P else x)
    i_N, j_N = number(a_N), number(b_N) * (-1 if op in ("sub", "div") else 1)
    correct_N = 3 * _wave(i_N + j_N, order) + 4 * _wave(2 * (i_N - j_N), order)
    correct_N[~has_number_N] = 100
    logits_NxC = np.full((len(a_N), P), np.nan, np.float32)
    logits_NxC[np.arange(len(a_N)), task.examples.labels_N] = correct_N
    network = Circle(P + 2, P)
    params = _params(network)
    view = SimpleNamespace(params=params, outputs={"logits": jnp.asarray(logits_NxC)})

    value = jax.jit(lambda: clock_pizza.make(task, network, samples=2).compute(view))()

    np.testing.assert_allclose(value["distance_irrelevance"], 3 / 5, rtol=1e-5)


@pytest.mark.parametrize(
    ("model", "sizes"),
    [
        (transformer, dict(width=6, num_heads=2, num_blocks=1, tied_readout=True)),
        (lstm, dict(width=6, num_layers=1)),
        (mlp, dict(embedding_width=6, hidden=(11,))),
    ],
)
def test_gradients_to_operands_add_up_to_those_of_the_table(model, sizes):
    """In 1 + 1 both belong to one row of it, in 1 + 2 to two."""
    network = model.Model(7, 5, 4, initializer="normal(.3)", **sizes)
    inputs_2xL = np.array([[1, 5, 1, 6], [1, 5, 2, 6]], np.int32)
    params = _params(network)

    @jax.jit
    def gradients(params):
        return clock_pizza.gradients(network, params, inputs_2xL, (0, 2), np.array([2, 3]))

    @jax.jit
    @jax.grad
    def of_table(params, row, class_):
        logits_2xC = network.apply({"params": params}, plain(inputs_2xL))
        return logits_2xC[row, class_]

    same_2xD, other_2xD = gradients(params)

    close = dict(rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(same_2xD.sum(axis=0), of_table(params, 0, 2)["token"][1], **close)
    np.testing.assert_allclose(other_2xD, of_table(params, 1, 3)["token"][1:3], **close)


def test_the_gradients_to_the_table_of_a_module():
    """Of class c they are the readout's column c times the other operand's embedding."""
    network = Embedded(7, 5)
    params = _params(network)
    inputs_2xL = np.array([[1, 5, 1, 6], [1, 5, 2, 6]], np.int32)

    found = clock_pizza.gradients(network, params, inputs_2xL, (0, 2), np.array([2, 3]))

    token_VxD = params["token"]["embedding"]
    column_2xD = params["readout"]["kernel"].T[jnp.array([2, 3])]
    expected = column_2xD[:, None] * token_VxD[jnp.array([[1, 1], [2, 1]])]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_its_own_products_are_in_full_precision():
    task = modular.make("add", P)
    network = Embedded(P + 2, P)
    fields = dict(params=_params(network), outputs={"logits": jnp.ones((P * P, P))})
    compute = clock_pizza.make(task, network, samples=2).compute

    with jax.default_matmul_precision("bfloat16"):
        program = str(jax.make_jaxpr(lambda: compute(SimpleNamespace(**fields)))())

    assert program.count("dot_general[") == program.count("Precision.HIGHEST,") > 0


def test_a_transformer_that_cannot_tell_its_operands_apart_is_symmetric():
    """Queries are zero, so all positions are attended to alike, and equal positions are added."""
    task = modular.make("add", P)
    network = transformer.Model(P + 2, P, 4, num_blocks=1, width=12, num_heads=3, norm="none")
    params = _params(network)
    params["position"] = params["position"].at[2].set(params["position"][0])
    apart = _measured(network, task, params)
    params["block_0"]["attention"]["query"] = jax.tree.map(
        jnp.zeros_like, params["block_0"]["attention"]["query"]
    )

    alike = _measured(network, task, params)

    np.testing.assert_allclose(alike["gradient_symmetricity"], 1, rtol=1e-5)
    assert apart["gradient_symmetricity"] < 0.9999


def test_tasks_without_a_group_and_models_without_embeddings_are_refused():
    odd, add = parity.make(), modular.make("add", 5)
    pixels = mlp.Model(7, 5, 4, code="one_hot")
    network = mlp.Model(odd.num_tokens, odd.num_classes, odd.examples.inputs_NxL.shape[1])

    with pytest.raises(ValueError, match="sums of two numbers in a cyclic group; choose task=mod"):
        clock_pizza.make(odd, network)
    with pytest.raises(ValueError, match="this model has 2 weights 'token'; choose one with"):
        clock_pizza.make(add, TwoTables(7, 5))
    with pytest.raises(ValueError, match="no weights 'token'; choose one with embeddings"):
        clock_pizza.make(add, pixels)
    with pytest.raises(ValueError, match="clock_pizza.samples = 0; choose 1 to 10,000"):
        clock_pizza.make(add, mlp.Model(7, 5, 4), samples=0)


@pytest.mark.parametrize("form", ["a b =", "a b"])
def test_values_are_the_same_however_an_equation_is_written(form):
    """Of a network that reads the operands alone, without the embeddings of signs."""
    task, usual = modular.make("add", P, form=form), modular.make("add", P)
    sizes = dict(embedding_width=3, hidden=(5,))
    network = mlp.Model(usual.num_tokens, P, 4, slots=(0, 2), **sizes)
    shorter = mlp.Model(task.num_tokens, P, len(form.split()), slots=task.operands, **sizes)
    params = _params(network)
    numbers = params | {"token": params["token"][: task.num_tokens]}

    found, expected = _measured(shorter, task, numbers), _measured(network, usual, params)
    for name, value in found.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, err_msg=name)
