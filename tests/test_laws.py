"""Exponents of laws, against least squares, a textbook and laws that results were made by."""

import csv
import itertools
import json
import re
import sys

import numpy as np
import pytest
import scipy
from absl import flags
from made_results import change, leave
from test_survival import DRUG, PLACEBO

from grokjax import analyze
from grokjax.config.grid import grid_points, labels
from grokjax.reading import comparison, laws
from grokjax.reading.arms import read, read_all
from grokjax.reading.pictures.laws import law_picture
from grokjax.running.command_line import one_line_errors

pytest.importorskip("lifelines")


def results(folder, steps_of, last=2000, every=100, num_seeds=4, **values):
    """A folder of a grid, of which the run at each point groks at a step, or never."""
    runs = {name: list(of_entry) for name, of_entry in values.items()}
    runs["seed"] = list(range(num_seeds))
    points = [{name: point[name] for name in runs} for point in grid_points(runs)]
    steps = [steps_of(**point) for point in points]
    return leave(folder, steps, runs=runs, labels=labels(runs), last=last, every=every)


def law_of(values_RxK, time_R, is_event_R, *names):
    """A law without its fits."""
    upper_R = np.where(is_event_R, time_R, np.inf)
    return laws.Law("grok", list(names), values_RxK, time_R, upper_R, [], [])


def test_without_censoring_a_law_is_least_squares(tmp_path):
    """Exponents, their intervals and the constant; runs in folders of 5, 6, and 7 seeds."""
    rng = np.random.default_rng(0)

    def steps_of(weight_decay, learning_rate, seed):
        median = 4000 * weight_decay**-0.5 * (learning_rate / 0.01) ** -1
        return median * np.exp(0.3 * rng.normal())

    entries = dict(learning_rate=[0.003, 0.01, 0.05], last=100_000, every=500)
    folders = [
        results(tmp_path / str(x), steps_of, num_seeds=n, weight_decay=[x], **entries)
        for x, n in ((0.1, 5), (0.7, 6), (1.3, 7))
    ]
    arms = read_all(folders)
    law = laws.fit(arms, "delay ~ learning_rate + weight_decay")

    rows = []
    for arm in arms:
        entries = arm.values["learning_rate"], arm.config["runs"]["weight_decay"][0]
        rows += [(np.log(step), 1, *np.log(entries)) for step in arm.grokking.delay_R]
    y_R, x_RxP = np.array(rows)[:, 0], np.array(rows)[:, 1:]
    best_P, (square,), *_ = np.linalg.lstsq(x_RxP, y_R, rcond=None)
    degrees = len(y_R) - 3
    error_P = np.sqrt(np.diag(np.linalg.inv(x_RxP.T @ x_RxP)) * square / degrees)
    reach_P = scipy.stats.t.ppf(0.975, degrees) * error_P
    found = law.fits[0]
    assert (len(y_R), found.distribution) == (54, "log-normal")
    np.testing.assert_allclose(np.log(found.constant), best_P[0], rtol=1e-5)
    np.testing.assert_allclose(found.exponent_K, best_P[1:], rtol=1e-5)
    np.testing.assert_allclose(found.low_K, best_P[1:] - reach_P[1:], rtol=1e-5)
    np.testing.assert_allclose(found.high_K, best_P[1:] + reach_P[1:], rtol=1e-5)
    residual = scipy.stats.norm(0, np.sqrt(square / len(y_R))).logpdf(y_R - x_RxP @ best_P)
    assert found.aic == pytest.approx(2 * 4 - 2 * (residual - y_R).sum())


def test_a_weibull_fit_with_censoring_is_that_of_a_textbook():
    """Kleinbaum & Klein, 2012, "Survival Analysis", chapter 7: remission of leukemia.

    Treatment lengthens log T by 1.267; the placebo's is 2.248 where 63 % have had a relapse, and
    the shape is 1.366. A treatment of e, and not of 1, makes an exponent of that.
    """
    time_R, is_event_R = np.concatenate([PLACEBO, DRUG], axis=1)
    drug_Rx1 = np.exp(np.repeat([0.0, 1.0], 21))[:, None]
    found = laws._fit(law_of(drug_Rx1, time_R, is_event_R == 1, "drug"), "Weibull")

    assert found.exponent_K == pytest.approx([1.267], abs=5e-4)
    assert found.constant == pytest.approx(np.exp(2.248) * np.log(2) ** (1 / 1.366), rel=1e-3)


