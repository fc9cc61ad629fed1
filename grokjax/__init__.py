"""grokjax: grokking, one run or a thousand, in pure JAX."""

import importlib

_HOME = {  # public name -> module; loaded when asked for, so that a part imports without the rest
    "base": "config.config",
    "grid": "config.config",
    "load": "config.config",
    "setup": "config.experiment",
    "Experiment": "config.experiment",
    "chunks": "core.loop",
    "History": "recording.history",
    "grokking": "recording.history",
    "Examples": "core.data",
    "Task": "core.data",
    "Run": "core.run",
    "Trainer": "core.trainer",
    "make_dataset": "core.dataset",
    "make_trainer": "core.trainer",
    "Optimizer": "optimizers._base",
    "Study": "studies.study",
    "conduct": "studies.command",
    "conduct_all": "studies.command",
    "grokfast_ema": "optimizers.grokfast_ema",
    "grokfast_ma": "optimizers.grokfast_ma",
}
__all__ = list(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'grokjax' has no attribute {name!r}")
    return getattr(importlib.import_module(f"grokjax.{_HOME[name]}"), name)


def __dir__():
    return __all__
