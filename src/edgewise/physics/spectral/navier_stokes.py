"""Navier-Stokes in two dimensions: w_t + u w_x + v w_y = (w_xx + w_yy) / Re on the torus [0, 2 pi]^2.

w = v_x - u_y is the vorticity, u_x + v_y = 0, and the velocity has no mean.
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi
from typing import Any

import numpy as np
from scipy.special import ive

from edgewise.errors import check_count, check_positive
from edgewise.physics.reference import Reference, checked_axis, checked_times
from edgewise.physics.spectral.etdrk4 import solve
from edgewise.physics.spectral.fourier import initial_values, transforms

__all__ = ["navier_stokes", "two_vortices"]


def two_vortices(points: np.ndarray) -> np.ndarray:
    """Vorticity [n, 1] of two equal vortices at (pi -+ 0.6, pi), at points [n, 2] of (x, y).

    w = 10 sum_i exp(8 (cos(x - x_i) + cos(y - pi) - 2)) less its mean: a Gaussian of width 0.35 made periodic.
    They turn about each other and have merged at t = 4 for Re = 100.
    """
    x, y = points[:, 0:1], points[:, 1:2]
    pair = sum(np.exp(8 * (np.cos(x - pi - shift) + np.cos(y - pi) - 2)) for shift in (-0.6, 0.6))
    return 10 * (pair - 2 * ive(0, 8) ** 2)


class _Torus:
    """Coefficients [2 modes + 1, modes + 1] (k_x in FFT order, k_y >= 0) and a grid that is free of aliasing."""

    def __init__(self, modes: int):
        self.modes, self.size = modes, transforms.next_fast_len(3 * modes + 1, real=True)
        self.k_x = np.concatenate([np.arange(modes + 1.0), np.arange(-modes, 0.0)])[:, None]
        self.k_y = np.arange(modes + 1.0)[None]
        self.square = self.k_x**2 + self.k_y**2
        inverse = 1 / np.where(self.square == 0, np.inf, self.square)
        self.to_u, self.to_v = 1j * self.k_y * inverse, -1j * self.k_x * inverse

    def grid(self, c: np.ndarray) -> np.ndarray:
        full = np.zeros((self.size, self.size // 2 + 1), complex)
        full[: self.modes + 1, : self.modes + 1] = c[: self.modes + 1]
        full[-self.modes :, : self.modes + 1] = c[self.modes + 1 :]
        return transforms.irfft2(full, (self.size, self.size), norm="forward")

    def series(self, values: np.ndarray) -> np.ndarray:
        full = transforms.rfft2(values, norm="forward")[:, : self.modes + 1]
        return np.concatenate([full[: self.modes + 1], full[-self.modes :]])

    def evaluate(self, c: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The series [..., 2 modes + 1, modes + 1] on the grid of any x [n_x] and y [n_y]: [..., n_x, n_y]."""
        left = np.exp(1j * x[:, None] * self.k_x[:, 0])
        right = np.exp(1j * self.k_y[0][:, None] * y) * np.where(self.k_y[0] == 0, 1.0, 2.0)[:, None]
        return np.real(left @ c @ right)

    def advection(self, w: np.ndarray) -> np.ndarray:
        """-(u w_x + v w_y) = -((d_xx - d_yy)(u v) + d_xy(v^2 - u^2)), with four transforms."""
        u, v = self.grid(self.to_u * w), self.grid(self.to_v * w)
        product, difference = self.series(u * v), self.series(v * v - u * u)
        return (self.k_x**2 - self.k_y**2) * product + self.k_x * self.k_y * difference


def navier_stokes(
    t: Any,
    x: Any,
    y: Any,
    *,
    reynolds: Any = 100.0,
    initial: Callable[[np.ndarray], np.ndarray] = two_vortices,
    velocity: bool = True,
    modes: int = 63,
    step: Any = 0.01,
) -> Reference:
    """Fourier series and ETDRK4 for the vorticity, products free of aliasing.

    Args:
        t: output times, [n_t], from 0.
        x: output points in [0, 2 pi], [n_x], anywhere.
        y: the same for the second coordinate, [n_y].
        reynolds: Re, 1 / viscosity.
        initial: w(0, x, y), points [n, 2] -> [n, 1], smooth, 2 pi-periodic; a mean is taken off.
        velocity: whether the outputs are (u, v, w), what a network that predicts velocities (with w or its curl as
            the third) is scored on, as in jaxpi; otherwise w alone.
        modes: highest wave number in each direction; the grid has 3 points a wave, 192^2 for 63.
        step: longest time step.

    Returns:
        Reference with axes (t, x, y) and outputs (u, v, w) or w.  Relative L2 1.2e-7 for t in [0, 1], in 2 s, and
        3.1e-7 for t in [0, 4], in 6 s; its ``accuracy`` (of w; less for u and v) is estimated at each call.
    """
    t, x, y = checked_times(t), checked_axis("x", x), checked_axis("y", y)
    modes = check_count("modes", modes, 8)
    check_positive("reynolds", reynolds)
    torus = _Torus(modes)
    line = 2 * pi * np.arange(torus.size) / torus.size
    points = np.stack([part.ravel() for part in np.meshgrid(line, line, indexing="ij")], axis=1)
    start = torus.series(initial_values(initial, points).reshape(torus.size, torus.size))
    start[0, 0] = 0
    tail = np.maximum(np.abs(torus.k_x), torus.k_y) > 0.875 * modes
    states, accuracy = solve(-torus.square / reynolds, torus.advection, start, t, step, tail)
    fields = [torus.to_u * states, torus.to_v * states, states] if velocity else [states]
    values = np.stack([torus.evaluate(field, x, y) for field in fields], axis=-1)
    return Reference((t, x, y), values, ("t", "x", "y"), accuracy)
