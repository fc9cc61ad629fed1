"""Branching: runs that begin with the states of another training."""

import chex
import jax
import numpy as np
import pytest
from absl import flags
from conftest import toy_mlp

import grokjax
from grokjax.config.config import grid
from grokjax.config.experiment import setup
from grokjax.core import loop
from grokjax.core.split import is_train
from grokjax.reading.rebuild import rebuild
from grokjax.recording.results import Results
from grokjax.running import resume
from grokjax.running.options import Options
from grokjax.train import train_in

SEEDS = (3, 5, 8)
pytestmark = pytest.mark.optimized  # all of it, for bits are compared with what all tests share


def config_of(optimizer="adamw", lift="map", **runs):
    """Three runs of 20 steps, evaluated every 5, with all checkpoints kept: 10 and 20."""
    config = toy_mlp(optimizer)
    config.lift = lift
    config.runs = grid(config.runs, **{"seed": SEEDS, **runs})
    config.schedule.keep = 9
    return config


def train(folder, config, **options):
    results = Results(folder)
    train_in(results, setup(config), Options(config, folder, **options))
    return results


def history_of(results):
    return dict(np.load(results.history))


def state_of(results, step=20):
    return rebuild(results).restore(step).state_R


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A: the three runs, undisturbed."""
    flags.FLAGS.mark_as_parsed()
    return train(tmp_path_factory.mktemp("trained") / "A", config_of())


def branch(origin, config, at=10, **section):
    """A config that begins where another training was."""
    config.branch.update(origin=f"{origin.folder}@{at}", **section)
    return config


@pytest.mark.parametrize("lift", ["map", "vmap"])
def test_a_branch_without_a_change_is_the_training_undisturbed(lift, trained, tmp_path):
    """Every bit of the state and of the history, that before the branch included."""
    whole = trained
    if lift == "vmap":
        whole = train(tmp_path / "A", config_of(lift=lift))
    branched = train(tmp_path / "B", branch(whole, config_of(lift=lift)))

    chex.assert_trees_all_equal(state_of(branched), state_of(whole))
    chex.assert_trees_all_equal(history_of(branched), history_of(whole))
    assert branched.read_summary()["runs"] == whole.read_summary()["runs"]
    facts = branched.stored_config()["branched"]
    assert facts == {
        "folder": str(whole.folder),
        "runs": ["seed=3", "seed=5", "seed=8"],
        "steps": [10, 10, 10],
        "goes_on": True,
        "parameters": "all parameters",
        "optimizer": {"adamw": "kept"},
        "split": "kept",
    }


def test_in_memory_it_is_the_same(trained):
    memory = grokjax.train(branch(trained, config_of()))

    chex.assert_trees_all_equal(memory.state_R, state_of(trained))
    np.testing.assert_array_equal(memory.history["step"], [5, 10, 15, 20])
    assert memory.experiment.record["branched"]["steps"] == [10, 10, 10]


def test_runs_are_paired_by_seed_and_the_new_grid_multiplies_them(trained, tmp_path):
    """Seed 8 comes first here, each with two decays: that of A, and none."""
    config = config_of(seed=(8, 3), weight_decay=(1.0, 0.0))
    branched = train(tmp_path / "B", branch(trained, config))

    assert branched.stored_config()["branched"]["runs"] == ["seed=8", "seed=8", "seed=3", "seed=3"]
    theirs, ours = state_of(trained), state_of(branched)
    for r, parent in ((0, 2), (2, 0)):
        chex.assert_trees_all_equal(
            jax.tree.map(lambda x, r=r: x[r], ours.params),
            jax.tree.map(lambda x, p=parent: x[p], theirs.params),
        )
    norms_R = history_of(branched)["weight_norm"][-1]
    assert norms_R[1] > norms_R[0]
    assert norms_R[3] > norms_R[2]


def test_what_else_varies_there_has_to_match(trained, tmp_path):
    varied = train(tmp_path / "A", config_of(seed=(3, 5), learning_rate=(0.001, 0.01)))
    begun = resume.begin(setup(branch(varied, config_of(seed=(5,), learning_rate=(0.01,)))))

    assert begun.facts["branched"]["runs"] == ["seed=5 learning_rate=0.01"]
    config = branch(varied, config_of(seed=(5,), learning_rate=(0.03,)))
    with pytest.raises(
        ValueError, match=r"no run with seed=5, learning_rate=0.03; choose from seed=3"
    ):
        resume.begin(setup(config))


def test_the_state_of_optimizers_is_kept_where_it_fits(trained):
    """Adam's moments are kept; the filter, which A lacks, is new."""
    begun = resume.begin(setup(branch(trained, config_of("grokfast_ema+adamw"))))
    new, adamw = begun.state_R.opt_state

    assert begun.facts["branched"]["optimizer"] == {"grokfast_ema": "anew", "adamw": "kept"}
    chex.assert_trees_all_equal((adamw,), state_of(trained, 10).opt_state)
    assert not any(np.any(x) for x in jax.tree.leaves(new))

    begun = resume.begin(setup(branch(trained, config_of("muon"))))
    assert begun.facts["branched"]["optimizer"] == {"muon": "anew"}
    chex.assert_trees_all_equal(begun.state_R.params, state_of(trained, 10).params)


