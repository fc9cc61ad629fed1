"""How the features and the embeddings lie: dimensions, distances of classes, lines and circles.

Features are what enters the readout. With covariance eigenvalues s_i of all N rows, and
q_i = s_i / sum s:

    effective_rank   exp(- sum q_i ln q_i)
    participation    (sum s_i)^2 / sum s_i^2

Both are D' where D' directions have the same variance and the others none. Roy & Vetterli, 2007,
"The Effective Rank: A Measure of Effective Dimensionality", EUSIPCO, of the covariance's singular
values; Gao et al., 2017, "A Theory of Multineuronal Dimensionality, Dynamics and Measurement",
https://doi.org/10.1101/214262.

Of the class means m_c, their mean m, and the covariances within, S_W = mean of (h - m_c)(h - m_c)'
over examples, and between classes, S_B = mean of (m_c - m)(m_c - m)' over the C classes that have
an example:

    nc1              trace(S_W pinv(S_B)) / C, of training examples
    within_between   trace(S_W) / trace(S_B), of training examples
    ildr             mean squared distance of two class means / mean over classes of the mean
                     squared distance to the class mean, of validation examples

nc1 goes to 0 in neural collapse: Papyan, Han & Donoho, 2020, "Prevalence of Neural Collapse during
the Terminal Phase of Deep Learning Training", https://arxiv.org/abs/2008.08186. pinv leaves out
directions whose deviation is below 1e-5 of the largest. ILDR, the inter/intra-class distance
ratio, is said to rise to 2.5 times its early value before validation accuracy does: Golwala, 2026,
"ILDR: Geometric Early Detection of Grokking", https://arxiv.org/abs/2604.20923, with 1e-8 added to
the denominator as there, but of all validation examples instead of 1,500.

Where the task's equations are sums in Z_n and tokens have embeddings, E_i of the left operand i
in the group's order:

    embedding_dimension   exp(entropy) of the shares of variance of their principal components
    circularity           mean over the four largest components of the share of a component's
                          squares that lies at one frequency, the best
    parallelograms        share of the i < j <= k < m with i + m = j + k for which the mean
                          square over dimensions of E_i + E_m - E_j - E_k is below .01
    parallelogram_gap     mean of that square over all of them, over 4

Dimension and parallelograms (there RQI, the representation quality index): Liu et al., 2022,
"Towards Understanding Grokking: An Effective Theory of Representation Learning",
https://arxiv.org/abs/2205.10343. As in their code, each dimension of E first has mean 0 and
variance 1; the gap is then 1 for random embeddings and 0 for numbers on a line. A line is the
structure of plain addition. Addition mod n wraps around, which no line does: there generalising
embeddings lie on circles, on which no such parallelogram holds, so `circularity` is the number to
look at, and the two tell which it is. The authors note that the index is strict in many dimensions.
Above n = 106 a fixed random subset of 100,000 quadruples is taken.

Circularity: Zhong, Liu, Tegmark & Andreas, 2023, "The Clock and the Pizza", appendix,
https://arxiv.org/abs/2306.17844. Components without variance do not count, and of an even n the
frequency n / 2 counts once, where theirs would count it twice. Two circles of the same radius share
their components, which lowers it.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from grokjax.core import lapack
from grokjax.core.data import Task
from grokjax.core.measure import Measure, View
from grokjax.measures._shapes import embedding

TOLERANCE = 0.01  # of a parallelogram
MAX_PARALLELOGRAMS = 100_000
COMPONENTS = 4  # whose circularity is taken
NOISE = 1e-5  # of the largest deviation: float32 does not tell it from 0
TITLES = {
    "effective_rank": "Effective rank of the features",
    "participation": "Participation ratio of the features",
    "nc1": "Variation within classes over that between (NC1)",
    "within_between": "Variance within classes over that between",
    "ildr": "Distance between over within classes (ILDR)",
    "embedding_dimension": "Effective dimension of the embeddings",
    "circularity": "Circularity of the embeddings",
    "parallelograms": "Share of parallelograms of embeddings (RQI)",
    "parallelogram_gap": "Gap of parallelograms: 0 a line, 1 random",
}
LOGARITHMIC = ("nc1", "within_between", "ildr")


def make(task: Task, network: nn.Module) -> Measure:
    """Geometry of the features, and of the embeddings where the task is cyclic.

    What is said of embeddings is NaN for a model without any.
    """
    quadruples_Px4 = None if task.cyclic is None else quadruples(task.cyclic.order)

    def compute(view: View) -> dict[str, jax.Array]:
        features_NxD = view.outputs["features"]
        by_class = (features_NxD, view.labels_N, task.num_classes)
        eigenvalues = _variances(features_NxD)[0]
        found = {
            "effective_rank": _dimension(eigenvalues),
            "participation": eigenvalues.sum() ** 2 / jnp.square(eigenvalues).sum(),
            **_collapse(*by_class, view.train_N),
            "ildr": _ildr(*by_class, ~view.train_N),
        }
        if task.cyclic is None:
            return found
        token_nxD = embedding(network, view.params)[task.cyclic.token_n]
        return found | _of_embeddings(token_nxD, quadruples_Px4)

    return Measure(compute, reads=("features",))


def quadruples(n: int) -> np.ndarray:
    """[P, 4] int32: all i < j <= k < m below n with i + m = j + k, or a fixed subset of them."""
    found = []
    for step in range(1, n // 2 + 1):  # j - i = m - k
        j, k = np.triu_indices(n - 2 * step)
        j, k = j + step, k + step
        found.append(np.stack([j - step, j, k, k + step], axis=1))
    every_Px4 = np.concatenate([np.zeros((0, 4), int), *found]).astype(np.int32)
    if len(every_Px4) <= MAX_PARALLELOGRAMS:
        return every_Px4
    chosen = np.random.default_rng(0).permutation(len(every_Px4))[:MAX_PARALLELOGRAMS]
    return every_Px4[np.sort(chosen)]


def _of_embeddings(token_nxD, quadruples_Px4):
    shares_K, components_nxK = _variances(token_nxD)
    squares_P = _gaps(token_nxD, quadruples_Px4)
    return {
        "embedding_dimension": _dimension(shares_K),
        "circularity": _circularity(shares_K, components_nxK),
        "parallelograms": jnp.where(jnp.isnan(squares_P), jnp.nan, squares_P < TOLERANCE).mean(),
        "parallelogram_gap": squares_P.mean() / 4,
    }


def _variances(x_NxD):
    """The covariance's eigenvalues, largest first, and the principal components [N, K]."""
    x_NxD = x_NxD - x_NxD.mean(axis=0, keepdims=True)
    num_rows, width = x_NxD.shape
    if num_rows < width:
        gram_NxN = jnp.matmul(x_NxD, x_NxD.T, precision="highest") / num_rows
        values, components = lapack.eigh(gram_NxN)
    else:
        covariance_DxD = jnp.matmul(x_NxD.T, x_NxD, precision="highest") / num_rows
        values, vectors_DxD = lapack.eigh(covariance_DxD)
        components = jnp.matmul(x_NxD, vectors_DxD, precision="highest")
    return jnp.maximum(values[::-1], 0.0), components[:, ::-1]


