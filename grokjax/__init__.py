"""grokjax: grokking, one run or a thousand, in pure JAX."""

import importlib

_HOME = {  # public name -> module; loaded when asked for, so that a part imports without the rest
    "base": "config",
    "grid": "config",
    "load": "config",
    "setup": "experiment",
    "Experiment": "experiment",
    "chunks": "loop",
    "History": "metrics",
    "grokking": "metrics",
    "grokking_of_runs": "metrics",
    "Examples": "data",
    "Task": "data",
    "Run": "run",
    "Trainer": "trainer",
    "make_table": "table",
    "make_trainer": "trainer",
    "Optimizer": "optimizer",
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
