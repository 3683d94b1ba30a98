"""What the log says about thresholds and loss weights per class."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ssod_mm.engine.telemetry_hooks import training_classes, unwrapped
from ssod_mm.errors import UserError


@HOOKS.register_module()
class ClassBalanceLogHook(Hook):
    """Writes threshold, loss weight and count of every class to the visualizer.

    They are the scalars ``class_threshold/<name>``, ``class_weight/<name>`` and
    ``class_count/<name>`` of the json lines and of TensorBoard, not part of the log
    lines on the terminal. ``tools/plot_class_balance.py`` draws them. The log lines
    have ``class_weight_mean``, ``class_threshold_min`` and ``class_threshold_max``. The
    mean weight is not 1 with ``average="count"``, see :class:`ClassBalance`.

    Args:
        interval: iterations between two reports, the only times that the values are
            fetched from the device; the first iteration is reported too.
    """

    priority = "NORMAL"

    def __init__(self, interval: int = 50) -> None:
        if interval < 1:
            raise UserError(
                f"ClassBalanceLogHook.interval={interval} must be at least 1."
            )
        self.interval = interval

    def before_train(self, runner: Runner) -> None:
        """Learn the class names; say so where there is nothing to log.

        Raises:
            ValueError: the data's classes are not those of the model.
        """
        model = unwrapped(runner.model)
        self.balance = getattr(model, "class_balance", None)
        if self.balance is None:
            runner.logger.warning(
                f"{type(model).__name__} has no class balance (model.class_balance): "
                "ClassBalanceLogHook logs nothing."
            )
            return
        self.classes = training_classes(runner)
        if len(self.classes) != self.balance.num_classes:
            raise UserError(
                f"The model's class balance has {self.balance.num_classes} classes, "
                f"train_dataloader.dataset has {len(self.classes)}: set num_classes of "
                "the box head."
            )

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        """Report in the first iteration and at the interval."""
        due = runner.iter == 0 or self.every_n_train_iters(runner, self.interval)
        if self.balance is None or not due:
            return
        columns = {
            "class_threshold": self.balance.thresholds().tolist(),
            "class_weight": self.balance.weights().tolist(),
            "class_count": self.balance.counts.tolist(),
        }
        scalars = {
            f"{key}/{name}": value
            for key, column in columns.items()
            for name, value in zip(self.classes, column, strict=True)
        }
        runner.visualizer.add_scalars(scalars, runner.iter + 1)
        for key, value in {
            "class_weight_mean": fmean(columns["class_weight"]),
            "class_threshold_min": min(columns["class_threshold"]),
            "class_threshold_max": max(columns["class_threshold"]),
        }.items():
            runner.message_hub.update_scalar(f"train/{key}", value)
