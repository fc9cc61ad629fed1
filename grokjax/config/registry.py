"""From a name in the config to a part: the folder is the registry.

A part's signature says which options it has. Parameters without a default are the traced
hyperparameters that it takes from `config.runs`; those with a default are static options, each
with a comment behind it that says what it means, and `RANGES` has the values that are allowed. A
hyperparameter that no other part reads is declared in the module's own `HPARAMS`, the others in
`optimizers/_hparams.py`. Where the options decide which hyperparameters are read, a module has
a function `reads(**options)` that lists them.
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Collection, Mapping, Sequence
from types import ModuleType
from typing import Any

import flax.linen as nn

from grokjax.core.checks import check_choice
from grokjax.core.data import Task
from grokjax.core.hparams import Hparam, Range
from grokjax.core.measure import Measure
from grokjax.core.optimizer import Optimizer, as_optimizer, chain
from grokjax.core.selection import frozen
from grokjax.optimizers._hparams import SHARED

KINDS = {"task": "tasks", "model": "models", "optimizer": "optimizers", "measure": "measures"}
SOURCES = ("computed", "tfds")  # of a task's table
SOURCE = {  # options of every task that does not read files itself: default and meaning
    "source": ("computed", "of the table; tfds: a data set, prepared on first use"),
    "data_dir": ("~/tensorflow_datasets", "folder of that data set"),
}
GIVEN = {  # what a part is given besides its options
    "model": ("num_tokens", "num_classes", "length", "parent", "name"),
    "measure": ("task", "network"),
}
MODEL = ("causal", "dropout", "last_layer")  # what a class `Model` has, besides the sizes given


def names(kind: str) -> list[str]:
    """The parts of a kind of KINDS; modules with _ are their bases."""
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
        ValueError: if an option has no default, but of an optimizer, where it is traced.
    """
    parameters = _parameters(kind, name)
    open_ = [p.name for p in parameters if p.default is p.empty]
    if open_ and kind != "optimizer":
        raise ValueError(f"{kind} {name}: option {open_[0]!r} has no default; give it one")
    return {p.name: p for p in parameters if p.default is not p.empty}


def meanings(kind: str, name: str) -> dict[str, str]:
    """What each option of a part means: the comment behind it in the signature.

    A field that a model has from its base, or gives another default, means what it does there.
    """
    module = find(kind, name)
    found: dict[str, str] = {}
    for definition in module.Model.__mro__ if kind == "model" else (module.make,):
        if definition.__module__.startswith("grokjax."):
            source = inspect.getsource(definition)
            found = dict(re.findall(r"^    (\w+): [^#\n]*  # (.+)$", source, re.M)) | found
    found = {option: meaning for option, (_, meaning) in SOURCE.items()} | found
    return {option: found.get(option, "") for option in options(kind, name)}


def ranges(kind: str, name: str) -> Mapping[str, Range | Collection[str]]:
    """The values that options of a part may have, where it says more than their types."""
    module = find(kind, name)
    own = getattr(module.Model if kind == "model" else module, "RANGES", {})
    return own | {"source": SOURCES} if "source" in options(kind, name) else own


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


def readers(name: str) -> list[str]:
    """The optimizers that may read a hyperparameter, or else the parts that have an option."""
    if found := [optimizer for optimizer in names("optimizer") if name in hparams(optimizer)]:
        return found
    parts = [(kind, part) for kind in KINDS for part in names(kind)]
    return [f"{kind} {part}" for kind, part in parts if name in options(kind, part)]


def make_chain(
    section: Mapping[str, Any], values: Mapping[str, Any], freeze: Sequence[str] = ()
) -> Optimizer:
    """The chain of a config's `optimizer` section, with the values of hyperparameters by name.

    Parameters of the network that `freeze` names stay as they are.
    """
    optimizers = []
    for name in section["chain"]:
        options = section.get(name, {})
        traced = {hparam: values[hparam] for hparam in reads(name, options)}
        optimizers.append(as_optimizer(find("optimizer", name).make(**traced, **options), name))
    return frozen(chain(*optimizers), freeze) if freeze else chain(*optimizers)


def make_measures(
    names: Sequence[str], sections: Mapping[str, Any], task: Task, network: nn.Module
) -> dict[str, Measure]:
    """The measures of a config by their names; a section has the options of one.

    Raises:
        ValueError: for one that is unknown, or does not fit the task or the model.
    """
    made = {}
    for name in names:
        if name in made:
            raise ValueError(f"measures names {name!r} twice; choose it once")
        made[name] = find("measure", name).make(task, network, **sections.get(name, {}))
    return made


def without_source(section: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a `task` section, without its source if the table is computed."""
    unsaid = SOURCE if section.get("source") == "computed" else ()
    return {name: value for name, value in section.items() if name not in unsaid}


def _parameters(kind, name):
    module = find(kind, name)
    parameters = inspect.signature(module.Model if kind == "model" else module.make).parameters
    if kind == "task" and "data_dir" not in parameters:  # else it reads files itself
        keyword = inspect.Parameter.KEYWORD_ONLY
        for option, (default, _) in SOURCE.items():
            given = inspect.Parameter(option, keyword, default=default, annotation=str)
            parameters = {**parameters, option: given}
    given = GIVEN.get(kind, ())
    if lacking := [size for size in given if size not in parameters]:
        what = "field" if kind == "model" else "parameter"
        raise ValueError(f"{kind} {name} has no {what} {lacking[0]!r}; every {kind} is given it")
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [p for p in parameters.values() if p.name not in given and p.kind in kinds]
