"""Two files of results, and the ratios of their times."""

import json

import pytest

from benchmarks import compare

OLD = {
    "benchmark": "step_time",
    "model": "mlp",
    "versions": {"jax": "0.10.2", "jaxlib": "0.10.2", "torch": None},
    "settings": {"XLA_FLAGS": "--a"},
    "rows": {"grokjax": {"ms": [12.0, 10.0]}, "PyTorch": {"note": "not installed"}},
}
NEW = {
    **OLD,
    "versions": {"jax": "0.10.2", "jaxlib": "0.12.0.1", "torch": None},
    "settings": {},
    "rows": {"grokjax": {"ms": [5.0, 6.0]}, "plain JAX": {"ms": [7.0]}},
}


@pytest.fixture
def write(tmp_path):
    def write(name, *results):
        file = tmp_path / name
        file.write_text("".join(json.dumps(result) + "\n" for result in results))
        return str(file)

    return write


def test_the_ratios_are_those_of_the_best_and_of_all_pairs():
    """The pairs are 5/12, 5/10, 6/12, 6/10."""
    best, middle, lower, upper = compare.ratios([12.0, 10.0], [5.0, 6.0])

    assert (best, middle) == (0.5, 0.5)
    assert lower == pytest.approx(5 / 12 + 0.75 * (5 / 10 - 5 / 12))
    assert upper == pytest.approx(5 / 10 + 0.25 * (6 / 10 - 5 / 10))


def test_the_table_shows_what_differs_and_the_ratios(write, capsys):
    compare.main([write("old", OLD), write("new", NEW)])

    assert capsys.readouterr().out.splitlines() == [
        "| what differs |    old |      new |",
        "|--------------|--------|----------|",
        "| jaxlib       | 0.10.2 | 0.12.0.1 |",
        "| XLA_FLAGS    |    --a |        - |",
        "",
        "| best times, ms          |  old |  new | new / old | median of pairs |   half of them |",
        "|-------------------------|------|------|-----------|-----------------|----------------|",
        "| step_time, mlp: grokjax | 10.0 | 5.00 |     0.500 |           0.500 | 0.479 to 0.525 |",
        "",
        "only in the new file: step_time, mlp: plain JAX",
    ]


def test_rates_rows_within_rows_and_lines_of_the_same_are_read():
    rate = {"benchmark": "sweep_throughput", "rows": {"R = 4, map": {"rounds": [100.0, 250.0]}}}
    inner = {"ms": [1.0], "elsewhere": {"torch.mm": {"ms": [2.0]}, "oneDNN": {"note": "failed"}}}
    roofline = {"benchmark": "roofline", "rows": {"matmuls": {"5x[3]": inner}, "arithmetic": {}}}
    seeds = {"seed=0": {"step": 5, "seconds": 4.0}, "seed=1": {"step": None, "seconds": None}}
    startup = {"all imports": {"seconds": [1.0]}, "import torch": {"seconds": [0.0]}}

    found = compare.rounds_of(
        [
            rate,
            {**rate, "model": "transformer"},
            {**rate, "model": "mlp", "quick": True},
            roofline,
            {"benchmark": "time_to_grok", "rows": seeds},
            {"benchmark": "startup", "rows": startup},
        ]
    )

    assert found == {
        "sweep_throughput: R = 4, map": [10.0, 4.0, 10.0, 4.0],
        "sweep_throughput, mlp, quick: R = 4, map": [10.0, 4.0],
        "roofline: matmuls, 5x[3]": [1.0],
        "roofline: matmuls, 5x[3], elsewhere, torch.mm": [2.0],
        "time_to_grok: seed=0": [4000.0],
        "startup: all imports": [1000.0],
    }


@pytest.mark.parametrize(
    "damaged",
    [
        "{",
        "",
        "[1]",
        '{"benchmark": "x"}',
        '{"rows": {}}',
        '{"benchmark": "x", "rows": {"a": {"ms": ["1"]}}}',
        '{"benchmark": "x", "rows": {"a": {"ms": [-1.0]}}}',
        '{"benchmark": "x", "rows": {"a": {"ms": [NaN]}}}',
        '{"benchmark": "x", "rows": {"a": {"ms": []}}}',
    ],
)
def test_a_damaged_line_is_one_line_and_exit_2(damaged, write, tmp_path, capsys):
    old = write("old", OLD)
    new = tmp_path / "new"
    new.write_text(f"{json.dumps(NEW)}\n{damaged}\n")

    assert f"{new}, line 2 is damaged" in error_of([old, str(new)], capsys)


def test_what_cannot_be_compared_is_one_line_and_exit_2(write, capsys):
    old = write("old", OLD)
    other = write("other", {**OLD, "model": "lstm"})

    assert "0 files given; give two, OLD.jsonl NEW.jsonl" in error_of([], capsys)
    assert "No such file or directory: 'no.jsonl'" in error_of([old, "no.jsonl"], capsys)
    assert "nothing was timed in both files" in error_of([old, other], capsys)
    assert "nothing was timed in both files" in error_of([old, write("empty")], capsys)


def error_of(words, capsys):
    with pytest.raises(SystemExit) as exit_:
        compare.main(words)
    (line,) = capsys.readouterr().err.splitlines()
    assert exit_.value.code == 2
    return line
