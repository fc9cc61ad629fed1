"""The run axis R and the step axis T: the only lift, scan and jit of training."""

import functools
import time

import jax
import jax.numpy as jnp
import numpy as np

from grokjax.core import devices
from grokjax.core.devices import REPLICATED, SHARDED_OVER_RUNS

SECONDS_PER_CHUNK = 5.0  # a signal is answered within about this time
TRIAL_STEPS = 2  # of the first chunk, which tells how long a step takes


def over_runs(function, lift):
    """Gives a function of one run the run axis.

    `vmap` computes all runs side by side (the default on accelerators); `map` one after
    the other, each bit for bit what it computes alone (the default on CPUs, where `vmap`
    gains nothing); a number K, K runs at a time.
    """
    lift = resolve(lift)
    if lift == "vmap":
        return jax.vmap(function)
    batch_size = None if lift == "map" else int(lift)
    return lambda *args_R: jax.lax.map(lambda args: function(*args), args_R, batch_size=batch_size)


def resolve(lift):
    """What `auto` means here; every other lift is itself."""
    if lift == "auto":
        return "map" if jax.default_backend() == "cpu" else "vmap"
    return lift


def init(trainer, runs_R, dataset, *, lift="auto", mesh=None):
    """The state of R runs before their first step, on one device or sharded over a mesh."""

    def start(runs_R, dataset):
        return over_runs(functools.partial(trainer.init, dataset=dataset), lift)(runs_R)

    if mesh:
        start = devices.shard_map(start, mesh, (SHARDED_OVER_RUNS, REPLICATED))
    return jax.jit(start)(runs_R, dataset)


def make_advance(trainer, lift="auto", mesh=None):
    """Gives the program that trains R runs from step `start` to step `stop`.

        advance(state_R, metrics_R, start, stop, runs_R, dataset, active_R=None, compacted_A=None)
            -> state_R, metrics_R

    It evaluates if that is due at `stop`. Both steps are arguments of the program, one scalar each
    for all runs: a `lax.cond` on the step number stays a branch under `vmap`, and where chunks
    begin and end changes no bit of the result. `state_R` is donated: its buffers are reused.

    A run that is not active (bool [R]; None: all are) rests: its state and metrics stay what they
    are. Under `map` that costs nothing. Runs that are computed side by side wait for each other, so
    of those only a compacted batch is computed, chosen by `devices.compacted`.
    """

    def advance(state_R, metrics_R, start, stop, runs_R, dataset, active_R=None, compacted_A=None):
        chunk = over_runs(functools.partial(_chunk, trainer, start, stop, dataset), lift)
        old_R = state_R, metrics_R
        if compacted_A is None:
            return chunk(*old_R, active_R, runs_R)
        new_A = chunk(*jax.tree.map(lambda x_R: x_R[compacted_A], (*old_R, active_R, runs_R)))
        return jax.tree.map(lambda x_R, x_A: x_R.at[compacted_A].set(x_A), old_R, new_A)

    if mesh:
        steps, rest = (
            (REPLICATED, REPLICATED),
            (SHARDED_OVER_RUNS, REPLICATED, SHARDED_OVER_RUNS, SHARDED_OVER_RUNS),
        )
        advance = devices.shard_map(
            advance, mesh, (SHARDED_OVER_RUNS, SHARDED_OVER_RUNS, *steps, *rest)
        )
    return jax.jit(advance, donate_argnums=0)


def _chunk(trainer, start, stop, dataset, state, metrics, active, run):
    """One run's state and metrics at step `stop`; those that it has if it rests or none are due."""

    def train():
        step = functools.partial(trainer.step, run=run, dataset=dataset)
        return jax.lax.fori_loop(start, stop, lambda t, state: step(state, t), state)

    def evaluate():  # in a branch of its own: all runs are due at once, but not all are active
        return _if(active, lambda: trainer.evaluate(state, run=run, dataset=dataset), metrics)

    state = _if(active, train, state)
    return state, _if(stop % trainer.eval_every == 0, evaluate, metrics)


