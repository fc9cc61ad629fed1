"""The local learning coefficient, held against closed forms and integrals over a grid."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from made_views import check_map_and_vmap
from scipy import stats

import grokjax
from grokjax.measures import llc


def sampled(loss, weights, *, chains, burn_in, draws, nbeta, gamma, epsilon):
    """The values of a loss of the weights, which has no minibatches."""
    weights = jnp.asarray(weights, jnp.float32)

    @jax.jit
    def sample(keys):
        chain = functools.partial(
            llc.langevin,
            lambda w, key: loss(w),
            weights,
            steps=burn_in + draws,
            nbeta=nbeta,
            gamma=gamma,
            epsilon=epsilon,
        )
        return llc.estimate(jax.vmap(chain)(keys), weights, burn_in, nbeta)

    found = sample(jax.random.split(jax.random.key(0), chains))
    return {name: float(x) for name, x in found.items()}


def error(found, chains):
    """The standard error of the mean over chains."""
    return found["sd"] / np.sqrt(chains)


def test_a_parabola_in_d_weights_has_d_halves():
    """Long chains of steps so short that discretisation counts for less than the error."""
    curvature = jnp.array([0.3, 0.5, 1.0, 2.0, 3.0])

    def loss(w):
        return (curvature * (w - 1) ** 2).sum() / 2

    found = sampled(
        loss, np.ones(5), chains=101, burn_in=1000, draws=2000, nbeta=100, gamma=0, epsilon=1e-3
    )

    assert found["llc"] == pytest.approx(2.5, abs=3 * error(found, 101) + 0.06)
    assert error(found, 101) < 0.05
    assert abs(found["drift"]) < 0.2
    assert found["acceptance"] > 0.95
    assert found["diverged"] == 0


def test_of_a_parabola_the_mean_is_known_from_the_first_step_on():
    """Each weight is an autoregression w = r w + sqrt(epsilon) xi, whose variance is known.

    With few long steps, and localised, it is far from d / 2.
    """
    curvature = np.array([0.3, 0.5, 1.0, 2.0, 3.0])
    nbeta, gamma, epsilon, burn_in, draws, chains = 50, 200.0, 0.008, 1, 5, 3001
    rate = 1 - epsilon / 2 * (nbeta * curvature + gamma)
    steps = np.arange(burn_in, burn_in + draws)[:, None]
    variance = epsilon * (1 - rate ** (2 * steps)) / (1 - rate**2)
    expected = (nbeta / 2 * curvature * variance).sum(1).mean()

    def loss(w):
        return (jnp.float32(curvature) * w**2).sum() / 2

    found = sampled(
        loss,
        np.zeros(5),
        chains=chains,
        burn_in=burn_in,
        draws=draws,
        nbeta=nbeta,
        gamma=gamma,
        epsilon=epsilon,
    )

    assert 1.3 < expected < 1.6
    assert found["llc"] == pytest.approx(expected, abs=3 * error(found, chains))
    assert error(found, chains) < 0.015


def test_a_fourth_power_has_a_quarter():
    """A single weight, where a parabola would have a half."""
    found = sampled(
        lambda w: (w**4).sum(),
        np.zeros(1),
        chains=101,
        burn_in=2000,
        draws=4000,
        nbeta=1000,
        gamma=0,
        epsilon=1e-3,
    )

    assert found["llc"] == pytest.approx(0.25, abs=3 * error(found, 101) + 0.01)
    assert error(found, 101) < 0.01


def test_crossing_valleys_have_what_an_integral_over_the_plane_gives():
    """w1^2 w2^2: a coefficient of 1/2 in two weights, less log n's share for its multiplicity."""
    nbeta, gamma = 100, 5.0
    line = np.linspace(-3, 3, 2001)
    loss = np.outer(line**2, line**2)
    density = np.exp(-nbeta * loss - gamma / 2 * (line[:, None] ** 2 + line**2))
    expected = nbeta * (loss * density).sum() / density.sum()

    found = sampled(
        lambda w: w[0] ** 2 * w[1] ** 2,
        np.zeros(2),
        chains=211,
        burn_in=2000,
        draws=4000,
        nbeta=nbeta,
        gamma=gamma,
        epsilon=5e-4,
    )

    assert 0.1 < expected < 0.4
    assert found["llc"] == pytest.approx(expected, abs=3 * error(found, 211) + 0.01)
    assert error(found, 211) < 0.02


def test_acceptance_is_that_of_metropolis_by_the_densities_themselves():
    """Of one step from w0, where the proposals are normal densities with variance epsilon."""
    nbeta, gamma, epsilon = 7.0, 3.0, 0.2

    def loss(w):
        return (w**4).sum() + w[0]

    def energy(w):
        return nbeta * (np.sum(w**4) + w[0]) + gamma / 2 * np.sum((w - start) ** 2)

    def proposed(w):
        slope = nbeta * (4 * w**3 + np.array([1, 0, 0])) + gamma * (w - start)
        return stats.multivariate_normal(w - epsilon / 2 * slope, epsilon * np.eye(3))

    start = np.array([0.3, -0.2, 0.5])
    key = jax.random.key(5)
    options = dict(nbeta=nbeta, gamma=gamma, epsilon=epsilon)
    weights = jnp.float32(start)
    run = functools.partial(llc.langevin, lambda w, key: loss(w), weights, key, **options)
    end = np.asarray(run(steps=1).w_P, float)
    log_ratio = energy(start) - energy(end)
    log_ratio += proposed(end).logpdf(start) - proposed(start).logpdf(end)

    first, second = run(steps=2).acceptance_S

    assert first == 1
    assert second == pytest.approx(np.exp(min(log_ratio, 0)), rel=1e-3)
    assert 0 < second < 1


def test_long_steps_diverge_and_are_left_out():
    def loss(w):
        return (w**4).sum() * 1e6

    found = sampled(loss, np.ones(3), chains=5, burn_in=0, draws=50, nbeta=1e3, gamma=0, epsilon=1)

    assert found["diverged"] == 1
    assert np.isnan(found["llc"])


def test_one_chain_that_diverges_spoils_no_other():
    excess_MxS = jnp.array([[0.0, 1.0, 3.0, 5.0], [0.0, 2.0, 2.0, 2.0], [0.0, 1.0, jnp.inf, 9.0]])
    chain_M = llc.Chain(excess_MxS, jnp.full((3, 4), 0.5), jnp.ones((3, 2)))

    found = llc.estimate(chain_M, jnp.array([1.0, 2.0]), 1, 10.0)

    assert found["llc"] == pytest.approx(25)  # of 30 and 20
    assert found["sd"] == pytest.approx(50**0.5)
    assert found["drift"] == pytest.approx(20)  # 50 - 10, and 0
    assert found["acceptance"] == 0.5
    assert found["diverged"] == pytest.approx(1 / 3)
    assert found["distance"] == pytest.approx(5**-0.5)


def test_runs_together_equal_runs_one_by_one():
    metrics_R = check_map_and_vmap(llc, chains=2, burn_in=3, draws=5, examples=13)

    assert len(set(metrics_R["llc/llc"].tolist())) == 3


def test_an_option_out_of_range_is_an_error():
    config = grokjax.base(measures={"llc": dict(chains=1)})

    with pytest.raises(ValueError, match=r"measure.llc.chains = 1; choose 2 to"):
        grokjax.train(config)
