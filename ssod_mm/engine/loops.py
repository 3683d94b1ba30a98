"""Validation and test loops that judge teacher and student on the same batches."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import LOOPS
from mmengine.config import ConfigDict
from mmengine.device import get_device
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import CheckpointHook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner, TestLoop, ValLoop
from mmengine.runner.amp import autocast
from torch import nn

from ssod_mm.engine.amp import keep_detection_ops_in_float32
from ssod_mm.errors import UserError

MODELS_TO_JUDGE = ("teacher", "student")
"""What the loops can evaluate, in the order of their results."""


@contextmanager
def predict_with(model: nn.Module, name: str) -> Iterator[None]:
    """Let a semi-supervised detector predict with one of its two models.

    ``model.semi_test_cfg`` is replaced by a copy whose ``predict_on`` is ``name`` and
    is put back on leaving, also after an error.

    Args:
        model: a detector with ``semi_test_cfg``, not its DDP wrapper.
        name: "teacher" or "student".
    """
    original = model.semi_test_cfg
    changed = ConfigDict(original or {})
    changed["predict_on"] = name
    model.semi_test_cfg = changed
    try:
        yield
    finally:
        model.semi_test_cfg = original


def unwrapped_semi_detector(model: nn.Module, loop_name: str) -> nn.Module:
    """The semi-supervised detector inside ``model``.

    Args:
        model: the runner's model, possibly wrapped for distributed training.
        loop_name: who asks, for the message.

    Raises:
        UserError: the model has no teacher and student to choose from.
    """
    detector = model.module if is_model_wrapper(model) else model
    missing = [
        name
        for name in (*MODELS_TO_JUDGE, "semi_test_cfg")
        if not hasattr(detector, name)
    ]
    if missing:
        raise UserError(
            f"{loop_name} evaluates the teacher and the student of a semi-supervised "
            f"detector, but {type(detector).__name__} has no {', '.join(missing)}. "
            "For a plain detector set val_cfg.type='ValLoop' and "
            "test_cfg.type='TestLoop'."
        )
    return detector


def evaluator_for(evaluator: Evaluator, name: str, shared_files: bool) -> Evaluator:
    """A copy of ``evaluator`` with empty accumulators, for one model.

    The ground truth that a COCO metric has loaded is shared, not copied. Where the
    metric writes files, ``name`` is added to their names when ``shared_files``.

    Args:
        evaluator: the loop's evaluator.
        name: whose results the copy gathers.
        shared_files: whether another model's results would go to the same files.
    """
    truths = [getattr(metric, "_coco_api", None) for metric in evaluator.metrics]
    kept = {id(truth): truth for truth in truths if truth is not None}
    copied = copy.deepcopy(evaluator, kept)
    for metric in copied.metrics:
        metric.results.clear()
        if not shared_files:
            continue
        if getattr(metric, "outfile_prefix", None):
            metric.outfile_prefix = f"{metric.outfile_prefix}.{name}"
        if getattr(metric, "out_file_path", None):
            path = Path(metric.out_file_path)
            own_name = f"{path.stem}.{name}{path.suffix}"
            metric.out_file_path = str(path.with_name(own_name))
    return copied


def result_keys(metrics: Sequence[BaseMetric], models: Sequence[str]) -> list[str]:
    """The keys of the results, or patterns of them with "*".

    A metric that has ``result_names`` says its keys exactly.
    """
    keys = []
    for name in models:
        for metric in metrics:
            start = "/".join(filter(None, (name, metric.prefix)))
            endings = getattr(metric, "result_names", None) or ["*"]
            keys += [f"{start}/{ending}" for ending in endings]
    return keys


def check_save_best(runner: Runner, valid: Sequence[str]) -> None:
    """Refuse a ``save_best`` key that no evaluation will ever produce.

    Args:
        runner: its checkpoint hooks are looked at.
        valid: keys, or patterns of keys with "*".

    Raises:
        ValueError: names the key and lists the valid ones.
    """
    for hook in runner.hooks:
        if not isinstance(hook, CheckpointHook):
            continue
        for key in hook.save_best or ():
            if key == "auto" or any(fnmatchcase(key, pattern) for pattern in valid):
                continue
            near = get_close_matches(key, valid, n=1)
            meant = f" Did you mean '{near[0]}'?" if near else ""
            raise UserError(
                f"default_hooks.checkpoint.save_best='{key}' will never be among the "
                f"validation results.{meant} Valid keys: {', '.join(valid)}."
            )


class _BothModels:
    """What the two loops share: one pass over the data, two sets of results."""

    stage: str

    def _setup(self, models: Sequence[str]) -> None:
        models = (models,) if isinstance(models, str) else tuple(models)
        if (
            not models
            or len(set(models)) < len(models)
            or set(models) - set(MODELS_TO_JUDGE)
        ):
            raise UserError(
                f"{self.stage}_cfg.models={models} must name 'teacher', 'student' or "
                "both, each once."
            )
        self.models = models
        if self._precision() is not None:
            keep_detection_ops_in_float32(self.runner.model)
        self.evaluators: dict[str, Evaluator] = {}

    def _precision(self) -> torch.dtype | None:
        """Precision of the predictions; None for float32."""
        if self.fp16 is None:
            wrapper = self.runner.optim_wrapper  # a config before training
            if isinstance(wrapper, Mapping):
                return None
            return getattr(wrapper, "cast_dtype", None)
        if not self.fp16:
            return None
        return torch.get_autocast_dtype(get_device())

    def run(self) -> dict[str, float]:
        """Evaluate every model of ``models``.

        Returns:
            The results, ``<model>/<key of the metric>`` each.

        Raises:
            UserError: the detector has no teacher and student.
        """
        detector = unwrapped_semi_detector(self.runner.model, type(self).__name__)
        self.evaluators = {
            name: evaluator_for(self.evaluator, name, len(self.models) > 1)
            for name in self.models
        }
        self.runner.call_hook(f"before_{self.stage}")
        self.runner.call_hook(f"before_{self.stage}_epoch")
        self.runner.model.eval()
        for idx, data_batch in enumerate(self.dataloader):
            self._judge(detector, idx, data_batch)
        num_images = len(self.dataloader.dataset)
        metrics = {
            f"{name}/{key}": value
            for name, evaluator in self.evaluators.items()
            for key, value in evaluator.evaluate(num_images).items()
        }
        self.runner.call_hook(f"after_{self.stage}_epoch", metrics=metrics)
        self.runner.call_hook(f"after_{self.stage}")
        return metrics

    @torch.no_grad()
    def _judge(self, detector: nn.Module, idx: int, data_batch: Any) -> None:
        """Predict one batch with every model; hooks get the first one's outputs."""
        self.runner.call_hook(
            f"before_{self.stage}_iter", batch_idx=idx, data_batch=data_batch
        )
        data = detector.data_preprocessor(data_batch, False)
        outputs = {}
        dtype = self._precision()
        fast = dtype is not None
        for name in self.models:
            # predictions are written into the samples: each model gets its own
            samples = [sample.new() for sample in data["data_samples"]]
            with predict_with(detector, name), autocast(enabled=fast, dtype=dtype):
                outputs[name] = detector(data["inputs"], samples, mode="predict")
            self.evaluators[name].process(outputs[name], data_batch)
        self.runner.call_hook(
            f"after_{self.stage}_iter",
            batch_idx=idx,
            data_batch=data_batch,
            outputs=outputs[self.models[0]],
        )


