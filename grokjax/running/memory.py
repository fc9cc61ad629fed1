"""An estimate of the memory that training needs, before anything is compiled."""

import math
import os
from typing import NamedTuple

import jax
from jax.extend.core import Var, jaxprs_in_params

from grokjax.core import loop
from grokjax.core.dataset import Dataset
from grokjax.core.run import Run, same_numbers
from grokjax.core.trainer import Trainer
from grokjax.running import cgroups

LIMIT_FILES = ("memory.max", "memory.limit_in_bytes")
USABLE = 0.9  # of a device's memory: allocators cut pieces that do not fit together


class MemoryEstimate(NamedTuple):
    """Bytes that training takes on one device, about."""

    dataset: int  # the examples: once
    state: int  # of each run
    work: int  # in progress, of each run that is computed at this moment

    def total(self, num_runs: int, lift: str, may_stop: bool = False) -> int:
        """Bytes for `num_runs` runs: all are computed at once under `vmap`, one under `map`, or K.

        Where not all are, or some may stop early, XLA keeps the new states apart from the old ones.
        """
        lift = loop.resolve(lift)
        at_once = {"vmap": num_runs, "map": 1}.get(lift) or min(int(lift), num_runs)
        copies = 1 if at_once == num_runs and not may_stop else 2
        return self.dataset + copies * num_runs * self.state + at_once * self.work


def estimate(trainer: Trainer, runs_R: Run, dataset: Dataset) -> MemoryEstimate:
    """What training runs like these takes."""
    run = jax.tree.map(lambda x_R: x_R[0], runs_R)
    with same_numbers():
        state = jax.eval_shape(trainer.init, run, dataset)
    t = jax.ShapeDtypeStruct((), "int32")
    step = peak_bytes(trainer.step, state, t, run, dataset)
    evaluation = peak_bytes(trainer.evaluate, state, run, dataset)
    kept = size(state) + size(dataset)
    return MemoryEstimate(size(dataset), size(state), max(0, max(step, evaluation) - kept))


def available(device: jax.Device, gigabytes: float | None = None) -> int:
    """Bytes that training may use of a device; the cores of a CPU share them.

    Args:
        device: one of this process.
        gigabytes: what the user allows; None: all there is.
    """
    if gigabytes is not None:
        return int(gigabytes * 1e9)
    known = device.memory_stats() or {}
    if "bytes_limit" in known:
        return int(USABLE * known["bytes_limit"])
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [int(limit) for limit in cgroups.limits("memory", *LIMIT_FILES) if limit.isdigit()]
    return int(USABLE * min([installed, *limits]))


def size(tree) -> int:
    """Bytes of all arrays in a tree."""
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def peak_bytes(function, *args) -> int:
    """Most bytes alive at any moment of a function's computation, its arguments included.

    Counted over its jaxpr: an array is there from the operation that makes it to the last that
    reads it. XLA never makes some of them, because it fuses operations, so it needs less.
    """
    return _peak(jax.make_jaxpr(function)(*args).jaxpr)


def _peak(jaxpr):
    last = {v: i for i, equation in enumerate(jaxpr.eqns) for v in _variables(equation.invars)}
    last |= dict.fromkeys(_variables(jaxpr.outvars), len(jaxpr.eqns))
    alive = peak = _bytes([*jaxpr.invars, *jaxpr.constvars])
    for i, equation in enumerate(jaxpr.eqns):
        made = _bytes(v for v in equation.outvars if v in last)
        inner = [_peak(body) - _bytes(body.invars) for body in jaxprs_in_params(equation.params)]
        peak = max(peak, alive + made + max(inner, default=0))
        alive += made - _bytes(v for v in _variables(equation.invars) if last[v] == i)
    return peak


def _variables(atoms):
    return {atom for atom in atoms if isinstance(atom, Var)}


def _bytes(variables):
    return sum(math.prod(v.aval.shape) * v.aval.dtype.itemsize for v in variables)
