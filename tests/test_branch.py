"""Branching: runs that begin with the states of another training."""

import shutil

import chex
import jax
import numpy as np
import pytest
from absl import flags
from conftest import toy_mlp
from made_results import change

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
    return config.lock()  # as the command gives it


@pytest.mark.parametrize("lift", ["map", pytest.param("vmap", marks=pytest.mark.slow)])
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


def test_what_was_not_measured_before_the_branch_is_unknown_there(trained):
    """The rest of the history is as it was."""
    config = config_of()
    config.measures = ("norms",)
    history = resume.begin(setup(branch(trained, config))).history.arrays()
    before = history_of(trained)

    assert history["step"].tolist() == [5, 10]
    np.testing.assert_array_equal(history["val_loss"], before["val_loss"][:2])
    added = history.keys() - before.keys()
    assert added
    assert all(np.isnan(history[name]).all() for name in added)


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

    filtered = branch(trained, config_of("grokfast_ema+adamw"), from_zero=True)
    assert resume.begin(setup(filtered)).step == 0
    begun = resume.begin(setup(branch(trained, config_of("muon"))))
    assert begun.facts["branched"]["optimizer"] == {"muon": "anew"}
    chex.assert_trees_all_equal(begun.state_R.params, state_of(trained, 10).params)


def test_another_mask_of_decay_keeps_the_moments(trained):
    """Which optax wraps without an array of its own."""
    config = config_of()
    config.optimizer.adamw.decayed = "matrices"
    begun = resume.begin(setup(branch(trained, config)))
    theirs = state_of(trained, 10).opt_state

    assert begun.facts["branched"]["optimizer"] == {"adamw": "kept"}
    chex.assert_trees_all_equal(jax.tree.leaves(begun.state_R.opt_state), jax.tree.leaves(theirs))


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


def begun_at(origin, at, **runs):
    """What a branch begins with, and the facts of it."""
    begun = resume.begin(setup(branch(origin, config_of(**runs), at)))
    return begun, begun.facts["branched"]


@pytest.fixture
def copied(trained, tmp_path):
    """A of which files may be changed."""
    return Results(shutil.copytree(trained.folder, tmp_path / "A"))


def memorising(results, steps, column="train_accuracy"):
    """Writes into the history when each run memorised, or grokked."""
    steps_R = np.array(steps)
    late = {column: lambda a: (a["step"][:, None] >= steps_R).astype(np.float32)}
    change(results.folder, **late)
    return results


def test_each_run_begins_at_the_checkpoint_of_its_own_step(copied):
    """There are 10 and 20; memorised at 5, 10 and 15."""
    begun, facts = begun_at(memorising(copied, [5, 10, 15]), "memorised")

    assert facts["steps"] == [10, 10, 20]
    assert not facts["goes_on"]
    assert (begun.step, len(begun.history)) == (0, 0)
    early, late = (state_of(copied, step) for step in (10, 20))
    for r, state_R in enumerate((early, early, late)):
        one, other = (jax.tree.map(lambda x, r=r: x[r], x) for x in (begun.state_R, state_R))
        chex.assert_trees_all_equal(one.params, other.params)
        chex.assert_trees_all_equal(one.opt_state, other.opt_state)


def test_grokking_is_what_the_other_training_calls_it(copied):
    """Three evaluations in a row, so the third run has not."""
    _, facts = begun_at(memorising(copied, [5, 10, 10], "val_accuracy"), "grokked")
    assert facts["steps"] == [10, 10, 10]

    memorising(copied, [5, 10, 15], "val_accuracy")
    _, facts = begun_at(copied, "grokked", seed=(5, 3))
    assert facts["runs"] == ["seed=5", "seed=3"]
    with pytest.raises(
        ValueError, match="seed=8 has not grokked; choose seeds of runs that have: seed=3, seed=5"
    ):
        begun_at(copied, "grokked")


