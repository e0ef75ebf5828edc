"""Training data on the host: arrays in memory, memory-mapped arrays, and streams of batches."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from edgewise.errors import DataError, EdgewiseError, ShapeError, check_count
from edgewise.training.feeds import Feed, Full, Shuffled, Window, rows_over
from edgewise.training.processes import spans_processes

__all__ = ["InMemory", "NoData", "Streamed", "first_batch", "is_stream", "place", "rows_of", "source_of"]

_WINDOW_BYTES = 32e6  # of batches sent to the device at once
_WINDOW_BATCHES = 256
_WINDOW_SECONDS = 0.5  # of reading, after which a window goes to the device with what it has
_POLL_SECONDS = 0.05


def source_of(
    data: Any, batch_size: int | None, *, seed: int, dtype: Any, mesh: Mesh | None, check: Callable[[Any], None]
) -> InMemory | Streamed | NoData:
    """Where the batches come from: arrays stay on the device, anything else is streamed to it.

    Args:
        data: a tuple (or any pytree) of arrays with one leading axis, ``[n, ...]``; memory-mapped arrays, which are
            read batch by batch; an iterable of batches; a function that returns one, called anew every epoch; or None.
        batch_size: rows a step; None is all of them, or those of the first batch of an iterable.
        dtype: of floating-point numbers on the device.
        check: called with the arrays (the first batch of a stream), to raise what is wrong with them.

    Raises:
        EdgewiseError: for data that are empty, not finite, of unequal lengths or no numbers; for a batch that is larger
            than the data.
    """
    if data is None:
        check(None)
        return NoData(batch_size)
    if callable(data) or is_stream(data):
        make: Any = data if callable(data) else lambda: data
        return Streamed(lambda epoch: iter(make()), batch_size, dtype, mesh, check)
    if any(isinstance(leaf, np.memmap) for leaf in jax.tree.leaves(data)):
        rows = rows_of(data)
        if batch_size is None:
            raise EdgewiseError(
                "memory-mapped data need a batch size.",
                "they are read batch by batch, since they may be larger than the memory.",
                "pass say batch_size=256, or load them: np.asarray(data).",
            )
        size = _check_batch_size(batch_size, rows)
        return Streamed(lambda epoch: _mapped_batches(data, rows, size, seed, epoch), size, dtype, mesh, check)
    arrays = as_numbers(data, dtype)
    check(arrays)
    return InMemory(arrays, batch_size, seed=seed, mesh=mesh)


class NoData:
    """For a loss of the model alone."""

    def __init__(self, batch_size: int | None):
        if batch_size is not None:
            raise EdgewiseError(f"batch_size={batch_size}, but there are no data.", do="leave batch_size out.")
        self.rows, self.feed, self.data = None, Full(), {"arrays": None}

    def window(self, start: int, ends: Callable[[], bool] = lambda: False) -> tuple[dict[str, Any], int | None]:
        """Nothing, for ever."""
        return self.data, None

    def close(self) -> None:
        """Nothing to be done."""


class InMemory:
    """Arrays that stay on the device: full batches, or shuffled ones drawn there."""

    def __init__(self, arrays: Any, batch_size: int | None, *, seed: int, mesh: Mesh | None):
        self.rows = rows_of(arrays)
        self.feed: Feed = Full()
        if batch_size is not None and _check_batch_size(batch_size, self.rows) < self.rows:
            split = None if mesh is None else rows_over(mesh)
            _check_divides(batch_size, mesh, "batch_size")
            self.feed = Shuffled(self.rows, batch_size, split)
            self.data = {"arrays": place(arrays, mesh, split=False), "seed": np.uint32(seed)}
        else:
            _check_divides(self.rows, mesh, "the number of samples")
            self.data = {"arrays": place(arrays, mesh, split=True)}

    def window(self, start: int, ends: Callable[[], bool] = lambda: False) -> tuple[dict[str, Any], int | None]:
        """The data of the steps from ``start`` on, and the step up to which they reach (None: for ever)."""
        return self.data, None

    def close(self) -> None:
        """Nothing to be done."""


class Streamed:
    """Batches of equal size from an iterable, sent to the device in windows while it works on the one before."""

    def __init__(
        self,
        batches: Callable[[int], Iterator[Any]],
        batch_size: int | None,
        dtype: Any,
        mesh: Mesh | None,
        check: Callable[[Any], None],
    ):
        self._batches, self._dtype, self._mesh = batches, dtype, mesh
        begun = iter(batches(0))
        first = next(begun, None)
        self._begun = chain([first], begun)  # what was looked at is trained on too: a generator yields it only once
        if first is None:
            raise DataError("the iterable of batches is empty.", do="let it yield at least one batch, say (X, y).")
        self._first = as_numbers(first, dtype)
        check(self._first)
        self._size = rows_of(self._first) if batch_size is None else check_count("batch_size", batch_size)
        _check_divides(self._size, mesh, "batch_size")
        per_batch = sum(leaf.nbytes for leaf in jax.tree.leaves(self._first)) * self._size / rows_of(self._first)
        self._count = max(1, min(_WINDOW_BATCHES, int(_WINDOW_BYTES / per_batch)))
        self.feed: Feed = Window()
        self.rows = None
        self._window: tuple[int, int, Any] = (0, 0, None)  # start, stop, data
        self._thread: threading.Thread | None = None

    def window(self, start: int, ends: Callable[[], bool] = lambda: False) -> tuple[dict[str, Any], int | None]:
        """The data of the steps from ``start`` on, and the step up to which they reach; ``start`` and {} at the end.

        A window lies where the one before ended; a jump, on resuming, begins the stream anew.

        Args:
            ends: asked while batches are waited for; True is the end.
        """
        if self._thread is None:
            self._begin(start)
        while not self._window[0] <= start < self._window[1]:
            try:
                item = self._queue.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                if ends():
                    return {}, start
                continue
            if isinstance(item, BaseException):
                raise item
            if item is None:
                return {}, start
            self._window = item
        return self._window[2], self._window[1]

    def close(self) -> None:
        """End the thread that reads, unless a batch takes so long that it is left to that."""
        self._closed = True
        if self._thread is not None:
            end = time.perf_counter() + _WINDOW_SECONDS
            while self._thread.is_alive() and time.perf_counter() < end:
                try:
                    self._queue.get(timeout=_POLL_SECONDS)
                except queue.Empty:
                    continue

    def _begin(self, start: int) -> None:
        self._closed = False
        self._queue: queue.Queue = queue.Queue(maxsize=1)
        x64 = jax.config.read("jax_enable_x64")  # a thread has its own scope

        def read():
            try:
                with jax.enable_x64(x64):
                    for window in self._windows(start):
                        self._queue.put(window)
                        if self._closed:
                            return
                self._queue.put(None)
            except BaseException as error:
                self._queue.put(error)

        self._thread = threading.Thread(target=read, name="edgewise batches", daemon=True)
        self._thread.start()

    def _windows(self, start: int) -> Iterator[tuple[int, int, Any]]:
        batches = islice(self._whole_batches(), start, None)
        while group := self._group(batches):
            count = len(group)
            group += group[-1:] * (self._count - count)  # a window that is not full keeps its shape
            arrays = jax.tree.map(lambda *leaves: np.stack(leaves), *group)
            data = {"arrays": place(arrays, self._mesh, split=True, axis=1), "start": np.int32(start)}
            yield start, start + count, data
            start += count

    def _group(self, batches: Iterator[Any]) -> list[Any]:
        """As many batches as a window holds, or as come in its time."""
        # processes that share a mesh must have windows of equal length
        limit = float("inf") if spans_processes(self._mesh) else _WINDOW_SECONDS
        group, end = [], time.perf_counter() + limit
        while len(group) < self._count and time.perf_counter() < end and not self._closed:
            if (batch := next(batches, None)) is None:
                break
            group.append(batch)
        return group

    def _whole_batches(self) -> Iterator[Any]:
        """Batches of the size, cut and joined where the iterable's are not; epoch after epoch while there are any."""
        rest, epoch = None, 0
        while True:
            source, seen = self._batches(epoch) if epoch else self._begun, False
            for batch in source:
                seen = True
                # a copy: the iterable may fill the same arrays again
                batch = jax.tree.map(np.array, as_numbers(batch, self._dtype))
                self._check_like_first(batch)
                rest = batch if rest is None else jax.tree.map(lambda *pair: np.concatenate(pair), rest, batch)
                while rest is not None and rows_of(rest) >= self._size:
                    yield jax.tree.map(lambda leaf: leaf[: self._size], rest)
                    left = rows_of(rest) - self._size
                    rest = jax.tree.map(lambda leaf: leaf[self._size :], rest) if left else None
            if not seen:
                return  # a generator that is used up
            epoch += 1

    def _check_like_first(self, batch: Any) -> None:
        shape = lambda tree: jax.tree.map(lambda leaf: (leaf.shape[1:], leaf.dtype.name), tree)
        if shape(batch) != shape(self._first):
            raise ShapeError(
                f"a batch of {shape(batch)} after one of {shape(self._first)} (shape of a row, type).",
                do="let all batches have the same columns and types.",
            )
        _check_finite(batch)


