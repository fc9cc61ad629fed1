"""Published numbers beside ours: the verdict, the table of runs, the page."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from made_results import change, leave
from ml_collections import ConfigDict

from experiments import reproductions, verdicts
from experiments.verdicts import Ours
from grokjax.reading import arms, published
from grokjax.reading.published import Published
from grokjax.reading.survival import Durations, median_time

EXPERIMENTS = Path(__file__).parent.parent / "experiments"


def made(values, **entries):
    given = dict(source="Somebody, 2026", link="https://example.org", setting="p = 7")
    given |= dict(what="steps to 90 %", measured=published.first(0.9))
    return Published(values=values, **given | entries)


def all_reached(*values):
    return Durations(np.array(values, float), np.ones(len(values), bool))


@pytest.mark.parametrize(("runs", "coverage"), [(3, 0.5), (39, 0.95), (119, 0.95)])
def test_a_further_run_falls_into_the_interval_as_often_as_it_says(runs, coverage):
    """Whatever the distribution: here a log-normal one, 4,000 times."""
    rng = np.random.default_rng(0)
    inside = []
    for *ours, further in rng.lognormal(sigma=2.0, size=(4000, runs + 1)):
        low, high = published.further_run(all_reached(*ours))
        inside.append(low <= further <= high)

    assert abs(np.mean(inside) - coverage) < 0.02


def test_a_run_that_has_not_come_to_it_opens_the_interval_above():
    ours = Durations(np.array([300.0, 500, 200, 500]), np.array([True, False, True, False]))

    assert published.further_run(ours) == (200, np.inf)
    assert published.judge(ours, made((9000,))).verdict == "inside"
    assert published.judge(ours, made((100,))).verdict == "outside"


def test_a_mean_is_compared_with_means_of_as_many_runs():
    """Of normal runs with deviation 10: a mean of 4 lies within 1.96 times 5, 95 times in 100."""
    rng = np.random.default_rng(1)
    ours = all_reached(*rng.normal(1000, 10, size=4000))

    low, high = published.further_mean(ours, 4)
    assert low == pytest.approx(1000 - 1.96 * 5, abs=0.7)
    assert high == pytest.approx(1000 + 1.96 * 5, abs=0.7)
    assert published.judge(ours, made((1014,))).verdict == "inside"
    assert published.judge(ours, made((1014,), mean_of=4)).verdict == "outside"


def test_a_mean_of_few_runs_is_as_uncertain_as_ours():
    """Means of 4 normal runs lie in the interval of 5 others as often as it says."""
    rng = np.random.default_rng(2)
    inside = []
    for _ in range(2000):
        ours, further = rng.normal(size=5), rng.normal(size=4)
        low, high = published.further_mean(all_reached(*ours), 4)
        inside.append(low <= further.mean() <= high)

    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)


def test_a_mean_with_a_run_that_never_comes_to_it_is_never_reached():
    reached_R = np.array([True] * 9 + [False])
    low, high = published.further_mean(Durations(np.arange(10.0) + 1, reached_R), 5)

    assert 0 < low < 5
    assert high == np.inf


def test_one_number_inside_and_outside_and_with_a_setting_that_is_not_stated():
    ours = all_reached(700, 300, 500)

    assert published.judge(ours, made((300,))).verdict == "inside"
    assert published.judge(ours, made((701,))).verdict == "outside"
    assert published.judge(ours, made((701,), unstated="b2")).verdict == "setting not stated"
    assert published.judge(ours, made((500,), unstated="b2")).verdict == "inside"


def test_a_number_that_is_rounded_is_inside_if_it_may_be():
    ours = all_reached(0.6534, 0.6536, 0.6541)

    assert published.judge(ours, made((0.65,))).verdict == "outside"
    assert published.judge(ours, made((0.65,), rounding=0.005)).verdict == "inside"


def test_several_numbers_are_compared_run_by_run():
    """The p of four early runs against four late ones is that of R's survdiff: .0067."""
    ours = all_reached(1, 2, 3, 4)

    apart = published.judge(ours, made((5, 6, 7, 8)))
    assert apart.verdict == "outside"
    assert apart.p == pytest.approx(0.0067, abs=5e-5)
    assert published.judge(ours, made((2, 1, 4, 3))).verdict == "inside"
    assert published.judge(ours, made((np.inf, np.inf, np.inf, np.inf))).verdict == "outside"


