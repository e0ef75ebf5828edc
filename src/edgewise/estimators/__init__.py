"""Networks as estimators of scikit-learn: ``pip install 'edgewise[sklearn]'``."""

from edgewise.errors import require

require("sklearn", "sklearn")  # before the modules below import it: the error then names the extra

from edgewise.estimators.classifier import KANClassifier  # noqa: E402
from edgewise.estimators.regressor import KANRegressor  # noqa: E402

__all__ = ["KANClassifier", "KANRegressor"]
