"""The devices of this process, and the run axis R sharded over them.

Each device trains its own runs by a program of its own; there is no communication. One program
over all of them would be fused otherwise by the compiler, and differ in the last bits. If R is not
a multiple of the number of devices, padding runs are added: copies of the first run, which are
never trained.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

SHARDED_OVER_RUNS = PartitionSpec("runs")
REPLICATED = PartitionSpec()


def mesh(num_runs: int) -> Mesh:
    """The devices of this process, but no more than there are runs, on one axis."""
    return Mesh(np.array(jax.local_devices()[:num_runs]), ("runs",))


class Program:
    """A jitted function of runs [R], compiled for each device, which calls it for its own shard.

    Threads compile it while the caller goes on. Arguments are arrays on these devices, sharded
    over runs or replicated; to compile it, shapes will do. None stays None.
    """

    def __init__(self, function: Any, mesh: Mesh, arguments: tuple):
        lowered = [function.lower(*_shapes_on(d, arguments)) for d in mesh.devices]
        pool = ThreadPoolExecutor(mesh.size)
        self.compiling = [pool.submit(one.compile) for one in lowered]  # a future for each device
        self._sharding = NamedSharding(mesh, SHARDED_OVER_RUNS)
        self.shapes_R = jax.tree.map(self._shape, lowered[0].out_info)  # of what it returns

    def __call__(self, *arguments: Any) -> Any:
        parts = [_on(d, arguments) for d in range(len(self.compiling))]  # before any is donated
        results = [one.result()(*part) for one, part in zip(self.compiling, parts, strict=True)]
        return jax.tree.map(self._join, *results)

    def _join(self, *shards):
        shape = self._shape(shards[0]).shape
        return jax.make_array_from_single_device_arrays(shape, self._sharding, list(shards))

    def _shape(self, x):
        shape = (self._sharding.num_devices * x.shape[0], *x.shape[1:])
        return jax.ShapeDtypeStruct(shape, x.dtype, sharding=self._sharding)


def _shapes_on(device, tree):
    def shape(x):
        shape = x.sharding.shard_shape(x.shape)
        return jax.ShapeDtypeStruct(shape, x.dtype, sharding=SingleDeviceSharding(device))

    return jax.tree.map(shape, tree)


def _on(d, tree):
    """What a device has of a tree of arrays."""
    return jax.tree.map(lambda x: x.addressable_shards[d].data, tree)


def put(tree: Any, mesh: Mesh, spec: PartitionSpec) -> Any:
    """A tree on all devices: its runs sharded, or the whole of it replicated."""
    return jax.device_put(tree, NamedSharding(mesh, spec))


def shard(tree_R: Any, mesh: Mesh) -> Any:
    """[R, ...] -> [R', ...] sharded over all devices, R' the next multiple of their number."""

    def padded(x_R):
        num_padding = -len(x_R) % mesh.size
        if not num_padding:
            return x_R
        xp = np if isinstance(x_R, np.ndarray) else jnp
        return xp.concatenate([x_R, xp.repeat(x_R[:1], num_padding, axis=0)])

    return put(jax.tree.map(padded, tree_R), mesh, SHARDED_OVER_RUNS)


def pad(active_R: np.ndarray | None, num_runs: int, mesh: Mesh) -> np.ndarray | None:
    """[R']: which runs train; padding runs do not. None: all do."""
    num_padding = -num_runs % mesh.size
    if active_R is None and not num_padding:
        return None
    active_R = np.ones(num_runs, bool) if active_R is None else active_R
    return np.append(active_R, np.zeros(num_padding, bool))


def unpad(tree_R: Any, num_runs: int) -> Any:
    """[R', ...] -> [R, ...] without padding runs; on the host, lest devices wait for others."""
    if len(jax.tree.leaves(tree_R)[0]) == num_runs:
        return tree_R
    return jax.tree.map(lambda x: x[:num_runs], jax.device_get(tree_R))


def compacted(active_R: np.ndarray | None, mesh: Mesh) -> np.ndarray | None:
    """[A]: the compacted batch, the numbers of the active runs within each shard; None: all runs.

    Each device computes equally many runs: the size of its shard, halved as often as all active
    runs still fit. So a sweep whose runs stop is compiled a few times, not once for every run.

        2 devices, active  1 0 0 1 0   0 0 0 1 0     at most 2 of 5: of sizes 5, 3, 2 the last
        compacted          0 3         3 0           the second shard takes an inactive run along
    """
    if active_R is None:
        return None
    active_DxS = active_R.reshape(mesh.size, -1)
    shard_size = active_DxS.shape[1]
    needed = max(1, active_DxS.sum(axis=1).max())
    size = shard_size
    while (half := -(-size // 2)) >= needed and half < size:
        size = half
    if size == shard_size:
        return None
    return np.argsort(~active_DxS, axis=1, kind="stable")[:, :size].ravel().astype(np.int32)
