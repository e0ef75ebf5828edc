"""Where the first number that is not finite came from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.core import Tracer

from edgewise.errors import EdgewiseError
from edgewise.nn.watching import watching
from edgewise.training.arrays import cast_to
from edgewise.training.sources import first_batch

__all__ = ["NonFiniteError", "explain", "explained"]

_HUGE = 1e4  # parameters of a network with inputs of order one stay far below


class NonFiniteError(EdgewiseError):
    """The loss or its gradient is not finite.  ``result`` is the ``FitResult`` with the last finite state."""

    result: Any = None


def explain(model: nnx.Module, batch: Any, objective: Any, step: int, *, halve: bool) -> NonFiniteError:
    """The error for a ``model`` whose loss on ``batch`` or its gradient is not finite at ``step``.

    Args:
        halve: whether the optimizer has a learning rate to halve.
    """
    batch = jax.device_put(batch)  # as the loss got it: NumPy's arrays know less
    where = _first_bad_output(model, batch, objective) or _first_bad_gradient(model, batch, objective)
    where = where or "the loss itself"
    parameters = jax.tree.leaves(nnx.state(model, nnx.Param))
    largest = max(float(jnp.max(jnp.abs(leaf))) for leaf in parameters)
    if step == 0:
        why = f"{where} is not finite before the first update, so it is the initial network, the data or the loss."
        do = "look at model(X): scale the inputs to the basis' interval, and the targets to order one."
    else:
        grown = largest > _HUGE
        cause = (
            f"the largest parameter is {largest:.2g}: the learning rate is too high for this loss."
            if grown
            else "parameters are moderate, so it is a function outside its range, such as the exp of a large number."
        )
        why = f"the first that is not finite is {where}; {cause}"
        do = (
            "lower the learning rate, say optimizer='adam:1e-4', or go on at half of it with on_nonfinite='restore'; "
            "scale inputs and targets to order one."
            if halve
            else "scale inputs and targets to order one, or start with some steps of optimizer='adam:1e-3'."
        )
    return NonFiniteError(f"training is not finite at step {step}.", why + " The model has its last finite state.", do)


@contextmanager
def explained(model: nnx.Module, objective: Any, data: Any, dtype: Any) -> Iterator[None]:
    """Within the block, what JAX raises for a model that grows says so."""
    try:
        yield
    except (TypeError, ValueError) as error:
        found = None if isinstance(error, EdgewiseError) else _grown(model, objective, data, dtype)
        if found is None:
            raise
        raise found from error


def _grown(model: nnx.Module, objective: Any, data: Any, dtype: Any) -> EdgewiseError | None:
    graphdef, state = nnx.split(model)

    def evaluated(state, batch):
        copy = nnx.merge(graphdef, state, copy=True)
        objective(copy, batch)
        return nnx.split(copy)[1]

    try:
        after = jax.eval_shape(evaluated, jax.tree.map(cast_to(dtype), state), first_batch(data, dtype))
    except Exception:  # an error of the user's own function, say, which has been raised already
        return None
    names = lambda state: {".".join(map(str, path)) for path, _ in nnx.to_flat_state(state)}
    if not (new := names(after) - names(state)):
        return None
    return EdgewiseError(
        f"a call of the model makes new variables: {', '.join(sorted(new))}.",
        "a compiled loop has the same variables at every step; sow, for one, adds to them.",
        "leave that out in training, or make the variable in __init__ and set it in the call.",
    )


def _first_bad_output(model: Any, batch: Any, objective: Any) -> str | None:
    if batch is None:
        return None
    calls: list[Any] = []
    with watching(lambda *call: calls.append(call)):
        objective.measured(model, batch)
    for index, (layer, inputs) in enumerate(calls):
        if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((nnx.state(layer), inputs))):
            continue  # within a derivative or a map of the loss
        if not _finite(layer(inputs)):
            reach = float(jnp.max(jnp.abs(inputs)))
            return f"the output of layer {index}, {layer} (its inputs reach {reach:.2g})"
    return None


def _first_bad_gradient(model: nnx.Module, batch: Any, objective: Any) -> str | None:
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)
    value, gradients = jax.value_and_grad(lambda params: objective(nnx.merge(graphdef, params, rest), batch))(params)
    if not bool(jnp.isfinite(value)):
        return None
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradients):
        if not _finite(leaf):
            names = [str(getattr(key, "key", getattr(key, "name", key))) for key in path]
            return f"the gradient of {'.'.join(name for name in names if name != 'value')}"
    return None


def _finite(values: Any) -> bool:
    return bool(np.isfinite(np.asarray(values, np.float64)).all())
