"""Heads and data sets must agree on the number of classes."""

from __future__ import annotations

from mmdet.engine.hooks import NumClassCheckHook
from mmdet.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class ClassCountHook(NumClassCheckHook):
    """mmdet's check of ``num_classes``, with a message that says the way out."""

    def _check_head(self, runner: Runner, mode: str) -> None:
        try:
            super()._check_head(runner, mode)
        except AssertionError as error:
            raise ValueError(
                f"the model and the {mode} data disagree about the classes: {error}; "
                "set num_classes to the number of categories in the json "
                "(--cfg-options num_classes=N, or num_classes of the heads)"
            ) from error
