"""From a config file to typed values: what an experiment is.

A config is an `ml_collections.ConfigDict`. What stands in `config.runs` is traced: each entry
is a tuple of values and the runs are their grid. Everything else is static.
"""

import json
import os
import runpy
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict, config_dict

from grokjax.config import registry
from grokjax.config.grid import entries
from grokjax.core.checks import did_you_mean

Choice = str | Mapping[str, Any]
SHIPPED = ("configs", "experiments")  # folders whose files are found from everywhere


def base(
    choice: str = "",
    *,
    task: Choice = "modular",
    model: Choice = "transformer",
    optimizer: Choice = "adamw",
) -> ConfigDict:
    """The config that every config file starts from.

    Args:
        choice: what stands behind the colon of `--config file.py:model=...,optimizer=a+b`;
            it replaces the plug-ins below.
        task, model: the name of a plug-in, or a dict of its `name` and options.
        optimizer: names joined by `+`, or a dict of options by name: a chain, left to right.
    """
    chosen = {"task": task, "model": model, "optimizer": optimizer, **_parse_choice(choice)}
    chain: dict[str, Any] = _chain(chosen["optimizer"])
    return ConfigDict(
        {
            "task": _section("task", chosen["task"]),
            "model": _section("model", chosen["model"]),
            "optimizer": chain,
            "split": {
                "held_out": (),  # labels whose examples are never trained on
                "symmetric": False,  # keep a + b and b + a on the same side
                "proportional": False,  # training sets of a mixture follow runs.mix, as batches do
            },
            "loss": {"name": "cross_entropy", "precision": "float32", "l1": "normalized"},
            "matmul_precision": "default",  # or highest, bfloat16: matters on accelerators
            "batch_size": config_dict.FieldReference(512, object),  # or "auto": shrinks with data
            "batches": "shuffled",  # or sampled (with replacement), full
            "schedule": {
                "num_steps": 4000,
                "num_epochs": 0,  # above 0: in place of num_steps, for the largest training set
                "eval_every": 100,
                "checkpoint_every": 1000,
                "keep": 2,  # newest checkpoints; every tenth stays, and one older than a minute
                "learning_rate": "linear_warmup",  # or constant, warmup_cosine
                "stop_after_grok": 0,  # evaluations that a run goes on after it grokked; 0: all
                "eval_examples": 0,  # evaluate on a fixed random subset; 0: on all
                "eval_block": 2048,
            },
            "grok": {"threshold": 0.99, "count": 3, "rule": "sustained"},
            "runs": {name: hparam.values for name, hparam in entries(chain["chain"]).items()},
            "lift": "auto",  # or vmap, map, a number of runs at a time
            "log_every": 0,  # steps between lines, a multiple of eval_every; 0: every evaluation
        }
    )


def grid(runs: Mapping | ConfigDict, **entries: Any) -> ConfigDict:
    """`config.runs` with some entries replaced; a single value is a grid of one."""
    for name, values in entries.items():
        if name not in runs:
            hint = belongs_to(name, runs)
            raise ValueError(f"runs.{name} is unknown; choose from {', '.join(runs)}{hint}")
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


def belongs_to(hparam: str, known: Iterable[str]) -> str:
    """Why `config.runs` lacks an entry: it is another optimizer's, or misspelt."""
    if readers := registry.readers(hparam):
        return f"; {hparam} belongs to {', '.join(readers)}"
    return did_you_mean(hparam, known)


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
        if kind not in registry.KINDS or not equals or not name:
            raise ValueError(
                f"cannot choose {kind + equals + name!r}; write task=, model= or optimizer="
            )
    return {kind: name for kind, _, name in pairs}


def _section(kind, spec):
    given = {"name": spec} if isinstance(spec, str) else dict(spec)
    name = given.pop("name")
    return {"name": name, **_options(kind, name, given)}


def _chain(spec):
    """The chain's names in their order, and a section for each that has options."""
    if isinstance(spec, str):
        names = spec.split("+")
        if len(set(names)) < len(names):
            raise ValueError(f"optimizer {spec!r} names an element twice; choose each once")
        spec = {name: {} for name in names}
    sections = {name: _options("optimizer", name, given) for name, given in spec.items()}
    return {"chain": tuple(spec)} | {name: options for name, options in sections.items() if options}


def _options(kind, name, given):
    """All options of a plug-in, those not given at the default of its signature."""
    known = registry.options(kind, name)
    for option in given:
        if option not in known:
            raise ValueError(
                f"{kind} {name} has no option {option!r}; "
                f"choose from {', '.join(known)}{did_you_mean(option, known)}"
            )
    return {option: given.get(option, _default(known[option])) for option in known}


def _default(parameter):
    if parameter.default is not None:
        return parameter.default
    (type_,) = set(typing.get_args(parameter.annotation)) - {type(None)}
    return config_dict.placeholder(type_)