def test_of_an_optimizer_that_is_left_the_evaluated_weights_are_taken(trained, tmp_path):
    """Schedule-Free evaluates an average."""
    averaged = train(tmp_path / "A", config_of("schedule_free"))
    state_R = state_of(averaged, 10)
    begun = resume.begin(setup(branch(averaged, config_of())))
    chex.assert_trees_all_equal(begun.state_R.params, state_R.opt_state[0].x)
    begun = resume.begin(setup(branch(averaged, config_of("schedule_free"))))
    chex.assert_trees_all_equal(begun.state_R.params, state_R.params)


def test_less_data_is_a_part_of_the_data_before(trained):
    """Of 42 rows 21 were trained on; 13 and 8 of them are left, the rest is for validation."""
    config = config_of(train_fraction=(0.5, 0.3, 0.2))
    config.batch_size = 7
    begun = resume.begin(setup(branch(trained, config)))
    before_RxN = jax.vmap(is_train)(state_of(trained, 10).split)
    after_RxN = np.asarray(jax.vmap(is_train)(begun.state_R.split)).reshape(3, 3, -1)

    assert begun.facts["branched"]["split"] == "kept in part"
    assert after_RxN.sum(axis=2).tolist() == [[21, 13, 8]] * 3
    np.testing.assert_array_equal(after_RxN[:, 0], before_RxN)
    assert not np.any(after_RxN & ~np.asarray(before_RxN)[:, None])


def test_other_labels_draw_the_split_anew(trained):
    begun = resume.begin(setup(branch(trained, config_of(label_noise=5))))

    assert begun.facts["branched"]["split"] == "drawn anew"
    before = state_of(trained, 10).split
    np.testing.assert_array_equal(begun.state_R.split.order_N, before.order_N)
    changed_R = (begun.state_R.split.labels_N != before.labels_N).sum(axis=1)
    assert (changed_R <= 5).all()
    assert changed_R.any()


def test_some_parameters_are_transplanted_into_initial_ones(trained):
    begun = resume.begin(setup(branch(trained, config_of(), take=("token",))))
    theirs = state_of(trained, 10).params
    fresh_R = initial_state(config_of())

    assert (begun.step, len(begun.history)) == (0, 0)
    assert begun.facts["branched"]["parameters"] == "token"
    chex.assert_trees_all_equal(begun.state_R.params["token"], theirs["token"])
    for layer in fresh_R.params.keys() - {"token"}:
        chex.assert_trees_all_equal(begun.state_R.params[layer], fresh_R.params[layer])
    assert not any(np.any(x) for x in jax.tree.leaves(begun.state_R.opt_state))


def initial_state(config):
    experiment = setup(config)
    return loop.init(experiment.trainer, experiment.runs_R, experiment.dataset, lift="map")