@LOOPS.register_module()
class BothModelsValLoop(_BothModels, ValLoop):
    """Validate teacher and student; each batch is loaded and preprocessed once.

    Results are keyed ``teacher/coco/bbox_mAP``, ``student/coco/bbox_mAP`` and so on;
    ``default_hooks.checkpoint.save_best`` takes one of these keys.

    Args:
        runner: the runner.
        dataloader: as in ``ValLoop``.
        evaluator: as in ``ValLoop``; its metrics are copied for every model.
        fp16: predict under autocast; None: in a training with mixed precision, in
            its precision.
        models: which models to evaluate; hooks that draw get the first one's outputs.

    Raises:
        ValueError: bad ``models``, or ``save_best`` asks for a key that will never be
            among the results.
    """

    stage = "val"

    def __init__(
        self,
        runner: Runner,
        dataloader: Any,
        evaluator: Any,
        fp16: bool | None = None,
        models: Sequence[str] = MODELS_TO_JUDGE,
    ) -> None:
        super().__init__(runner, dataloader, evaluator, fp16)
        self._setup(models)
        check_save_best(runner, result_keys(self.evaluator.metrics, self.models))


@LOOPS.register_module()
class BothModelsTestLoop(_BothModels, TestLoop):
    """Test teacher and student; each batch is loaded and preprocessed once.

    Args:
        runner: the runner.
        dataloader: as in ``TestLoop``.
        evaluator: as in ``TestLoop``; its metrics are copied for every model.
        fp16: predict under autocast.
        models: which models to evaluate; hooks that draw get the first one's outputs.

    Raises:
        ValueError: bad ``models``.
    """

    stage = "test"

    def __init__(
        self,
        runner: Runner,
        dataloader: Any,
        evaluator: Any,
        fp16: bool = False,
        models: Sequence[str] = MODELS_TO_JUDGE,
    ) -> None:
        super().__init__(runner, dataloader, evaluator, fp16)
        self._setup(models)
