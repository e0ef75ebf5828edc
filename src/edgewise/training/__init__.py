"""Training."""

from edgewise.training.ensemble import EnsembleProgress, EnsembleResult, train_ensemble

__all__ = ["EnsembleProgress", "EnsembleResult", "train_ensemble"]
