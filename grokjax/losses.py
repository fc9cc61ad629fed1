"""Losses and accuracy: functions of arrays."""

import jax
import jax.numpy as jnp
import optax


def cross_entropy(logits_BxC, labels_B):
    """[B]: minus the log-probability of each label, in nats."""
    return optax.softmax_cross_entropy_with_integer_labels(logits_BxC, labels_B)


LOSSES = {"cross_entropy": cross_entropy}


def correct(logits_BxC, labels_B):
    """[B] bool: is the largest logit the label's?"""
    return jnp.argmax(logits_BxC, axis=-1) == labels_B


def l1_plain(params):
    """sum |w| over all parameters; the gradient is sign(w), 0 at 0."""
    return optax.tree.vdot(params, jax.lax.stop_gradient(jax.tree.map(jnp.sign, params)))


def l1_normalized(params):
    """sum |w| / ||w||_2 over all parameters, the norm a constant in the gradient.

    So the gradient is sign(w) / ||w||_2, not the derivative of the ratio: the form in
    which the comparison of L1 with Grokfast was first run, where the norm was detached.
    """
    return l1_plain(params) / jax.lax.stop_gradient(optax.tree.norm(params))


PENALTIES = {"normalized": l1_normalized, "plain": l1_plain}
