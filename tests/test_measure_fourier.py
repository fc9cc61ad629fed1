"""The waves of a network that adds: against weights made by hand and Fourier sums term by term."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from grokjax.config import registry
from grokjax.core.losses import cross_entropy
from grokjax.core.measure import View
from grokjax.core.split import Split
from grokjax.measures import _fourier, fourier
from grokjax.models import mlp
from grokjax.tasks import modular

WIDTH = 17  # of embeddings
NEURONS = 6


def split_of(task, train_rows):
    rows = np.arange(len(task.examples.labels_N))
    order_N = np.concatenate([train_rows, np.setdiff1d(rows, train_rows)])
    labels_N = jnp.asarray(task.examples.labels_N)
    return Split(jnp.asarray(order_N), labels_N, jnp.array([0]), jnp.array([len(train_rows)]))


def values(task, split, logits_NxC, neurons_NxF=None, params=None, network=None, **options):
    """What the measure gives for outputs and weights."""
    if neurons_NxF is None:
        neurons_NxF = np.ones((len(logits_NxC), NEURONS))
    outputs = {"logits": jnp.asarray(logits_NxC, jnp.float32)}
    outputs["neurons"] = jnp.asarray(neurons_NxF, jnp.float32)
    network = network or mlp.Model(task.num_tokens, task.num_classes, length=4)
    compute = fourier.make(task, network, **options).compute

    @jax.jit
    def of_view(params, split, outputs):
        unread: Any = None
        view = View(params, unread, unread, split, unread, unread, unread, outputs)
        return compute(view)

    return of_view(params or {}, split, outputs)


def clock(task, amplitudes, sign=1):
    """[N, C]: logits that are sums of A_k cos w_k(a + b - c), or of a - b."""
    a_N, _, b_N, _ = task.examples.inputs_NxL.T
    angle_NxC = (a_N + sign * b_N)[:, None] - np.arange(task.num_classes)
    turn = 2 * np.pi / task.num_classes
    return sum(size * np.cos(turn * k * angle_NxC) for k, size in amplitudes.items())


@pytest.mark.parametrize(("op", "sign"), [("add", 1), ("sub", -1)])
def test_of_a_clock_made_by_hand_the_hands_are_found(op, sign):
    task = modular.make(op, p=13)
    split = split_of(task, np.arange(50))
    logits_NxC = clock(task, {2: 3.0, 5: 2.0, 6: 1.0}, sign)

    found = values(task, split, logits_NxC, num_keys=3)

    loss_N = cross_entropy(jnp.float32(logits_NxC), split.labels_N)
    np.testing.assert_allclose(found["logits"], np.array([0, 9, 0, 0, 4, 1]) / 14, atol=1e-6)
    assert found["num_keys"] == 3  # two have 93 %
    np.testing.assert_allclose(found["top5_share"], 1, atol=1e-6)
    np.testing.assert_allclose(found["restricted_train_loss"], loss_N[:50].mean(), rtol=1e-5)
    np.testing.assert_allclose(found["restricted_val_loss"], loss_N[50:].mean(), rtol=1e-5)
    assert found["restricted_val_accuracy"] == 1
    np.testing.assert_allclose(found["excluded_train_loss"], np.log(13), rtol=1e-6)
    np.testing.assert_allclose(found["excluded_val_loss"], np.log(13), rtol=1e-6)


def test_key_frequencies_may_be_given_and_the_rest_is_then_excluded():
    task = modular.make("add", p=13)
    split = split_of(task, np.arange(40))

    found = values(task, split, clock(task, {2: 3.0, 5: 2.0, 6: 1.0}), fixed=(5, 6))

    for name, kept in {"restricted": {5: 2.0, 6: 1.0}, "excluded": {2: 3.0}}.items():
        loss_N = cross_entropy(jnp.float32(clock(task, kept)), split.labels_N)
        np.testing.assert_allclose(found[f"{name}_train_loss"], loss_N[:40].mean(), rtol=1e-5)
        np.testing.assert_allclose(found[f"{name}_val_loss"], loss_N[40:].mean(), rtol=1e-5)


def test_of_gromovs_weights_every_neuron_has_a_frequency_and_the_waves_are_all_there_is():
    """Gromov, 2023, https://arxiv.org/abs/2301.02679, equations 6 and 7.

    With neurons of all frequencies, and for each of 5 x 5 phases, unwanted terms cancel exactly.
    """
    p = 11
    task = modular.make("add", p)
    split = split_of(task, np.arange(37))
    a_N, _, b_N, _ = task.examples.inputs_NxL.T
    phases = 2 * np.pi * np.arange(5) / 5
    k_F, left_F, right_F = np.array([*itertools.product(range(1, 6), phases, phases)]).T
    wave_pxF = 2 * np.pi / p * k_F * np.arange(p)[:, None]
    before_NxF = np.cos(wave_pxF + left_F)[a_N] + np.cos(wave_pxF + right_F)[b_N]
    logits_NxC = before_NxF**2 @ np.cos(wave_pxF + left_F + right_F).T
    kernel_0 = np.zeros((4 * task.num_tokens, len(k_F)), np.float32)
    kernel_0[:p] = np.cos(wave_pxF + left_F)
    network = mlp.Model(task.num_tokens, p, length=4, code="one_hot")

    found = values(
        task, split, logits_NxC, before_NxF**2, {"kernel_0": kernel_0}, network, num_keys=5
    )
    linear = values(task, split, logits_NxC, before_NxF)

    assert (logits_NxC.argmax(1) == task.examples.labels_N).all()
    assert found["restricted_val_accuracy"] == 1
    loss_N = cross_entropy(jnp.float32(logits_NxC), split.labels_N)
    np.testing.assert_allclose(found["restricted_val_loss"], loss_N[37:].mean(), atol=1e-6)
    np.testing.assert_allclose(found["excluded_train_loss"], np.log(p), rtol=1e-5)
    for spectrum in ("embedding", "neurons", "logits"):
        np.testing.assert_allclose(found[spectrum], np.full(5, 1 / 5), rtol=1e-5)
    np.testing.assert_allclose(found["embedding_ipr"], 1, rtol=1e-5)
    np.testing.assert_allclose(found["gini"], 0, atol=1e-6)
    # a square has 1/5 of its variance in the waves of 2 w_k i and 2 w_k j
    np.testing.assert_allclose(found["neurons_ipr"], 0.8**2 + 0.2**2, rtol=1e-5)
    assert found["neurons_explained"] == 0
    np.testing.assert_allclose(linear["neurons_ipr"], 1, rtol=1e-5)
    assert linear["neurons_explained"] == 1


NUMBERS = {  # op: p, the order of the group, and the operands with the numbers i and j
    "add": (7, 7, lambda i, j: (i, j)),
    "sub": (9, 9, lambda i, j: (i, -j % 9)),
    "mul": (11, 10, lambda i, j: (2**i % 11, 2**j % 11)),
    "div": (11, 10, lambda i, j: (2**i % 11, 2 ** (-j % 10) % 11)),
}


def term_by_term(op, task, train_N, logits_NxC, neurons_NxF, token_VxD, num_keys):
    """The same values in float64, in a basis of products as Nanda et al. have it."""
    _, n, operands = NUMBERS[op]
    inputs = [tuple(row) for row in task.examples.inputs_NxL[:, [0, 2]]]
    rows_P = np.array([inputs.index(operands(i, j)) for i in range(n) for j in range(n)])
    labels_P = task.examples.labels_N[rows_P]
    classes = sorted(set(labels_P))
    cos, sin = ([f(2 * np.pi * k * np.arange(n) / n) for k in range(n // 2 + 1)]
                for f in (np.cos, np.sin))  # fmt: skip
    unit = {("cos", 0): np.ones(n) / np.sqrt(n)}
    for k in range(1, n // 2 + 1):
        unit["cos", k] = cos[k] / np.sqrt((cos[k] ** 2).sum())
        if 2 * k != n:
            unit["sin", k] = sin[k] / np.sqrt((sin[k] ** 2).sum())

    def centred(x_PxF):
        return x_PxF - x_PxF.mean(0)

    def block(x_PxF, k):  # power of the products of {1, cos, sin} and {1, cos, sin}
        names = [name for name in unit if name[1] in (0, k)]
        pairs = itertools.product(names, names)
        return sum((np.outer(unit[x], unit[y]).ravel() @ x_PxF) ** 2 for x, y in pairs)

    def sum_directions(k):
        cos_P = np.outer(cos[k], cos[k]) - np.outer(sin[k], sin[k])
        sin_P = np.outer(sin[k], cos[k]) + np.outer(cos[k], sin[k])
        found = [x.ravel() for x in (cos_P, sin_P) if 2 * k != n or x is cos_P]
        return [x / np.linalg.norm(x) for x in found]

    frequencies = range(1, n // 2 + 1)
    logits_PxC = logits_NxC[rows_P].astype(float)
    numbered_PxC = logits_PxC[:, classes]
    of_sum = {
        k: np.sum([np.outer(x, x @ numbered_PxC) for x in sum_directions(k)], axis=0)
        for k in frequencies
    }
    total = (centred(numbered_PxC) ** 2).sum()
    shares = np.array([(of_sum[k] ** 2).sum() for k in frequencies]) / total
    keys = sorted(frequencies, key=lambda k: -shares[k - 1])[:num_keys]
    waves_PxC = np.sum([of_sum[k] for k in keys], axis=0)

    neurons_PxF = centred(neurons_NxF[rows_P].astype(float))
    blocks_KxF = np.array([block(neurons_PxF, k) for k in frequencies])
    variance_F = (neurons_PxF**2).sum(0)
    token_nxD = token_VxD[[operands(i, 0)[0] for i in range(n)]].astype(float)
    norms = {name: np.linalg.norm(unit[name] @ token_nxD) for name in unit if name[1]}
    squares_KxD = np.array([
        sum((unit[name] @ token_nxD) ** 2 for name in unit if name[1] == k) for k in frequencies
    ])  # fmt: skip
    apart = sum(abs(x - y) for x in norms.values() for y in norms.values())
    found = {
        "embedding": squares_KxD.sum(1) / squares_KxD.sum(),
        "neurons": blocks_KxF.sum(1) / variance_F.sum(),
        "logits": shares,
        "num_keys": next(m for m in range(1, n) if sum(sorted(shares)[-m:]) >= 0.95 * shares.sum()),
        "top5_share": sum(sorted(shares)[-5:]),
        "gini": apart / (2 * len(norms) * sum(norms.values())),
        "embedding_ipr": np.mean((squares_KxD / squares_KxD.sum(0)) ** 2, axis=1).sum(),
        "neurons_ipr": np.mean((blocks_KxF / blocks_KxF.sum(0)) ** 2, axis=1).sum(),
        "neurons_explained": np.mean(blocks_KxF.max(0) > 0.85 * variance_F),
    }
    restricted_PxC = logits_PxC.copy()
    restricted_PxC[:, classes] = waves_PxC + (numbered_PxC - waves_PxC).mean(0)
    excluded_PxC = logits_PxC.copy()
    excluded_PxC[:, classes] -= waves_PxC
    for name, x_PxC in {"restricted": restricted_PxC, "excluded": excluded_PxC}.items():
        loss_P = np.log(np.exp(x_PxC).sum(1)) - x_PxC[np.arange(n * n), labels_P]
        for side, side_P in {"train": train_N[rows_P], "val": ~train_N[rows_P]}.items():
            found[f"{name}_{side}_loss"] = loss_P[side_P].mean()
        right_P = x_PxC.argmax(1) == labels_P
        found[f"{name}_val_accuracy"] = right_P[~train_N[rows_P]].mean()
    return found


def drawn(task, seed):
    """Random outputs, weights and training rows, all of them of different sizes."""
    random = np.random.default_rng(seed)
    num_rows = len(task.examples.labels_N)
    left_N = task.examples.inputs_NxL[:, :1]
    neurons_NxF = random.normal(size=(num_rows, NEURONS)) + 3
    neurons_NxF[:, :2] += 9 * np.cos(2 * np.pi * left_N / task.num_classes)
    return dict(
        logits_NxC=random.normal(size=(num_rows, task.num_classes)),
        neurons_NxF=neurons_NxF,
        token_VxD=random.normal(size=(task.num_tokens, WIDTH)),
        train_rows=random.permutation(num_rows)[: num_rows // 3],
    )


@pytest.mark.parametrize("op", NUMBERS)
def test_values_are_those_of_fourier_sums_term_by_term(op):
    task = modular.make(op, p=NUMBERS[op][0])
    x = drawn(task, seed=1)
    train_N = np.isin(np.arange(len(x["logits_NxC"])), x["train_rows"])

    found = values(
        task,
        split_of(task, x["train_rows"]),
        x["logits_NxC"],
        x["neurons_NxF"],
        {"token": x["token_VxD"].astype(np.float32)},
        num_keys=2,
    )

    outputs = x["logits_NxC"], x["neurons_NxF"], x["token_VxD"]
    expected = term_by_term(op, task, train_N, *outputs, num_keys=2)
    assert found.keys() == expected.keys() == fourier.TITLES.keys()
    for name, value in found.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_division_modulo_a_prime_is_addition_of_logarithms():
    quotients, sums = modular.make("div", p=11), modular.make("add", p=10)
    x = drawn(sums, seed=2)
    logarithm = {2**i % 11: i for i in range(10)}
    a_N, _, b_N, _ = quotients.examples.inputs_NxL.T
    same_N = np.array(
        [
            10 * logarithm[a] + (-logarithm[b]) % 10 if a else -1
            for a, b in zip(a_N, b_N, strict=True)
        ]
    )
    logits_NxC = np.full((len(a_N), 11), -1e6)  # of the class 0, which has no logarithm
    logits_NxC[:, [2**i % 11 for i in range(10)]] = x["logits_NxC"][same_N]
    token_VxD = np.zeros((quotients.num_tokens, WIDTH), np.float32)
    token_VxD[[2**i % 11 for i in range(10)]] = x["token_VxD"][:10]
    train_rows = np.flatnonzero(np.isin(same_N, x["train_rows"]))

    of_sums = values(
        sums,
        split_of(sums, x["train_rows"]),
        x["logits_NxC"],
        x["neurons_NxF"],
        {"token": jnp.float32(x["token_VxD"])},
    )
    of_quotients = values(
        quotients,
        split_of(quotients, train_rows),
        logits_NxC,
        x["neurons_NxF"][same_N],
        {"token": token_VxD},
    )

    for name, value in of_sums.items():
        np.testing.assert_allclose(of_quotients[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


def test_runs_side_by_side_have_the_values_of_one_after_the_other():
    task = modular.make("mul", p=7)
    drawn_R = [drawn(task, seed) for seed in range(3)]
    splits_R = [split_of(task, x.pop("train_rows")) for x in drawn_R]
    runs_R = jax.tree.map(
        lambda *xs: jnp.stack([jnp.asarray(x) for x in xs]), *zip(drawn_R, splits_R, strict=True)
    )

    def one(run):
        x, split = run
        token = {"token": x["token_VxD"]}
        return values(task, split, x["logits_NxC"], x["neurons_NxF"], token, num_keys=2)

    together = jax.jit(jax.vmap(one))(runs_R)
    apart = jax.jit(lambda runs_R: jax.lax.map(one, runs_R))(runs_R)

    assert together["logits"].shape == (3, 3)
    for name, value_R in together.items():
        np.testing.assert_allclose(value_R, apart[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_what_is_not_defined_is_nan_and_a_dead_neuron_has_no_frequency():
    task = modular.make("add", p=5)
    split = split_of(task, np.arange(25))  # no row is left for validation
    neurons_NxF = np.zeros((25, 2))
    neurons_NxF[:, 0] = np.cos(2 * np.pi / 5 * task.examples.inputs_NxL[:, 0])

    found = values(task, split, clock(task, {2: 1.0}), neurons_NxF)  # the weights have no embedding

    assert found["neurons_explained"] == 0.5
    np.testing.assert_allclose(found["neurons_ipr"], 1, rtol=1e-6)
    undefined = {name for name, value in found.items() if np.isnan(value).any()}
    unknown = {name for name in found if "embedding" in name or "val" in name}
    assert undefined == unknown | {"gini"}


def test_a_gini_coefficient_is_0_of_equal_sizes_and_almost_1_of_a_single_one():
    assert _fourier.gini(jnp.full(7, 3.0)) == pytest.approx(0, abs=1e-6)
    assert _fourier.gini(jnp.array([0.0, 0, 5, 0, 0])) == pytest.approx(1 - 1 / 5)


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        (dict(op="a^2+b"), {}, "choose task=modular with op add or sub, or mul or div"),
        (dict(op="mul", p=9), {}, "this task has none"),
        (dict(op="add", p=13), dict(fixed=(3, 7)), "fixed has 7; choose frequencies 1 to 6"),
        (dict(op="add", p=13), dict(fixed=(0,)), "measure.fourier.fixed = 0; choose 1 or more"),
        (dict(op="add", p=13), dict(num_keys=0), "measure.fourier.num_keys = 0; choose 1 or more"),
    ],
)
def test_what_does_not_fit_is_said_in_a_line(task, options, message):
    made = registry.find("task", "modular").make(**task)
    network = mlp.Model(made.num_tokens, made.num_classes, length=4)

    with pytest.raises(ValueError, match=message):
        registry.find("measure", "fourier").make(made, network, **options)
