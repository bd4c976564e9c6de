"""Tracking: where else a run's numbers go as they come, for those who look at them with other tools.

A mirror is never read: the store stays the only truth, and no number depends on what is mirrored.
"""

from __future__ import annotations

from pydantic import Field

from harness.spec import Spec


class MLflow(Spec):
    """An MLflow tracking server, or a database of its own."""

    uri: str | None = Field(default=None, min_length=1)
    """Of the server or database; `sqlite:///…/mlflow.db` in the run's folder where it is not said."""


class Tracking(Spec):
    """The mirrors of a run."""

    tensorboard: bool = False
    """Event files under `tensorboard/` in the run's folder: scalars an epoch, and settings."""
    mlflow: MLflow | None = None
    """An experiment a study, a run a trial."""
    optuna_journal: bool = False
    """`optuna.journal` in the run's folder, which `optuna-dashboard` opens: an Optuna study a pair and arm."""