def first_batch(data: Any, dtype: Any) -> Any:
    """The arrays of the data, of the first batch of a stream."""
    if callable(data) or is_stream(data):
        batches: Any = data() if callable(data) else data
        data = next(iter(batches))
    return None if data is None else as_numbers(data, dtype)


def rows_of(data: Any) -> int:
    """The common length of the leading axis; raises ``DataError`` or ``ShapeError``."""
    leaves = jax.tree.leaves(data)
    shapes = [np.shape(leaf) for leaf in leaves]
    if not leaves or any(not shape for shape in shapes):
        raise DataError("there are no arrays to train on.", do="pass (X, y), X [n, n_in] and y [n, n_out].")
    lengths = {shape[0] for shape in shapes}
    if len(lengths) > 1:
        raise ShapeError(
            f"the arrays have {' and '.join(str(shape[0]) for shape in shapes)} rows.",
            "they are the same samples, one a row.",
            "pass arrays with equal leading axes.",
        )
    if lengths == {0}:
        raise DataError("the data are empty.", do="pass at least one sample.")
    return lengths.pop()


def as_numbers(data: Any, dtype: Any) -> Any:
    """The arrays of ``data``, floats in ``dtype``; raises ``DataError`` for what is no finite number.

    Integers stay what they are unless they are too large for those of the device, which would wrap around.
    """

    def convert(leaf):
        array = np.asarray(leaf)
        if array.dtype.kind not in "biufV" or (array.dtype.kind == "V" and "float" not in array.dtype.name):
            raise DataError(
                f"an array of {array.dtype} is no array of numbers.", do="encode text and dates as numbers first."
            )
        return array if array.dtype.kind == "b" or _fits_device(array) else array.astype(dtype, copy=False)

    arrays = jax.tree.map(convert, data)
    rows_of(arrays)
    _check_finite(arrays)
    return arrays


