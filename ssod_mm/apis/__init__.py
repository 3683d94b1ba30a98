"""What a user calls from a program or a notebook; each tool is one of these calls.

Importing this package loads no torch: a call does. The other modules here are what the
calls need, and the analyses.
"""

from ssod_mm.apis.sweeping import SweepResult, sweep
from ssod_mm.apis.testing import test
from ssod_mm.apis.training import TrainedRun, train
from ssod_mm.apis.using import ExportedDetector, Prediction, export, predict

__all__ = [
    "ExportedDetector",
    "Prediction",
    "SweepResult",
    "TrainedRun",
    "export",
    "predict",
    "sweep",
    "test",
    "train",
]