def _dimension(variances_K):
    """exp(entropy) of shares."""
    share_K = variances_K / variances_K.sum()
    return jnp.exp(jax.scipy.special.entr(share_K).sum())


def _class_means(features_NxD, labels_N, num_classes, counted_N):
    """Each row minus the mean of its class [N, D], the means [C, D], and rows of each class [C]."""
    weight_N = counted_N.astype(jnp.float32)
    count_C = jax.ops.segment_sum(weight_N, labels_N, num_classes)
    sum_CxD = jax.ops.segment_sum(weight_N[:, None] * features_NxD, labels_N, num_classes)
    mean_CxD = sum_CxD / jnp.maximum(count_C, 1.0)[:, None]
    off_NxD = weight_N[:, None] * (features_NxD - mean_CxD[labels_N])
    return off_NxD, mean_CxD, count_C


def _between(mean_CxD, count_C):
    """The class means minus their mean [C, D], 0 where a class has no rows; and how many have."""
    present_Cx1 = (count_C > 0)[:, None].astype(jnp.float32)
    num_present = present_Cx1.sum()
    middle_1xD = (present_Cx1 * mean_CxD).sum(axis=0, keepdims=True) / num_present
    return present_Cx1 * (mean_CxD - middle_1xD), num_present


def _collapse(features_NxD, labels_N, num_classes, counted_N):
    off_NxD, mean_CxD, count_C = _class_means(features_NxD, labels_N, num_classes, counted_N)
    between_CxD, num_present = _between(mean_CxD, count_C)
    _, deviation_K, vectors_KxD = lapack.svd(between_CxD)
    kept_K = deviation_K > NOISE * deviation_K[0]
    whitened_K = jnp.where(kept_K, 1 / jnp.where(kept_K, deviation_K, 1.0), 0.0)
    scaled_NxK = jnp.matmul(off_NxD, vectors_KxD.T * whitened_K[None], precision="highest")
    # S_B = between' between / C, so that 1 / C of nc1 goes out against the C of pinv(S_B)
    within = jnp.square(off_NxD).sum() / count_C.sum()
    between = jnp.square(between_CxD).sum() / num_present
    return {
        "nc1": jnp.square(scaled_NxK).sum() / count_C.sum(),
        "within_between": within / between,
    }