def test_a_checkpoint_that_is_gone_is_missed_and_none_taken_in_its_place(copied):
    """The first was due at 10; 20 would be another state."""
    shutil.rmtree(copied.checkpoints / "10")
    memorising(copied, [5, 10, 15])
    with pytest.raises(
        ValueError,
        match="no checkpoint of step 10, as seed=3 needs; choose from "
        "20, or train it with schedule.keep = 3, for all",
    ):
        begun_at(copied, "memorised")
    assert begun_at(copied, "memorised", seed=(8,))[1]["steps"] == [20]


def test_a_shard_begins_with_the_states_of_its_own_runs(trained):
    shard = setup(branch(trained, config_of())).shard(2, 3)
    begun = resume.begin(shard)

    assert shard.labels == ["seed=5"]
    assert begun.facts["branched"]["runs"] == ["seed=3", "seed=5", "seed=8"]
    one = jax.tree.map(lambda x: x[1:2], state_of(trained, 10).params)
    chex.assert_trees_all_equal(begun.state_R.params, one)


def wider(config):
    config.model.hidden = (13,)


def other_task(config):
    config.task.p = 11


@pytest.mark.parametrize(
    ("at", "alter", "said"),
    [
        (
            "40",
            None,
            "no checkpoint of step 40, .* from 10, 20, or train it with schedule.keep = 3",
        ),
        ("15", None, "or train it with a schedule.checkpoint_every that divides 15"),
        ("memorized", None, "choose FOLDER@STEP, @memorised or @grokked"),
        ("10", lambda c: c.runs.update(seed=(3, 4)), "no run with seed=4; choose from seed=3, s"),
        ("10", wider, r"it has \[11\] as 'bias_0', here it is \[13\]; choose the same task and"),
        ("10", other_task, r"it has \[7\] as 'readout/bias', here it is \[11\]"),
        ("10", lambda c: c.branch.update(take=("tokn",)), "--take has 'tokn', .* mean 'token'?"),
        ("20", None, "schedule.num_steps = 20 is no later; choose more than 20, or --from_zero"),
        ("10", lambda c: c.schedule.update(eval_every=4, num_steps=24), "choose a divisor of 10"),
    ],
)
def test_what_cannot_be_begun_with_is_one_line(trained, at, alter, said):
    config = branch(trained, config_of(), at)
    config.schedule.checkpoint_every = 20
    if alter:
        alter(config)
    with pytest.raises(ValueError, match=said):
        resume.begin(setup(config))


def test_a_command_says_so_and_leaves_everything(trained, copied, capsys):
    """The folder itself is no place for its branch, overwritten or not."""
    config = branch(copied, config_of())
    with pytest.raises(SystemExit) as ended:
        train(copied.folder, config, overwrite=True)

    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("/A' is trained there; choose another --workdir")
    chex.assert_trees_all_equal(state_of(copied), state_of(trained))
    config.branch.origin = str(copied.folder.with_name("none@10"))
    with pytest.raises(SystemExit):
        train(copied.folder.with_name("B"), config)
    assert "there is no folder" in capsys.readouterr().err
    assert not copied.folder.with_name("B").exists()


def test_runs_that_grokked_before_would_stop_at_once(trained):
    config = branch(trained, config_of())
    config.schedule.stop_after_grok = 2
    config.grok.update(threshold=0.01, count=1)
    with pytest.raises(ValueError, match="stop_after_grok = 2 stops runs that have grokked befo"):
        resume.begin(setup(config))


def test_a_branch_is_resumed_without_what_it_came_from(trained, copied, tmp_path, capsys):
    """It is not applied again, and another one is another training."""
    config = branch(copied, config_of())
    config.schedule.checkpoint_every = 5
    branched = train(tmp_path / "B", config)
    record = branched.stored_config()
    half = Results(shutil.copytree(branched.folder, tmp_path / "C"))
    shutil.rmtree(half.checkpoints / "20")
    shutil.rmtree(copied.folder)
    train(half.folder, config, resume="latest")

    chex.assert_trees_all_equal(state_of(half), state_of(trained))
    assert half.stored_config() == record
    again = Results(shutil.copytree(branched.folder, tmp_path / "D"))
    config.branch.origin = f"{trained.folder}@10"
    with pytest.raises(SystemExit):
        train(again.folder, config, resume="latest")
    assert "cannot resume under another config: branch.origin was" in capsys.readouterr().err
