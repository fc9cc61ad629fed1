"""What benchmarks share: taking turns, the words for where and when, the command line."""

import argparse
import datetime
import importlib.metadata
import itertools
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import jax
from ml_collections import ConfigDict

import grokjax

ROOT = Path(__file__).resolve().parent.parent
PAUSE = 0.05  # seconds; OpenMP threads go on spinning for some milliseconds after their work


class Contender(NamedTuple):
    """Somebody who trains some steps at every `next`, and waits for the last."""

    start: Callable[[], Iterator]
    num_runs: int = 1  # trained at once
    may_fail: bool = False  # a failure is a note in the table


def compare(contenders: Mapping[str, Contender], steps: int, rounds: int) -> dict[str, dict]:
    """Times all contenders in one process, one round of turns after the other.

    Whatever slows the machine down slows all of them. {name: row}, in their order: a row holds
    `ms`, the milliseconds per step and run of every round, their `median` and `best`, and
    `ratio`, the best of the first row over this row's; or `note`, why it could not be timed.

    Args:
        contenders: by name; the first is the one that the others are compared with.
        steps: of one turn.
        rounds: turns of each contender, after one that compiles and one that warms up.
    """
    turns, notes = _warm_up(contenders)
    rows = {}
    for name, seconds in _time_in_turns(turns, rounds).items():
        ms = [1e3 * s / steps / contenders[name].num_runs for s in seconds]
        rows[name] = {"ms": ms, "median": median(ms), "best": min(ms)}
    for row in rows.values():
        row["ratio"] = next(iter(rows.values()))["best"] / row["best"]
    return {name: rows.get(name) or {"note": notes[name]} for name in contenders}


def _warm_up(contenders):
    """Everybody's first two turns, and why some could not take them."""
    turns, notes = {}, {}
    for name, contender in contenders.items():
        try:
            training = contender.start()
            next(training)
            next(training)
            turns[name] = training
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            notes[name] = "not installed"
        except Exception as error:  # of many types: there is no compiler, no memory, ...
            if not contender.may_fail:
                raise
            notes[name] = f"failed: {str(error).strip().splitlines()[0]}"
    return turns, notes


def _time_in_turns(turns, rounds):
    """{name: seconds of every round}."""
    seconds = {name: [] for name in turns}
    for _ in range(rounds):
        for name, training in turns.items():
            time.sleep(PAUSE)
            began = time.perf_counter()
            next(training)
            seconds[name].append(time.perf_counter() - began)
    return seconds


def table(rows: Mapping[str, Mapping], first: str = "grokjax") -> str:
    """The rows of `compare` for a reader."""
    width = max(20, *map(len, rows))
    lines = [f"{'ms per step and run':<{width}}{'median':>9}{'best':>9}{first + ' / this':>17}"]
    for name, row in rows.items():
        if "note" in row:
            lines.append(f"{name:<{width}}  {row['note']}")
        else:
            numbers = f"{row['median']:>9.2f}{row['best']:>9.2f}{row['ratio']:>17.2f}"
            lines.append(f"{name:<{width}}{numbers}")
    return "\n".join(lines)


def setup(config: ConfigDict, num_runs: int) -> grokjax.Experiment:
    """The experiment of a config with the seeds 0..R-1."""
    config = ConfigDict(config.to_dict())
    config.runs = grokjax.grid(config.runs, seed=range(num_runs))
    experiment = grokjax.setup(config)
    if len(experiment.labels) != num_runs:
        raise ValueError(
            f"config.runs spans {len(experiment.labels) // num_runs} runs besides the seeds; "
            "give each of its entries one value"
        )
    return experiment


def moddiv(quick: bool) -> ConfigDict:
    """The config that every benchmark is about, or a toy in its shape."""
    config = grokjax.load(str(ROOT / "configs" / "moddiv.py"))
    if quick:
        shrink(config)
    return config


def shrink(config: ConfigDict) -> None:
    """Makes a config a toy: still more examples in a batch than distinct first tokens."""
    config.task.p, config.batch_size = 7, 13
    config.model.update(width=16, num_heads=2)


def environment() -> dict:
    """Where, when and with what the numbers were taken."""
    versions = {"python": platform.python_version(), "jax": jax.__version__, "torch": _torch()}
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "device": device(),
        "versions": versions,
    }


