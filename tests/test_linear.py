"""Linear regression: its delay is that of all eigenvalues, and in the end that of a formula."""

import numpy as np
import pytest

from experiments import linear


@pytest.mark.parametrize("ratio", [0.3, 0.5])
def test_descent_takes_the_steps_that_the_eigenvalues_say(ratio):
    """Of 1,000 inputs, within what seeds change; the theory has infinitely many."""
    steps_Sx2 = linear.steps_to_95(linear.train(ratio, seeds=(0, 1)))

    np.testing.assert_allclose(steps_Sx2.mean(axis=0), linear.expected(ratio), rtol=0.06)


def test_the_formula_is_the_limit_of_small_errors(monkeypatch):
    """At .5 it says 716 steps, but errors of .03 are come to 40 % sooner."""
    assert linear.predicted(0.5) == pytest.approx(715.7, abs=0.1)
    shares = []
    for tolerance in (1e-3, 1e-6, 1e-12, 1e-24, 1e-48):
        monkeypatch.setattr(linear, "TOLERANCE", tolerance)
        training, validation = linear.expected(0.5)
        shares.append((validation - training) / linear.predicted(0.5))

    assert shares == sorted(shares)
    assert 0.55 < shares[0] < 0.65
    assert 0.95 < shares[-1] < 1


def test_a_seed_that_does_not_come_to_95_percent_has_no_step():
    val_SxE = np.array([[0.1, 0.94, 0.96], [0.1, 0.2, 0.94]])
    steps_Sx2 = linear.steps_to_95(np.stack([np.ones((2, 3)), val_SxE], axis=2))

    assert steps_Sx2.tolist() == [[0, 2 * linear.EVERY], [0, np.inf]]


def test_the_command_leaves_a_table_and_a_picture(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(linear, "RATIOS", (0.3, 0.5))
    monkeypatch.setattr(linear, "TOLERANCE", 0.2)  # soon come to
    monkeypatch.setattr(linear, "EVERY", 10)
    linear.work(seeds=(0, 1))

    lines = (tmp_path / "results/linear/summary.csv").read_text().splitlines()
    assert lines[0].startswith("inputs_per_example,seeds,training_at_95,validation_at_95,delay,")
    assert [line.split(",")[:2] for line in lines[1:]] == [["0.3", "2"], ["0.5", "2"]]
    assert (tmp_path / "results/linear/accuracy.png").stat().st_size > 10_000
    assert "by_equation_12 716" in capsys.readouterr().out
