"""The run axis R and the step axis T: the only lift, scan and jit of training."""

import concurrent.futures
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from grokjax.core import devices
from grokjax.core.dataset import Dataset
from grokjax.core.devices import REPLICATED, SHARDED_OVER_RUNS
from grokjax.core.pace import Pace
from grokjax.core.run import Run, same_numbers
from grokjax.core.trainer import Trainer


def over_runs(function: Callable, lift: str) -> Callable:
    """Gives a function of one run the run axis.

    `vmap` computes all runs in one batch (the default on accelerators); `map` one after the
    other, each bit for bit what it computes alone (the default on CPUs, where `vmap` gains
    nothing); a number K, K runs at a time.
    """
    lift = resolve(lift)
    if lift == "vmap":
        return jax.vmap(function)
    batch_size = None if lift == "map" else int(lift)
    return lambda *args_R: jax.lax.map(lambda args: function(*args), args_R, batch_size=batch_size)


def resolve(lift: str) -> str:
    """What `auto` means here; every other lift is itself."""
    if lift == "auto":
        return "map" if jax.default_backend() == "cpu" else "vmap"
    return lift


def init(trainer: Trainer, runs_R: Run, dataset: Dataset, *, lift: str = "auto") -> Any:
    """The state of R runs before their first step."""
    with same_numbers():
        return make_init(trainer, lift)(runs_R, dataset)


def make_init(trainer: Trainer, lift: str = "auto") -> Callable:
    """Gives the program `init(runs_R, dataset) -> state_R`."""

    def init(runs_R, dataset):
        return over_runs(functools.partial(trainer.init, dataset=dataset), lift)(runs_R)

    return jax.jit(init)


def make_advance(trainer: Trainer, lift: str = "auto") -> Callable:
    """Gives the program that trains R runs from step `start` to step `stop`.

        advance(state_R, metrics_R, start, stop, runs_R, dataset, active_R=None, compacted_A=None)
            -> state_R, metrics_R

    It evaluates if that is due at `stop`. Both steps are arguments of the program, one scalar each
    for all runs: a `lax.cond` on the step number stays a branch under `vmap`, and where chunks
    begin and end changes no bit of the result. `state_R` is donated: its buffers are reused.

    A run that is not active (bool [R]; None: all are) keeps its state and metrics. Under `map` that
    costs a copy of its state. Under `vmap` all lanes advance together, so only a compacted batch of
    the active runs is computed, chosen by `devices.compacted`.
    """

    def advance(state_R, metrics_R, start, stop, runs_R, dataset, active_R=None, compacted_A=None):
        chunk = over_runs(functools.partial(_chunk, trainer, start, stop, dataset), lift)
        old_R = (state_R, metrics_R)
        if compacted_A is None:
            return chunk(*old_R, active_R, runs_R)
        new_A = chunk(*jax.tree.map(lambda x_R: x_R[compacted_A], (*old_R, active_R, runs_R)))
        return jax.tree.map(lambda x_R, x_A: x_R.at[compacted_A].set(x_A), old_R, new_A)

    return jax.jit(advance, donate_argnums=0)


def _chunk(trainer, start, stop, dataset, state, metrics, active, run):
    """One run's state and metrics at step `stop`; unchanged if it is not active."""

    def train():
        step = functools.partial(trainer.step, run=run, dataset=dataset)
        return jax.lax.fori_loop(start, stop, lambda t, state: step(state, t), state)

    def evaluate():  # in a branch of its own: all runs are due at once, but not all are active
        return _if(active, lambda: trainer.evaluate(state, run, dataset, stop), metrics)

    state = _if(active, train, state)
    return state, _if(stop % trainer.eval_every == 0, evaluate, metrics)


def _if(condition, compute, otherwise):
    """What is computed if a condition holds; None holds always."""
    if condition is None:
        return compute()
    return jax.lax.cond(condition, compute, lambda: otherwise)


