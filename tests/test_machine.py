"""What is recorded of the machine, and the cache of compiled programs on it."""

import json
import os

import pytest
from conftest import toy_mlp

import grokjax
from grokjax.recording import machine as machine_
from grokjax.recording import results as results_
from grokjax.recording.results import Results
from grokjax.running import cache, resume


def test_every_session_keeps_its_machine_and_another_one_is_noticed(tmp_path, monkeypatch):
    results = Results(tmp_path)
    first = results_.machine()
    for machine in (first, first | {"threads": 77, "xla_flags": "--x"}):
        monkeypatch.setattr(results_, "machine", lambda machine=machine: machine)
        changes = results.changes()
        with results.session({}, 0) as session:
            session.end("finished")

    metadata = json.loads(results.metadata.read_text())
    assert [session["machine"]["threads"] for session in metadata["sessions"]] == [
        first["threads"],
        77,
    ]
    assert metadata["versions"] == first["versions"]
    assert changes == [
        f"threads was {first['threads']}, is 77",
        f"xla_flags was {first['xla_flags']}, is --x",
    ]


CPU_INFO = """\
processor	: {}
vendor_id	: AuthenticAMD
cpu family	: {}
model		: {}
model name	: {}
stepping	: 1
"""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("AMD EPYC", "AMD EPYC, family 26 model 2"),
        ("Intel(R) Xeon(R) CPU @ 2.20GHz", "Intel(R) Xeon(R) CPU @ 2.20GHz, family 26 model 2"),
        ("AMD EPYC 7763 64-Core Processor", "AMD EPYC 7763 64-Core Processor"),
    ],
)
def test_a_processor_is_told_by_family_and_model_where_its_name_has_no_number(
    tmp_path, monkeypatch, name, said
):
    info = tmp_path / "cpuinfo"
    monkeypatch.setattr(machine_, "CPU_INFO", info)
    info.write_text("\n".join(CPU_INFO.format(core, 26, 2, name) for core in range(3)))

    assert machine_.processor.__wrapped__() == said
    info.write_text(f"model name : {name}\n")
    assert machine_.processor.__wrapped__() == name
    info.unlink()
    assert machine_.processor.__wrapped__()


def test_a_resume_under_other_random_numbers_is_refused():
    experiment = grokjax.setup(toy_mlp())
    record = json.loads(json.dumps(experiment.record))
    resume.check_same(record, experiment)
    del record["prng"]  # as older results have it
    resume.check_same(record, experiment)

    with pytest.raises(ValueError, match="prng was 'rbg', is 'threefry2x32'"):
        resume.check_same(record | {"prng": "rbg"}, experiment)


def test_a_cache_loses_what_was_used_longest_ago(tmp_path):
    for age, name in enumerate("abc"):
        path = tmp_path / f"{name}-cache"
        path.write_bytes(b"x" * 10)
        os.utime(path, (1000 - age, 1000 - age))

    cache.trim(tmp_path, 25)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-cache", "b-cache"]
    cache.trim(tmp_path / "missing", 25)
