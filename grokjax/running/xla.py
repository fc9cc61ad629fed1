"""XLA, the compiler, and LAPACK below it: kept from wrong sums and from waiting, and tried."""

import functools
import os
import sys
import warnings
from typing import TYPE_CHECKING

import numpy as np
from jaxlib.version import __version__ as jaxlib_version

if TYPE_CHECKING:
    from grokjax.config.experiment import Experiment

# jaxlib 0.10.2 hands some sums over long rows to a library that reads other rows on a CPU:
# https://github.com/jax-ml/jax/issues/39103 (0.10.1 and 0.11.0 compute them right)
MISCOMPILING = {"0.10.2"}
FLAG = "--xla_cpu_experimental_ynn_fusion_type"
TOLERANCE = 1e-5  # of a check's sums: rounding is far below, a row read from elsewhere far above


class WrongSums(RuntimeError):
    """The compiler of this process computes other sums than numpy."""


def use_safe_flags() -> None:
    """Switches the faulty fusion off, where jaxlib has it, in this process and those it starts.

    XLA reads its flags when JAX starts; a line of warning says so where that is past. What
    XLA_FLAGS says about the fusion stays: `--xla_cpu_experimental_ynn_fusion_type=+reduce` is
    jaxlib's own choice, for those who have measured that they need it.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if jaxlib_version not in MISCOMPILING or FLAG in flags:
        return
    os.environ["XLA_FLAGS"] = f"{flags} {FLAG}=".strip()
    if has_started():
        warnings.warn(
            f"jaxlib {jaxlib_version} computes some sums wrong on a CPU, and JAX has started: "
            f"import grokjax before, or start Python with XLA_FLAGS={FLAG}=",
            RuntimeWarning,
            stacklevel=3,
        )


def use_one_thread_for_lapack() -> None:
    """Keeps the LAPACK that XLA calls on a CPU, SciPy's OpenBLAS, from starting threads.

    XLA has its own, and each device another. With OpenBLAS's beside them 64 matrices of 64 x 64
    took ten to twenty times as long on two cores. What OPENBLAS_NUM_THREADS says already stays.
    Where SciPy's linear algebra has been imported before, it keeps its threads.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def check(experiment: "Experiment") -> None:
    """Raises `WrongSums` if the compiler computes sums of an experiment's size wrong."""
    import jax  # not where the flags are set: that comes before

    task = experiment.task
    sizes = (len(task.examples.labels_N), experiment.config.schedule.eval_block, task.num_classes)
    double = experiment.config.loss.precision == "float64"
    with jax.enable_x64(double):
        check_sums(*sizes, "float64" if double else "float32")


def check_sums(num_rows: int, block: int, num_classes: int, dtype: str = "float32") -> None:
    """Compares sums of the kinds and sizes that training takes with numpy's.

    It takes 30 ms, and the first time .3 s for compilation.

    Args:
        num_rows: of the table, N.
        block: rows that are evaluated at once, B.
        num_classes: of each row, C.
        dtype: of the losses; float64 needs `jax.enable_x64`.

    Raises:
        WrongSums: if any differs.
    """
    import jax
    import jax.numpy as jnp

    def sums(xp, x_BxC, x_Nx3, matrix):
        by_row = (matrix @ x_Nx3.T) ** 2  # [3, N]
        positive_N = x_Nx3[:, 0] > 0
        return {
            "over classes": xp.exp(x_BxC).sum(axis=1),
            "over features": by_row.sum(axis=0),
            "over rows": xp.where(positive_N, x_Nx3[:, 1] ** 2, 0).sum(),
            "of squares": xp.sqrt((x_BxC**2).sum()),
        }

    rng = np.random.default_rng(0)
    shapes = ((min(block, num_rows), num_classes), (num_rows, 3), (3, 3))
    arrays = [rng.normal(size=shape).astype(dtype) for shape in shapes]
    with jax.default_matmul_precision("highest"):
        computed = jax.device_get(jax.jit(functools.partial(sums, jnp))(*arrays))
    expected = sums(np, *(array.astype(np.float64) for array in arrays))
    for name, values in expected.items():
        if not np.allclose(computed[name], values, rtol=TOLERANCE, atol=TOLERANCE):
            raise WrongSums(
                f"jaxlib {jaxlib_version} computes wrong sums {name} of {dtype} here; "
                "choose a newer one (Python 3.12), or leave XLA_FLAGS as grokjax sets it"
            )


def has_started() -> bool:
    """Whether JAX has read XLA's flags; it need not have been imported."""
    bridge = sys.modules.get("jax._src.xla_bridge")
    return bridge is not None and bridge.backends_are_initialized()
