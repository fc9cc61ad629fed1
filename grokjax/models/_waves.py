"""The weights with which a network that squares adds modulo p, in closed form.

Gromov, 2023, "Grokking modular arithmetic", https://arxiv.org/abs/2301.02679, equations 6 and 7;
here with the scale of Doshi, Das, He & Gromov, 2023, "To grok or not to grok: Disentangling
generalization and memorization on corrupted algorithmic datasets",
https://arxiv.org/abs/2310.13061, equation 2.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Weights(NamedTuple):
    """Of a network without biases, of F neurons and p classes."""

    left_pxF: jax.Array  # of the one-hot left operand
    right_pxF: jax.Array
    readout_Fxp: jax.Array


def draw(key: jax.Array, p: int, num_neurons: int) -> Weights:
    """Every neuron has a frequency k and two phases u and v, which are drawn.

        left    s cos(2 pi k a / p + u)
        right   s cos(2 pi k b / p + v)         s = (2 / F)^(1/3)
        readout s cos(2 pi k c / p + u + v)

    Of the square of their sum the waves of a + b have the phase of the readout, for every neuron,
    and add up where c = a + b; phases of all else are random and cancel where neurons are many.
    Frequencies are 1 to (p - 1) // 2, each as often as the others, or once more.
    """
    key_frequency, key_phase = jax.random.split(key)
    frequency_F = 1 + jnp.arange(num_neurons) % max(1, (p - 1) // 2)
    frequency_F = jax.random.permutation(key_frequency, frequency_F)
    u_F, v_F = jax.random.uniform(key_phase, (2, num_neurons), jnp.float32, 0, 2 * jnp.pi)
    turn_pxF = jnp.arange(p)[:, None] * frequency_F[None] % p  # whole numbers, exact
    angle_pxF = turn_pxF.astype(jnp.float32) * jnp.float32(2 * jnp.pi / p)
    scale = (2 / num_neurons) ** (1 / 3)
    left, right, out = (scale * jnp.cos(angle_pxF + x_F[None]) for x_F in (u_F, v_F, u_F + v_F))
    return Weights(left, right, out.T)
