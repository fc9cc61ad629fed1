"""From a name in the config to a module: the folder is the registry.

A plug-in's signature says which options it has. Parameters without a default are the
traced hyperparameters that it takes from `config.runs`; those with a default are static
options, and their default lives there and nowhere else. Where the options decide which
hyperparameters are read, a module has a function `reads(**options)` that lists them.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from types import ModuleType

from grokjax.core.checks import check_choice

KINDS = {"task": "tasks", "model": "models", "optimizer": "optimizers"}
GIVEN_TO_MODELS = ("num_tokens", "num_classes", "length", "parent", "name")


def names(kind: str) -> list[str]:
    """The plug-ins of a kind: `task`, `model` or `optimizer`; names with _ are their bases."""
    package = importlib.import_module(f"grokjax.{KINDS[kind]}")
    found = (module.name for module in pkgutil.iter_modules(package.__path__))
    return sorted(name for name in found if not name.startswith("_"))


def find(kind: str, name: str) -> ModuleType:
    """The module of a plug-in; an unknown name is an error that lists the choices."""
    check_choice(kind, name, names(kind))
    return importlib.import_module(f"grokjax.{KINDS[kind]}.{name}")


def hparams(kind: str, name: str, options: Mapping | None = None) -> list[str]:
    """Names of the traced hyperparameters that a plug-in reads, given its options."""
    reads = getattr(find(kind, name), "reads", None)
    if reads:
        return reads(**(options or {}))
    return [p.name for p in _parameters(kind, name) if p.default is p.empty]


def options(kind: str, name: str) -> dict[str, inspect.Parameter]:
    """The static options of a plug-in, each with its default and annotation."""
    return {p.name: p for p in _parameters(kind, name) if p.default is not p.empty}


def _parameters(kind, name):
    module = find(kind, name)
    parameters = inspect.signature(module.Model if kind == "model" else module.make).parameters
    return [p for p in parameters.values() if kind != "model" or p.name not in GIVEN_TO_MODELS]
