"""The irreducible representations with which a network multiplies, and cosets.

A network that has learned to multiply in a finite group may turn each element a into a matrix
rho(a) of an irreducible representation, multiply rho(a) rho(b) = rho(ab), and give class c a logit
tr(rho(ab) rho(c)^-1), largest for c = ab. Key frequencies of sums (measure `fourier`) are a case.

    Chughtai, Chan & Nanda, 2023, "A Toy Model of Universality: Reverse Engineering how Networks
    Learn Group Operations", https://arxiv.org/abs/2302.03025

Vectors have an entry for each irreducible representation but the trivial one, in the order of
`irreps(name)` of `_irreps.py`. They are real: two complex ones that are conjugate to each other
are one entry, as exp(iwa) and exp(-iwa) of Z_n are, whose entry k is frequency k. The entries of a
matrix rho span a part of the functions of an element, to which

    (P f)(g) = D / (kind n) sum_h chi(g h^-1) f(h)

projects, D the dimension, chi the trace, kind 1, 2 or 4: real, complex, quaternionic. Parts are
orthogonal to each other; the trivial one's is the mean.

    logits      share of the logits' variance that is sum_ij rho_ij(ab) f_ij(c), any f. Variance
                is about each class's mean over all pairs; shares add up to 1 less what is no
                function of ab and c
    similarity  cosine of the logits, less each pair's mean over classes, and tr(rho(ab) rho(c)^-1)
    embedding   share of the variance of the elements' token embeddings

Restricted loss: of the logits each class's mean is kept, and the part of rho(ab). Excluded loss:
that part is removed, all else is kept. `..._keys` is that of key representations together, the
fewest that hold 95 % of all such parts. Losses are cross-entropies, whatever is trained with.

In the authors' code `logit_trace_similarity` and, for models whose logits are linear in the last
hidden layer, the excluded loss of `hidden_excluded_and_restricted_loss` agree to 1e-5:
https://github.com/bilal-chughtai/rep-theory-mech-interp. Their restricted loss drops the classes'
means and is of all pairs; their embedding is multiplied with the next layer's weights. For Z_n they
orthogonalise four functions of which two are independent, the others are rounding; not so here.

A network may also tell cosets of subgroups apart, and no more, in each neuron:

    Stander, Yu, Fan & Biderman, 2023, "Grokking Group Multiplication with Cosets",
    https://arxiv.org/abs/2312.06581

Let l(a) be a neuron's mean over all b. If l(ha) = l(a) for all h in a subgroup H, it is constant on
cosets Ha. Here h counts if l(ha) and l(a) correlate by .95 or more; likewise r(bh) and r(b), means
over all a. The authors list the subgroups of S_5 and S_6 and compare variances within cosets,
before the activation; this needs no list and fits any group and model.

    coset_size     mean number of such h, left and right, of neurons whose l and r are not constant
    coset_neurons  share of these neurons that have more than one (the identity) on both sides
"""

import functools
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from grokjax.core.data import Task
from grokjax.core.losses import cross_entropy
from grokjax.core.measure import Measure, View
from grokjax.measures._irreps import irreps
from grokjax.measures._shapes import embedding
from grokjax.tasks._groups import FiniteGroup, find

KEY_SHARE = 0.95  # of the power of all irreducible representations, held by the key ones
SAME = 0.95  # correlation of a neuron with itself, moved by an element of its subgroup
ROUNDING = 1e-8  # share of a neuron's squares below which what is not constant is rounding

TITLES = {
    "logits": "Logits: share of each representation",
    "similarity": "Logits: cosine to each trace",
    "embedding": "Embedding: share of each representation",
    "num_irreps": f"Representations with {KEY_SHARE:.0%} of the parts",
    "restricted_train_loss": "Each alone: training loss (nats)",
    "restricted_val_loss": "Each alone: validation loss (nats)",
    "excluded_train_loss": "Without each: training loss (nats)",
    "restricted_train_loss_keys": "Key ones alone: training loss (nats)",
    "restricted_val_loss_keys": "Key ones alone: validation loss (nats)",
    "excluded_train_loss_keys": "Without key ones: training loss (nats)",
    "coset_size": "Elements that leave a neuron as it is",
    "coset_neurons": "Share of neurons constant on cosets",
}
ENTRIES = dict.fromkeys(
    ("logits", "similarity", "embedding", *(name for name in TITLES if name.endswith("_loss"))),
    "irreducible representation",
)
LOGARITHMIC = tuple(name for name in TITLES if name.endswith("_loss_keys"))

matmul = functools.partial(jnp.matmul, precision="highest")


class Parts(NamedTuple):
    """The parts into which functions of an element fall apart; W = n - 1 functions span them."""

    basis_Wxn: np.ndarray  # float32, orthonormal
    of_KxW: np.ndarray  # float32: 1 if it is of the representation
    unit_Kxn: np.ndarray  # float32: the traces, of norm 1

    def components(self, x_nxF: jax.Array) -> jax.Array:
        """[W, F]: what functions of an element, one a column, have of each of the basis."""
        return matmul(self.basis_Wxn, x_nxF)

    def power(self, x_nxF: jax.Array) -> jax.Array:
        """[K]: the sum of squares of each representation's part."""
        return matmul(self.of_KxW, (self.components(x_nxF) ** 2).sum(1))


