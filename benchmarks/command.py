"""The command line of every benchmark, `python -m benchmarks.NAME`, and a record of its results."""

import datetime
import importlib.metadata
import inspect
import itertools
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
from absl import flags
from ml_collections import ConfigDict

from benchmarks.problem import ROOT, choose
from grokjax.recording.machine import processor
from grokjax.recording.output import make_steady
from grokjax.running import command_line, cores

# of the environment, on which speed depends
SETTINGS = ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES", "OMP_NUM_THREADS", "OMP_WAIT_POLICY")


class Benchmark(NamedTuple):
    """Flags, then a table and, if asked for, a line of JSON for every combination of choices.

    Every benchmark has `--quick`, a toy size that shows that it works, and `--json FILE`. Its
    other flags are the whole numbers that `measure` takes, such as `--rounds 7`, and choices,
    such as `--model mlp`. `all` is each name of a choice in turn, also of those not given.
    """

    name: str  # of the module
    doc: str  # of the module
    measure: Callable[..., dict]  # (config, **numbers) -> rows, which JSON can hold
    table: Callable[[Mapping], str]  # rows -> Markdown
    quick: Mapping[str, Any]  # arguments of `measure` at toy size, where they differ
    config: Callable[..., ConfigDict] = choose  # (quick, **choices) -> what is measured
    choices: Mapping[str, Sequence[str]] = MappingProxyType({})  # the first name is the default

    def main(self, words: Sequence[str] | None = None) -> None:
        """Measures, prints the tables and appends the results to the file if there is one.

        Args:
            words: flags; None: those of the process.
        """
        if words is None:
            make_steady()
        asked = self._parse(sys.argv[1:] if words is None else words)
        numbers = {name: asked[name].value for name in self._numbers()}
        if asked.quick:
            given = {name: number for name, number in numbers.items() if asked[name].present}
            numbers |= {**self.quick, **given}
        facts = {"benchmark": self.name, "quick": asked.quick, **environment(), **numbers}
        versions = ", ".join(f"{name} {v or '-'}" for name, v in facts["versions"].items())
        print(f"{facts['device']}; {versions}\n")
        if asked.quick:
            print("a toy: it shows that all this works, not what it takes\n")
        for names in self._combinations(asked):
            config = self.config(asked.quick, **names)
            rows = self.measure(config, **numbers)
            if names:
                print(f"{', '.join(names.values())}\n")
            print(f"{self.table(rows)}\n")
            if asked.json:
                result = {**facts, **names, "config": config.to_dict(), "rows": rows}
                with open(asked.json, "a", encoding="utf-8") as file:
                    print(json.dumps(result), file=file)

    def _parse(self, words):
        """The values of the flags; what is wrong with them is one line and exit 2."""
        asked = self._flags()
        if {"--help", "-h"} & set(words):
            print(self.doc, asked.module_help(__name__), sep="\n")
            sys.exit(0)
        try:
            _, *unknown = asked([self.name, *words])
            if unknown:
                raise ValueError(f"cannot understand {unknown[0]!r}; flags start with --")
            if asked.json:  # before minutes are spent on what could not be kept
                open(asked.json, "ab").close()
        except OSError as error:
            command_line.fail(f"cannot write {asked.json}: {error.strerror}")
        except (ValueError, flags.Error) as error:
            command_line.fail(error)
        return asked

    def _flags(self):
        """The benchmark's own flags: those of grokjax's commands have no meaning here."""
        own = flags.FlagValues()
        flags.DEFINE_bool("quick", False, "A toy size, to see that it works.", flag_values=own)
        command_line.define_path("json", None, "Append the result to this file.", flag_values=own)
        for name, default in self._numbers().items():
            text = re.search(rf"^ +{name}: (.*)", self.measure.__doc__, re.MULTILINE)[1]
            flags.DEFINE_integer(name, default, text, lower_bound=1, flag_values=own)
        for name, known in self.choices.items():
            flags.DEFINE_enum(
                name, None, [*known, "all"], f"{known[0]} if not given.", flag_values=own
            )
        return own

    def _numbers(self):
        """{name: default} of the whole numbers that `measure` takes."""
        parameters = inspect.signature(self.measure).parameters.values()
        kinds = (int, int | None)
        return {each.name: each.default for each in parameters if each.annotation in kinds}

    def _combinations(self, asked):
        """A name for each choice, in every combination that the flags ask for."""
        given = [asked[name].value for name in self.choices]
        names = []
        for known, name in zip(self.choices.values(), given, strict=True):
            name = name or ("all" if "all" in given else known[0])
            names.append(known if name == "all" else [name])
        return [dict(zip(self.choices, each, strict=True)) for each in itertools.product(*names)]


def environment() -> dict:
    """When, where and with what the numbers were taken."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "device": device(),
        "cpu": processor(),
        "cores": cores.available(),
        "devices": jax.local_device_count(),
        "versions": {
            "python": platform.python_version(),
            **{name: _version(name) for name in ("jax", "jaxlib", "torch")},
        },
        "settings": {name: os.environ[name] for name in SETTINGS if name in os.environ},
    }


def device() -> str:
    """The accelerator, or the processor and the number of its cores."""
    kind = jax.devices()[0].device_kind
    return f"{cores.available()} cores, {processor()}" if kind == "cpu" else kind


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit():
    words = ("git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40")
    try:
        return subprocess.run(words, capture_output=True, text=True).stdout.strip() or None
    except OSError:  # no git
        return None
