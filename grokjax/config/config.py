"""From a config file to typed values: what an experiment is.

A config is an `ml_collections.ConfigDict`. What stands in `config.runs` is traced: each entry
is a tuple of values and the runs are their grid. Everything else is static.
"""

import json
import os
import runpy
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flax.traverse_util import flatten_dict, unflatten_dict
from ml_collections import ConfigDict, config_dict

from grokjax.config import registry
from grokjax.config.grid import entries
from grokjax.config.synonyms import hint
from grokjax.config.values import ENTRIES
from grokjax.core.checks import did_you_mean

Choice = str | Mapping[str, Any]
CHOICES = ("task", "model", "optimizer", "measures")
SHIPPED = ("configs", "experiments")  # folders whose files are found from everywhere


def base(
    choice: str = "",
    *,
    task: Choice = "modular",
    model: Choice = "transformer",
    optimizer: Choice = "adamw",
    measures: Choice = "",
) -> ConfigDict:
    """The config that every config file starts from.

    Args:
        choice: what stands behind the colon of `--config file.py:model=...,optimizer=a+b`;
            it replaces the plug-ins below.
        task, model: the name of a plug-in, or a dict of its `name` and options.
        optimizer: names joined by `+`, or a dict of options by name: a chain, left to right.
        measures: likewise, or none.
    """
    given = {"task": task, "model": model, "optimizer": optimizer, "measures": measures}
    chosen = given | _parse_choice(choice)
    chain = _names(chosen["optimizer"])
    measured = _names(chosen["measures"])
    parts = {
        "task": _section("task", chosen["task"]),
        "model": _section("model", chosen["model"]),
        "optimizer": {"chain": chain, **_sections("optimizer", chain, chosen["optimizer"])},
        "runs": {name: hparam.values for name, hparam in entries(chain).items()},
        "measures": measured,
        "measure": _sections("measure", measured, chosen["measures"]),
    }
    others: dict[str, Any] = {path: entry.default for path, entry in ENTRIES.items()}
    others["batch_size"] = config_dict.FieldReference(others["batch_size"], object)  # or "auto"
    return ConfigDict(parts | unflatten_dict(others, sep="."))


def grid(runs: Mapping | ConfigDict, **entries: Any) -> ConfigDict:
    """`config.runs` with some entries replaced; a single value is a grid of one."""
    for name, values in entries.items():
        if name not in runs:
            close = hint(f"runs.{name}", [f"runs.{known}" for known in runs])
            raise ValueError(f"runs.{name} is unknown; choose from {', '.join(runs)}{close}")
        entries[name] = tuple(values) if isinstance(values, tuple | list | range) else (values,)
    return ConfigDict(dict(runs) | entries)


def load(path: str) -> ConfigDict:
    """The config of a file, `configs/moddiv.py` or `configs/moddiv.py:model=...`.

    A file of `configs/` or `experiments/` that is not here is the one that comes with grokjax.

    Raises:
        ValueError: if there is no such file, or it does not give a config.
    """
    name, _, choice = path.partition(":")
    file = _file(Path(os.path.expanduser(name)))
    try:
        get_config = runpy.run_path(str(file))["get_config"]
        config = get_config(choice) if choice else get_config()
    except ValueError:
        raise
    except Exception as error:  # whatever a file can do wrong
        what = f"{type(error).__name__}: {error}"
        raise ValueError(f"config file {name!r} gives no config ({what})") from error
    if not isinstance(config, ConfigDict):
        raise ValueError(f"config file {name!r} gives no config: get_config() returned {config!r}")
    return config


def shipped(folder: str) -> Path:
    """Where `configs` or `experiments` lies: in the package if it is installed, else beside it."""
    package = Path(__file__).parents[1]
    within = package / folder
    return within if within.is_dir() else package.with_name(folder)


def _file(given):
    """The file itself, or the one of that name that comes with grokjax."""
    if given.is_file():
        return given
    folder = str(given.parent) if str(given.parent) in SHIPPED else SHIPPED[0]
    files = {path.stem: path for path in sorted(shipped(folder).glob("[!_]*.py"))}
    if given == Path(folder, f"{given.stem}.py") and given.stem in files:
        return files[given.stem]
    raise ValueError(
        f"no config file {str(given)!r}; choose one of yours or {folder}/NAME.py with a name from "
        f"{', '.join(files)}{did_you_mean(given.stem, files, f'{folder}/{{}}.py')}"
    )


def plain(config: ConfigDict) -> dict[str, Any]:
    """A config as JSON would give it back."""
    return json.loads(config.to_json())


def flat(config: Mapping | ConfigDict) -> list[tuple[str, Any]]:
    """The entries of a config as (dotted path, value)."""
    nested = config.to_dict() if isinstance(config, ConfigDict) else config
    return list(flatten_dict(nested, sep=".").items())


def _parse_choice(choice):
    pairs = [part.partition("=") for part in choice.split(",") if part]
    for kind, equals, name in pairs:
        if kind not in CHOICES or not equals or not name:
            raise ValueError(
                f"cannot choose {kind + equals + name!r}; write task=, model=, optimizer= or "
                "measures="
            )
    return {kind: name for kind, _, name in pairs}


def _section(kind, spec):
    given = {"name": spec} if isinstance(spec, str) else dict(spec)
    name = given.pop("name")
    return {"name": name, **_options(kind, name, given)}


def _names(spec):
    """The names of several parts, in their order."""
    if isinstance(spec, str):
        return tuple(spec.split("+")) if spec else ()
    return tuple(spec)


def _sections(kind, names, spec):
    """{name: its options} of the parts that have some."""
    given = {} if isinstance(spec, str) else spec
    sections = {name: _options(kind, name, given.get(name, {})) for name in names}
    return {name: options for name, options in sections.items() if options}


def _options(kind, name, given):
    """All options of a plug-in, those not given at the default of its signature."""
    known = registry.options(kind, name)
    for option in given:
        if option not in known:
            close = hint(f"{kind}.{option}", [f"{kind}.{known}" for known in known])
            raise ValueError(
                f"{kind} {name} has no option {option!r}; choose from {', '.join(known)}{close}"
            )
    return {option: given.get(option, _default(known[option])) for option in known}


def _default(parameter):
    if parameter.default is not None:
        return parameter.default
    (type_,) = set(typing.get_args(parameter.annotation)) - {type(None)}
    return config_dict.placeholder(type_)
