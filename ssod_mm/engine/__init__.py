"""Hooks, loops and wrappers of a run; importing registers them."""

import ssod_mm.mmdet_datasets  # noqa: F401  (first: it silences mmdet)
from ssod_mm.engine.amp import MixedPrecisionOptimWrapper
from ssod_mm.engine.checkpoint_hook import DurableCheckpointHook
from ssod_mm.engine.class_balance_hook import ClassBalanceLogHook
from ssod_mm.engine.class_hook import ClassCountHook
from ssod_mm.engine.draw_hook import DrawPseudoLabelsHook
from ssod_mm.engine.guard_hook import NonFiniteTrainingError, StopOnNaNHook
from ssod_mm.engine.loops import BothModelsTestLoop, BothModelsValLoop
from ssod_mm.engine.loss_hook import LossInfoHook
from ssod_mm.engine.record_hook import RunRecordHook
from ssod_mm.engine.run_log import EarlyLoggerHook
from ssod_mm.engine.seed_hook import IterationSeedHook
from ssod_mm.engine.teacher_hook import MeanTeacherEMAHook
from ssod_mm.engine.telemetry_hooks import PseudoLabelLogHook, PseudoLabelQualityHook

__all__ = [
    "BothModelsTestLoop",
    "BothModelsValLoop",
    "ClassBalanceLogHook",
    "ClassCountHook",
    "DrawPseudoLabelsHook",
    "DurableCheckpointHook",
    "EarlyLoggerHook",
    "IterationSeedHook",
    "LossInfoHook",
    "MeanTeacherEMAHook",
    "MixedPrecisionOptimWrapper",
    "NonFiniteTrainingError",
    "PseudoLabelLogHook",
    "PseudoLabelQualityHook",
    "RunRecordHook",
    "StopOnNaNHook",
]
