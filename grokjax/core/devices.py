"""The devices of this process, and the run axis R laid over them.

Every device has its own share of the runs and never hears of the others, so nothing is ever
sent between them. Where R is no multiple of their number, copies of the first run fill it up;
they rest from the start.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

OVER_RUNS, EVERYWHERE = PartitionSpec("runs"), PartitionSpec()


def mesh() -> Mesh:
    """All devices of this process, on one axis."""
    return Mesh(np.array(jax.local_devices()), ("runs",))


def spread(function, mesh: Mesh, in_specs):
    """A function of runs [R] that each device calls for its own share of them."""
    return jax.shard_map(
        function, mesh=mesh, in_specs=in_specs, out_specs=OVER_RUNS, check_vma=False
    )


def put(tree, mesh: Mesh, spec: PartitionSpec):
    """A tree on all devices: its runs shared out, or the whole of it on each."""
    return jax.device_put(tree, NamedSharding(mesh, spec))


def share_out(tree_R, mesh: Mesh):
    """[R, ...] -> [R', ...] on all devices, R' the next multiple of their number."""

    def filled(x_R):
        missing, xp = -len(x_R) % mesh.size, np if isinstance(x_R, np.ndarray) else jnp
        return xp.concatenate([x_R, xp.repeat(x_R[:1], missing, axis=0)]) if missing else x_R

    return put(jax.tree.map(filled, tree_R), mesh, OVER_RUNS)


def fill_up(active_R: np.ndarray | None, num_runs: int, mesh: Mesh) -> np.ndarray | None:
    """[R']: which runs train; what only fills up the devices does not. None: all do."""
    missing = -num_runs % mesh.size
    if active_R is None and not missing:
        return None
    active_R = np.ones(num_runs, bool) if active_R is None else active_R
    return np.append(active_R, np.zeros(missing, bool))


def cut(tree_R, num_runs: int):
    """[R', ...] -> [R, ...]: the runs that were asked for; on the host, if there are others."""
    if len(jax.tree.leaves(tree_R)[0]) == num_runs:
        return tree_R
    return jax.tree.map(lambda x: x[:num_runs], jax.device_get(tree_R))


def aboard(active_R: np.ndarray | None, mesh: Mesh) -> np.ndarray | None:
    """[A]: the runs to be computed, as numbers within each device's share; None: all.

    A is the same for each device: its share, halved as often as all active runs still fit. So a
    sweep that thins out is compiled a few times, not once for every run that leaves.

        2 devices, active  1 0 0 1 0   0 0 0 1 0     at most 2 of 5; of 5, 3 and 2 places 2 do
        aboard             0 3         3 0           beside run 3 of the second a resting one
    """
    if active_R is None:
        return None
    active_DxS = active_R.reshape(mesh.size, -1)
    share, needed = active_DxS.shape[1], max(1, active_DxS.sum(axis=1).max())
    places = share
    while (half := -(-places // 2)) >= needed and half < places:
        places = half
    if places == share:
        return None
    return np.argsort(~active_DxS, axis=1, kind="stable")[:, :places].ravel().astype(np.int32)