def no_metrics(
    trainer: Trainer, state_R: Any, runs_R: Run, dataset: Dataset, *, lift: str = "auto"
) -> dict[str, np.ndarray]:
    """The metrics of R runs before their first evaluation: zeros."""
    evaluate = functools.partial(trainer.evaluate, dataset=dataset)
    with same_numbers():
        shapes_R = jax.eval_shape(over_runs(evaluate, lift), state_R, runs_R)
    return jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes_R)


def chunks(
    trainer: Trainer,
    runs_R: Run,
    dataset: Dataset,
    *,
    num_steps: int,
    lift: str = "auto",
    state_R: Any = None,
    metrics_R: dict[str, Any] | None = None,
    start: int = 0,
    active: Callable[[int], np.ndarray | None] | None = None,
) -> Iterator[tuple[int, Any, dict[str, jax.Array] | None]]:
    """Trains R runs; yields `(t, state_R, metrics_R)` after every chunk.

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
        active: `active(t)` says which runs train on from step t: bool [R], or None for all.
    """
    num_runs = len(runs_R.seed)
    mesh = devices.mesh(num_runs)
    runs_R = devices.shard(runs_R, mesh)
    dataset = devices.put(dataset, mesh, REPLICATED)
    begin = None
    if state_R is None:  # compiled while the steps are traced, which takes its shapes alone
        with same_numbers():
            begin = devices.Program(make_init(trainer, lift), mesh, (runs_R, dataset))
        state_R = begin.shapes_R
    state_R = state_R if begin else devices.shard(state_R, mesh)
    metrics_R = metrics_R or no_metrics(trainer, state_R, runs_R, dataset, lift=lift)
    metrics_R = devices.shard(metrics_R, mesh)
    chex.assert_tree_shape_prefix((state_R, metrics_R), runs_R.seed.shape)

    advance = make_advance(trainer, lift)
    programs = {}  # by the size of the compacted batch
    pace = Pace()
    previous_metrics_R = None
    t = start
    while t < num_steps:
        first = t
        active_R = devices.pad(active and active(first), num_runs, mesh)
        is_timed = pace.is_timed(num_runs if active_R is None else int(active_R.sum()))
        next_evaluation = first - first % trainer.eval_every + trainer.eval_every
        t = min(first + pace.length, next_evaluation, num_steps)
        compacted_A = None if resolve(lift) == "map" else devices.compacted(active_R, mesh)
        span = devices.put((np.int32(first), np.int32(t)), mesh, REPLICATED)
        chosen = devices.put((active_R, compacted_A), mesh, SHARDED_OVER_RUNS)
        arguments = (metrics_R, *span, runs_R, dataset, *chosen)
        size = num_runs if compacted_A is None else len(compacted_A)
        if size not in programs:  # compiled here, where no clock runs
            with same_numbers():
                programs[size] = devices.Program(advance, mesh, (state_R, *arguments))
            state_R = begin(runs_R, dataset) if begin else state_R
            begin = None
            concurrent.futures.wait(programs[size].compiling)
        if is_timed:
            jax.block_until_ready(state_R)
        began = time.perf_counter()
        with jax.debug_nans(False):  # tasks without a share have metrics that are NaN
            state_R, metrics_R = programs[size](state_R, *arguments)
        if jax.config.jax_debug_nans:  # pyright: ignore[reportAttributeAccessIssue]
            _check_nans(state_R, t)
        jax.block_until_ready(previous_metrics_R)
        previous_metrics_R = metrics_R
        if is_timed:
            jax.block_until_ready(state_R)
            pace.took(t - first, time.perf_counter() - began)
        is_evaluation = t % trainer.eval_every == 0
        yield t, state_R, devices.unpad(metrics_R, num_runs) if is_evaluation else None


def _check_nans(state_R, t):
    """What JAX_DEBUG_NANS asks for, of all that is trained."""
    for path, x_R in jax.tree_util.tree_leaves_with_path(state_R):
        if jnp.issubdtype(x_R.dtype, jnp.inexact) and np.isnan(jax.device_get(x_R)).any():
            raise FloatingPointError(f"NaN in {jax.tree_util.keystr(path)} before step {t}")
