"""grokjax: grokking, one run or a thousand, in pure JAX.

Public names are those of `__init__.pyi`, loaded when asked for, so that a part imports alone.
"""

import lazy_loader

from grokjax.running import xla

xla.use_safe_flags()  # before JAX starts
xla.use_one_thread_for_lapack()
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