def is_stream(data: Any) -> bool:
    """Whether ``data`` yields batches: a list is one of batches where each entry holds arrays, ``[(X, y), (X, y)]``."""
    if isinstance(data, list):
        return bool(data) and all(_holds_arrays(entry) for entry in data)
    return isinstance(data, Iterable) and not isinstance(data, tuple | dict | str) and not hasattr(data, "shape")


def _holds_arrays(entry: Any) -> bool:
    leaves = jax.tree.leaves(entry) if isinstance(entry, tuple | list | dict) else []
    return bool(leaves) and all(hasattr(leaf, "shape") for leaf in leaves)


def _fits_device(array: np.ndarray) -> bool:
    """Whether an array holds integers, and those of the device hold them."""
    if array.dtype.kind not in "iu":
        return False
    limits = np.iinfo(jax.dtypes.canonicalize_dtype(array.dtype))
    return not array.size or bool(limits.min <= array.min() and array.max() <= limits.max)


def place(arrays: Any, mesh: Mesh | None, *, split: bool, axis: int = 0) -> Any:
    """Arrays on the device, or over all devices of the mesh: rows split over its first axis, or copied to each."""
    if mesh is None:
        return jax.device_put(arrays)
    names = (*(None,) * axis, mesh.axis_names[0]) if split else ()
    sharding = NamedSharding(mesh, PartitionSpec(*names))

    def put(leaf):
        if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(put(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf))
        return jax.make_array_from_callback(np.shape(leaf), sharding, lambda index: np.asarray(leaf)[index])

    return jax.tree.map(put, arrays)


def _mapped_batches(data: Any, rows: int, size: int, seed: int, epoch: int) -> Iterator[Any]:
    order = np.random.default_rng((seed, epoch)).permutation(rows)
    for first in range(0, rows - size + 1, size):
        chosen = np.sort(order[first : first + size])  # in the order of the file, which is how it is read fastest
        yield jax.tree.map(lambda leaf, chosen=chosen: leaf[chosen], data)


def _check_finite(arrays: Any) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(arrays):
        values = np.asarray(leaf)
        if values.dtype.kind in "biu" or np.isfinite(values).all():
            continue
        position = tuple(np.argwhere(~np.isfinite(values))[0].tolist())
        raise DataError(
            f"data{jax.tree_util.keystr(path)}{list(position)} is {values[position]}.",
            "one such value makes every loss and every gradient undefined (float32 ends at 3.4e38).",
            "fill in or remove such rows.",
        )


def _check_batch_size(batch_size: Any, rows: int) -> int:
    size = check_count("batch_size", batch_size)
    if size > rows:
        raise EdgewiseError(
            f"batch_size={size} is larger than the data, {rows} samples.",
            do=f"pass at most {rows}, or leave it out for full batches.",
        )
    return size


def _check_divides(size: int, mesh: Mesh | None, name: str) -> None:
    devices = 1 if mesh is None else mesh.devices.shape[0]
    if size % devices:
        raise ShapeError(
            f"{name}, {size}, does not divide by the {devices} devices of the mesh.",
            "every device takes an equal share of the rows.",
            f"use a multiple of {devices}.",
        )
