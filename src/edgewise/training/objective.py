"""What training minimizes: a loss and its regularizers, as a scalar and, where it is one, as a sum of squares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from edgewise.errors import CheckedKeywords, EdgewiseError, ShapeError
from edgewise.training.losses import MSE, Loss, resolve_loss
from edgewise.training.optim import Rows

__all__ = ["LeastSquares", "Objective"]

_SEPARATE = ("edgewise.", "flax.nnx.helpers", "flax.nnx.nn.linear")  # modules that take samples one by one
_FEW = 8  # samples among which one is looked at
_EQUAL = 1e-4  # predictions that are, in share of the largest


@dataclass(frozen=True)
class LeastSquares(CheckedKeywords):
    """The mean of the squares of ``residuals(model, batch)``: a loss that second-order methods take.

    Args:
        residuals: a function of the model and a batch that returns an array of any shape.
    """

    residuals: Callable[[Any, Any], Any]

    def __call__(self, model: Any, batch: Any) -> Array:
        """The mean of squares, a scalar."""
        return jnp.mean(jnp.asarray(self.residuals(model, batch)) ** 2)


@dataclass(frozen=True)
class Objective(CheckedKeywords):
    """``objective(model, batch)``: the loss plus the sum of the regularizers, a scalar.

    Args:
        loss: a name, a :class:`Loss` (batches are then ``(x, y)`` or ``(x, y, weight)``), or any function
            ``(model, batch) -> scalar``, say :class:`LeastSquares`. One with ``residuals(model, batch)``, whose squares
            sum to it, goes with second-order methods; one with ``refresh(model, step)`` may change between steps what
            the model keeps for it (variables that are no ``nnx.Param``), and says in ``refreshed_every`` how often.
        regularizers: functions ``(model, batch) -> scalar``; those of ``regularizers.py`` look at ``batch[0]``.
        coupled: whether predictions of a sample depend on the others, see :meth:`of`.

    Raises:
        EdgewiseError: for something that is no loss (see :func:`resolve_loss`) or no regularizer.
    """

    loss: Any
    regularizers: Any = ()
    coupled: bool = field(default=False, repr=False)

    def __post_init__(self):
        object.__setattr__(self, "loss", resolve_loss(self.loss))
        given = self.regularizers
        regularizers = tuple(given) if isinstance(given, (tuple, list)) else (given,)
        for regularizer in regularizers:
            if isinstance(regularizer, type) or not callable(regularizer):
                raise EdgewiseError(
                    f"{regularizer!r} is not a regularizer.",
                    do="pass an instance, say EdgeL1(1e-3), or a function (model, batch) -> scalar.",
                )
        object.__setattr__(self, "regularizers", regularizers)

    def __call__(self, model: Any, batch: Any) -> Array:
        """Loss and regularizers of the model on a batch."""
        total = self._loss(model, batch)
        for regularizer in self.regularizers:
            total = total + regularizer(model, batch)
        return total

    def measured(self, model: Any, batch: Any) -> tuple[Array, Array]:
        """The loss without regularizers, and the score (NaN for a loss that is a function)."""
        if not isinstance(self.loss, Loss):
            loss = jnp.asarray(self.loss(model, batch))
            return loss, jnp.full_like(loss, jnp.nan)
        x, *others = batch
        predicted = model(x)
        return self.loss(predicted, *others), self.loss.score(predicted, *others)

    @property
    def score_name(self) -> str | None:
        """What the score is called: "mse" or "accuracy"; None for a loss that is a function."""
        return self.loss.score_name if isinstance(self.loss, Loss) else None

    @property
    def least_squares(self) -> bool:
        """Whether it is a sum of squares: :meth:`residuals` works."""
        return self._obstacle is None

    def rows(self, model_of: Callable[[Any], Any], params: Any, batch: Any) -> tuple[Rows, ...]:
        """The residuals sample by sample, where each belongs to one sample; otherwise nothing.

        Those of the mean squared error do, and those of a loss that has ``rows(model_of, params, batch)`` itself.

        Args:
            model_of: parameters to the model.
            params: those at which samples and weights are looked up that the model keeps.
        """
        if self.regularizers or self.coupled:
            return ()
        if not isinstance(self.loss, MSE):
            return self.loss.rows(model_of, params, batch) if hasattr(self.loss, "rows") else ()
        x, y, *others = batch
        weight = others[0] if others else jnp.ones(x.shape[0], x.dtype)
        root = jnp.sqrt(weight / jnp.sum(weight))

        def row(params, sample):
            x, y, root = sample
            return root * self.residuals(model_of(params), (x[None], y[None]))

        return (Rows(row, (x, y, root)),)

    def of(self, model: Any, batch: Any) -> Objective:
        """The same for this model, ``coupled`` where its predictions are: by statistics of the batch, say.

        Networks of this library are not; others are evaluated for a sample by itself and among others.
        """
        separate = all(type(part).__module__.startswith(_SEPARATE) for _, part in nnx.iter_modules(model))
        if separate or not isinstance(self.loss, MSE):
            return self
        split, few = nnx.split(model), np.asarray(batch[0][:_FEW])
        alone, among = (np.asarray(_predictions(*split, x))[0] for x in (few[:1], few))
        scale = np.abs(among).max()
        return replace(self, coupled=not np.allclose(alone, among, rtol=0, atol=_EQUAL * scale))

    @property
    def refreshes(self) -> bool:
        """Whether the loss changes between steps: its points, its weights."""
        return hasattr(self.loss, "refresh")

    @property
    def refreshed_every(self) -> int | None:
        """The steps between two changes of the loss; None for one that stays as it is or does not say."""
        return getattr(self.loss, "refreshed_every", None)

    def refresh(self, model: Any, step: Array) -> Array:
        """Let the loss renew what the model keeps for it, before a step; whether it has changed anything."""
        return self.loss.refresh(model, step)

    def inputs(self, model: Any) -> Any:
        """The points ``[n, n_in]`` of a loss that keeps them in the model; None for one that gets batches."""
        return self.loss.inputs(model) if hasattr(self.loss, "inputs") else None

    def residuals(self, model: Any, batch: Any) -> Array:
        """``[m]`` whose squares sum to the objective.

        Raises ``EdgewiseError`` where the loss or a regularizer is no sum of squares.
        """
        if (obstacle := self._obstacle) is not None:
            raise EdgewiseError(
                f"{obstacle!r} is not a sum of squares.",
                "Levenberg-Marquardt and Gauss-Newton work on the residuals, which are squared and summed.",
                'use loss="mse", LeastSquares(residuals) and Smoothness, or another optimizer, say "lbfgs".',
            )
        if isinstance(self.loss, MSE):
            x, *others = batch
            rows = [self.loss.residuals(model(x), *others)]
        else:
            residuals = jnp.ravel(jnp.asarray(self.loss.residuals(model, batch)))
            rows = [residuals * residuals.size**-0.5 if isinstance(self.loss, LeastSquares) else residuals]
        rows += [regularizer.residuals(model, batch) for regularizer in self.regularizers]
        return jnp.concatenate(rows) if len(rows) > 1 else rows[0]

    def check(self, model: Any, batch: Any) -> None:
        """Look at all data before training, on the host; the model is traced, not run.

        Raises ``ShapeError`` or ``DataError`` for data that the loss does not allow (see :meth:`Loss.check`), for a
        batch that is not ``(x, y)`` or ``(x, y, weight)``, and for a function whose loss is no scalar.
        """
        if not isinstance(self.loss, Loss):
            _check_scalar("loss", self.loss, model, batch)
        elif not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
            raise ShapeError(
                f"a batch for {self.loss} is (x, y) or (x, y, weight), got {_described(batch)}.",
                do="pass (x, y), or a function (model, batch) as the loss.",
            )
        else:
            x, *others = batch
            shape = _shape_told("predictions", _predictions.eval_shape(*nnx.split(model), x))
            self.loss.check(shape, *others)
        for regularizer in self.regularizers:
            _check_scalar("regularizer", regularizer, model, batch)

    @property
    def _obstacle(self) -> Any:
        """What is no sum of squares, if anything."""
        parts = (self.loss, *self.regularizers)
        return next((part for part in parts if not hasattr(part, "residuals")), None)

    def _loss(self, model: Any, batch: Any) -> Any:
        if not isinstance(self.loss, Loss):
            return self.loss(model, batch)
        x, *others = batch
        return self.loss(model(x), *others)


def _check_scalar(kind: str, function: Callable[[Any, Any], Any], model: Any, batch: Any) -> None:
    result = nnx.eval_shape(function, model, batch)
    shape = _shape_told(f"the {kind}", result)
    if shape != ():
        raise ShapeError(
            f"the {kind} {function!r} has the shape {shape}.",
            "its gradient is taken: it must be one number.",
            "return its mean, jnp.mean(...).",
        )
    if not jnp.issubdtype(result.dtype, jnp.floating):
        raise EdgewiseError(
            f"the {kind} {function!r} is a number of type {result.dtype}.",
            "its gradient is taken: it must be a real floating-point number.",
            "return say jnp.mean(jnp.abs(error) ** 2).",
        )


@partial(jax.jit, static_argnums=0)
def _predictions(graphdef: Any, state: Any, x: Any) -> Any:
    """Mostly for its shapes, which are kept from one fit to the next: tracing a model takes as long as many steps."""
    return nnx.merge(graphdef, state)(x)


def _shape_told(what: str, result: Any) -> tuple[int, ...]:
    if not hasattr(result, "shape"):
        raise ShapeError(f"{what}: {type(result).__name__} instead of an array.", do="return one array.")
    return tuple(result.shape)


def _described(batch: Any) -> str:
    if isinstance(batch, (tuple, list)):
        return f"a {type(batch).__name__} of {len(batch)}"
    return f"{type(batch).__name__} of shape {np.shape(batch)}" if hasattr(batch, "shape") else type(batch).__name__