@pytest.mark.parametrize("distribution", ["log-normal", "Weibull"])
def test_known_exponents_are_in_their_intervals_though_many_runs_are_censored(
    tmp_path, distribution
):
    rng = np.random.default_rng(2)
    draw = {"log-normal": rng.normal, "Weibull": lambda: np.log(rng.exponential())}[distribution]

    def steps_of(seed, train_fraction, learning_rate, weight_decay):
        median = 10 * learning_rate**-0.8 * weight_decay**-0.5 * train_fraction**-2
        return median * np.exp(0.3 * draw())

    entries = dict(train_fraction=(0.3, 0.5, 0.7), learning_rate=(0.001, 0.003, 0.01))
    entries["weight_decay"] = (0.1, 0.4, 2)
    folder = results(tmp_path / "grid", steps_of, last=12_000, num_seeds=5, **entries)
    law = laws.fit(read(folder), "grok ~ learning_rate * weight_decay * train_fraction")

    (found,) = [one for one in law.fits if one.distribution == distribution]
    assert 0.25 < 1 - law.is_event_R.mean() < 0.45
    assert (found.low_K < [-0.8, -0.5, -2]).all()
    assert (found.high_K > [-0.8, -0.5, -2]).all()
    assert (found.high_K - found.low_K < 0.5).all()
    assert found.aic == min(one.aic for one in law.fits)
    text = laws.summary(law)
    assert "135 runs: " in text
    assert text.count("\n| ") == 5
    drawn = {line.get_gid() for axes in law_picture(law).axes for line in axes.lines}
    assert {"a run", "censored: its time is longer", "learning_rate", "weight_decay"} <= drawn


@pytest.mark.slow
def test_an_interval_covers_the_exponent_in_nineteen_of_twenty_data_sets():
    """Two exponents from 12 runs, of which some are censored: 200 intervals, 95 % +- 3 %."""
    rng = np.random.default_rng(3)
    log_x_RxK = np.array(list(itertools.product((0.0, 1.0, 2.0), (0.0, 1.0), (0, 0))))[:, :2]
    covered = []
    while len(covered) < 100:
        log_time_R = 5 + log_x_RxK @ [-1, 0.5] + 0.5 * rng.normal(size=12)
        is_event_R = log_time_R < 5.5
        if is_event_R.sum() < 4:
            continue
        time_R = np.exp(np.minimum(log_time_R, 5.5))
        found = laws._fit(law_of(np.exp(log_x_RxK), time_R, is_event_R, "a", "b"), "log-normal")
        covered.append((found.low_K < [-1, 0.5]) & (found.high_K > [-1, 0.5]))

    assert 0.91 < np.mean(covered) < 0.99


def test_a_delay_of_0_is_one_shorter_than_the_time_between_evaluations(tmp_path):
    """Against SciPy's likelihood of left-censored times, with the slope that the fit has."""
    steps = {1: (600, 700, 900, 1100), 3: (400, 300, 300, 500), 7: (200, 200, 300, 400)}
    folder = results(
        tmp_path / "fast",
        lambda weight_decay, seed: steps[weight_decay][seed],
        weight_decay=(1, 3, 7),
    )
    law = laws.fit(read(folder), "delay ~ weight_decay")

    assert law.notes == [
        "2 runs grokked by the first evaluation after the start: all that is known of the delay is "
        "that it is not longer than that"
    ]
    assert law.upper_R[8:10].tolist() == [100, 100]
    shift_R = law.fits[0].exponent_K[0] * np.log(law.values_RxK[:, 0])
    y_R = np.log(law.upper_R) - shift_R
    data = scipy.stats.CensoredData.left_censored(y_R, law.lower_R == 0)
    middle, _ = scipy.stats.norm.fit(data)
    assert np.log(law.fits[0].constant) == pytest.approx(middle, abs=1e-4)


def test_what_has_no_logarithm_or_no_beginning_is_left_out_and_said(tmp_path):
    """Of nine runs three have decay 0, and one of the others never memorises."""
    folder = results(
        tmp_path / "some",
        lambda weight_decay, seed: 1000 - 100 * seed - 100 * weight_decay,
        weight_decay=(0, 1, 3),
        num_seeds=3,
    )
    accuracy = np.where(np.arange(9) == 4, 0.5, 1.0)
    change(folder, train_accuracy=lambda arrays: np.minimum(arrays["train_accuracy"], accuracy))
    law = laws.fit(read(folder), "delay~weight_decay")

    assert law.text == "delay ~ weight_decay"
    assert law.upper_R.tolist() == [700, 500, 500, 400, 300]
    assert law.notes == [
        "left out 1 run that had not memorised before the last evaluation",
        "left out 3 runs with an entry of 0 or less, which has no logarithm",
    ]


