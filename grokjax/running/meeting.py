"""Processes that train shares of an experiment's runs: how each learns which is its own."""

import os
import re
import sys

import jax
from absl import flags

from grokjax.running import command_line

COORDINATOR = flags.DEFINE_string(
    "coordinator", None, "HOST:PORT of the first of the n processes of --chunk I/N; or auto."
)
OWN_DEVICES = ("jax_cuda_visible_devices", "jax_rocm_visible_devices")


def meet_others() -> None:
    """Begins this command again with its share of the runs, once the n processes have met.

    They need each other for nothing else, so they part before training: one that dies later takes
    no other along. Devices and checkpoints would go on waiting for all; a fresh process does not.

    Raises:
        ValueError: if they cannot meet.
    """
    where, chunk = COORDINATOR.value, command_line.chunk()
    if where is None:
        return
    if (where == "auto") == bool(chunk) or not re.fullmatch(r"auto|[^:]+:\d+", where):
        raise ValueError(
            f"--coordinator {where}; choose auto on a cluster, or HOST:PORT with --chunk I/N"
        )
    i, n = chunk or (None, None)
    jax.config.update("jax_platforms", "cpu")  # to be counted takes no accelerator
    try:
        jax.distributed.initialize(chunk and where, n, chunk and i - 1)
    except (RuntimeError, ValueError) as error:  # nobody answers; no cluster is known
        raise ValueError(f"--coordinator {where}: {error}") from error
    mine = f"--chunk={jax.process_index() + 1}/{jax.process_count()}"
    jax.distributed.shutdown()
    words = [*command_line.words_without("coordinator", "chunk"), mine, "--join"]
    environment = os.environ | _own_devices()
    os.execve(sys.executable, [sys.executable, "-m", "grokjax.train", *words], environment)


def _own_devices():
    """What a cluster that runs a process for each device has told JAX, as its environment."""
    told = {name: getattr(jax.config, name, "all") for name in OWN_DEVICES}
    return {name.upper(): devices for name, devices in told.items() if devices != "all"}
