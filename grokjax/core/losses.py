"""Losses, accuracy and penalties: functions of arrays."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from grokjax.core import weight_stats
from grokjax.core.hparams import Hparam, at_least

HPARAMS = {"l1": Hparam(0.0, float, at_least(0), "weight of the L1 term; 0: none")}


def cross_entropy(logits_BxC: jax.Array, labels_B: jax.Array) -> jax.Array:
    """[B]: minus the log-probability of each label, in nats."""
    return optax.softmax_cross_entropy_with_integer_labels(logits_BxC, labels_B)


def stablemax_cross_entropy(logits_BxC: jax.Array, labels_B: jax.Array) -> jax.Array:
    """[B]: cross-entropy in which s(x) takes the place of the exponential.

        s(x) = x + 1 for x >= 0,    1 / (1 - x) for x < 0

    It does not round to zero for large logits, where softmax stops learning. Prieto et al.,
    2025, "Grokking at the Edge of Numerical Stability", https://arxiv.org/abs/2501.04697
    """
    negative_BxC = jnp.minimum(logits_BxC, 0.0)  # keeps the unused branch away from 1 / 0
    s_BxC = jnp.where(logits_BxC >= 0, logits_BxC + 1, 1 / (1 - negative_BxC))
    s_B = jnp.take_along_axis(s_BxC, labels_B[:, None], axis=-1)[:, 0]
    return jnp.log(s_BxC.sum(-1)) - jnp.log(s_B)


def squared_error(logits_BxC: jax.Array, labels_B: jax.Array) -> jax.Array:
    """[B]: mean over classes of the squared difference to the one-hot label."""
    target_BxC = jax.nn.one_hot(labels_B, logits_BxC.shape[-1], dtype=logits_BxC.dtype)
    return ((logits_BxC - target_BxC) ** 2).mean(-1)


def hinge(logits_BxC: jax.Array, labels_B: jax.Array) -> jax.Array:
    """[B]: what the label's logit lacks to be larger than all others by one.

        max(0, 1 + max of the other logits - the label's logit)

    Of two classes it is the hinge of their difference f, max(0, 1 - f) or max(0, 1 + f). Crammer
    & Singer, 2001, "On the Algorithmic Implementation of Multiclass Kernel-based Vector
    Machines", https://www.jmlr.org/papers/v2/crammer01a.html
    """
    return optax.losses.multiclass_hinge_loss(logits_BxC, labels_B)


PRECISIONS = ("float16", "float32", "float64")


def in_precision(loss: Callable, precision: str) -> Callable:
    """A loss that computes in `precision`, from the logits on; its value is float32 again.

    JAX's 64-bit mode is on within it alone, both ways: it would change random numbers elsewhere.
    Prieto et al., 2025, find that with more digits softmax stops learning later.
    """
    if precision == "float32":
        return loss

    def rounded(logits_BxC, labels_B):
        return loss(logits_BxC.astype(precision), labels_B).astype(jnp.float32)

    if precision != "float64":
        return rounded

    @jax.custom_vjp
    def scoped(logits_BxC, labels_B):
        with jax.enable_x64(True):
            return rounded(logits_BxC, labels_B)

    def backward(inputs, slope_B):
        with jax.enable_x64(True):
            _, pull_back = jax.vjp(rounded, *inputs)
            return pull_back(slope_B)

    scoped.defvjp(lambda *inputs: (scoped(*inputs), inputs), backward)
    return scoped


LOSSES = {
    "cross_entropy": cross_entropy,
    "stablemax": stablemax_cross_entropy,
    "squared_error": squared_error,
    "hinge": hinge,
}


def correct(logits_BxC: jax.Array, labels_B: jax.Array) -> jax.Array:
    """[B] bool: is the largest logit the label's?"""
    return jnp.argmax(logits_BxC, axis=-1) == labels_B


def of_own_head(function: Callable, num_heads: int) -> Callable:
    """A function of logits and labels that is given those of each label's own head alone.

    Classes are those of one head behind another, as many in each: a softmax is within a head.
    """
    if num_heads == 1:
        return function

    def of_own(logits_BxC, labels_B):
        logits_BxHxC = logits_BxC.reshape(len(labels_B), num_heads, -1)
        head_B, class_B = jnp.divmod(labels_B, logits_BxHxC.shape[-1])
        own_BxC = jnp.take_along_axis(logits_BxHxC, head_B[:, None, None], axis=1)[:, 0]
        return function(own_BxC, class_B)

    return of_own


def l1_plain(params: optax.Params) -> jax.Array:
    """sum |w| over all parameters; the gradient is sign(w), 0 at 0."""
    signs = jax.lax.stop_gradient(jax.tree.map(jnp.sign, params))
    return jnp.asarray(optax.tree.vdot(params, signs))


def l1_normalized(params: optax.Params) -> jax.Array:
    """sum |w| / ||w||_2 over all parameters, the norm a constant in the gradient.

    So the gradient is sign(w) / ||w||_2, not the derivative of the ratio: the form in
    which the comparison of L1 with Grokfast was first run, where the norm was detached.
    """
    return l1_plain(params) / jax.lax.stop_gradient(weight_stats.norm(params))


PENALTIES = {"normalized": l1_normalized, "plain": l1_plain}
