"""The waves with which a network adds: spectra, key frequencies, restricted and excluded loss.

A network that has learned to add modulo n puts its numbers on circles: cos w_k i and sin w_k i,
w_k = 2 pi k / n, for a few key frequencies k. It multiplies those of both operands to get those of
i + j, of which every logit is a sum. An answer that is memorised needs waves of all frequencies.

    Nanda, Chan, Lieberum, Smith & Steinhardt, 2023, "Progress measures for grokking via mechanistic
    interpretability", https://arxiv.org/abs/2301.05217

The same holds for differences, products and quotients, where i and j are the numbers of which the
result is the sum, such as discrete logarithms. Pairs with an operand that has no number (0 in a
product) are left out of all values here; the logits of classes that have none are kept as they are.

Spectra have a share of power (squares, less the constant term) for each frequency 1 .. n // 2:

    embedding   of the n numbers' token embeddings: cos w_k i and sin w_k i, all dimensions together
    neurons     of all neurons together: cos and sin of w_k i and of w_k j, and their four products.
                Shares add up to 1 less what is of two frequencies
    logits      of all classes together: cos w_k(i + j) and sin w_k(i + j) alone. Shares add up to 1
                less what is not of the algorithm

Restricted loss: each logit keeps its mean over all pairs, and the waves of i + j of key
frequencies. Excluded loss: those waves are removed, all else is kept. Both are cross-entropies,
whatever is trained with. All pairs decide what a wave's part is, and those of training or of
validation what its loss is. Given the same logits and frequencies, the authors' functions
(`calculate_trig_loss`, `calculate_excluded_loss`, `extract_freq_2d` for neurons) agree to 1e-6:
https://github.com/mechanistic-interpretability-grokking/progress-measures-paper

What differs: the authors take the frequencies of the final network, from its neurons or from the
map of neurons to logits. Here they are the `num_keys` strongest of the present network's logits;
with theirs as `fixed` the curves are theirs. Their code excludes one frequency at a time, their
figure 7 and this all of them.

Gini coefficients are of the norms of the embedding's n - 1 waves, cosines and sines apart. Inverse
participation ratios are

    Gromov, 2023, "Grokking modular arithmetic", https://arxiv.org/abs/2301.02679
    Doshi, Das, He & Gromov, 2023, "To grok or not to grok: Disentangling generalization and
    memorization on corrupted algorithmic datasets", https://arxiv.org/abs/2310.13061

of the spectrum of each dimension of the embedding, and of the powers of one frequency in each
neuron. Those papers have one-hot codes and take it of the first layer's weights: here as well,
`embedding_ipr` then is of the weights of the left operand. `neurons_ipr` is of what comes out of a
neuron: if it squares, a wave of w_k gives one of w_2k besides, and the ratio is .68.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from grokjax.core.data import Task
from grokjax.core.hparams import at_least, check_ranges
from grokjax.core.losses import correct, cross_entropy
from grokjax.core.measure import Measure, View
from grokjax.measures._fourier import Waves, gini, inverse_participation, waves
from grokjax.measures._shapes import embedding

KEY_SHARE = 0.95  # of the power of all waves of i + j, held by the key frequencies
EXPLAINED = 0.85  # of a neuron's variance, by one frequency; Nanda et al., section 4.3

RANGES = {"num_keys": at_least(1), "fixed": at_least(1)}
TITLES = {
    "embedding": "Embedding: share of each frequency",
    "neurons": "Neurons: share of each frequency",
    "logits": "Logits: share of each frequency of the sum",
    "num_keys": f"Key frequencies, {KEY_SHARE:.0%} of the logits' waves",
    "top5_share": "Logits: share of the top five frequencies",
    "gini": "Gini coefficient of the embedding's waves",
    "embedding_ipr": "Embedding: inverse participation ratio",
    "neurons_ipr": "Neurons: inverse participation ratio",
    "neurons_explained": f"Share of neurons {EXPLAINED:.0%} of one frequency",
    "restricted_train_loss": "Restricted training loss (nats)",
    "restricted_val_loss": "Restricted validation loss (nats)",
    "restricted_val_accuracy": "Restricted validation accuracy",
    "excluded_train_loss": "Excluded training loss (nats)",
    "excluded_val_loss": "Excluded validation loss (nats)",
    "excluded_val_accuracy": "Excluded validation accuracy",
}
ENTRIES = dict.fromkeys(("embedding", "neurons", "logits"), "frequency")
LOGARITHMIC = tuple(name for name in TITLES if name.endswith("_loss"))


def make(
    task: Task,
    network: nn.Module,
    *,
    num_keys: int = 5,  # how many of the logits' strongest frequencies are key frequencies
    fixed: tuple[int, ...] = (),  # key frequencies, the same at every evaluation; (): num_keys
) -> Measure:
    """Measures the waves of a task that is arithmetic in a cyclic group of n elements.

    If there are fewer than `num_keys` frequencies, all are key frequencies. What is said of
    embeddings is NaN for a model without any.

    Raises:
        ValueError: for another task, or a frequency that it does not have.
    """
    check_ranges("measure.fourier.", locals(), RANGES)
    group = task.cyclic
    if group is None or group.order < 2:
        raise ValueError(
            "measure fourier needs sums in a cyclic group, and this task has none; choose "
            "task=modular with op add or sub, or mul or div and a prime p above 2"
        )
    last = group.order // 2
    if wrong := [k for k in fixed if k > last]:
        raise ValueError(
            f"measure.fourier.fixed has {wrong[0]:,}; choose frequencies 1 to {last:,}"
        )
    of_group = waves(group)
    classes_C = np.isin(np.arange(task.num_classes), group.class_n)
    fixed_K = np.isin(of_group.frequencies, fixed).astype(np.float32) if fixed else None

    def compute(view: View) -> dict[str, jax.Array]:
        token_nxD = embedding(network, view.params)[group.token_n]
        return (
            _of_embedding(of_group, token_nxD)
            | _of_neurons(of_group, view.outputs["neurons"])
            | _of_logits(of_group, classes_C, view, num_keys, fixed_K)
        )

    return Measure(compute, reads=("logits", "neurons"))


def _of_embedding(of_group: Waves, token_nxD):
    power_KxD = of_group.power(token_nxD)
    return {
        "embedding": power_KxD.sum(1) / power_KxD.sum(),
        "gini": gini(jnp.linalg.norm(of_group.components(token_nxD), axis=1)),
        "embedding_ipr": inverse_participation(power_KxD),
    }


def _of_neurons(of_group: Waves, neurons_NxF):
    power_KxF = of_group.power_of_pairs(neurons_NxF)
    variation_F = of_group.variation(neurons_NxF)
    return {
        "neurons": power_KxF.sum(1) / variation_F.sum(),
        "neurons_ipr": inverse_participation(power_KxF),
        "neurons_explained": (power_KxF.max(0) / variation_F >= EXPLAINED).mean(),
    }


def _of_logits(of_group: Waves, classes_C, view: View, num_keys, fixed_K):
    rows_nxn = of_group.sum_nxn  # of pairs with the sum of the first axis
    logits_nxnxC = view.outputs["logits"][rows_nxn]
    means_nxC = logits_nxnxC.mean(1)
    power_K = of_group.order * of_group.power(means_nxC)[:, classes_C].sum(1)
    all_power = of_group.variation(view.outputs["logits"])[classes_C].sum()
    strongest_K, order_K = jax.lax.top_k(power_K, len(power_K))
    held_K = jnp.cumsum(strongest_K) / strongest_K.sum()
    count = jnp.where(strongest_K[0] > 0, 1 + (held_K < KEY_SHARE).sum(), jnp.nan)
    keys_K = jnp.zeros_like(power_K).at[order_K[:num_keys]].set(1) if fixed_K is None else fixed_K

    kept_nx1xC = jnp.where(classes_C[None], of_group.kept(means_nxC, keys_K), 0.0)[:, None]
    restricted_nxnxC = jnp.where(
        classes_C[None, None], means_nxC.mean(0)[None, None] + kept_nx1xC, logits_nxnxC
    )
    return {
        "logits": power_K / all_power,
        "num_keys": count,
        "top5_share": strongest_K[:5].sum() / all_power,
        **_scores("restricted", restricted_nxnxC, rows_nxn, view),
        **_scores("excluded", logits_nxnxC - kept_nx1xC, rows_nxn, view),
    }


def _scores(name, logits_nxnxC, rows_nxn, view: View):
    rows_P = rows_nxn.ravel()
    labels_P = jnp.asarray(view.labels_N)[rows_P]
    logits_PxC = logits_nxnxC.reshape(rows_P.size, -1)
    loss_P = cross_entropy(logits_PxC, labels_P)
    train_P = view.train_N[rows_P]

    def mean(x_P, mask_P):
        return jnp.where(mask_P, x_P, 0.0).sum() / mask_P.sum()

    return {
        f"{name}_train_loss": mean(loss_P, train_P),
        f"{name}_val_loss": mean(loss_P, ~train_P),
        f"{name}_val_accuracy": mean(correct(logits_PxC, labels_P), ~train_P),
    }
