"""Checkpoints: a tree of arrays and a header, written atomically and read back bit for bit, without pickle."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.tree_util import DictKey, FlattenedIndexKey, GetAttrKey, SequenceKey

from edgewise.errors import CheckedKeywords, EdgewiseError, check_choice
from edgewise.training import checkpoint_npz, checkpoint_orbax
from edgewise.training.checkpoint_npz import CheckpointError

__all__ = ["Checkpoint", "CheckpointError", "json_ready", "leaf_names", "read_header"]

_BACKENDS: dict[str, ModuleType] = {"npz": checkpoint_npz, "orbax": checkpoint_orbax}
_FORMAT, _VERSION = "edgewise checkpoint", 2
_OURS = ("format", "format_version", "libraries", "leaves")


@dataclass(frozen=True)
class Checkpoint(CheckedKeywords):
    """Where a run is saved, and how often.

    Args:
        path: a file, by custom ``.npz``; for orbax a folder.
        every: seconds between two writes, at least.
        backend: "npz", one uncompressed file, or "orbax", a folder for large models and for arrays sharded over
            several processes (``pip install 'edgewise[orbax]'``).

    An npz file is a zip archive of one ``.npy`` member per leaf, named by its place in the tree ("params/0/coef"), and
    of ``header.json``, as bytes.  The header is what was given to :meth:`save` and, beside it, ``format``,
    ``format_version``, ``libraries`` (their versions) and ``leaves`` (dtype and shape of each).  A dtype that NumPy
    does not know, say bfloat16, is stored as unsigned integers, a typed key as its words.

    Raises:
        EdgewiseError: for a path that is none, a negative ``every``, or an unknown backend.
    """

    path: Path | str
    every: float = 30.0
    backend: str = "npz"

    def __post_init__(self):
        if not isinstance(self.path, str | os.PathLike) or not os.fspath(self.path):
            raise EdgewiseError(f"checkpoint path {self.path!r} is no path.", do='pass say "run.npz".')
        if isinstance(self.every, bool) or not isinstance(self.every, int | float) or not self.every >= 0:
            raise EdgewiseError(f"every must be seconds, at least 0, got {self.every!r}.", do="pass say every=30.0.")
        check_choice("checkpoint backend", self.backend, _BACKENDS)

    def prepare(self) -> None:
        """Make the folder, and raise :class:`CheckpointError` now rather than in the run if nothing can be saved.

        A file that is no checkpoint is not going to be overwritten, and raises too.
        """
        _BACKENDS[self.backend].prepare(_path(self.path))

    def exists(self) -> bool:
        """Whether there is something at the path, whole or not."""
        path = _path(self.path)
        return any(path.iterdir()) if self.backend == "orbax" and path.is_dir() else path.exists()

    def save(self, tree: Any, header: Mapping[str, Any]) -> None:
        """Replace the checkpoint by ``tree``, whose leaves are arrays, numbers or typed keys, and a JSON ``header``.

        Killed at any moment, the old or the new checkpoint stands.

        Raises:
            CheckpointError: for a full disk or a folder that is not writable, with the old checkpoint as it was; for a
                leaf that is no array of numbers; for a header that is not JSON.
        """
        leaves = {name: _checked(name, leaf) for name, leaf in _flattened(tree)[0].items()}
        whole = _whole_header(header, {name: _record(leaf) for name, leaf in leaves.items()})
        data = {name: _data(leaf) for name, leaf in leaves.items()}
        _BACKENDS[self.backend].write(_path(self.path), whole, data)

    def load(self, like: Any) -> tuple[Any, dict[str, Any]]:
        """The tree, in the structure of ``like``, and the header.

        Args:
            like: a tree of the same structure, shapes and dtypes: arrays, which may have been donated, or
                ``jax.ShapeDtypeStruct``.

        Returns:
            Arrays of NumPy where ``like`` has those, of JAX elsewhere, in the sharding of ``like`` where it is
            committed to one.  64-bit leaves stay so whatever ``jax_enable_x64`` is.

        Raises:
            CheckpointError: for a checkpoint that is missing, damaged, not one of edgewise or of another version, or
                that differs from ``like`` in structure, shape or dtype; the first difference is named.
        """
        path, (named, treedef) = _path(self.path), _flattened(like)
        named = {name: _checked(name, leaf) for name, leaf in named.items()}
        with _BACKENDS[self.backend].Reader(path) as reader, jax.enable_x64(True):
            header = _checked_header(reader.header, path)
            _check_same(path, header["leaves"], named)
            data = reader.arrays({name: _data_struct(leaf) for name, leaf in named.items()})
            leaves = [_placed(data[name], leaf, header["leaves"][name]) for name, leaf in named.items()]
        return jax.tree.unflatten(treedef, leaves), header


def read_header(path: Path | str) -> dict[str, Any]:
    """The header of a checkpoint, file or folder, without reading the arrays.

    Raises :class:`CheckpointError` for what is missing, damaged, or no checkpoint.
    """
    path = _path(path)
    with _BACKENDS["orbax" if path.is_dir() else "npz"].Reader(path) as reader:
        return _checked_header(reader.header, path)


def leaf_names(tree: Any) -> list[str]:
    """The names of the leaves of ``tree`` in a checkpoint, in order: "params/layers/0/coef/value"."""
    return list(_flattened(tree)[0])


def _path(path: Path | str) -> Path:
    return Path(path).expanduser()


def _flattened(tree: Any) -> tuple[dict[str, Any], Any]:
    """Leaves by name, and the structure."""
    leaves, treedef = jax.tree_util.tree_flatten_with_path(tree)
    named = {"/".join(map(_spelled, path)) or "leaf": leaf for path, leaf in leaves}
    if len(named) != len(leaves):
        raise CheckpointError(
            "two leaves of the tree have one name.",
            "a container gives several of its children the same key.",
            "register it with jax.tree_util.register_pytree_with_keys, each child with a key of its own.",
        )
    return named, treedef


def _spelled(key: Any) -> str:
    """One step of a path: identifiers and numbers as they are, all else quoted, so that names stay apart."""
    match key:
        case GetAttrKey(name=name):
            return name
        case SequenceKey(idx=index):
            return str(index)
        case DictKey(key=str() as text) if text.isidentifier():
            return text
        case DictKey(key=other) | FlattenedIndexKey(key=other):
            return repr(other)
    return repr(str(key))


def _checked(name: str, leaf: Any) -> Any:
    """``leaf`` with a shape and a dtype that can be stored."""
    leaf = leaf if hasattr(leaf, "dtype") and hasattr(leaf, "shape") else np.asarray(leaf)
    if not (_is_key(leaf) or leaf.dtype == bool or jnp.issubdtype(leaf.dtype, np.number)):
        raise CheckpointError(
            f"{name} has dtype {leaf.dtype} and cannot be in a checkpoint.",
            "a checkpoint holds arrays of numbers, and no objects, since those would need pickle.",
            "put what describes the run into the header.",
        )
    return leaf


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _dtype_name(leaf: Any) -> str:
    return str(leaf.dtype) if _is_key(leaf) else leaf.dtype.name


def _record(leaf: Any) -> dict[str, Any]:
    """What the header says of a leaf."""
    record = {"dtype": _dtype_name(leaf), "shape": list(leaf.shape)}
    return record | {"key": str(jax.random.key_impl(leaf))} if _is_key(leaf) else record


def _data(leaf: Any) -> Any:
    """The numbers of a leaf, in native byte order."""
    if _is_key(leaf):
        return jax.random.key_data(leaf)
    return leaf if isinstance(leaf, jax.Array) else np.asarray(leaf, leaf.dtype.newbyteorder("="))


def _data_struct(leaf: Any) -> jax.ShapeDtypeStruct:
    """Shape and dtype of :func:`_data`, and the sharding to read it into, if there is one."""
    data = jax.eval_shape(jax.random.key_data, leaf) if _is_key(leaf) else leaf
    return jax.ShapeDtypeStruct(data.shape, data.dtype.newbyteorder("="), sharding=_sharding(leaf))


def _sharding(leaf: Any) -> Any:
    # an array that is committed to no device goes where the next computation is
    return getattr(leaf, "sharding", None) if getattr(leaf, "committed", True) else None


def _placed(data: Any, like: Any, record: Mapping[str, Any]) -> Any:
    """The numbers as the leaf that ``like`` is, on its devices."""
    if not isinstance(like, jax.Array | jax.ShapeDtypeStruct):
        return data
    sharding = _sharding(like)
    if sharding is None or sharding.is_fully_addressable:
        data = jax.device_put(data, sharding)
    elif not isinstance(data, jax.Array):
        data = jax.make_array_from_callback(data.shape, sharding, data.__getitem__)
    return jax.random.wrap_key_data(data, impl=record["key"]) if _is_key(like) else data


def _whole_header(header: Mapping[str, Any], leaves: dict[str, Any]) -> dict[str, Any]:
    taken = [name for name in _OURS if name in header]
    if taken:
        raise CheckpointError(f"the header entry {taken[0]!r} is the checkpoint's own.", do="give it another name.")
    ours = {"format": _FORMAT, "format_version": _VERSION, "libraries": _libraries(), "leaves": leaves}
    return ours | json_ready(header)


def json_ready(header: Mapping[str, Any]) -> dict[str, Any]:
    """``header`` as it is read back; raises :class:`CheckpointError` for what JSON cannot hold."""
    try:
        return json.loads(json.dumps(dict(header)))
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"the header is not JSON: {error}.",
            do="pass strings, numbers, booleans, None, lists and dicts of these; arrays belong into the tree.",
        ) from error


@functools.cache
def _libraries() -> dict[str, str]:
    theirs = {module.__name__: module.__version__ for module in (jax, flax, optax, np)}
    try:
        return {"edgewise": metadata.version("edgewise"), **theirs}
    except metadata.PackageNotFoundError:  # run from a source tree that is not installed
        return {"edgewise": "unknown", **theirs}


def _checked_header(header: Any, path: Path) -> dict[str, Any]:
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise CheckpointError(f"{path} is no checkpoint of edgewise.", do="pass what edgewise has written.")
    if header.get("format_version") != _VERSION:
        version = header.get("format_version")
        written = header.get("libraries", {}).get("edgewise", "unknown")
        raise CheckpointError(
            f"{path} has format version {version}, and this edgewise reads version {_VERSION}.",
            f"it was written by edgewise {written}.",
            "pip install --upgrade edgewise, or read it with the edgewise that wrote it.",
        )
    return header


def _check_same(path: Path, stored: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Raise unless the file has the leaves that are expected, in their shapes and dtypes."""
    missing = [name for name in expected if name not in stored]
    additional = [name for name in stored if name not in expected]
    if missing or additional:
        parts = [f"{what}: {_listed(names)}" for what, names in (("missing", missing), ("additional", additional))]
        raise _another(path, "; ".join(part for part, names in zip(parts, (missing, additional), strict=True) if names))
    for name, leaf in expected.items():
        theirs, ours = (stored[name]["dtype"], tuple(stored[name]["shape"])), (_dtype_name(leaf), leaf.shape)
        if theirs != ours:
            # what is equal in both is left out
            part = slice(1, 2) if theirs[0] == ours[0] else slice(0, 1) if theirs[1] == ours[1] else slice(0, 2)
            theirs, ours = (" ".join(map(str, pair[part])) for pair in (theirs, ours))
            raise _another(path, f"{name}: the file has {theirs}, expected {ours}")


def _listed(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _another(path: Path, difference: str) -> CheckpointError:
    return CheckpointError(
        f"{path} is of another model, optimizer or run. {difference}.",
        "a checkpoint continues the very run that wrote it.",
        "build what its header describes (edgewise.training.read_header(path)), or pass another path.",
    )