def static(folder, width, num_steps, course="constant"):
    """Writes static entries into a config, beside one that is no number."""
    config = json.loads((folder / "config.json").read_text())
    config["model"] = {"name": "mlp", "width": width, "tied": True}
    config["schedule"] = {"num_steps": num_steps, "learning_rate": course}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_law_over_a_static_number_is_that_over_the_same_numbers_of_config_runs(tmp_path):
    """Three widths, two decays; how long training was to last is no setting."""
    rng = np.random.default_rng(5)
    widths = (7, 19, 41)
    decays = dict(weight_decay=(0.3, 2), last=3000)
    steps = {w: rng.integers(300, 2900, 8).tolist() for w in widths}

    def folder(kind, width, **runs):
        left = iter(steps[width])
        return results(tmp_path / f"{kind}{width}", lambda **_: next(left), **decays, **runs)

    traced = read_all([folder("traced", w, lamb=[w]) for w in widths])
    arms = read_all([static(folder("static", w), w, 2900 + w) for w in widths])
    law = laws.fit(arms, "grok ~ model.width * weight_decay")

    same = laws.fit(traced, "grok ~ lamb * weight_decay")
    assert (law.names, law.notes, same.notes) == (["model.width", "weight_decay"], [], [])
    np.testing.assert_array_equal(law.values_RxK, same.values_RxK)
    np.testing.assert_array_equal(law.fits[0].exponent_K, same.fits[0].exponent_K)
    drawn = {line.get_gid() for axes in law_picture(law).axes for line in axes.lines}
    assert "model.width" in drawn


def test_what_static_entries_have_in_common_is_said(tmp_path):
    steps = itertools.cycle([300, 400, 600, 700, 900])
    folders = []
    for width, course in ((7, "constant"), (19, "constant"), (41, "warmup_cosine")):
        folder = results(tmp_path / str(width), lambda **_: next(steps))
        folders.append(static(folder, width, 2000, course))
    arms = read_all(folders)

    (note,) = laws.fit(arms, "grok ~ model.width").notes
    assert note == "the runs differ in schedule.learning_rate too, which the law leaves out"
    for given, said in {
        "d_model": "no entry 'd_model' in all folders; did you mean 'model.width'?",
        "model.widht": "no entry 'model.widht' in all folders; did you mean 'model.width'?",
        "model.tied": "model.tied is True, not a number; what varies: model.width",
        "model.name": "model.name is 'mlp', not a number",
        "schedule.num_steps": "schedule.num_steps is 2000 in all runs; what varies: model.width",
    }.items():
        with pytest.raises(ValueError, match=re.escape(said)):
            laws.fit(arms, f"grok ~ {given}")


def test_what_else_differs_is_said(tmp_path):
    rng = np.random.default_rng(4)
    values = dict(weight_decay=(1, 3), lamb=(2, 5), num_seeds=3)
    folder = results(tmp_path / "two", lambda **_: int(rng.integers(300, 900)), **values)

    (note,) = laws.fit(read(folder), "grok ~ weight_decay").notes
    assert note == "the runs differ in lamb too, which the law leaves out"


@pytest.fixture
def command(tmp_path, capsys):
    """Runs the command on a folder of 12 runs: what it says, and its exit code."""
    rng = np.random.default_rng(4)
    folder = results(
        tmp_path / "runs",
        lambda weight_decay, seed, learning_rate: int(rng.integers(300, 900)) if seed else None,
        weight_decay=(0.5, 1, 3),
        learning_rate=[0.001],
    )

    def run(**options):
        options = {"output": str(tmp_path / "out"), **options}
        flags.FLAGS.mark_as_parsed()
        before = {name: flags.FLAGS[name].value for name in options}
        try:
            for name, value in options.items():
                flags.FLAGS[name].value = value
            with one_line_errors():
                analyze.prepare(["analyze", str(folder)])()
            code = 0
        except SystemExit as end:
            code = end.code
        finally:
            for name, value in before.items():
                flags.FLAGS[name].value = value
            flags.FLAGS.unparse_flags()
        return code, "".join(capsys.readouterr())

    return run


