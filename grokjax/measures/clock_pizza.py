"""Clock or pizza: which of two algorithms a network adds with.

Both put the numbers on circles, e(i) = exp(2 pi sqrt(-1) k i / n). A clock multiplies the two
points, e(i) e(j) = e(i + j). A pizza adds them: e(i) + e(j) points in the direction of the result
too, but its length is |cos(pi k (i - j) / n)|, so some distances i - j have small logits. Zhong,
Liu, Tegmark & Andreas, 2023, "The Clock and the Pizza: Two Stories in Mechanistic Explanation of
Neural Networks", https://arxiv.org/abs/2306.17844, tell them apart by two numbers:

    distance irrelevance    mean over d of std(L[i, j] where i - j = d) / std(L)
    gradient symmetricity   mean of cos(dQ[i, j, c] / dE_i, dQ[i, j, c] / dE_j)

L[i, j] is the logit of the correct result and Q[i, j, c] that of any class c. A pizza has little
of the first, as its logits depend on the distance, and 1 of the second, as it sees the sum of the
embeddings alone. A clock has 1 and 0: its gradient to one embedding is made of the other. They mean
this of a network that generalises; logits of one that has memorised depend on no distance either.

With the authors' weights (github.com/fjzzq2002/pizza, one layer, mod 59) their code and this give
the same at the samples they draw: model A, a pizza, .1717 and .9937, model B, a clock, .8483 and
.3336. Like them we take 100 random equations with a class each, but from other random numbers.
Their table of distances needs an odd modulus; grouping by i - j alone takes any. Products and
quotients are sums of discrete logarithms; in a difference j is the negative of the subtrahend.
Samples whose gradient is zero are left out.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from grokjax.core.data import Task
from grokjax.core.hparams import check_ranges, whole
from grokjax.core.measure import Measure, View
from grokjax.core.prefixes import plain
from grokjax.measures import _shapes

RANGES = {"samples": whole(1, 10_000)}
TITLES = {
    "distance_irrelevance": "Distance irrelevance (0: pizza, 1: clock)",
    "gradient_symmetricity": "Gradient symmetricity (1: pizza, 0: clock)",
}


def make(
    task: Task,
    network: nn.Module,
    *,
    samples: int = 100,  # equations, each with a class, at which gradients are compared
) -> Measure:
    """`distance_irrelevance` [] and `gradient_symmetricity` [].

    Raises:
        ValueError: for a task that is no sum of two operands in a cyclic group, or a model without
            embeddings of tokens.
    """
    check_ranges("measure.clock_pizza.", locals(), RANGES)
    cyclic = task.cyclic
    if cyclic is None or len(task.operands) != 2:
        raise ValueError(
            "measure clock_pizza is for sums of two numbers in a cyclic group; choose task=modular "
            "with op add or sub, or mul or div modulo a prime"
        )
    tables = jax.tree.leaves(_shapes.weights(task, network).get("token"))
    if len(tables) != 1:
        raise ValueError(
            "measure clock_pizza compares gradients to one table of embeddings of tokens, and this "
            f"model has {len(tables) or 'no'} weights 'token'; choose one with embeddings"
        )
    i_nxn, j_nxn = np.indices(cyclic.row_nxn.shape)
    result_nxn = cyclic.class_n[(i_nxn + j_nxn) % cyclic.order]
    rng = np.random.default_rng(0)
    i_S, j_S, k_S = rng.integers(cyclic.order, size=(3, samples))
    inputs_SxL = np.asarray(task.examples.inputs_NxL)[cyclic.row_nxn[i_S, j_S]]

    def compute(view: View) -> dict[str, jax.Array]:
        correct_nxn = view.outputs["logits"][cyclic.row_nxn, result_nxn]
        with jax.default_matmul_precision("highest"):  # of the network's products
            grads_Sx2xD = gradients(
                network, view.params, inputs_SxL, task.operands, cyclic.class_n[k_S]
            )
        return {
            "distance_irrelevance": distance_irrelevance(correct_nxn),
            "gradient_symmetricity": symmetricity(grads_Sx2xD),
        }

    return Measure(compute, reads=("logits",))


def distance_irrelevance(correct_nxn: jax.Array) -> jax.Array:
    """[]: of the standard deviation of the correct logits, how much distance leaves unexplained.

    Args:
        correct_nxn: the logit of i + j where the operands are i and j.
    """
    j_n = np.arange(correct_nxn.shape[0])
    i_nxn = (j_n[:, None] + j_n) % j_n.size  # of distance d, a row, and j, a column
    by_distance_nxn = correct_nxn[i_nxn, np.broadcast_to(j_n, i_nxn.shape)]
    return by_distance_nxn.std(axis=1).mean() / correct_nxn.std()


def symmetricity(grads_Sx2xD: jax.Array) -> jax.Array:
    """[]: the mean cosine between the gradients to the embeddings of two operands."""
    product_S = grads_Sx2xD.prod(axis=1).sum(axis=-1)
    norms_Sx2 = jnp.linalg.norm(grads_Sx2xD, axis=-1)
    return jnp.nanmean(product_S / norms_Sx2.prod(axis=1))


def gradients(
    network: nn.Module,
    params: Any,
    inputs_SxL: np.ndarray,
    operands: tuple[int, ...],
    classes_S: np.ndarray,
) -> jax.Array:
    """[S, 2, D]: the gradient of one logit of each sample to the embeddings of its operands.

    Where both operands are the same token they share a row of the table, so the model is given two
    tokens more, which have the embeddings of the operands and take their places.
    """
    positions = list(operands)
    token_VxD = _shapes.embedding(network, params)
    num_tokens = token_VxD.shape[0]
    wider = network.clone(num_tokens=num_tokens + 2)
    pair_Sx2xD = token_VxD[inputs_SxL[:, positions]]
    inputs_SxL = inputs_SxL.copy()
    inputs_SxL[:, positions] = [num_tokens, num_tokens + 1]

    def logit(pair_2xD, inputs_L, class_):
        table = jnp.concatenate([token_VxD, pair_2xD])
        token = jax.tree.map(lambda _: table, params["token"])  # of an nn.Embed it is a tree
        weights = {**params, "token": token}
        logits_1xC: Any = wider.apply({"params": weights}, plain(inputs_L[None]))
        return logits_1xC[0, class_]

    return jax.vmap(jax.grad(logit))(pair_Sx2xD, jnp.asarray(inputs_SxL), classes_S)
