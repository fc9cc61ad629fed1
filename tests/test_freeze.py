"""Frozen parameters: every bit stays, whatever optimizer moves the others."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import toy_mlp

import grokjax
from grokjax.config import registry
from grokjax.config.config import base, grid
from grokjax.config.experiment import setup
from grokjax.core import loop
from grokjax.core.selection import chosen

CHAINS = (
    "adamw",
    "grokfast_ema+adamw",
    "muon",
    "schedule_free",
    "splus",
    "sgd_momentum",
    "clip+adamw+update_noise",
    "adamw+raise_layer",
)


def params():
    """Two layers and a table; one weight is minus zero, a bit of its own."""
    keys = jax.random.split(jax.random.key(0), 3)
    shapes = {"token": (5, 3), "hidden": (3, 7), "readout": (7, 2)}
    drawn = {n: jax.random.normal(k, s) for k, (n, s) in zip(keys, shapes.items(), strict=True)}
    drawn["token"] = drawn["token"].at[0, 0].set(-0.0)
    return {"token": drawn["token"], **{n: {"kernel": drawn[n]} for n in ("hidden", "readout")}}


def stepped(chain, freeze, weights, steps=3):
    """Weights that are trained and evaluated after some steps with constant gradients."""
    config = base(optimizer=chain)
    values = {name: hparam[0] for name, hparam in config.runs.items() if hparam}
    values |= {"raise_step": 1, "raise_factor": 3.0, "max_norm": 0.1}
    optimizer = registry.make_chain(config.optimizer.to_dict(), values, freeze)
    state = optimizer.init(weights)
    for t in range(steps):
        moments = {"t": jnp.int32(t), "key": jax.random.key(t)}
        updates, state = optimizer.update(weights, state, weights, **moments)
        weights = jax.tree.map(jnp.add, weights, updates)
    return weights, optimizer.eval_params(weights, state)


@pytest.mark.parametrize("chain", CHAINS)
def test_frozen_parameters_keep_every_bit_under_any_optimizer(chain):
    """With weight decay 1, Adam's moments, noise, and averages that are evaluated."""
    before = params()
    for after in stepped(chain, ("token", "readout/kernel"), before):
        for name in ("token", "readout"):
            for one, other in zip(*map(jax.tree.leaves, (before[name], after[name])), strict=True):
                assert np.asarray(one).tobytes() == np.asarray(other).tobytes()
        assert not np.allclose(before["hidden"]["kernel"], after["hidden"]["kernel"])


def test_others_move_as_if_the_frozen_were_not_there():
    """The norm that is clipped does not count them."""
    whole = params()
    trained, _ = stepped("clip+adamw", ("token", "readout"), whole)
    alone, _ = stepped("clip+adamw", (), {"hidden": whole["hidden"]})

    chex.assert_trees_all_close(trained["hidden"], alone["hidden"], rtol=1e-6)


def test_a_name_means_itself_and_what_lies_within():
    tree = {"block_1": {"up": {"kernel": 0}, "down": 0}, "block_10": 0, "token": 0}

    assert chosen("freeze", tree, ("block_1",)) == {
        "block_1": {"up": {"kernel": True}, "down": True},
        "block_10": False,
        "token": False,
    }
    assert chosen("freeze", tree, ("block_1/up",))["block_1"] == {
        "up": {"kernel": True},
        "down": False,
    }


def test_an_unknown_name_is_one_line_before_anything_is_trained():
    config = toy_mlp()
    config.freeze = ("token", "readuot")
    with pytest.raises(
        ValueError, match="freeze has 'readuot', which is no parameter; cho"
    ) as said:
        setup(config)
    assert "choose from bias_0, kernel_0, readout, token, or a path within" in str(said.value)
    assert str(said.value).endswith("did you mean 'readout'?")


def test_freezing_every_parameter_is_refused():
    config = toy_mlp()
    config.freeze = ("bias_0", "kernel_0", "readout", "token")
    with pytest.raises(ValueError, match="freeze has every parameter, so none is trained"):
        setup(config)


@pytest.mark.parametrize("lift", ["map", "vmap"])
def test_a_config_freezes_parameters_of_all_runs(lift):
    config = toy_mlp("grokfast_ema+adamw")
    config.update(freeze=("token", "readout"), lift=lift)
    config.runs = grid(config.runs, seed=(2, 3, 5))
    config.schedule.update(num_steps=5)
    experiment = setup(config)
    before_R = loop.init(
        experiment.trainer, experiment.runs_R, experiment.dataset, lift=lift
    ).params
    after_R = grokjax.train(config).state_R.params

    chex.assert_trees_all_equal(after_R["token"], before_R["token"])
    chex.assert_trees_all_equal(after_R["readout"], before_R["readout"])
    moved_R = np.abs(after_R["kernel_0"] - before_R["kernel_0"]).max(axis=(1, 2))
    assert (moved_R > 1e-4).all()
    assert experiment.record["freeze"] == ["token", "readout"]


def test_records_of_trainings_that_freeze_nothing_are_as_before():
    record = setup(toy_mlp()).record

    assert not {"freeze", "branch"} & record.keys()