def test_the_command_writes_a_table_a_picture_and_a_section(command, tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "figures", lambda *_: [])  # which have tests of their own
    code, said = command(law="grok ~ weight_decay", critical="weight_decay")

    assert code == 0
    assert "## grok ~ weight_decay\n\n12 runs: 9 grokked, 3 censored. Median grok = " in said
    assert "| all runs |   12 |       9 |" in said
    written = (tmp_path / "out/summary.md").read_text()
    for name in ("law", "critical"):
        assert f"![{name}.png]({name}.png)" in written
        assert (tmp_path / f"out/{name}.png").read_bytes().startswith(b"\x89PNG")
    with (tmp_path / "out/law.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["distribution"], second["distribution"]) == ("log-normal", "Weibull")
    assert float(first["low"]) < float(first["exponent"]) < float(first["high"])
    assert (first["entry"], first["events"], first["censored"]) == ("weight_decay", "9", "3")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"law": "delay weight_decay"}, "cannot understand the law 'delay weight_decay'; write it"),
        ({"law": "grok ~ weight_decay *"}, "cannot understand the law"),
        ({"law": ""}, "cannot understand the law ''"),
        ({"law": "groks ~ weight_decay"}, "unknown left side of a law 'groks'; choose from delay"),
        ({"law": "grok ~ weight_decay*weight_decay"}, "has an entry twice; write each once"),
        ({"law": "grok ~ weight_dekay"}, "no entry 'weight_dekay' in all folders; did you mean"),
        ({"law": "grok ~ wd"}, "no entry 'wd' in all folders; did you mean 'weight_decay'?"),
        ({"law": "grok ~ learning_rate"}, "is 0.001 in all runs; what varies: weight_decay"),
        ({"critical": "learning_rate"}, "is 0.001 in all runs; what varies: weight_decay"),
        ({"critical": "lr"}, "no entry 'lr' in all folders; did you mean 'learning_rate'?"),
        (
            {"critical": "seed"},
            "seed tells runs of one setting apart and has no law; what varies: weight_decay",
        ),
    ],
)
def test_mistakes_are_one_line_and_exit_with_two(command, option, said, tmp_path):
    code, line = command(**option)

    assert code == 2
    assert said in line
    assert line.count("\n") == 1
    assert not (tmp_path / "out").exists()


def fails(folder, law):
    with pytest.raises(ValueError, match="the law ") as caught:
        laws.fit(read(folder), law)
    return str(caught.value)


def test_too_few_events_are_refused(tmp_path):
    values = dict(weight_decay=(1, 2), learning_rate=(1, 2), num_seeds=2)
    few = results(
        tmp_path / "few", lambda seed, **_: 300 if seed else None, **values | {"lamb": (1, 2)}
    )
    none = results(tmp_path / "none", lambda **_: None, **values)

    law = "grok ~ weight_decay * learning_rate"
    assert fails(none, law) == (
        f"the law {law!r}: 0 of 8 runs grokked, too few to fit 2 exponents; at least 4 are needed"
    )
    change(few, val_accuracy=lambda arrays: arrays["val_accuracy"] * (np.arange(16) > 12))
    assert "3 of 16 runs grokked, too few to fit 2 exponents" in fails(few, law)


def test_exponents_that_the_runs_cannot_tell_apart_are_refused(tmp_path):
    """Only one decay grokked; and in two folders the rate is ten times the decay."""
    values = dict(weight_decay=(1, 2))
    one = results(
        tmp_path / "one", lambda weight_decay, seed: 300 + seed * 100 if weight_decay > 1 else None,
        **values,
    )  # fmt: skip
    assert "weight_decay do not vary independently; leave one out" in fails(
        one, "grok ~ weight_decay"
    )

    folders = [
        results(tmp_path / str(x), lambda seed, **_: 300 + 100 * seed, **entries)
        for x in (1, 3)
        for entries in [dict(weight_decay=[x], learning_rate=[10 * x])]
    ]
    with pytest.raises(ValueError, match="weight_decay, learning_rate do not vary independently"):
        laws.fit(read_all(folders), "grok ~ weight_decay * learning_rate")


@pytest.mark.parametrize("left", ["delay", "grok"])
def test_times_without_any_scatter_have_no_interval(tmp_path, left):
    same = results(tmp_path / "same", lambda **_: 300, weight_decay=(1, 2))

    assert "do the times scatter about it at all?" in fails(same, f"{left} ~ weight_decay")


def test_an_entry_that_is_no_number_is_refused(tmp_path):
    mixes = ["90:10", "50:50"]
    folder = leave(
        tmp_path / "m", [300, 400], runs={"mix": mixes}, labels=[f"mix={m}" for m in mixes]
    )

    with pytest.raises(ValueError, match="mix is '90:10', not a number; what varies: no entry"):
        laws.fit(read(folder), "grok ~ mix")


def test_without_lifelines_a_line_says_what_to_install(tmp_path, monkeypatch):
    steps = itertools.cycle([300, 400, 600, 700, 900])
    folder = results(tmp_path / "a", lambda **_: next(steps), weight_decay=(1, 2))
    monkeypatch.setitem(sys.modules, "lifelines", None)

    with pytest.raises(ValueError, match=r"needs the package lifelines; .* 'grokjax\[survival\]'"):
        laws.fit(read(folder), "grok ~ weight_decay")
