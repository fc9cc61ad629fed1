"""From a name in the config to a part: the folder is the registry.

A part's signature says which options it has. Parameters without a default are the traced
hyperparameters that it takes from `config.runs`; those with a default are static options. A
hyperparameter that no other part reads is declared in the module's own `HPARAMS`, the others in
`optimizers/_hparams.py`. Where the options decide which hyperparameters are read, a module has
a function `reads(**options)` that lists them.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from grokjax.core.checks import check_choice
from grokjax.core.hparams import Hparam
from grokjax.core.optimizer import Optimizer, as_optimizer, chain
from grokjax.optimizers._hparams import SHARED

KINDS = {"task": "tasks", "model": "models", "optimizer": "optimizers"}
SOURCE = {  # of a task's table: made anew, or (tfds) read from a data set in this folder
    "source": "computed",
    "data_dir": "~/tensorflow_datasets",
}
GIVEN_TO_MODELS = ("num_tokens", "num_classes", "length", "parent", "name")
MODEL = ("causal", "dropout", "last_layer")  # what a class `Model` has, besides the sizes given


def names(kind: str) -> list[str]:
    """The parts of a kind: `task`, `model` or `optimizer`; modules with _ are their bases."""
    package = importlib.import_module(f"grokjax.{KINDS[kind]}")
    modules = pkgutil.iter_modules(package.__path__)
    return sorted(module.name for module in modules if not module.name.startswith("_"))


def find(kind: str, name: str) -> ModuleType:
    """The module of a part.

    Raises:
        ValueError: for an unknown name, or a module that lacks what it has to define.
    """
    check_choice(kind, name, names(kind))
    module = importlib.import_module(f"grokjax.{KINDS[kind]}.{name}")
    if kind != "model":
        if not hasattr(module, "make"):
            raise ValueError(f"{kind} {name} has no function `make`; see CONTRIBUTING.md")
        return module
    lacking = [what for what in MODEL if not hasattr(getattr(module, "Model", None), what)]
    if lacking:
        raise ValueError(f"model {name} has no `Model.{lacking[0]}`; see CONTRIBUTING.md")
    return module


def options(kind: str, name: str) -> dict[str, inspect.Parameter]:
    """The static options of a part, each with its default and annotation.

    Raises:
        ValueError: if an option of a task or a model has no default.
    """
    parameters = _parameters(kind, name)
    open_ = [p.name for p in parameters if p.default is p.empty]
    if open_ and kind != "optimizer":
        raise ValueError(f"{kind} {name}: option {open_[0]!r} has no default; give it one")
    return {p.name: p for p in parameters if p.default is not p.empty}


def hparams(name: str) -> dict[str, Hparam]:
    """The hyperparameters that an optimizer may read.

    Raises:
        ValueError: if its module does not declare exactly those, each as an `Hparam`.
    """
    module = find("optimizer", name)
    own = getattr(module, "HPARAMS", {})
    for hparam, declared in own.items():
        if not isinstance(declared, Hparam):
            raise ValueError(
                f"optimizer {name}: HPARAMS has {hparam!r}: {declared!r}; "
                "choose Hparam(default, type, range)"
            )
    read = [p.name for p in _parameters("optimizer", name) if p.default is p.empty]
    known = SHARED | own
    if undeclared := [hparam for hparam in read if hparam not in known]:
        raise ValueError(
            f"optimizer {name} reads {undeclared[0]!r}, which it does not declare; add HPARAMS = "
            f"{{{undeclared[0]!r}: Hparam(default, type, range)}} to its module"
        )
    unread = [hparam for hparam in own if hparam not in read]
    if unread and not hasattr(module, "reads"):
        raise ValueError(
            f"optimizer {name} declares {unread[0]!r}, which its make does not take; leave it out"
        )
    return {hparam: known[hparam] for hparam in [*read, *own]}


def reads(name: str, options: Mapping[str, Any]) -> list[str]:
    """Names of the hyperparameters that an optimizer does read with these options."""
    choose = getattr(find("optimizer", name), "reads", None)
    return choose(**options) if choose else list(hparams(name))


def readers(hparam: str) -> list[str]:
    """The optimizers that may read a hyperparameter."""
    return [name for name in names("optimizer") if hparam in hparams(name)]


def make_chain(section: Mapping[str, Any], values: Mapping[str, Any]) -> Optimizer:
    """The chain of a config's `optimizer` section, with the values of hyperparameters by name."""
    optimizers = []
    for name in section["chain"]:
        options = section.get(name, {})
        traced = {hparam: values[hparam] for hparam in reads(name, options)}
        optimizers.append(as_optimizer(find("optimizer", name).make(**traced, **options), name))
    return chain(*optimizers)


def told(section: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a `task` section, without its source if the table is computed."""
    unsaid = SOURCE if section.get("source") == "computed" else ()
    return {name: value for name, value in section.items() if name not in unsaid}


def _parameters(kind, name):
    module = find(kind, name)
    parameters = inspect.signature(module.Model if kind == "model" else module.make).parameters
    if kind == "task" and "data_dir" not in parameters:  # else it reads files itself
        keyword = inspect.Parameter.KEYWORD_ONLY
        own = [inspect.Parameter(n, keyword, default=x, annotation=str) for n, x in SOURCE.items()]
        parameters = {**parameters, **{p.name: p for p in own}}
    given = GIVEN_TO_MODELS if kind == "model" else ()
    if lacking := [size for size in given if size not in parameters]:
        raise ValueError(f"model {name} has no field {lacking[0]!r}; every model is given it")
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [p for p in parameters.values() if p.name not in given and p.kind in kinds]
