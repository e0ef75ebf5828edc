"""What several processes that train one model (``jax.distributed``) agree on, and what each of them sees."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from edgewise.errors import EdgewiseError

__all__ = ["agreed", "on_host", "plain_mesh", "spans_processes", "wait"]


def plain_mesh(mesh: Mesh | None) -> Mesh | None:
    """The mesh with automatic axes: shardings are left to the compiler."""
    if mesh is None:
        return None
    if not isinstance(mesh, Mesh):
        raise EdgewiseError(
            f"mesh={mesh!r} is no mesh of devices.", do="pass jax.make_mesh((jax.device_count(),), ('batch',))."
        )
    return Mesh(mesh.devices, mesh.axis_names)


def spans_processes(mesh: Mesh | None) -> bool:
    """Whether the devices of the mesh belong to several processes; without, every process trains on its own."""
    return mesh is not None and mesh.is_multi_process


def agreed(mesh: Mesh | None, step: int, length: int, ends: bool, due: bool = False) -> tuple[int, bool, bool]:
    """Steps of the next chunk, whether the run ends and whether it is written, the same in every process.

    The first process has the clock; any of them may end the run.  All of them wait here for each other.
    """
    if not spans_processes(mesh):
        return length, ends, due
    votes = np.asarray(multihost_utils.process_allgather(np.array([step, length, ends, due], np.int32)))
    if len(set(votes[:, 0].tolist())) > 1:
        raise EdgewiseError(
            f"the processes are at steps {', '.join(map(str, votes[:, 0].tolist()))}.",
            "they resume from files of their own, or only some found one.",
            "keep the checkpoint in a folder that all of them see.",
        )
    return int(votes[0, 1]), bool(votes[:, 2].any()), bool(votes[0, 3])


def wait(mesh: Mesh | None) -> None:
    """All processes wait here for each other."""
    if spans_processes(mesh):
        multihost_utils.sync_global_devices("edgewise")


def on_host(tree: Any) -> Any:
    """The arrays in NumPy, whole in every process; all of them call it where an array is split over them."""

    def fetched(leaf):
        if isinstance(leaf, jax.Array) and jax.numpy.issubdtype(leaf.dtype, jax.dtypes.extended):
            return leaf
        if isinstance(leaf, jax.Array) and not (leaf.is_fully_addressable or leaf.is_fully_replicated):
            return multihost_utils.process_allgather(leaf, tiled=True)
        return np.asarray(leaf)

    return jax.tree.map(fetched, tree)
