"""What runs take over from the states of other runs: weights, optimizer, split."""

from typing import Any

import jax
import numpy as np

from grokjax.config import registry
from grokjax.config.experiment import Experiment
from grokjax.core import loop
from grokjax.core.run import Run, same_numbers
from grokjax.core.selection import chosen, path_of
from grokjax.core.trainer import TrainState


def inherited(
    experiment: Experiment,
    other: Experiment,
    their_R: TrainState,
    their_runs_R: Run,
    *,
    from_zero: bool,
) -> tuple[TrainState, dict[str, Any]]:
    """What R runs begin with, on the host, and for the record what of it they have taken.

    Args:
        experiment: of these runs.
        other: of the runs whose states are taken.
        their_R, their_runs_R: the states, and the runs they are of, for each of these runs.
        from_zero: steps are counted anew, and so is what an optimizer remembers by their number.

    Raises:
        ValueError: if parameters that are to be taken are not there, or of another shape.
    """
    config = experiment.config
    chain = config.optimizer.chain
    own_R = experiment.state_shapes()
    is_same_R = _has_same_split(experiment, other, their_runs_R)
    kept = {}
    if not config.branch.take:
        kept = _kept(config, own_R.opt_state, other.config, their_R.opt_state, from_zero)
    theirs_R = _evaluated(other.config, their_R, their_runs_R, kept)
    taken = _taken(config.branch, own_R.params, theirs_R)
    if config.branch.take or not is_same_R.all():
        init = loop.make_init(experiment.trainer, config.lift)
        with same_numbers():
            own_R = jax.device_get(init(experiment.runs_R, experiment.dataset))
    params_R = jax.tree_util.tree_map_with_path(
        lambda keys, w_R: taken.get(path_of(keys), w_R), own_R.params
    )
    anew = {} if len(kept) == len(chain) else _anew(experiment, params_R)
    state_R = TrainState(
        params=params_R,
        opt_state=tuple((anew | kept)[name] for name in chain),
        split=_split(own_R.split, their_R.split, is_same_R),
        interval=jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), own_R.interval),
    )
    return state_R, {
        "parameters": ", ".join(config.branch.take) or "all parameters",
        "optimizer": {name: "kept" if name in kept else "anew" for name in chain},
        "split": "kept" if is_same_R.all() else "kept in part" if is_same_R.any() else "drawn anew",
    }


def _kept(config, own_states, other_config, their_states, from_zero):
    """{name: state} of the elements that are in both chains, with states of one shape."""
    theirs = dict(zip(other_config.optimizer.chain, their_states, strict=True))
    own = dict(zip(config.optimizer.chain, own_states, strict=True))
    by_step = {n for n in own if getattr(registry.find("optimizer", n), "BY_STEP", False)}
    names = own.keys() & theirs.keys() - (by_step if from_zero else set())
    fit = [name for name in names if _shapes(theirs[name]) == _shapes(own[name])]
    return {
        name: jax.tree.unflatten(jax.tree.structure(own[name]), jax.tree.leaves(theirs[name]))
        for name in fit
    }


def _shapes(tree):
    """Of each array by its path; where there is none, as in a mask of decay, trees may differ."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [(path_of(keys), x.shape, x.dtype) for keys, x in leaves]


def _evaluated(config, state_R, runs_R, kept):
    """The weights, or what the optimizers that are not gone on with evaluate in their place."""
    dropped = [name for name in config.optimizer.chain if name not in kept]
    section = config.optimizer.to_dict() | {"chain": dropped}
    states = dict(zip(config.optimizer.chain, state_R.opt_state, strict=True))

    def one_run(run, params, states):
        return registry.make_chain(section, run.hparams, config.freeze).eval_params(params, states)

    return jax.vmap(one_run)(runs_R, state_R.params, tuple(states[name] for name in dropped))


def _taken(section, shapes_R, theirs_R):
    """{path: [R, ...]} of the parameters that are taken: all, or those of `section.take`."""
    theirs = {path_of(keys): w_R for keys, w_R in jax.tree_util.tree_leaves_with_path(theirs_R)}
    is_taken = chosen("--take", shapes_R, section.take)
    taken = {}
    for (keys, w_R), named in zip(
        jax.tree_util.tree_leaves_with_path(shapes_R), jax.tree.leaves(is_taken), strict=True
    ):
        path = path_of(keys)
        given = theirs.get(path)
        if section.take and not named:
            continue
        if given is None or given.shape != w_R.shape:
            there = "no" if given is None else f"{list(given.shape[1:])} as"
            raise ValueError(
                f"--branch {section.origin}: it has {there} {path!r}, here it is "
                f"{list(w_R.shape[1:])}; choose the same task and model, or --take for some"
            )
        taken[path] = np.asarray(given)
    if not section.take and (lacking := sorted(theirs.keys() - taken)):
        raise ValueError(
            f"--branch {section.origin}: it has {lacking[0]!r}, which this model lacks; choose the "
            "same model, or --take for some"
        )
    return taken


def _anew(experiment, params_R):
    """{name: first state} of the elements of the chain for these weights."""

    def one_run(run, params):
        return experiment.recipe.make_optimizer(run.hparams).init(params)

    with same_numbers():
        init = jax.jit(loop.over_runs(one_run, experiment.config.lift))
        states = jax.device_get(init(experiment.runs_R, params_R))
    return dict(zip(experiment.config.optimizer.chain, states, strict=True))


def _has_same_split(experiment, other, their_runs_R):
    """[R] bool: is it the same table, divided and labelled alike?"""
    runs_R = experiment.runs_R
    tables = (experiment.record["table_checksum"], other.record["table_checksum"])
    sections = (experiment.record["split"], other.record["split"])
    if tables[0] != tables[1] or sections[0] != sections[1]:
        return np.zeros(len(runs_R.seed), bool)
    return (
        (runs_R.split_seed == their_runs_R.split_seed)
        & (runs_R.num_train_G == their_runs_R.num_train_G).all(axis=1)
        & (runs_R.hparams["label_noise"] == their_runs_R.hparams["label_noise"])
    )


def _split(own_R, their_R, is_same_R):
    """Theirs where it is the same one; it may have been drawn by another version."""
    if is_same_R.all():
        return their_R
    if not is_same_R.any():
        return own_R
    return jax.tree.map(lambda a, b: np.where(is_same_R[:, None], b, a), own_R, their_R)
