"""What the command leaves of a comparison, and how it says what it cannot compare."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from made_results import change, grid_labels, leave
from matplotlib.figure import Figure

from grokjax import analyze
from grokjax.reading import comparison
from grokjax.reading.arms import read_all

ROOT = Path(__file__).parent.parent


def grid(folder, **values):
    """A folder in which every run groks at another step and the given entries vary."""
    labels = grid_labels(**values)
    steps = [300 + 100 * r for r in range(len(labels))]
    return leave(folder, steps, runs={n: list(v) for n, v in values.items()}, labels=labels)


def pictures(*folders):
    """The names of the pictures of some folders."""
    arms = read_all(folders)
    found = dict(comparison.figures(arms))
    assert all(isinstance(figure, Figure) for figure in found.values())
    return set(found)


ALWAYS = {"comparison.png", "survival.png", "times.png"}


def test_a_table_and_three_pictures_are_always_written(tmp_path):
    arms = read_all(
        [leave(tmp_path / "a", [300, None]), leave(tmp_path / "b", [400, 500], last=700)]
    )
    output = tmp_path / "out/deeper"
    text = comparison.write(arms, output, title="Two arms")

    assert {path.name for path in output.iterdir()} == ALWAYS | {"summary.csv", "summary.md"}
    written = (output / "summary.md").read_text()
    assert written.startswith("# Two arms\n\n| arm ")
    assert text in written
    assert written.endswith("\n\n".join(f"![{p}]({p})" for p in sorted(ALWAYS)) + "\n")
    assert (output / "comparison.png").read_bytes().startswith(b"\x89PNG")


def test_two_entries_of_numbers_make_a_phase_diagram(tmp_path):
    folder = grid(tmp_path / "grid", learning_rate=(0.001, 0.01), weight_decay=(0, 1, 3))

    assert pictures(folder) == ALWAYS | {"phase.png"}


def test_every_folder_has_a_phase_diagram_of_its_own(tmp_path):
    places = ("x/grid", "y/grid")
    folders = [grid(tmp_path / p, weight_decay=(0, 1), lamb=(0, 2)) for p in places]

    assert pictures(*folders) == ALWAYS - {"times.png"} | {"phase_x_grid.png", "phase_y_grid.png"}


def test_three_numbers_of_one_entry_make_a_curve_and_two_do_not(tmp_path):
    three = grid(tmp_path / "three", train_fraction=(0.3, 0.5, 0.7))
    two = grid(tmp_path / "two", train_fraction=(0.3, 0.5))

    assert pictures(three) == ALWAYS | {"curve.png", "best.png"}
    assert pictures(two) == ALWAYS


def test_curves_of_one_entry_share_a_picture_and_others_have_their_own(tmp_path):
    fast = grid(tmp_path / "fast", train_fraction=(0.3, 0.5, 0.7))
    slow = grid(tmp_path / "slow", train_fraction=(0.4, 0.6, 0.8))
    other = grid(tmp_path / "other", weight_decay=(0, 1, 3))

    assert pictures(fast, slow) == ALWAYS | {"curve.png", "best.png"}
    assert pictures(fast, slow, other) == ALWAYS - {"times.png"} | {
        "curve_train_fraction.png",
        "curve_weight_decay.png",
        "best_train_fraction.png",
        "best_weight_decay.png",
    }


def test_entries_that_are_no_numbers_make_neither(tmp_path):
    labels = [f"mix={mix}" for mix in ("90:10", "70:30", "50:50")]
    runs = {"seed": [0], "mix": ["90:10", "70:30", "50:50"]}
    folder = leave(tmp_path / "mixes", [300, 400, 500], runs=runs, labels=labels)

    assert pictures(folder) == ALWAYS


def test_what_is_known_of_the_weights_has_a_picture(tmp_path):
    folder = leave(tmp_path / "run", [300, 500])
    change(folder, weight_norm=lambda arrays: 7 * arrays["val_accuracy"])

    assert pictures(folder) == ALWAYS | {"weights.png"}


def test_settings_are_compared_at_the_best_of_each_folder(tmp_path):
    """Decay 3 is the best of both: its runs grok at the step of the table's last rows."""
    folders = [grid(tmp_path / name, weight_decay=(0, 1, 3)) for name in "ab"]
    arms = read_all(folders)
    text = comparison.write(arms, tmp_path / "out")
    best = text.partition("Each at its best setting")[2]

    assert best
    assert [line.split("|")[1].strip() for line in best.splitlines()[4:]] == [
        arm.name for arm in comparison.best_of_families(arms)
    ]