def _ildr(features_NxD, labels_N, num_classes, counted_N):
    off_NxD, mean_CxD, count_C = _class_means(features_NxD, labels_N, num_classes, counted_N)
    between_CxD, num_present = _between(mean_CxD, count_C)
    square_C = jax.ops.segment_sum(jnp.square(off_NxD).sum(axis=1), labels_N, num_classes)
    intra = (square_C / jnp.maximum(count_C, 1.0)).sum() / num_present
    inter = 2 * jnp.square(between_CxD).sum() / (num_present - 1)  # = that of all pairs
    return inter / (intra + 1e-8)


def _circularity(variances_K, components_nxK):
    largest = min(COMPONENTS, len(variances_K))
    component_nxk = components_nxK[:, :largest]
    power_fxk = jnp.square(jnp.abs(jnp.fft.rfft(component_nxk, axis=0)[1:]))
    n = len(component_nxk)
    twice_fx1 = np.full((len(power_fxk), 1), 2.0, np.float32)  # it stands for -f too
    if n % 2 == 0:
        twice_fx1[-1] = 1.0
    square_k = (twice_fx1 * power_fxk).max(axis=0) / n
    counts_k = variances_K[:largest] > 1e-6 * variances_K[0]  # the others are rounding
    share_k = square_k / jnp.square(component_nxk).sum(axis=0)
    return jnp.where(counts_k, share_k, 0.0).sum() / counts_k.sum()


def _gaps(token_nxD, quadruples_Px4):
    """[P]: the mean square over dimensions of E_i + E_m - E_j - E_k, from products of pairs."""
    off_nxD = token_nxD - token_nxD.mean(axis=0, keepdims=True)
    deviation_1xD = token_nxD.std(axis=0, keepdims=True, ddof=1)
    unit_nxD = off_nxD / jnp.where(deviation_1xD > 0, deviation_1xD, 1.0)
    gram_nxn = jnp.matmul(unit_nxD, unit_nxD.T, precision="highest") / unit_nxD.shape[1]
    i, j, k, m = quadruples_Px4.T
    squares_n = jnp.diagonal(gram_nxn)
    squares = squares_n[i] + squares_n[j] + squares_n[k] + squares_n[m]
    alike = gram_nxn[i, m] + gram_nxn[j, k]
    across = gram_nxn[i, j] + gram_nxn[i, k] + gram_nxn[m, j] + gram_nxn[m, k]
    return squares + 2 * (alike - across)
