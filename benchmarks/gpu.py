"""One visit to a GPU: everything that only a GPU can show, in order of worth, in bounded time.

    python -m benchmarks.gpu --minutes 25 --out results/gpu
    python -m benchmarks.gpu --out results/gpu --only seeds
    python -m benchmarks.gpu --quick --out /tmp/gpu

Every part is commands in processes of their own, so that one that fails, or fills the memory, costs
no other. What a part found is kept in FOLDER/PART.json: the same command, given again, goes on with
the parts that are missing, and a sweep with its newest checkpoint. FOLDER/table.md has all tables.
"""

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import jax
import numpy as np
from absl import flags

from benchmarks import harness
from benchmarks.problem import ROOT
from grokjax.recording import checkpoints
from grokjax.recording.files import replacing
from grokjax.recording.history import History
from grokjax.recording.output import make_steady
from grokjax.recording.results import Results
from grokjax.running import command_line

OWN = flags.FlagValues()  # those of grokjax's commands have no meaning here
flags.DEFINE_float("minutes", 25.0, "After that, what goes on is stopped.", flag_values=OWN)
flags.DEFINE_string("out", None, "Folder of what is found.", flag_values=OWN)
flags.DEFINE_list("only", [], "Parts, such as step,seeds; all if not given.", flag_values=OWN)
flags.DEFINE_bool("quick", False, "A toy size, to see that it works.", flag_values=OWN)

GRACE = 30.0  # seconds that a command has to save, once it is told to stop
DETERMINISTIC = "--xla_gpu_deterministic_ops=true"
TOY = ("--config.task.p=7", "--config.batch_size=13", "--config.model.width=16")


class Command(NamedTuple):
    """A process of Python in the project's folder."""

    name: str
    words: Sequence[str]
    environment: Mapping[str, str] = MappingProxyType({})


class Part(NamedTuple):
    """Commands that write into a folder, and what is read from it."""

    commands: Callable[[Path, bool], list[Command]]  # (folder, quick)
    read: Callable[[Path, Mapping[str, float]], dict]  # (folder, seconds by command) -> rows
    table: Callable[[Mapping], str]  # rows -> Markdown


def main(words: Sequence[str] | None = None) -> None:
    """Runs the parts that are not complete yet, and writes the tables of all that are known.

    Args:
        words: flags; None: those of the process.
    """
    if words is None:
        make_steady()
    asked = _asked(sys.argv[1:] if words is None else words)
    jax.config.update("jax_platforms", "cpu")  # the GPU's memory is for the commands alone
    out = Path(asked.out).expanduser().absolute()
    deadline = time.monotonic() + 60 * asked.minutes
    for name in asked.only or PARTS:
        if not _known(out, name).get("complete"):
            measure(name, out, deadline, asked.quick)
    text = "\n\n".join(_texts(out))
    with replacing(out / "table.md") as scratch:
        scratch.write_text(text + "\n", encoding="utf-8")
    print(text)


def _asked(words):
    """The values of the flags; what is wrong with them is one line and exit 2."""
    if {"--help", "-h"} & set(words):
        print(__doc__, OWN.module_help(__name__), sep="\n")
        sys.exit(0)
    try:
        OWN(["gpu", *words])
        if OWN.out is None:
            raise ValueError("no folder given; choose one with --out, such as results/gpu")
        if unknown := set(OWN.only) - set(PARTS):
            raise ValueError(f"--only {min(unknown)}; choose from {', '.join(PARTS)}")
    except (ValueError, flags.Error) as error:
        command_line.fail(error)
    return OWN


def measure(name: str, out: Path, deadline: float, quick: bool) -> None:
    """Runs the commands of a part and keeps what they found, also if time ended one of them."""
    part = PARTS[name]
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    seconds = {}
    complete = True
    try:
        for command in part.commands(folder, quick):
            print(f"{name}: {command.name}", flush=True)
            began = time.monotonic()
            complete &= run(command, folder / f"{command.name}.log", deadline)
            seconds[command.name] = time.monotonic() - began
        rows = part.read(folder, seconds)
    except Exception as error:  # of one part; the others can still be run
        print(f"{name}: not measured: {error!r}", file=sys.stderr, flush=True)
        return
    found = {"complete": complete, "quick": quick, "seconds": seconds, "rows": rows}
    with replacing(out / f"{name}.json") as scratch:
        scratch.write_text(json.dumps(found, indent=1), encoding="utf-8")


def run(command: Command, log: Path, deadline: float) -> bool:
    """Whether a command came to its end; otherwise it was told to stop, for time was over.

    Raises:
        RuntimeError: if it fails.
        TimeoutError: if there is no time to begin.
    """
    if time.monotonic() >= deadline:
        raise TimeoutError("no time was left")
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            [sys.executable, *command.words],
            cwd=ROOT,
            env={**os.environ, **command.environment},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        code = process.wait(deadline - time.monotonic())
    except subprocess.TimeoutExpired:
        _stop(process)
        return False
    if code:
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        raise RuntimeError(f"{command.name} exited with {code}: {''.join(last)[:300]}")
    return True


def _stop(process):
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _known(out, name):
    path = out / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _texts(out) -> Iterator[str]:
    """A heading and a table for every part that has been measured."""
    for name, part in PARTS.items():
        if found := _known(out, name):
            notes = [note for note in ("quick",) if found[note]]
            notes += [] if found["complete"] else ["stopped for want of time"]
            heading = f"## {name}" + (f" ({', '.join(notes)})" if notes else "")
            yield f"{heading}\n\n{part.table(found['rows'])}"


