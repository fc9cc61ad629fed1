"""What a measure sees of a run, made by hand."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
from conftest import toy_mlp

from grokjax import grid
from grokjax.config.experiment import setup
from grokjax.core import loop, losses
from grokjax.core.measure import View
from grokjax.core.split import Split


class Head:
    """Stands for a model: its last layer is the kernel of a module `readout`."""

    @staticmethod
    def last_layer(params):
        return params["readout"]["kernel"]


def view(params=None, labels=(), train=None, initial=None, logits=None, loss=None, **outputs):
    """A run with these labels [N], trained on where `train` [N] is true; without it, on all.

    `logits` is (params, rows_B) -> logits_BxC; `outputs` are those of the whole table.
    """
    labels_N = jnp.asarray(labels, jnp.int32)
    train_N = np.ones(len(labels_N), bool) if train is None else np.asarray(train)
    split = Split(
        order_N=jnp.asarray(np.argsort(~train_N, kind="stable"), jnp.int32),
        labels_N=labels_N,
        first_G=jnp.zeros(1, jnp.int32),
        num_train_G=jnp.array([train_N.sum()], jnp.int32),
    )
    return View(
        params=params,
        run=None,
        dataset=None,
        split=split,
        initial_params=lambda: initial,
        logits=logits,
        per_example=loss or losses.cross_entropy,
        outputs={name: jnp.asarray(x, jnp.float32) for name, x in outputs.items()},
    )


def taken(measure, seen):
    """What a measure says of a view."""
    return jax.jit(lambda: measure.compute(seen))()


def lifted(compute, *arrays_R):
    """`compute(arrays)` of all runs, by `vmap` and by `lax.map`."""
    by_vmap = jax.jit(jax.vmap(compute))(*arrays_R)
    by_map = jax.jit(lambda *arrays_R: jax.lax.map(lambda arrays: compute(*arrays), arrays_R))
    return by_vmap, by_map(*arrays_R)


def check_map_and_vmap(measure, **options):
    """Three runs of an MLP have the same measures by `map` and by `vmap`; see test_measures.py too.

    Args:
        measure: its module.

    Returns:
        {name: [R]} of the initial weights, all that `TITLES` names, and finite.
    """
    name = measure.__name__.rpartition(".")[2]
    config = toy_mlp()
    config.measures = (name,)
    with config.unlocked():
        config.measure[name] = options
    config.runs = grid(config.runs, seed=(0, 1, 2))
    experiment = setup(config)
    state_R = loop.init(experiment.trainer, experiment.runs_R, experiment.dataset)
    evaluate = functools.partial(experiment.trainer.evaluate, dataset=experiment.dataset)
    found = []
    for lift in ("map", "vmap"):
        metrics_R = jax.jit(loop.over_runs(evaluate, lift))(state_R, experiment.runs_R)
        found.append({n: x for n, x in metrics_R.items() if n.startswith(f"{name}/")})
    assert set(found[0]) == {f"{name}/{n}" for n in measure.TITLES}
    assert all(np.isfinite(x).all() for x in found[0].values())
    chex.assert_trees_all_close(*found, rtol=1e-4, atol=1e-5)
    return found[0]
