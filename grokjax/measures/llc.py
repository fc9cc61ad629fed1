"""Local learning coefficient: how many directions the training loss still confines.

The learning coefficient (Watanabe, 2009, "Algebraic Geometry and Statistical Learning Theory") is
lambda in a volume of epsilon^lambda of the weights whose loss is at most epsilon above the minimum:
half the number of weights if that is a parabola in all of them, less where it is degenerate, so
that simpler solutions have less. Lau, Furman, Wang, Murfet & Wei, 2023, "The Local Learning
Coefficient: A Singularity-Aware Complexity Measure", https://arxiv.org/abs/2308.12108, estimate it
at weights w0, L the mean training loss, by

    llc = n beta (E L(w) - L(w0)),    w ~ exp(-n beta L(w) - gamma / 2 |w - w0|^2)

with n beta = n / log n for n training examples, and draw w by stochastic gradient Langevin dynamics
(Welling & Teh, 2011, "Bayesian Learning via Stochastic Gradient Langevin Dynamics"),

    w = w - epsilon / 2 (n beta grad L(w) + gamma (w - w0)) + sqrt(epsilon) xi,    xi ~ N(0, 1)

with L of a minibatch. Estimator, steps, and the loss of a draw before its own step are those of
https://github.com/timaeus-research/devinterp. Unlike there, n counts examples (their default
`n beta` counts those of a batch), minibatches are drawn with replacement, and L(w0) is that of the
same minibatches, so that which examples were drawn cancels.

Whether it has settled is for the other values to say: `sd` of the chains, `drift` from the first
half of the draws to the second, in units of llc (0 once it is stationary), `diverged`, the share of
chains with a loss that is no number, which are left out, `distance` |w - w0| / |w0| at the end, and
`acceptance`, the mean probability with which Metropolis would accept a step (MALA; devinterp's
formula; minibatches alone keep it below 1): near 0, steps are too long. Where llc is negative, the
loss is lower nearby than at w0.

Chains settle in 2 / (epsilon gamma) steps, 20 by default. A direction of curvature h adds
h / (2 h + 2 gamma / n beta): only those well above gamma / n beta count their half, so values
compare for equal options alone. A smaller gamma sees more of them and takes longer chains.

Random numbers are those of the run's seed, the same at every evaluation.

With the default options one evaluation of `configs/moddiv.py` takes 8 seconds of one core, as
long as 300 steps of training, and 14 more to compile: choose `schedule.measure_every = 1000` or so.
"""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from grokjax.core.checks import MAX_ROWS
from grokjax.core.data import Task
from grokjax.core.hparams import above, at_least, check_ranges, whole
from grokjax.core.measure import Measure, View
from grokjax.measures._linear import dot

RANGES = {
    "chains": whole(2, 1000),
    "burn_in": at_least(0),
    "draws": at_least(2),
    "examples": whole(1, MAX_ROWS),
    "epsilon": above(0),
    "gamma": at_least(0),
    "nbeta": at_least(0),
}
TITLES = {
    "llc": "Local learning coefficient",
    "sd": "Its standard deviation over chains",
    "drift": "Its change from the first half of the draws to the second",
    "acceptance": "Probability that Metropolis accepts a step",
    "distance": "Distance from the weights, relative to their norm",
    "diverged": "Share of chains that diverged",
}
LOGARITHMIC = ("distance",)


def make(
    task: Task,
    network: nn.Module,
    *,
    chains: int = 3,  # independent samplers
    burn_in: int = 50,  # steps of each before the first draw
    draws: int = 50,  # steps of each whose losses are averaged
    examples: int = 256,  # training rows of a minibatch
    epsilon: float = 1e-6,  # step size
    gamma: float = 1e5,  # how strongly chains are held near the weights
    nbeta: float = 0.0,  # inverse temperature; 0: n / log n for n training examples
) -> Measure:
    """Estimated llc, and figures that say whether the sampling is healthy."""
    del task, network
    check_ranges("measure.llc.", locals(), RANGES)

    def compute(view: View) -> dict[str, jax.Array]:
        w_P, unravel = ravel_pytree(view.params)
        count = view.split.num_train_G.sum()
        rows_N, _ = view.train_rows(view.labels_N.size)  # the first `count` are all of them
        heat = nbeta or count / jnp.log(count)

        def loss(w_P, key):
            picked_B = jax.random.randint(key, (examples,), 0, count)
            return view.loss(unravel(w_P), rows_N[picked_B])

        def chain(key):
            return langevin(loss, w_P, key, burn_in + draws, heat, gamma, epsilon)

        keys = jax.random.split(view.key("llc"), chains)
        return estimate(jax.vmap(chain)(keys), w_P, burn_in, heat)

    return Measure(compute)


