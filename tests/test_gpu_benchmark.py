"""The visit to a GPU, at toy size on a CPU."""

import json
import time

import pytest

from benchmarks import gpu


def part(code, rows=None):
    """A part of one command, Python's own."""
    commands = [gpu.Command("it", ["-c", code])]
    return gpu.Part(lambda *_: commands, lambda *_: rows or {}, lambda found: f"table of {found}")


def test_a_part_that_fails_costs_no_other(monkeypatch, tmp_path, capsys):
    parts = {"bad": part("raise SystemExit('no memory')"), "good": part("", {"a": 1})}
    monkeypatch.setattr(gpu, "PARTS", parts)
    gpu.main([f"--out={tmp_path}", "--quick"])
    printed = capsys.readouterr()
    assert "bad: not measured" in printed.err
    assert "no memory" in printed.err
    assert printed.out.endswith("## good (quick)\n\ntable of {'a': 1}\n")
    assert not (tmp_path / "bad.json").exists()
    assert json.loads((tmp_path / "good.json").read_text())["complete"]


def test_a_part_that_is_complete_is_not_run_again(monkeypatch, tmp_path):
    code = f"open({str(tmp_path / 'runs')!r}, 'a').write('x')"
    monkeypatch.setattr(gpu, "PARTS", {"it": part(code)})
    gpu.main([f"--out={tmp_path}", "--quick"])
    gpu.main([f"--out={tmp_path}", "--quick"])
    assert (tmp_path / "runs").read_text() == "x"


def test_time_stops_a_command_and_it_is_run_again(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(gpu, "PARTS", {"it": part("import time; time.sleep(60)")})
    began = time.monotonic()
    gpu.measure("it", tmp_path, began + 0.5, quick=True)
    assert time.monotonic() - began < 30
    assert not json.loads((tmp_path / "it.json").read_text())["complete"]
    gpu.measure("it", tmp_path, began, quick=True)
    assert "no time was left" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out=x", "--only=speed"], "--only speed; choose from agreement, step"),
        (["--only=step"], "no folder given; choose one with --out"),
        (["--out=x", "--minute=3"], "Unknown command line flag 'minute'"),
    ],
)
def test_a_mistake_is_one_line(words, message, capsys):
    gpu.OWN.unparse_flags()
    gpu.OWN.out = None
    gpu.OWN.only = []
    with pytest.raises(SystemExit, match="2"):
        gpu.main(words)
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


@pytest.mark.slow
def test_all_parts_at_toy_size(tmp_path, capsys):
    gpu.main([f"--out={tmp_path}", "--quick"])
    printed = capsys.readouterr().out
    for name in gpu.PARTS.keys() - {"bfloat16", "float32"}:  # a CPU has one precision
        assert json.loads((tmp_path / f"{name}.json").read_text())["complete"], name
        assert f"## {name} (quick)" in printed
    agreement = json.loads((tmp_path / "agreement.json").read_text())["rows"]
    assert max(agreement.values()) < 1e-6
    repeat = json.loads((tmp_path / "repeat.json").read_text())["rows"]
    assert repeat["usual"]["equal"]
