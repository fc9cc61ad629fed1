"""Representations and cosets in networks: logits made by hand, textbooks, the authors' code."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from grokjax.core.losses import cross_entropy
from grokjax.core.measure import View
from grokjax.core.split import Split
from grokjax.measures import groups
from grokjax.measures._irreps import irreps
from grokjax.models import mlp
from grokjax.tasks import group, modular, permutation
from grokjax.tasks._groups import find

TRAINED = 13  # examples
WIDTH = 7  # of embeddings
NEURONS = 3


def unread() -> Any:
    """What the measure does not look at."""
    return None


@functools.cache
def measured(name):
    """(params, split, outputs) -> what the measure gives for a group."""
    task = group.make(name)
    compute = groups.make(task, mlp.Model(task.num_tokens, task.num_classes, length=4)).compute

    def of_view(params, split, outputs):
        view = View(params, unread(), unread(), split, unread(), unread(), unread(), outputs)
        return compute(view)

    return jax.jit(of_view)


def split_of(labels_N, seed=0):
    order_N = np.random.default_rng(seed).permutation(len(labels_N))
    return Split(jnp.asarray(order_N), labels_N, jnp.array([0]), jnp.array([TRAINED]))


def values(name, logits_NxC, neurons_NxF=None, token_VxD=None, labels_N=None):
    size = len(find(name).table_NxN)
    if neurons_NxF is None:
        neurons_NxF = np.zeros((size**2, NEURONS))
    if token_VxD is None:
        token_VxD = np.zeros((size + 2, WIDTH))
    if labels_N is None:
        labels_N = find(name).table_NxN.ravel()
    outputs = {"logits": jnp.float32(logits_NxC), "neurons": jnp.float32(neurons_NxF)}
    params = {"token": jnp.float32(token_VxD)}
    found = measured(name)(params, split_of(jnp.asarray(labels_N)), outputs)
    return {of_name: np.asarray(x) for of_name, x in found.items()}


def quotients(name):
    """[N, C]: a b c^-1."""
    table_NxN, inverse_N, _ = find(name)
    return table_NxN[table_NxN.ravel()][:, inverse_N]


def losses(logits_NxC, labels_N):
    """Of the training examples and of the others, one by one."""
    split = split_of(labels_N)
    loss_N = cross_entropy(jnp.float32(logits_NxC), jnp.asarray(labels_N))[split.order_N]
    return loss_N[:TRAINED].mean(), loss_N[TRAINED:].mean()


@pytest.mark.parametrize(
    ("name", "irrep"),
    [("S_3", "(2,1)"), ("S_4", "(2,2)"), ("D_5", "E2"), ("Q_8", "H"), ("Z_5", "2")],
)
def test_a_network_of_one_representation_is_known_by_it(name, irrep):
    """Of all kinds: real, quaternionic (H of Q_8) and complex (those of Z_5)."""
    all_irreps = irreps(name)[1:]
    place = [one.name for one in all_irreps].index(irrep)
    logits_NxC = 2 * all_irreps[place].character_N[quotients(name)]
    size = logits_NxC.shape[1]
    labels_N = find(name).table_NxN.ravel()

    found = values(name, logits_NxC)

    train, val = losses(logits_NxC, labels_N)
    alone_K = np.arange(len(all_irreps)) == place
    guessing = np.log(size)
    np.testing.assert_allclose(found["logits"], alone_K, atol=1e-6)
    np.testing.assert_allclose(found["similarity"], alone_K, atol=1e-6)
    assert found["num_irreps"] == 1
    for loss, of_it, of_others in (
        ("restricted_train_loss", train, guessing),
        ("restricted_val_loss", val, guessing),
        ("excluded_train_loss", guessing, train),
    ):
        want_K = np.where(alone_K, of_it, of_others)
        np.testing.assert_allclose(found[loss], want_K, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found[f"{loss}_keys"], of_it, rtol=1e-5, atol=1e-6)


def test_two_representations_share_the_logits_as_the_squares_of_their_weights():
    """The traces of the sign and of (2,1) are as large as each other: 6 summed over S_3."""
    standard, sign = (irreps("S_3")[k].character_N[quotients("S_3")] for k in (1, 2))
    bias_C = np.linspace(-1, 2, 6)
    labels_N = find("S_3").table_NxN.ravel()

    found = values("S_3", 3 * standard + sign + bias_C)

    np.testing.assert_allclose(found["logits"], [0.9, 0.1], atol=1e-6)
    assert found["num_irreps"] == 2
    np.testing.assert_allclose(
        found["restricted_val_loss"],
        [losses(part + bias_C, labels_N)[1] for part in (3 * standard, sign)],
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        found["excluded_train_loss"],
        [losses(part + bias_C, labels_N)[0] for part in (sign, 3 * standard)],
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        found["excluded_train_loss_keys"], losses(bias_C + 0 * sign, labels_N)[0], rtol=1e-5
    )


def test_a_part_that_is_no_trace_is_of_the_representation_but_not_similar():
    """rho_01(ab) for every class but the first, which is told apart by no trace."""
    rho_NxDxD = irreps("S_3")[1].rho_NxDxD
    logits_NxC = np.outer(rho_NxDxD[find("S_3").table_NxN.ravel(), 0, 1], np.ones(6))

    found = values("S_3", logits_NxC * (np.arange(6) > 0))

    trace_NxC = irreps("S_3")[1].character_N[quotients("S_3")]
    centred_NxC = logits_NxC * ((np.arange(6) > 0) - 5 / 6)
    cosine = (centred_NxC * trace_NxC).sum() / np.sqrt(
        (centred_NxC**2).sum() * (trace_NxC**2).sum()
    )
    np.testing.assert_allclose(found["logits"], [1, 0], atol=1e-6)
    np.testing.assert_allclose(found["similarity"], [cosine, 0], atol=1e-6)
    assert abs(cosine) < 0.5


def test_of_sums_the_representations_are_the_frequencies_of_a_transform():
    """Any logits, with noisy labels: a discrete Fourier transform of numpy, pair by pair."""
    rng = np.random.default_rng(1)
    logits_NxC = rng.normal(size=(25, 5))
    sum_N = np.add.outer(np.arange(5), np.arange(5)).ravel() % 5
    labels_N = np.where(rng.random(25) < 0.3, rng.integers(5, size=25), sum_N)
    means_5x5 = np.stack([logits_NxC[sum_N == s].mean(axis=0) for s in range(5)])
    waves_5x5 = np.fft.fft(means_5x5, axis=0)

    found = values("Z_5", logits_NxC, labels_N=labels_N)

    variation = ((logits_NxC - logits_NxC.mean(axis=0)) ** 2).sum()
    for k in (1, 2):
        of_k_5x1 = np.isin(np.arange(5), (k, 5 - k))[:, None]
        kept_NxC = np.fft.ifft(waves_5x5 * of_k_5x1, axis=0).real[sum_N]
        restricted = losses(kept_NxC + logits_NxC.mean(axis=0), labels_N)
        excluded, _ = losses(logits_NxC - kept_NxC, labels_N)
        np.testing.assert_allclose(found["logits"][k - 1], (kept_NxC**2).sum() / variation, 1e-5)
        np.testing.assert_allclose(found["restricted_train_loss"][k - 1], restricted[0], 1e-5)
        np.testing.assert_allclose(found["restricted_val_loss"][k - 1], restricted[1], 1e-5)
        np.testing.assert_allclose(found["excluded_train_loss"][k - 1], excluded, 1e-5)


@pytest.mark.parametrize("name", ["Z_5", "D_4", "S_3", "S_4", "A_4", "Q_8", "Q_8xZ_3"])
def test_projectors_are_those_of_characters_and_add_up_to_the_identity(name):
    table_NxN, inverse_N, _ = find(name)
    size = len(table_NxN)
    found = groups.parts(name)
    of_K = found.of_KxW.astype(bool)

    for irrep, of_W in zip(irreps(name)[1:], of_K, strict=True):
        share = irrep.rho_NxDxD.shape[1] / irrep.kind / size
        projector_nxn = share * irrep.character_N[table_NxN[:, inverse_N]]
        basis_Wxn = found.basis_Wxn[of_W]
        np.testing.assert_allclose(basis_Wxn.T @ basis_Wxn, projector_nxn, atol=1e-6)

    all_nxn = found.basis_Wxn.T @ found.basis_Wxn + np.full((size, size), 1 / size)
    np.testing.assert_allclose(all_nxn, np.eye(size), atol=1e-6)


def test_embeddings_are_shared_among_representations():
    """Matrix entries and a constant; tokens that are no elements do not count."""
    rho_NxDxD = irreps("S_3")[1].rho_NxDxD
    token_VxD = np.zeros((8, WIDTH))
    token_VxD[:6, :4] = rho_NxDxD.reshape(6, 4) * np.sqrt(2)  # columns of norm 6^.5
    token_VxD[:6, 5] = irreps("S_3")[2].character_N
    token_VxD[:6, 6] = 5
    token_VxD[6:] = 9

    found = values("S_3", np.zeros((36, 6)), token_VxD=token_VxD)

    np.testing.assert_allclose(found["embedding"], [0.8, 0.2], atol=1e-6)


def test_of_one_hot_codes_the_weights_of_the_left_operand_are_the_embedding():
    task = group.make("S_3")
    network = mlp.Model(task.num_tokens, 6, length=4, code="one_hot", hidden=(WIDTH,))
    kernel_IxF = np.ones((4 * task.num_tokens, WIDTH))
    kernel_IxF[:6] += irreps("S_3")[2].character_N[:, None]
    outputs = {"logits": jnp.zeros((36, 6)), "neurons": jnp.zeros((36, NEURONS))}
    split = split_of(jnp.asarray(task.examples.labels_N))

    @jax.jit
    def embedding(params):
        view = View(params, unread(), unread(), split, unread(), unread(), unread(), outputs)
        return groups.make(task, network).compute(view)["embedding"]

    np.testing.assert_allclose(embedding({"kernel_0": jnp.float32(kernel_IxF)}), [0, 1], atol=1e-6)


def test_neurons_that_tell_cosets_apart_are_counted_with_their_size():
    """What a does to the first corner and what b sends there: cosets of the other corners' S_3."""
    points_NxP = find("S_4").points_NxP
    left_n = np.array([1.0, -0.3, 0.4, 2.1])[points_NxP[:, 0]]
    right_n = np.array([0.2, 1.3, -0.9, 0.5])[points_NxP.argmin(axis=1)]
    rng = np.random.default_rng(2)
    neurons_NxF = np.stack(
        [
            np.maximum(np.add.outer(left_n, right_n).ravel(), 0),
            rng.normal(size=24**2),
            np.full(24**2, 0.7),  # does not count
        ],
        axis=1,
    )

    found = values("S_4", np.zeros((24**2, 24)), neurons_NxF)

    np.testing.assert_allclose(found["coset_size"], (6 + 1) / 2)
    np.testing.assert_allclose(found["coset_neurons"], 1 / 2)


