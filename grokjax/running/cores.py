"""The cores of a CPU, each of which trains runs of its own."""

import os

import jax

from grokjax.running import cgroups, xla


def use(num_runs: int, cores: int | None = None) -> None:
    """Makes each core a device of JAX, but no more of them than there are runs.

    A run's matmuls are too small for several cores. On a GPU this changes nothing, nor where
    XLA_FLAGS or JAX_NUM_CPU_DEVICES say how many devices a CPU is, or JAX has started.

    Args:
        num_runs: that are trained in this process.
        cores: how many of them; None: all that there are.

    Raises:
        ValueError: for more than there are.
    """
    there = available()
    if cores is not None and not 1 <= cores <= there:
        raise ValueError(f"--cores {cores}; choose 1 to {there}, what this process may use")
    chosen = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if not chosen and jax.config.jax_num_cpu_devices < 1 and not xla.has_started():
        jax.config.update("jax_num_cpu_devices", min(cores or there, num_runs))


def available() -> int:
    """Cores that this process may use: those of its affinity, within the quota of its cgroup."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, min([cores, *quotas()]))


def quotas() -> list[int]:
    """Whole cores that the cgroups around this process allow."""
    pairs = [text.split() for text in cgroups.limits("cpu", "cpu.max", "")]
    names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
    pairs += zip(*(cgroups.limits("cpu", "", name) for name in names), strict=True)
    return [int(time) // int(period) for time, period in pairs if time.isdigit()]