def device() -> str:
    """The accelerator, or the processor and the number of its cores."""
    kind = jax.devices()[0].device_kind
    if kind != "cpu":
        return kind
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{cores} cores, {models[0] if models else platform.processor() or platform.machine()}"


def _commit():
    command = ("git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40")
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip() or None
    except OSError:  # no git
        return None


def _torch():
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return None


class Command:
    """`python -m benchmarks.<name>`: flags, then a table and, if asked for, a line of JSON.

    Every benchmark has `--quick`, a toy size that shows that it works, and `--json FILE`. Its other
    flags are numbers, such as `--rounds 7`, and choices, such as `--model mlp`. With `all` instead
    of a name there is a table and a line for every combination of the choices: `all` is each name
    in turn, also of the choices that are not given.
    """

    def __init__(
        self,
        name: str,
        doc: str,
        choices: Mapping[str, tuple[Sequence[str], str]] | None = None,
        **numbers: tuple[int, str],
    ):
        """Takes the benchmark's name and its docstring.

        Args:
            name: of the module.
            doc: its first line is the command's description.
            choices: {flag: (names, help)}; the first name is the default.
            numbers: {flag: (default, help)}.
        """
        self.name, self._numbers, self._choices = name, numbers, choices or {}
        self._parser = _Parser(f"python -m benchmarks.{name}", description=doc.partition("\n")[0])
        add = self._parser.add_argument
        add("--quick", action="store_true", help="a toy size, to see that it works")
        add("--json", type=Path, metavar="FILE", help="append the result as a line")
        for flag, (default, text) in numbers.items():
            add(f"--{flag}", type=_positive, metavar="N", help=f"{text} (default: {default})")
        for flag, (names, text) in self._choices.items():
            add(f"--{flag}", choices=(*names, "all"), help=f"{text} (default: {names[0]})")

    def run(self, argv, measure: Callable, table: Callable, config=moddiv, quick=None) -> None:
        """Measures, prints the table and appends the finding to the file.

        Args:
            argv: words of the command line; None: those of the process.
            measure: `(config, **numbers) -> rows`, which JSON can hold.
            table: of rows, for a reader.
            config: `(quick, **choices) -> config` to be measured.
            quick: arguments of `measure` at toy size, where its own are larger.
        """
        args = self._parser.parse_args(argv)
        if args.json:
            self._check_writable(args.json)
        options = {flag: default for flag, (default, _) in self._numbers.items()}
        options |= (quick or {}) if args.quick else {}
        options |= {flag: getattr(args, flag) for flag in self._numbers if getattr(args, flag)}
        combinations = [(names, config(args.quick, **names)) for names in self._combinations(args)]
        around = {"benchmark": self.name, **environment(), **options}
        versions = ", ".join(f"{name} {v or '-'}" for name, v in around["versions"].items())
        print(f"{around['device']}; {versions}")
        if args.quick:
            print("a toy: it shows that all this works, not what it takes")
        for names, chosen in combinations:
            rows = measure(chosen, **options)
            print("", *([", ".join(names.values())] if names else []), table(rows), sep="\n")
            if args.json:
                found = {**around, **names, "config": chosen.to_dict(), "rows": rows}
                with args.json.open("a") as file:
                    print(json.dumps(found), file=file)

    def _combinations(self, args) -> list[dict[str, str]]:
        """A name for each choice, in every combination that the flags ask for."""
        given = {flag: getattr(args, flag) for flag in self._choices}
        if "all" in given.values():
            given = {flag: name or "all" for flag, name in given.items()}
        names = [
            known if given[flag] == "all" else (given[flag] or known[0],)
            for flag, (known, _) in self._choices.items()
        ]
        return [dict(zip(given, chosen, strict=True)) for chosen in itertools.product(*names)]

    def _check_writable(self, path):
        """Before minutes are spent on what could not be kept."""
        try:
            path.open("a").close()
        except OSError as error:
            self._parser.error(f"cannot write {path}: {error.strerror}")


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"{self.prog}: {message}\n")


def _positive(text):
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r}; choose 1 or more")
    return int(text)
