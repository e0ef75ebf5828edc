"""A stand-in for the training engine: plausible results at once, for tests of what is made of them."""

from types import SimpleNamespace

import numpy as np

from edgewise.training import Progress


def train_ensemble(
    make_model, members, train, test, *, loss, optimizer, epochs, on_progress=None, mesh=None, **options
):
    """Losses that fall like power laws, at a level that depends on the scheme; the last scheme's first run diverges."""
    random = np.random.default_rng(0)
    names = list(dict.fromkeys(type(scheme).__name__ for scheme, _ in members))
    level = np.array([0.002 * 1.7 ** names.index(type(scheme).__name__) for scheme, _ in members])
    final = level * np.exp(0.5 * random.normal(size=len(members)))
    steps = np.unique(np.linspace(1, epochs, min(epochs, 100)).astype(int))
    losses = final[:, None] * (1 + (epochs / steps) ** 0.9) + 1e-9
    diverged_at = np.full(len(members), -1)
    if len(members) > 8:
        diverged_at[-1] = epochs // 3
        losses[-1, steps > diverged_at[-1]] = np.nan
    y_test = test[1]
    if loss == "mse":
        predictions = y_test[None] + np.sqrt(final)[:, None, None] * random.normal(size=(len(members), *y_test.shape))
        score = ((predictions - y_test) ** 2).mean(axis=(1, 2))
    else:
        classes = int(y_test.max()) + 1
        right = random.uniform(size=(len(members), len(y_test))) > 20 * final[:, None]
        label = np.where(right, y_test, random.integers(0, classes, len(y_test)))
        predictions = np.eye(classes)[label]
        score = (label == y_test).mean(axis=1)
    for epoch in (1, epochs // 2, epochs):
        if on_progress:
            on_progress(Progress(step=epoch, steps=epochs, losses=final, steps_per_second=1e4, eta_seconds=3.0))
    score = np.where(diverged_at >= 0, np.nan, score)
    return SimpleNamespace(
        epochs=steps, train_loss=losses, score=score, predictions=predictions,
        diverged_at=diverged_at, completed=epochs, interrupted=False, seconds=1.5, compile_seconds=0.5,
    )  # fmt: skip
