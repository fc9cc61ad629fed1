"""The table of arms, on histories short enough to read."""

import csv

import numpy as np
import pytest
from made_results import change, diverge, grid_labels, leave

from grokjax.reading.arms import Arm, read
from grokjax.reading.references import References
from grokjax.reading.rows import COLUMNS, markdown, rows, write_csv
from grokjax.reading.survival import log_rank
from grokjax.recording.history import History


def table(*folders):
    return rows([arm for folder in folders for arm in read(folder)])


def mixture(folder, **shares):
    """A folder of two runs on tasks `add` and `div`, of which `add` groks at 300, `div` at 600.

    A task without a share has no training examples, whose accuracy is not a number.
    """
    leave(folder, [600, 600])

    def accuracy(side, task):
        step = {"add": 300, "div": 600}[task] if side == "val" else 200

        def made(arrays):
            values_ExR = np.where(arrays["step"][:, None] >= step, [1.0, 1.0], 0.25)
            return values_ExR if shares[task] or side == "val" else values_ExR * np.nan

        return made

    change(
        folder, **{f"{s}_accuracy/{t}": accuracy(s, t) for s in ("train", "val") for t in shares}
    )
    return folder


def test_a_row_tells_how_an_arm_came_out(tmp_path):
    (row,) = table(leave(tmp_path / "moddiv", [300, 400, 900, None, 500, 700, 800]))

    assert list(row) == list(COLUMNS)
    assert (row["arm"], row["task"], row["runs"], row["grokked"]) == ("moddiv", "", 7, 6)
    assert row["share"] == 6 / 7
    assert (row["median_grok_step"], row["low"]) == (700, 300)
    assert (row["memorised_step"], row["delay"]) == (200, 500)
    assert (row["train_accuracy"], row["val_accuracy"]) == (1, 1)
    assert (row["diverged"], row["collapses"], row["log_rank_p"]) == (0, 0, None)


def test_a_median_step_and_delay_count_the_runs_that_never_grokked(tmp_path):
    """Delays 100, 200, 300 of five runs: the third is 300. Of six it is 300 too; of seven, none."""
    five, six, seven = (
        leave(tmp_path / str(runs), [300, 400, 500] + [None] * (runs - 3)) for runs in (5, 6, 7)
    )
    found = table(five, six, seven)

    assert [row["median_grok_step"] for row in found] == [500, 500, None]
    assert [row["delay"] for row in found] == [300, 300, None]
    assert [row["grokked"] for row in found] == [3, 3, 3]


def test_the_best_accuracy_is_that_of_each_run_at_its_best(tmp_path):
    """Bests 0.5, 0.7 and 0.9 at different steps; at the end all have 0.1."""
    folder = leave(tmp_path / "peaks", [None, None, None])

    def peaks(arrays):
        values_ExR = arrays["val_accuracy"].copy()
        values_ExR[[2, 3, 5], [0, 1, 2]] = 0.5, 0.9, 0.7
        return values_ExR

    change(folder, val_accuracy=peaks)
    (row,) = table(folder)

    assert row["best_val_accuracy"] == pytest.approx(0.7)
    assert row["val_accuracy"] == pytest.approx(0.1)


def test_diverged_and_collapsed_runs_are_counted(tmp_path):
    """Run 2 collapses twice, one run; run 0 diverges after it grokked."""
    folder = leave(tmp_path / "rough", [300, 300, 300, 300, 300])

    def collapses(arrays):
        values_ExR = arrays["val_accuracy"].copy()
        values_ExR[[5, 7], 2] = 0.5
        return values_ExR

    change(folder, val_accuracy=collapses)
    diverge(folder, run=0, step=600)
    (row,) = table(folder)

    assert (row["diverged"], row["collapses"], row["grokked"]) == (1, 2, 5)


def test_p_compares_with_the_first_arm(tmp_path):
    fast, slow = (
        leave(tmp_path / str(step), [step + 100 * r for r in range(5)]) for step in (300, 600)
    )
    arms = [read(folder)[0] for folder in (fast, slow, fast)]

    assert [row["log_rank_p"] for row in rows(arms)] == [
        None,
        log_rank(arms[0].durations, arms[1].durations),
        1,
    ]


def test_a_mixture_has_a_row_for_all_and_one_for_each_task_with_a_share(tmp_path):
    both, one = mixture(tmp_path / "both", add=1, div=1), mixture(tmp_path / "one", add=0, div=1)
    found = table(both, one)

    assert [(row["arm"], row["task"]) for row in found] == [
        *(("both", ""), ("both", "add"), ("both", "div")),
        *(("one", ""), ("one", "div")),
    ]
    assert [row["median_grok_step"] for row in found] == [600, 300, 600, 600, 600]


def test_the_tasks_of_arms_are_compared_with_the_same_task(tmp_path):
    """Task `div` groks at 600 in both arms. The first arm has no `add` to compare with."""
    one, both = mixture(tmp_path / "one", add=0, div=1), mixture(tmp_path / "both", add=1, div=1)
    found = {(row["arm"], row["task"]): row["log_rank_p"] for row in table(one, both)}

    assert found["both", "div"] == 1
    assert found["both", "add"] is None


def test_arms_may_be_watched_for_different_times(tmp_path):
    short = leave(tmp_path / "short", [200, None, None], last=300)
    long = leave(tmp_path / "long", [250, None, None], every=50, last=5000)
    found = table(short, long)

    assert [row["steps"] for row in found] == [300, 5000]
    assert 0 < found[1]["log_rank_p"] <= 1