class Chain(NamedTuple):
    """What a sampler of S steps has seen; several of them have an axis in front."""

    excess_S: jax.Array  # loss of a minibatch before a step, less that of the first weights
    acceptance_S: jax.Array  # of the step that led there; the first is 1
    w_P: jax.Array  # the last weights


class _Move(NamedTuple):
    """The latest step of a sampler."""

    w_P: jax.Array  # where it led
    pull_P: jax.Array  # gradient of the energy before it
    energy: jax.Array  # n beta L + gamma / 2 |w - w0|^2 before it
    noise_P: jax.Array


def langevin(
    loss: Callable,
    w_P: jax.Array,
    key: jax.Array,
    steps: int,
    nbeta: jax.typing.ArrayLike,
    gamma: float,
    epsilon: float,
) -> Chain:
    """Stochastic gradient Langevin dynamics around some weights.

    Args:
        loss: (w_P, key) -> [] of the minibatch that a key draws.
        w_P: the weights w0 to begin with, and to be held near to.
        key: of all random numbers.
        steps: how many.
        nbeta: inverse temperature.
        gamma: localisation.
        epsilon: step size.
    """

    def step(last, t):
        key_batch, key_noise = jax.random.split(jax.random.fold_in(key, t))
        value, grad_P = jax.value_and_grad(loss)(last.w_P, key_batch)
        excess = value - loss(w_P, key_batch)
        away_P = last.w_P - w_P
        pull_P = nbeta * grad_P + gamma * away_P
        energy = nbeta * excess + gamma / 2 * dot(away_P, away_P)
        # log of p(new) q(old | new) / p(old) q(new | old); what cancels in q is left out
        both_P = last.pull_P + pull_P
        log_ratio = last.energy - energy - epsilon / 8 * dot(both_P, both_P)
        log_ratio += jnp.sqrt(epsilon) / 2 * dot(last.noise_P, both_P)
        acceptance = jnp.where(t == 0, 1.0, jnp.exp(jnp.minimum(log_ratio, 0.0)))

        noise_P = jax.random.normal(key_noise, w_P.shape)
        new_P = last.w_P - epsilon / 2 * pull_P + jnp.sqrt(epsilon) * noise_P
        return _Move(new_P, pull_P, energy, noise_P), (excess, acceptance)

    nowhere_P = jnp.zeros_like(w_P)
    first = _Move(w_P, nowhere_P, jnp.zeros((), w_P.dtype), nowhere_P)
    last, (excess_S, acceptance_S) = jax.lax.scan(step, first, jnp.arange(steps))
    return Chain(excess_S, acceptance_S, last.w_P)


def estimate(
    chain_M: Chain, w_P: jax.Array, burn_in: int, nbeta: jax.typing.ArrayLike
) -> dict[str, jax.Array]:
    """The values of this measure, from M chains around the weights w_P."""
    llc_MxS = nbeta * chain_M.excess_S[:, burn_in:]
    half = llc_MxS.shape[1] // 2
    drift_M = llc_MxS[:, -half:].mean(1) - llc_MxS[:, :half].mean(1)
    distance_M = jnp.linalg.norm(chain_M.w_P - w_P[None], axis=1)
    llc_M = llc_MxS.mean(1)
    sound_M = jnp.isfinite(chain_M.excess_S).all(1) & jnp.isfinite(distance_M)
    count = sound_M.sum()

    def mean(x_M):
        return jnp.where(sound_M, x_M, 0.0).sum() / count  # NaN of no chain

    llc = mean(llc_M)
    return {
        "llc": llc,
        "sd": jnp.sqrt(mean((llc_M - llc) ** 2) * count / (count - 1)),
        "drift": mean(drift_M),
        "acceptance": mean(chain_M.acceptance_S[:, max(burn_in, 1) :].mean(1)),
        "distance": mean(distance_M) / jnp.linalg.norm(w_P),
        "diverged": (~sound_M).mean(),
    }