def test_the_authors_code_gives_the_same():
    """What its `utils/metrics.py` gave for these weights of a last hidden layer and a readout."""
    product_N = find("S_3").table_NxN.ravel()
    frequency_F = np.arange(1, 6)
    angle_NxF = 2 * product_N[:, None] * frequency_F + np.arange(36)[:, None] / 99
    readout_FxC = 3 * np.cos(2 * frequency_F[:, None] * np.arange(6))

    found = values("S_3", np.maximum(np.cos(angle_NxF), 0) @ readout_FxC)

    np.testing.assert_allclose(found["similarity"], [0.28983916, 0.42213016], atol=1e-6)
    np.testing.assert_allclose(found["excluded_train_loss"], [4.2890572, 3.1755275], rtol=1e-6)


def test_runs_side_by_side_are_measured_as_one_alone():
    rng = np.random.default_rng(3)
    outputs_R = {
        "logits": jnp.float32(rng.normal(size=(3, 36, 6))),
        "neurons": jnp.float32(rng.normal(size=(3, 36, NEURONS))),
    }
    params_R = {"token": jnp.float32(rng.normal(size=(3, 8, WIDTH)))}
    split = split_of(jnp.asarray(find("S_3").table_NxN.ravel()))

    def of_run(run):
        return measured("S_3")(run[0], split, run[1])

    runs_R = (params_R, outputs_R)
    together = jax.jit(jax.vmap(of_run))(runs_R)
    in_turn = jax.lax.map(of_run, runs_R)

    for r in range(3):
        alone = of_run(jax.tree.map(lambda x, r=r: x[r], runs_R))
        for name, value in alone.items():
            np.testing.assert_allclose(together[name][r], value, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(in_turn[name][r], value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "task", [group.make("D_3"), permutation.make(k=3), modular.make("add", p=5)]
)
def test_tasks_name_the_group_whose_table_they_are(task):
    table_NxN = find(task.group_name).table_NxN
    a_N, b_N = np.indices(table_NxN.shape).reshape(2, -1)

    np.testing.assert_array_equal(task.examples.inputs_NxL[:, 0], a_N)
    np.testing.assert_array_equal(task.examples.inputs_NxL[:, 2], b_N)
    np.testing.assert_array_equal(task.examples.labels_N, table_NxN.ravel())


@pytest.mark.parametrize(
    "task", [modular.make("sub", p=5), modular.make("div", p=5), permutation.make("aba", k=3)]
)
def test_a_task_that_is_no_multiplication_is_said_to_be_none(task):
    network = mlp.Model(task.num_tokens, task.num_classes, length=4)
    with pytest.raises(ValueError, match=r"needs all products of a group, .* choose task=group"):
        groups.make(task, network)