def _if(condition, compute, otherwise):
    """What is computed if a condition holds; None holds always."""
    if condition is None:
        return compute()
    return jax.lax.cond(condition, compute, lambda: otherwise)


def no_metrics(trainer, state_R, runs_R, dataset, *, lift="auto"):
    """Metrics of R runs that nobody has computed yet: zeros."""
    evaluate = functools.partial(trainer.evaluate, dataset=dataset)
    shapes_R = jax.eval_shape(over_runs(evaluate, lift), state_R, runs_R)
    return jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes_R)


def chunks(
    trainer,
    runs_R,
    dataset,
    *,
    num_steps,
    lift="auto",
    state_R=None,
    metrics_R=None,
    start=0,
    active=None,
):
    """Trains R runs side by side; yields `(t, state_R, metrics_R)` after every chunk.

    `metrics_R` is None unless `trainer.eval_every` divides t; all may still be computing.
    `state_R` is donated to the next chunk: save it before asking for that, keep nothing. On D
    devices it has a multiple of D runs, see `devices.unpad`.
    Where evaluations are more than a few seconds apart there are several chunks between
    them; the clock decides only where these end, never what they compute. No more than one
    is queued behind the one that is being computed.

    Args:
        trainer: of one run.
        runs_R: what differs between runs.
        dataset: the examples.
        num_steps: where training ends.
        lift: `vmap`, `map`, a number K or `auto`, see `over_runs`.
        state_R, metrics_R: at step `start`, the metrics being those of the last evaluation before
            it; both None for the first step.
        start: the first step.
        active: `active(t)` says which runs train on from step t: bool [R]; the others rest.
    """
    mesh, num_runs, programs = devices.mesh(), len(runs_R.seed), {}
    state_R, metrics_R, runs_R, dataset = _placed(
        trainer, state_R, metrics_R, runs_R, dataset, lift=lift, mesh=mesh
    )
    advance = make_advance(trainer, lift, mesh)
    eval_every, length, t, before = trainer.eval_every, None, start, None
    while t < num_steps:
        next_evaluation = t - t % eval_every + eval_every
        first, t = t, min(t + (length or TRIAL_STEPS), next_evaluation, num_steps)
        active_R = devices.pad(active and active(first), num_runs, mesh)
        compacted_A = None if resolve(lift) == "map" else devices.compacted(active_R, mesh)
        span = jnp.int32(first), jnp.int32(t)
        given = state_R, metrics_R, *span, runs_R, dataset, active_R, compacted_A
        places = num_runs if compacted_A is None else len(compacted_A)
        if places not in programs:  # compiled here, where no clock runs
            programs[places] = advance.lower(*given).compile()
        began = time.perf_counter()
        state_R, metrics_R = programs[places](*given)
        jax.block_until_ready(before)
        before = metrics_R
        if length is None:
            jax.block_until_ready(state_R)
            seconds_per_step = (time.perf_counter() - began) / (t - first)
            length = max(1, int(SECONDS_PER_CHUNK / seconds_per_step))
        yield t, state_R, _first(num_runs, metrics_R) if t % eval_every == 0 else None


def _placed(trainer, state_R, metrics_R, runs_R, dataset, *, lift, mesh):
    """All that the program takes, on its devices; what is None made anew."""
    runs_R = devices.shard(runs_R, mesh)
    dataset = devices.put(dataset, mesh, REPLICATED)
    state_R = state_R or init(trainer, runs_R, dataset, lift=lift, mesh=mesh)
    metrics_R = metrics_R or no_metrics(trainer, state_R, runs_R, dataset, lift=lift)
    given_R = (devices.shard(x_R, mesh) for x_R in (state_R, metrics_R))
    return *given_R, runs_R, dataset


def _first(num_runs, metrics_R):
    """Without those of padding runs."""
    return {name: x_R[:num_runs] for name, x_R in metrics_R.items()}