def test_times_are_in_the_unit_of_the_source(tmp_path):
    """Of runs that grok at 300 and 500 and never, in epochs of 50 steps."""
    (arm,) = arms.read(leave(tmp_path / "arm", [300, None, 500], last=700))

    steps = published.first(0.9, steps_per_unit=50)(arm)
    assert steps.duration_R.tolist() == [6, 14, 10]
    assert steps.event_observed_R.tolist() == [True, False, True]


def test_a_metric_is_read_when_a_run_groks_and_at_the_end(tmp_path):
    """Norms are 10 times the evaluation plus the run: at step 300 of run 0, the third, 30."""
    leave(tmp_path / "arm", [300, None, 500], last=700)
    norm_ExR = 10.0 * np.arange(1, 8)[:, None] + np.arange(3)
    change(tmp_path / "arm", weight_norm=lambda _: norm_ExR)
    (arm,) = arms.read(tmp_path / "arm")

    norms = published.value_at("weight_norm", 0.9)(arm)
    assert norms.duration_R[[0, 2]].tolist() == [30, 52]
    assert norms.event_observed_R.tolist() == [True, False, True]
    assert published.at_the_end("weight_norm")(arm).duration_R.tolist() == [70, 71, 72]


def test_the_table_of_runs_gives_back_what_was_written(tmp_path):
    values = Durations(np.array([1.5, 20.0]), np.array([True, False]))
    found = {"a/b": Ours(values, "Zen 4, jax 1.0"), "c": Ours(all_reached(3), "H200, jax 1.1")}
    verdicts.write_data(tmp_path / "runs.csv", found)

    read = verdicts.read_data(tmp_path / "runs.csv")
    assert list(read) == list(found)
    for name, ((value_R, reached_R), machine) in found.items():
        assert read[name].machine == machine
        np.testing.assert_array_equal(read[name].values.duration_R, value_R)
        np.testing.assert_array_equal(read[name].values.event_observed_R, reached_R)


def test_the_page_is_written_from_results(tmp_path, capsys):
    """One row of two is finished: its runs are in the table, its verdict on the page."""
    folder = tmp_path / "experiments"
    (folder / "pictures").mkdir(parents=True)
    leave(tmp_path / "results/reproductions/some/add", [300, None, 500])
    rows = {"some/add": made((310,)), "some/mul": made((7,))}

    configs = dict.fromkeys(rows, ConfigDict({"runs": {"seed": [0, 1, 2]}}))
    verdicts.prepare(folder, rows, configs, tmp_path / "results")()
    page = (folder / "REPRODUCTIONS.md").read_text()
    assert "| [some/add](#someadd) | 310 | 500 [300, none] | 500 to none | 3 | inside |" in page
    assert "1 of ours never came to it. **Inside.**" in page
    assert "3 runs on TPU v9, jax 1.0." in page
    assert "Not run yet: some/mul." in page
    with (folder / "data/reproductions.csv").open() as file:
        assert [line["value"] for line in csv.DictReader(file)] == ["300", "1000", "500"]
    assert (folder / "pictures/reproductions.png").stat().st_size > 10_000
    assert "wrote 1 of 2 rows" in capsys.readouterr().out

    verdicts.prepare(folder, rows, {}, None)()
    assert (folder / "REPRODUCTIONS.md").read_text() == page
    with pytest.raises(ValueError, match=r"no row is finished in .*/reproductions; run"):
        verdicts.prepare(folder, rows, configs, tmp_path / "results/reproductions")

    configs = dict.fromkeys(rows, ConfigDict({"runs": {"seed": [0, 1]}}))
    with pytest.raises(ValueError, match=r"some/add has another config: runs.seed was \[0, 1, 2\]"):
        verdicts.prepare(folder, rows, configs, tmp_path / "results")


def test_another_choice_is_told_of_with_its_row_and_is_none_itself():
    rows = {"add": made((310,), unstated="b2; here .98"), "mul": made((7,))}
    rows["add"] = rows["add"]._replace(corrected="b2 was .9")
    rows["add_b2"] = made((310,), setting="b2 of .999", instead_of="add")
    found = {"add": Ours(all_reached(500, 600, 550), "Zen 4, jax 1.0")}
    found["add_b2"] = Ours(all_reached(310, 300, 320), "H200, jax 1.1")

    page = verdicts.page(rows, found)
    assert "1 of 2 rows have been run: 1 setting not stated." in page
    assert "Not run yet: mul." in page
    assert "| 3 | setting not stated, corrected |" in page
    assert "Corrected: b2 was .9." in page
    assert "With b2 of .999: 310 [300, none], 3 runs on H200, jax 1.1; inside." in page
    assert "3 runs on Zen 4, jax 1.0." in page
    assert "| [add_b2]" not in page
    assert "## add_b2" not in page