def parts(name: str) -> Parts:
    """Those of the group of a name, without the trivial representation's."""
    bases = []
    units = []
    for irrep in irreps(name)[1:]:
        entries_nxE = irrep.rho_NxDxD.reshape(len(irrep.rho_NxDxD), -1)
        rank = entries_nxE.shape[1] // irrep.kind  # so many of the entries are independent
        bases.append(np.linalg.svd(entries_nxE, full_matrices=False)[0].T[:rank])
        units.append(irrep.character_N / np.linalg.norm(irrep.character_N))
    of_W = np.repeat(np.arange(len(bases)), [len(basis) for basis in bases])
    of_KxW = np.arange(len(bases))[:, None] == of_W
    basis_Wxn = np.concatenate(bases, dtype=np.float32)
    return Parts(basis_Wxn, of_KxW.astype(np.float32), np.array(units, np.float32))


def make(task: Task, network: nn.Module) -> Measure:
    """Measures a task whose equations are a o b in a group of n elements.

    What is said of embeddings is NaN for a model without any.

    Raises:
        ValueError: for another task.
    """
    if not task.group_name:
        raise ValueError(
            "measure groups needs all products of a group, and this task is none; choose "
            "task=group, task=permutation with op compose or task=modular with op add"
        )
    group = find(task.group_name)
    of_group = parts(task.group_name)

    def compute(view: View) -> dict[str, jax.Array]:
        token_nxD = embedding(network, view.params)[: task.num_classes]
        power_K = of_group.power(token_nxD)
        return (
            {"embedding": power_K / ((token_nxD - token_nxD.mean(0, keepdims=True)) ** 2).sum()}
            | _of_logits(group, of_group, view)
            | _of_neurons(group, view.outputs["neurons"])
        )

    return Measure(compute, reads=("logits", "neurons"))


def _of_logits(group: FiniteGroup, of_group: Parts, view: View):
    logits_NxC = view.outputs["logits"]
    size = len(group.table_NxN)
    rows_nxn = np.argsort(group.table_NxN.ravel(), kind="stable").reshape(size, size)
    logits_nxnxC = logits_NxC[rows_nxn]  # the pairs with the product of the first axis
    labels_nxn = jnp.asarray(view.labels_N)[rows_nxn]
    train_nxn = view.train_N[rows_nxn]
    means_nxC = logits_nxnxC.mean(1)
    mean_1xC = means_nxC.mean(0, keepdims=True)
    components_WxC = of_group.components(means_nxC)
    power_K = size * of_group.power(means_nxC)
    keys_K = _keys(power_K)

    def losses(mask_W):
        kept_nxC = matmul(of_group.basis_Wxn.T, mask_W[:, None] * components_WxC)
        log_nxC = jax.nn.log_softmax(mean_1xC + kept_nxC)
        alone_nxn = -jnp.take_along_axis(log_nxC, labels_nxn, axis=1)
        without_nxn = cross_entropy(logits_nxnxC - kept_nxC[:, None], labels_nxn)
        return {
            "restricted_train_loss": jnp.mean(alone_nxn, where=train_nxn),
            "restricted_val_loss": jnp.mean(alone_nxn, where=~train_nxn),
            "excluded_train_loss": jnp.mean(without_nxn, where=train_nxn),
        }

    each_KxW = jnp.asarray(of_group.of_KxW)
    all_losses = jax.lax.map(losses, jnp.concatenate([each_KxW, keys_K[None] @ each_KxW]))
    quotient_nxn = means_nxC[np.arange(size), group.table_NxN[group.inverse_N]]  # c = x^-1 g
    norm = jnp.linalg.norm(logits_NxC - logits_NxC.mean(1, keepdims=True))
    return {
        "logits": power_K / ((logits_NxC - mean_1xC) ** 2).sum(),
        "similarity": matmul(of_group.unit_Kxn, quotient_nxn.sum(1)) / norm,
        "num_irreps": keys_K.sum(),
        **{name: loss[:-1] for name, loss in all_losses.items()},
        **{f"{name}_keys": loss[-1] for name, loss in all_losses.items()},
    }


def _keys(power_K):
    """[K]: 1 for the fewest representations that hold `KEY_SHARE` of the power."""
    order_K = jnp.argsort(-power_K)
    stronger_K = jnp.cumsum(power_K[order_K]) - power_K[order_K]  # those before it
    found_K = stronger_K < KEY_SHARE * power_K.sum()
    return jnp.zeros_like(power_K).at[order_K].set(found_K.astype(power_K.dtype))


def _of_neurons(group: FiniteGroup, neurons_NxF):
    size = len(group.table_NxN)
    neurons_nxnxF = neurons_NxF.reshape(size, size, -1)
    left_F = _unmoved(neurons_nxnxF.mean(1), group.table_NxN)
    right_F = _unmoved(neurons_nxnxF.mean(0), group.table_NxN.T)
    vary_F = (left_F > 0) & (right_F > 0)
    return {
        "coset_size": jnp.mean((left_F + right_F) / 2, where=vary_F),
        "coset_neurons": jnp.mean((left_F > 1) & (right_F > 1), where=vary_F),
    }


def _unmoved(x_nxF, moved_nxn):
    """[F]: how many elements leave each function as it is; 0 if it is constant."""
    varying_nxF = x_nxF - x_nxF.mean(0, keepdims=True)
    power_F = (varying_nxF**2).sum(0)
    same_nxF = jax.lax.map(
        lambda moved_n: (varying_nxF[moved_n] * varying_nxF).sum(0) >= SAME * power_F,
        jnp.asarray(moved_nxn),
    )
    return jnp.where(power_F > ROUNDING * (x_nxF**2).sum(0), same_nxF.sum(0), 0)
