"""The run axis R and the step axis T: the only lift, scan and jit of training."""

import functools
import time

import jax
import jax.numpy as jnp

SECONDS_PER_CHUNK = 5.0  # a signal is answered within about this time
TRIAL_STEPS = 2  # of the first chunk, which tells how long a step takes


def lift(function, how):
    """Gives a function of one run the run axis.

    `vmap` computes all runs side by side (the default on accelerators); `map` one after
    the other, each bit for bit what it computes alone (the default on CPUs, where `vmap`
    gains nothing); a number K, K runs at a time.
    """
    if how == "auto":
        how = "map" if jax.default_backend() == "cpu" else "vmap"
    if how == "vmap":
        return jax.vmap(function)
    batch_size = None if how == "map" else int(how)
    return lambda *args_R: jax.lax.map(lambda args: function(*args), args_R, batch_size=batch_size)


def init(trainer, runs_R, table, *, how="auto"):
    """The state of R runs before their first step."""
    start = lift(functools.partial(trainer.init, table=table), how)
    return jax.jit(start)(runs_R)


def make_advance(trainer, how="auto"):
    """Gives the program `advance(state_R, start, stop, runs_R, table, active_R=None)`.

    It gives `(state_R, metrics_R)`: trains from step `start` to step `stop` and evaluates if that
    is due at `stop`; otherwise the metrics are zeros. Both steps are arguments of the program, one
    scalar each for all runs: a `lax.cond` on the step number stays a branch under `vmap`, and where
    chunks begin and end changes no bit of the result. `state_R` is donated: its buffers are reused.
    A run that is not active (bool [R]; None: all are) rests: its state stays what it is, and
    under `map` that costs nothing but the evaluation.
    """

    @functools.partial(jax.jit, donate_argnums=0)
    def advance(state_R, start, stop, runs_R, table, active_R=None):
        def chunk(state, active, run):
            def train(state):
                step = functools.partial(trainer.step, run=run, table=table)
                return jax.lax.fori_loop(start, stop, lambda t, state: step(state, t), state)

            may_rest = active is not None
            state = jax.lax.cond(active, train, lambda x: x, state) if may_rest else train(state)
            metrics = functools.partial(trainer.evaluate, run=run, table=table)
            due = stop % trainer.eval_every == 0
            return state, jax.lax.cond(due, metrics, zeros(metrics), state)

        return lift(chunk, how)(state_R, active_R, runs_R)

    return advance


def compile_advance(trainer, state_R, runs_R, table, *, how="auto", active_R=None):
    """`make_advance` compiled for some runs: `advance(state_R, start, stop, active_R=None)`."""
    zero, program = jnp.int32(0), make_advance(trainer, how)
    compiled = program.lower(state_R, zero, zero, runs_R, table, active_R).compile()
    return lambda state_R, start, stop, active_R=None: compiled(
        state_R, jnp.int32(start), jnp.int32(stop), runs_R, table, active_R
    )


def zeros(function):
    """A function that returns zeros shaped like another's results."""

    def zero(*args):
        return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(function, *args))

    return zero


def chunks(trainer, runs_R, table, *, num_steps, how="auto", state_R=None, start=0, active=None):
    """Trains R runs side by side; yields `(t, state_R, metrics_R)` after every chunk.

    `metrics_R` is None unless `trainer.eval_every` divides t; all may still be computing.
    `state_R` is donated to the next chunk: save it before asking for that, keep nothing.
    Where evaluations are more than a few seconds apart there are several chunks between
    them; the clock decides only where these end, never what they compute. No more than one
    is queued behind the one that is being computed. `active(t)`, if given, says which runs
    train on from step t: bool [R]; the others rest.
    """
    if state_R is None:
        state_R = init(trainer, runs_R, table, how=how)
    active = active or (lambda _: None)
    advance = compile_advance(trainer, state_R, runs_R, table, how=how, active_R=active(start))

    eval_every, length, t, before = trainer.eval_every, None, start, None
    while t < num_steps:
        next_evaluation = t - t % eval_every + eval_every
        first, t = t, min(t + (length or TRIAL_STEPS), next_evaluation, num_steps)
        began = time.perf_counter()
        state_R, metrics_R = advance(state_R, first, t, active(first))
        jax.block_until_ready(before)
        before = metrics_R
        if length is None:
            jax.block_until_ready(state_R)
            seconds_per_step = (time.perf_counter() - began) / (t - first)
            length = max(1, int(SECONDS_PER_CHUNK / seconds_per_step))
        yield t, state_R, metrics_R if t % eval_every == 0 else None
