"""Convolutions of edge functions on scikit-learn's handwritten digits, 8 by 8 pixels.

``python examples/digits_convolution.py`` trains with three seeds and prints accuracy on the test fifth and seconds.
"""

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from flax import nnx
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import edgewise as ew


def digits() -> Any:
    """Training and test images ``[n, 8, 8, 1]`` in [-1, 1] and their classes; a fixed split, a fifth for the test."""
    pixels, classes = map(np.asarray, load_digits(return_X_y=True))
    images = (pixels.reshape(-1, 8, 8, 1) / 8 - 1).astype(np.float32)
    return train_test_split(images, classes, test_size=0.2, random_state=0, stratify=classes)


def shifted(X: np.ndarray, y: np.ndarray):
    """The images, and each moved by a pixel in the four directions."""
    padded = np.pad(X, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-1)
    corners = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
    return np.concatenate([padded[:, i : i + 8, j : j + 8] for i, j in corners]), np.tile(y, len(corners))


def run(seed: int = 0, steps: int = 1500):
    """A trained model and its accuracy on the test images."""
    X, X_test, y, y_test = digits()
    model = ew.ConvKAN((8, 8, 1), [16, 32], 10, ew.BSpline(3, 3), strides=[1, 2], rngs=nnx.Rngs(seed))
    options = {"optimizer": "adam:3e-3,cosine", "steps": steps, "batch_size": 64, "seed": seed}
    ew.fit(model, shifted(X, y), loss="cross_entropy", **options)
    return model, float(np.mean(np.argmax(nnx.jit(lambda model, X: model(X))(model, X_test), axis=1) == y_test))


def main(arguments: Sequence[str] | None = None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1500)
    given = parser.parse_args(arguments)
    for seed in range(given.seeds):
        start = time.perf_counter()
        model, accuracy = run(seed, given.steps)
        if seed == 0:
            print(model)
        print(f"seed {seed}: accuracy {accuracy:.4f} in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