@pytest.mark.parametrize(
    ("device", "told"),
    [("1 x NVIDIA H200 (gpu)", "NVIDIA H200, jax 0.11.2"), ("2 x cpu (cpu)", "EPYC, jax 0.11.2")],
)
def test_what_trained_the_runs_is_kept(tmp_path, device, told):
    folder = leave(tmp_path / "reproductions/some", [300, 500])
    facts = {"device": device, "processor": "EPYC", "versions": {"jax": "0.11.2"}}
    metadata = folder / "experiment_metadata.json"
    known = json.loads(metadata.read_text())
    known["sessions"] = [{"seconds": 1.0, "machine": facts}]
    metadata.write_text(json.dumps(known))
    configs = {"some": ConfigDict({"runs": {"seed": [0, 1]}})}

    found = verdicts.collect({"some": made((310,))}, configs, tmp_path / "reproductions")
    assert found["some"].machine == told


def test_without_results_and_without_a_table_there_is_nothing_to_write(tmp_path):
    with pytest.raises(ValueError, match="no row is finished in .*reproductions.csv"):
        verdicts.prepare(tmp_path, {"a": made((1,))}, {}, None)
    with pytest.raises(ValueError, match="no row is finished in .*/reproductions; run"):
        verdicts.prepare(tmp_path, {"a": made((1,))}, {}, tmp_path)
    with pytest.raises(ValueError, match="is no folder"):
        verdicts.prepare(tmp_path, {}, {}, tmp_path / "none")


@pytest.mark.skipif(not (EXPERIMENTS / verdicts.DATA).is_file(), reason="no row has been run")
def test_the_committed_page_is_that_of_the_committed_table():
    rows = {name: row.published for name, row in reproductions.rows().items()}
    found = verdicts.read_data(EXPERIMENTS / verdicts.DATA)

    assert set(found) <= set(rows)
    known = {name: found[name] for name in rows if name in found}
    page = (EXPERIMENTS / verdicts.PAGE).read_text()
    assert page == verdicts.page(rows, known), "run python -m experiments verdicts"
    for name, ours in known.items():
        assert len(ours.values.duration_R) == len(reproductions.rows()[name].config.runs.seed)


def test_what_the_report_says_of_published_numbers_is_on_the_page():
    text = " ".join((EXPERIMENTS / "README.md").read_text().split())
    rows = {name: row.published for name, row in reproductions.rows().items()}
    found = verdicts.read_data(EXPERIMENTS / verdicts.DATA)
    own = [name for name in found if not rows[name].instead_of]
    inside = [n for n in own if published.judge(found[n].values, rows[n]).verdict == "inside"]
    missing = [name for name, row in rows.items() if not (row.instead_of or name in found)]
    others = [n for n in own if n not in inside and "initial weights" not in rows[n].unstated]

    assert f"Of {len(own)} published numbers {len(inside)} lie" in text
    assert f"{len(missing)} of {len(own) + len(missing)} published numbers; [what" in text
    assert ("all others but one leave" in text) == (len(others) == 1)
    small, usual = (
        median_time(found[name].values).median for name in ("ponyu/decay", "ponyu/decay_usual")
    )
    corrected = [name for name in inside if rows[name].corrected]
    theirs = np.median(rows["ponyu/decay"].values)
    assert f"{len(corrected)} of them corrected" in text
    assert f"takes {small:,.0f} steps (published {theirs:,.0f})" in text
    assert f"and {usual:,.0f} with our usual ones" in text
    for name, optimizer in {"wang/adamw": "AdamW", "wang/muon": "Muon"}.items():
        torch, ours = (median_time(found[n].values).median for n in (f"{name}_torch", name))
        assert re.search(f"{optimizer} from {ours:,.0f} to {torch:,.0f}[^,]*, where Wang", text)
        assert f"where Wang reports {rows[name].values[0]:,}" in text