def training(folder: Path, name: str, *words: str, **environment: str) -> Command:
    """A training of division mod 97 in its own folder; one that was stopped goes on."""
    workdir = folder / name
    begun = any(checkpoints.steps(each) for each in workdir.rglob("checkpoints"))
    how = "--resume=latest" if begun else "--overwrite"
    fixed = ["-m", "grokjax.train", "--config=configs/moddiv.py", f"--workdir={workdir}"]
    return Command(name, [*fixed, how, *words], environment)


def benchmark(module: str, *words: str) -> Part:
    """Another benchmark, `python -m benchmarks.MODULE`, whose results are appended to a file."""

    def commands(folder, quick):
        asked = [*words, "--json", str(folder / "results.jsonl"), *(["--quick"] if quick else [])]
        return [Command(module, ["-m", f"benchmarks.{module}", *asked])]

    def table(found):
        of_rows = importlib.import_module(f"benchmarks.{module}").BENCHMARK.table
        return f"{found['device']}\n\n{of_rows(found['rows'])}"

    return Part(commands, _last_line, table)


def _last_line(folder, _):
    results = folder / "results.jsonl"
    lines = results.read_text(encoding="utf-8").splitlines()
    if not lines:
        raise RuntimeError("time was over before its end")
    return json.loads(lines[-1])


# --- do a CPU and a GPU train alike? ---


def agreement(folder: Path, quick: bool) -> list[Command]:
    """Fifty steps in float32 on both, evaluated after each."""
    steps = ("--config.schedule.num_steps=50", "--config.schedule.eval_every=1")
    precise = (*steps, "--config.matmul_precision=highest", *(TOY if quick else ()))
    return [
        training(folder, "accelerator", *precise),
        training(folder, "cpu", *precise, JAX_PLATFORMS="cpu"),
    ]


def read_agreement(folder: Path, seconds: Mapping[str, float]) -> dict:
    """The largest difference of each curve."""
    here, there = (History.load(folder / name / "history.npz") for name in seconds)
    names = ("train_loss", "val_loss", "train_accuracy", "val_accuracy")
    return {name: float(np.abs(here[name] - there[name]).max()) for name in names}


def agreement_table(found: Mapping) -> str:
    """A row for each curve."""
    lines = [(name, f"{difference:.1e}") for name, difference in found.items()]
    return harness.markdown(["CPU against GPU, 50 steps", "largest difference"], lines)


# --- many seeds to grokking ---


def seeds(folder: Path, quick: bool) -> list[Command]:
    """As many seeds of division as make a distribution, each until it has grokked."""
    words = ("--seeds=4", "--config.schedule.num_steps=200", *TOY) if quick else ("--seeds=1024",)
    return [training(folder, "seeds", *words)]


def read_seeds(folder: Path, _) -> dict:
    """How many grokked, when, and how long it took."""
    parts = sorted((folder / "seeds").glob("shard-*-of-*")) or [folder / "seeds"]
    found = [Results(part) for part in parts]
    histories = [History.load(results.history) for results in found]
    return {
        "runs": sum(history["val_accuracy"].shape[1] for history in histories),
        "steps": [int(history["step"][-1]) for history in histories],
        "seconds": sum(results.seconds() for results in found),  # also before it was stopped
        "summary": Results(folder / "seeds").read_summary().get("overall"),
    }


def seeds_table(found: Mapping) -> str:
    """What is known of all runs."""
    overall = found["summary"] or {}
    lines = [
        ("runs", f"{found['runs']:,}"),
        ("minutes", f"{found['seconds'] / 60:.1f}"),
        ("last step", ", ".join(f"{step:,}" for step in found["steps"])),
        *((name, str(value)) for name, value in overall.items()),
    ]
    return harness.markdown(["seeds to grokking", ""], lines)


# --- the same seed twice ---


def repeat(folder: Path, quick: bool) -> list[Command]:
    """Eight runs twice as they are, and twice with XLA's deterministic operations."""
    steps = "--config.schedule.num_steps=200"
    words = (steps, "--seeds=8", *(TOY if quick else ()))
    flagged = f"{os.environ.get('XLA_FLAGS', '')} {DETERMINISTIC}".strip()
    return [
        training(folder, "usual1", *words),
        training(folder, "usual2", *words),
        training(folder, "deterministic1", *words, XLA_FLAGS=flagged),
        training(folder, "deterministic2", *words, XLA_FLAGS=flagged),
    ]


def read_repeat(folder: Path, _) -> dict:
    """Are all metrics of all evaluations the same, bit for bit? And the seconds of training."""

    def equal(kind):
        a, b = (History.load(folder / f"{kind}{i}" / "history.npz").arrays() for i in (1, 2))
        return all(np.array_equal(a[name], b[name], equal_nan=True) for name in a)

    return {
        kind: {"equal": equal(kind), "seconds": Results(folder / f"{kind}2").seconds()}
        for kind in ("usual", "deterministic")
    }


def repeat_table(found: Mapping) -> str:
    """A row with and without deterministic operations."""
    lines = [(n, "yes" if x["equal"] else "no", f"{x['seconds']:.1f}") for n, x in found.items()]
    return harness.markdown(["the same seeds twice", "same bits", "seconds"], lines)


PARTS = {
    "agreement": Part(agreement, read_agreement, agreement_table),
    "step": benchmark("step_time"),
    "seeds": Part(seeds, read_seeds, seeds_table),
    "sweeps": benchmark("sweep_throughput"),
    "repeat": Part(repeat, read_repeat, repeat_table),
    "memory": benchmark("memory"),
    "bfloat16": benchmark("step_time", "--precision=bfloat16"),
    "float32": benchmark("sweep_throughput", "--precision=highest"),
}

if __name__ == "__main__":
    main()
