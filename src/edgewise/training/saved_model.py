"""Models in one file: configuration and state."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from edgewise.errors import EdgewiseError
from edgewise.models.naming import class_name, class_named
from edgewise.training.checkpoint import Checkpoint, CheckpointError, json_ready, leaf_names, read_header

__all__ = ["load_model", "save_model"]


def save_model(model: nnx.Module, path: Path | str) -> None:
    """Write ``model`` to one file, atomically and without pickle: its class, its ``config``, and its state.

    The format is that of :class:`~edgewise.training.checkpoint.Checkpoint`; an initialization scheme that holds
    functions or arrays is not kept, the parameters are.

    Raises:
        EdgewiseError: for a model without a ``config`` and a ``from_config``, or whose ``config`` does not rebuild it.
        CheckpointError: for a file that cannot be written.
    """
    config = getattr(model, "config", None)
    if config is None or not hasattr(type(model), "from_config"):
        raise EdgewiseError(
            f"{type(model).__name__} has no config and from_config.",
            "a file holds no code: a model is rebuilt from its configuration, then given its parameters.",
            "define both as edgewise.KAN does, or save the state: Checkpoint(path).save(nnx.state(model), {}).",
        )
    header = json_ready({"model": class_name(type(model)), "config": config})
    if _shapes(_rebuilt(header)) != _shapes(model):
        raise EdgewiseError(
            f"the config of this {type(model).__name__} does not describe it.",
            "a model built from it has other parameters, say because a layer was replaced.",
            "save the state: Checkpoint(path).save(nnx.state(model), {}).",
        )
    checkpoint = Checkpoint(path)
    checkpoint.prepare()
    checkpoint.save(nnx.state(model), header)


def load_model(path: Path | str) -> Any:
    """The model that :func:`save_model` wrote, equal bit for bit, on the default device.

    A model or a residual function of your own is imported from the module that the file names, so that loading runs
    that module.  A basis of your own must be defined before.

    Raises:
        CheckpointError: for a file that is missing, damaged or no model; a class or function that cannot be imported.
    """
    header = read_header(path)
    if "model" not in header or "config" not in header:
        raise CheckpointError(
            f"{path} is the checkpoint of a run, and no model.",
            "a model is written by save_model.",
            "continue the run: fit(..., checkpoint=path, resume=True).",
        )
    model = _rebuilt(header)
    leaves, structure = jax.tree.flatten(nnx.state(model))
    stored = [header["leaves"].get(name, {}) for name in leaf_names(nnx.state(model))]
    like = [_as_stored(leaf, record) for leaf, record in zip(leaves, stored, strict=True)]
    state, _ = Checkpoint(path).load(jax.tree.unflatten(structure, like))
    nnx.update(model, state)
    return model


def _as_stored(leaf: Any, record: Mapping[str, Any]) -> Any:
    """``leaf`` in the dtype of the file: parameters may have been cast since the model was built."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return leaf
    return jax.ShapeDtypeStruct(leaf.shape, record.get("dtype", leaf.dtype))


def _rebuilt(header: Mapping[str, Any]) -> nnx.Module:
    """The model that a header describes, with shapes in place of its arrays."""
    try:
        return _blank(header)
    except (ImportError, AttributeError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"the model {header['model']} cannot be rebuilt from its configuration: {error}.",
            "classes and functions are found by name; what is defined in a function or in __main__ has none to go by.",
            "define it in a module that can be imported, under the name it had when it was saved.",
        ) from error


def _blank(header: Mapping[str, Any]) -> nnx.Module:
    kind = class_named(header["model"])
    build = lambda: kind.from_config(header["config"], rngs=nnx.Rngs(0))
    with jax.enable_x64(True):  # parameters in float64 without a warning
        try:
            return nnx.eval_shape(build)  # without drawing parameters, which compiles
        except jax.errors.JAXTypeError:  # a basis of the user's may draw in NumPy
            return build()


def _shapes(model: nnx.Module) -> dict[str, tuple[int, ...]]:
    state = nnx.state(model)
    return dict(zip(leaf_names(state), (leaf.shape for leaf in jax.tree.leaves(state)), strict=True))
