"""Training: one engine for one model and for many."""

from edgewise.training import regularizers
from edgewise.training.callbacks import Callback
from edgewise.training.checkpoint import Checkpoint, CheckpointError, read_header
from edgewise.training.diagnosis import NonFiniteError
from edgewise.training.ensemble import EnsembleResult, train_ensemble
from edgewise.training.fit import FitResult, fit
from edgewise.training.fit_ensemble import FittedEnsemble, fit_ensemble
from edgewise.training.history import History
from edgewise.training.monitors import EarlyStopping, Monitor, ReduceOnPlateau
from edgewise.training.objective import LeastSquares
from edgewise.training.progress import Progress
from edgewise.training.run import Run
from edgewise.training.saved_model import load_model, save_model

__all__ = [
    "Callback",
    "Checkpoint",
    "CheckpointError",
    "EarlyStopping",
    "EnsembleResult",
    "FitResult",
    "FittedEnsemble",
    "History",
    "LeastSquares",
    "Monitor",
    "NonFiniteError",
    "Progress",
    "ReduceOnPlateau",
    "Run",
    "fit",
    "fit_ensemble",
    "load_model",
    "read_header",
    "regularizers",
    "save_model",
    "train_ensemble",
]
