"""What a start does without: packages that come later, tracing twice, programs for one number."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
from conftest import toy_mlp

import grokjax
from grokjax.core import devices, loop, trainer
from grokjax.recording.output import without
from grokjax.running import report

TESTS = Path(__file__).parent
LATE = ("PIL", "matplotlib", "orbax", "scipy.stats", "tensorflow_datasets", "torch", "wandb")
HELP = f"""
import contextlib, runpy, sys
sys.argv = ["train", "--help"]
with contextlib.suppress(SystemExit):
    runpy.run_module("grokjax.train", run_name="__main__")
print("imported:", *(name for name in {LATE} if name in sys.modules))
"""
COMPILED = """
import json
import jax
from conftest import toy_mlp
import grokjax
from grokjax.core import loop

def listen(event, seconds, fun_name=None, **_):
    if event.endswith("backend_compile_duration"):
        names.append(fun_name)

names = []
jax.monitoring.register_event_duration_secs_listener(listen)
config = toy_mlp()
config.runs.seed = (0, 1, 2)
experiment = grokjax.setup(config)
for _ in loop.chunks(experiment.trainer, experiment.runs_R, experiment.dataset, num_steps=5):
    pass
print(json.dumps(sorted(names)))
"""


def said(code, path, **environment):
    """What a Python process prints that finds modules in a folder too."""
    path = f"{path}:{TESTS.parent}"
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": path} | environment,
    ).stdout


def test_no_package_is_imported_before_it_is_needed(tmp_path):
    (tmp_path / "torch.py").touch()  # as if it were installed

    *_, last = said(HELP, tmp_path).splitlines()

    assert last == "imported:"


def test_nothing_but_the_programs_of_each_device_is_compiled():
    """An operation outside of them would be a program of its own; here a run is for padding."""
    names = json.loads(said(COMPILED, TESTS, JAX_NUM_CPU_DEVICES="2"))

    assert names == ["jit(advance)"] * 2 + ["jit(init)"] * 2


def test_a_state_is_traced_once_for_its_shapes_and_once_for_the_program(monkeypatch):
    traced = []
    init = trainer._init

    def counted(*given, **named):
        traced.append(1)
        return init(*given, **named)

    monkeypatch.setattr(trainer, "_init", counted)
    experiment = grokjax.setup(toy_mlp())
    given = (experiment.trainer, experiment.runs_R, experiment.dataset)
    experiment.state_shapes()
    report.introduction(experiment, 0)

    assert len(traced) == 1
    next(loop.chunks(*given, num_steps=5))
    assert len(traced) == 2


def test_a_program_is_compiled_while_its_caller_goes_on():
    may_compile = threading.Event()

    def lower(*shapes):
        lowered = jax.jit(lambda x_R: 2 * x_R).lower(*shapes)

        def compile_later():
            may_compile.wait(60)
            return lowered.compile()

        return SimpleNamespace(out_info=lowered.out_info, compile=compile_later)

    mesh = devices.mesh(1)
    x_R = devices.shard(np.array([3.0, 5.0], np.float32), mesh)
    program = devices.Program(SimpleNamespace(lower=lower), mesh, (x_R,))

    assert (program.shapes_R.shape, program.shapes_R.dtype) == ((2,), np.float32)
    may_compile.set()
    assert program(x_R).tolist() == [6.0, 10.0]


def test_a_package_is_missing_within_a_block_unless_it_is_there(monkeypatch):
    monkeypatch.delitem(sys.modules, "this", raising=False)
    with without("this"), without("json"):
        assert sys.modules["this"] is None
        assert sys.modules["json"] is json

    assert "this" not in sys.modules