def test_where_no_setting_groks_the_most_accurate_one_is_the_best(tmp_path):
    labels = grid_labels(weight_decay=(0, 1, 3))
    folder = leave(tmp_path / "none", [None] * 3, runs={"weight_decay": [0, 1, 3]}, labels=labels)
    rises = np.array([0.0, 0.4, 0.2])
    change(folder, val_accuracy=lambda arrays: arrays["val_accuracy"] + rises)

    best = comparison.best_of_families(read_all([folder]))
    assert [arm.values for arm in best] == [{"weight_decay": 1}]


def test_a_share_of_the_examples_is_never_chosen_as_a_setting(tmp_path):
    """Eleven arms are too many for one picture: of those that vary in it, .5 is shown beside .5."""
    curve = grid(tmp_path / "curve", train_fraction=tuple(n / 20 for n in range(5, 15)))
    plain = leave(tmp_path / "plain", [300], runs={"train_fraction": [0.5], "seed": [0]})
    arms = read_all([curve, plain])
    shown = {
        text.get_text()
        for text in comparison.charts.comparison(comparison.fewer(arms)).axes[3].texts
    }

    assert "at its best" not in comparison.write(arms, tmp_path / "out")
    assert {"curve train_fraction=0.5", "plain"} <= shown
    assert "curve train_fraction=0.7" not in shown


def test_mixtures_have_a_picture_of_their_tasks(tmp_path):
    plain, mixed = leave(tmp_path / "plain", [300]), leave(tmp_path / "mixed", [400])
    sides = [f"{side}_accuracy" for side in ("train", "val")]
    change(mixed, **{f"{side}/add": lambda arrays, side=side: arrays[side] for side in sides})

    assert pictures(plain, mixed) == ALWAYS | {"tasks.png"}


def test_nothing_that_grokked_and_one_run_give_a_table_all_the_same(tmp_path):
    arms = read_all(
        [leave(tmp_path / "never", [None, None]), leave(tmp_path / "one", [300], last=500)]
    )

    assert "> 1,000" in comparison.write(arms, tmp_path / "out")


def test_no_arms_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no arms to compare; choose one folder"):
        comparison.write([], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def command(*arguments):
    words = [sys.executable, "-m", "grokjax.analyze", *map(str, arguments)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_command_prints_the_table_and_says_what_it_left_out(tmp_path):
    leave(tmp_path / "in/a", [300, 400])
    (leave(tmp_path / "in/b", [None]) / "history.npz").unlink()
    done = command(tmp_path / "in", "--output", tmp_path / "out")

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith("| arm | runs | grokked |")
    assert done.stdout.endswith(f"the table and the figures are in {tmp_path / 'out'}\n")
    assert done.stderr == f"left out {tmp_path / 'in/b'}: it has no evaluation yet\n"


@pytest.fixture
def parsed_flags():
    """All flags at their defaults, as a command finds them."""
    flags.FLAGS.mark_as_parsed()
    yield
    flags.FLAGS.unparse_flags()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no folder given, and there is no results/; choose one or more"),
        (["nowhere"], "nowhere does not exist; choose a folder that grokjax.train has written"),
        (["setup.cfg"], "setup.cfg is not a folder"),
        (["tests"], "tests holds no results"),
    ],
)
def test_mistakes_are_one_line(words, said, parsed_flags, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT if words else tmp_path)
    with pytest.raises(ValueError, match=said):
        analyze.prepare(["analyze", *words])


def test_arithmetic_is_counted_where_it_is_asked_for(parsed_flags, tmp_path):
    """And a config that was not written by training cannot be counted."""
    words = ["analyze", str(leave(tmp_path / "old", [300]))]

    assert callable(analyze.prepare(words))
    with flagsaver.flagsaver(flops=True), pytest.raises(ValueError, match="the config is not what"):
        analyze.prepare(words)


def test_a_mistake_on_the_command_line_exits_with_two(tmp_path):
    done = command(tmp_path, "--output", tmp_path / "out")

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"error: {tmp_path} holds no results")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_what_training_leaves_can_be_compared(tmp_path):
    """Two trainings of the toy at their shortest, one of them a grid, through the command line."""
    config = tmp_path / "toy.py"
    config.write_text(
        f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r})\n"
        "from conftest import toy\n\n\ndef get_config():\n    return toy()\n"
    )
    for name, runs in (("plain", "--seeds=3"), ("grid", "--config.runs.weight_decay=(0.0, 0.3)")):
        words = [f"--config={config}", f"--workdir={tmp_path / 'in' / name}", runs]
        train = [sys.executable, "-m", "grokjax.train", *words]
        subprocess.run(train, cwd=ROOT, check=True, capture_output=True)
    done = command(tmp_path / "in", "--output", tmp_path / "out")

    assert done.returncode == 0, done.stderr
    arms = [line.split("|")[1].strip() for line in done.stdout.splitlines()[2:5]]
    assert arms == ["grid weight_decay=0", "grid weight_decay=0.3", "plain"]
