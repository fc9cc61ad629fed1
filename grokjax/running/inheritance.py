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
    experiment: Experiment, other: Experiment, their_R: TrainState, their_runs_R: Run
) -> tuple[TrainState, dict[str, Any]]:
    """What R runs begin with, on the host, and for the record what of it they have taken.

    Args:
        experiment: of these runs.
        other: of the runs whose states are taken.
        their_R, their_runs_R: the states, and the runs they are of, for each of these runs.

    Raises:
        ValueError: if parameters that are to be taken are not there, or of another shape.
    """
    config = experiment.config
    take = config.branch.take
    own_R = loop.init(experiment.trainer, experiment.runs_R, experiment.dataset, lift=config.lift)
    own_R = jax.device_get(own_R)
    kept = {} if take else _kept(config, own_R.opt_state, other.config, their_R.opt_state)
    theirs_R = _evaluated(other.config, their_R, their_runs_R, kept)
    params_R = _params(config.branch, own_R.params, theirs_R)
    anew_R = _anew(experiment, params_R)
    chain = config.optimizer.chain
    split_R, is_same_R = _split(experiment, own_R.split, other, their_R.split, their_runs_R)
    state_R = TrainState(
        params=params_R,
        opt_state=tuple(kept.get(name, one_R) for name, one_R in zip(chain, anew_R, strict=True)),
        split=split_R,
        interval=own_R.interval,
    )
    return state_R, {
        "parameters": ", ".join(take) or "all parameters",
        "optimizer": {name: "kept" if name in kept else "anew" for name in chain},
        "split": "kept" if is_same_R.all() else "kept in part" if is_same_R.any() else "drawn anew",
    }


def _kept(config, own_states, other_config, their_states):
    """{name: state} of the elements of the chain that are in both, with states of one shape."""
    theirs = dict(zip(other_config.optimizer.chain, their_states, strict=True))
    own = dict(zip(config.optimizer.chain, own_states, strict=True))
    return {n: theirs[n] for n in own if n in theirs and _shapes(theirs[n]) == _shapes(own[n])}


def _shapes(tree):
    return jax.tree.structure(tree), [(x.shape, x.dtype) for x in jax.tree.leaves(tree)]


def _evaluated(config, state_R, runs_R, kept):
    """The weights, or what the optimizers that are not gone on with evaluate in their place."""
    dropped = [name for name in config.optimizer.chain if name not in kept]
    section = config.optimizer.to_dict() | {"chain": dropped}
    states = dict(zip(config.optimizer.chain, state_R.opt_state, strict=True))

    def one_run(run, params, states):
        return registry.make_chain(section, run.hparams, config.freeze).eval_params(params, states)

    return jax.vmap(one_run)(runs_R, state_R.params, tuple(states[name] for name in dropped))


def _params(section, own_R, their_R):
    """Of each parameter theirs, or if some are to be taken only of those."""
    leaves = jax.tree_util.tree_leaves_with_path(their_R)
    theirs = {path_of(keys): w_R for keys, w_R in leaves}
    is_taken = chosen("--take", own_R, section.take)

    def one(keys, w_R, is_taken):
        if section.take and not is_taken:
            return w_R
        path = path_of(keys)
        given = theirs.pop(path, None)
        if given is None or given.shape != w_R.shape:
            there = "no" if given is None else f"{list(given.shape[1:])} as"
            raise ValueError(
                f"--branch {section.origin}: it has {there} {path!r}, here it is "
                f"{list(w_R.shape[1:])}; choose the same task and model, or --take for some"
            )
        return np.asarray(given)

    params_R = jax.tree_util.tree_map_with_path(one, own_R, is_taken)
    if theirs and not section.take:
        raise ValueError(
            f"--branch {section.origin}: it has {min(theirs)!r}, which this model lacks; choose "
            "the same model, or --take for some"
        )
    return params_R


def _anew(experiment, params_R):
    """The first state of the optimizer for these weights."""

    def one_run(run, params):
        return experiment.recipe.make_optimizer(run.hparams).init(params)

    with same_numbers():
        init = jax.jit(loop.over_runs(one_run, experiment.config.lift))
        return jax.device_get(init(experiment.runs_R, params_R))


def _split(experiment, own_R, other, their_R, their_runs_R):
    """The split of each run, theirs where it is the same one; and where, [R]."""
    runs_R = experiment.runs_R
    is_same_R = np.zeros(len(runs_R.seed), bool)
    tables = (experiment.record["table_checksum"], other.record["table_checksum"])
    if tables[0] != tables[1] or experiment.config.split != other.config.split:
        return own_R, is_same_R
    is_same_R = (
        (runs_R.split_seed == their_runs_R.split_seed)
        & (runs_R.num_train_G == their_runs_R.num_train_G).all(axis=1)
        & (runs_R.hparams["label_noise"] == their_runs_R.hparams["label_noise"])
    )

    def chosen_R(own, theirs):
        return np.where(is_same_R[:, None], theirs, own)

    return jax.tree.map(chosen_R, own_R, their_R), is_same_R