def cells(text):
    """{header: cell} of each row of a table in markdown."""
    header, rule, *lines = (
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines()
    )
    assert all(set(cell) <= {"-", ":"} for cell in rule)
    return [dict(zip(header, line, strict=True)) for line in lines]


def test_people_read_rounded_numbers_and_what_was_not_reached(tmp_path):
    steps = [1900, 2000, 2000, 2100, 2100, 2200, 2300, 2300]
    reached = leave(tmp_path / "reached", steps, last=5000)
    never = leave(tmp_path / "never", [None] * 8, last=5000)
    shown = cells(markdown(table(reached, never)))

    step = "median grok step [95 % interval]"
    assert [row[step] for row in shown] == ["2,100 [1,900, 2,300]", "> 5,000"]
    assert [row["share"] for row in shown] == ["100.00%", "0.00%"]
    assert [row["validation accuracy"] for row in shown] == ["100.00%", "10.00%"]
    assert [row["log-rank p"] for row in shown] == ["", "< 0.001"]
    assert [row["delay"] for row in shown] == ["1,900", ""]


def test_an_interval_without_an_upper_end_says_so(tmp_path):
    shown = cells(markdown(table(leave(tmp_path / "few", [300, 400, None], last=900))))

    assert shown[0]["median grok step [95 % interval]"] == "400 [300, none]"


def test_columns_that_are_empty_everywhere_are_left_out(tmp_path):
    """No task, no second arm, and nothing grokked: no task, p or delay."""
    (row,) = cells(markdown(table(leave(tmp_path / "alone", [None]))))

    assert not {"task", "log-rank p", "delay"} & set(row)
    assert {"arm", "grokked", "diverged"} <= set(row)
    assert row["median grok step [95 % interval]"] == "> 1,000"


def test_one_run_has_a_step_without_an_interval(tmp_path):
    (row,) = cells(markdown(table(leave(tmp_path / "alone", [300]))))

    assert row["median grok step [95 % interval]"] == "300"


def test_an_arm_whose_name_has_a_bar_does_not_break_the_table(tmp_path):
    text = markdown(table(leave(tmp_path / "a|b", [300])))

    assert text.splitlines()[-1].startswith(r"| a\|b ")


def test_programs_read_all_columns_and_nothing_where_nothing_is_known(tmp_path):
    path = tmp_path / "summary.csv"
    write_csv(table(leave(tmp_path / "moddiv", [300, None, None])), path)
    with path.open(newline="") as file:
        (row,) = csv.DictReader(file)

    assert list(row) == list(COLUMNS)
    assert (row["arm"], row["grokked"], row["share"]) == ("moddiv", "1", "0.333333")
    assert row["median_grok_step"] == row["delay"] == row["log_rank_p"] == ""
    assert row["steps"] == "1000"


def test_columns_of_a_callers_own_come_first(tmp_path):
    path = tmp_path / "summary.csv"
    write_csv([{"part": "b"} | row for row in table(leave(tmp_path / "moddiv", [300]))], path)

    assert path.read_text().splitlines()[0].startswith("part,arm,task,")
    assert path.read_text().splitlines()[1].startswith("b,moddiv,,1,")


def test_a_reference_is_of_the_same_task_or_a_mixture_and_of_the_same_values():
    """Whichever of both comes first; a value may be written 0 or 0.0."""

    def arm(name, task, tasks=(), **values):
        accuracies = {f"val_accuracy/{each}": np.ones((1, 1)) for each in tasks}
        history = History({"step": np.array([1]), **accuracies})
        return Arm(f"{name} {values}", name, values, {"task": {"op": task}}, history)

    mixture, add = arm("both", "mix", ("add", "div")), arm("sums", "add", decay=0, rate=0.1)
    more = arm("sums", "add", decay=1, rate=0.1)
    others = [arm("ours", "add", rate=0.1, decay=1.0), arm("ours", "add", rate=0.1, decay=2.0)]

    def chosen(before, one):
        found = References()
        for each in before:
            found.add(each)
        return found.of(one)

    assert chosen([], add) is None
    assert chosen([add, more], arm("quotients", "div")) is None
    assert chosen([add, more, mixture], arm("quotients", "div")) is mixture
    assert chosen([mixture, add, more], others[0]) is mixture
    assert [chosen([add, more, mixture], one) for one in others] == [more, add]
    assert chosen([add], more) is add


def test_settings_are_compared_with_the_same_settings_of_the_first_folder(tmp_path):
    labels = grid_labels(weight_decay=(0, 1))
    arms = [
        arm
        for name in ("plain", "filtered")
        for arm in read(
            leave(tmp_path / name, [300, 500], runs={"weight_decay": [0, 1]}, labels=labels)
        )
    ]

    assert [row["compared_with"] for row in rows(arms)] == [
        None,
        "plain weight_decay=0",
        "plain weight_decay=0",
        "plain weight_decay=1",
    ]


def test_a_diverged_run_stays_in_the_race_when_training_ended_early(tmp_path):
    """All of one arm grok and rest; all of the other diverge at once: that is no draw."""
    schedule = {"num_steps": 6000, "stop_after_grok": 1}
    good = leave(tmp_path / "good", [300, 400, 500, 600, 700, 800, 300, 400], schedule=schedule)
    bad = leave(tmp_path / "bad", [None] * 8, last=300, schedule=schedule)
    for run in range(8):
        diverge(bad, run=run, step=200)
    _, row = table(good, bad)

    assert row["steps"] == 6000
    assert row["log_rank_p"] < 0.001
