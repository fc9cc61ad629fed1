"""The start-up benchmark reads its processes line by line, and adds up what they import."""

import pytest

from benchmarks import harness, process, startup


@pytest.fixture
def rounds(monkeypatch):
    """Two rounds made by hand, the second of which imports a package less."""
    seconds_of_imports = iter([{}, {"all imports": 3.0, "import torch": 2.0}, {"all imports": 1.0}])
    seconds_of_trainings = iter([{"exit": 4.0}, {"exit": 8.0}])
    monkeypatch.setattr(startup, "imports", lambda: next(seconds_of_imports))
    monkeypatch.setattr(startup, "trainings", lambda _: next(seconds_of_trainings))


def test_a_line_carries_the_second_when_it_came():
    code = "import time; print('soon'); time.sleep(0.5); print('late')"

    lines, exit_seconds = process.listen(["-c", code])

    (soon, first), (late, second) = lines
    assert (soon, late) == ("soon", "late")
    assert 0 < first < second - 0.2  # held back, both would come at once
    assert second <= exit_seconds


def test_a_process_that_fails_is_an_error_with_its_last_line():
    with pytest.raises(RuntimeError, match="exited with 3: out of luck"):
        process.listen(["-c", "print('trying'); print('out of luck'); raise SystemExit(3)"])


def test_a_cache_of_the_environment_does_not_replace_the_one_that_is_named(monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/full")

    lines, _ = process.listen(["-c", "import os; print('JAX_COMPILATION_CACHE_DIR' in os.environ)"])

    assert lines[0][0] == "False"


def test_a_package_is_charged_with_its_own_modules(monkeypatch):
    """Microseconds of a module alone, then with all that it imports."""
    said = """
import time: self [us] | cumulative | imported package
import time:       300 |        300 |     numpy._core
import time:       200 |        500 |   numpy
import time:      1000 |       1500 | jax
"""
    monkeypatch.setattr(process, "listen", lambda _: ([(s, 0.0) for s in said.splitlines()], 9.0))

    found = startup.imports()

    wanted = {"all imports": 1.5e-3, "import numpy": 0.5e-3, "import jax": 1e-3}
    assert found == pytest.approx(wanted)


def test_rounds_become_rows(rounds, toy_config):
    rows = startup.measure(toy_config, rounds=2)

    assert rows["exit"] == {"seconds": [4.0, 8.0], "median": 6.0, "best": 4.0}
    assert rows["import torch"]["seconds"] == [2.0, 0.0]  # not imported: no time


def test_the_table_shows_the_longest_imports_and_those_that_are_watched():
    imports = {f"import p{i}": harness.seconds_row([i + 1.0]) for i in range(20)}
    rows = {
        "exit": harness.seconds_row([9.0]),
        **imports,
        "import optax": harness.seconds_row([0.5]),
    }

    _, _, first, *others = startup.table(rows).splitlines()

    assert first.startswith("| exit ")
    shown = [line.split()[2] for line in others]
    assert shown == [*(f"p{i}" for i in range(19, 7, -1)), "optax"]


def test_a_row_shows_its_note():
    shown = harness.seconds_table({"save": harness.seconds_row([3.0, 1.0, 1.5], note="5 MB")})

    assert shown.splitlines()[-1] == "| save    |   1.50 | 1.00 | 5 MB |"


@pytest.mark.slow
def test_the_start_is_measured_with_an_empty_and_with_a_full_cache(toy_config):
    rows = startup.measure(toy_config, rounds=1)

    for state in ("empty", "full"):
        moments = ("2 steps, evaluated", "summary and figures", "exit")
        steps, figures, end = (rows[f"{state} cache: {moment}"]["best"] for moment in moments)
        assert 0 < steps < figures < end
    assert rows["all imports"]["best"] > rows["import jax"]["best"] > 0
    assert "import jax " in startup.table(rows)
