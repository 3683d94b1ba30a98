"""Pictures of what the teacher teaches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmdet.registry import HOOKS
from mmdet.structures import DetDataSample
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from torch import Tensor

from ssod_mm.engine.telemetry_hooks import (
    last_teaching_step,
    training_classes,
    unwrapped,
)
from ssod_mm.errors import UserError
from ssod_mm.evaluation.drawing import (
    PSEUDO_COLOUR,
    TRUTH_COLOUR,
    draw_boxes,
    enlarged,
    legible_scale,
    side_by_side,
    stacked,
    titled,
    to_picture,
)
from ssod_mm.evaluation.hidden_truth import HiddenTruth, to_view_frame
from ssod_mm.structures import TeachingStep


@HOOKS.register_module()
class DrawPseudoLabelsHook(Hook):
    """Draws pseudo labels on the weak view (left) and on the strong view (right).

    The pictures go to ``<work_dir>/pseudo_labels/iter_000500.png`` and to the runner's
    visualizer (TensorBoard, if configured). Only the main process draws. Iterations
    without teaching (burn-in) give no picture.

    Args:
        interval: iterations between two pictures.
        num_images: unlabelled images of the batch in a picture.
        ann_file: withheld annotations to draw in green beside the orange pseudo
            labels; None for none.

    Raises:
        FileNotFoundError: no such ``ann_file``, at the start of training.
        ValueError: arguments below 1, or a file without usable annotations.
    """

    # before LoggerHook; after the teacher's update nothing here has changed
    priority = "NORMAL"

    def __init__(
        self,
        interval: int = 500,
        num_images: int = 2,
        ann_file: str | Path | None = None,
    ) -> None:
        for key, value in (("interval", interval), ("num_images", num_images)):
            if value < 1:
                raise UserError(
                    f"DrawPseudoLabelsHook.{key}={value} must be at least 1."
                )
        self.interval = interval
        self.num_images = num_images
        self.ann_file = ann_file
        self.truth: HiddenTruth | None = None

    def before_train(self, runner: Runner) -> None:
        """Read class names and, where given, the withheld annotations."""
        self.classes = training_classes(runner)
        if self.ann_file is not None:
            self.truth = HiddenTruth(
                self.ann_file,
                self.classes,
                "hidden_ann_file, or ann_file of DrawPseudoLabelsHook",
            )

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Ask the detector to keep the images of this iteration if they are drawn."""
        if self.every_n_train_iters(runner, self.interval):
            unwrapped(runner.model).keeps_images = True

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        """Draw at the interval."""
        if self.every_n_train_iters(runner, self.interval):
            self._draw(runner)

    @master_only
    def _draw(self, runner: Runner) -> None:
        step = last_teaching_step(runner)
        if step is None or step.inputs_weak is None:
            return
        iteration = runner.iter + 1
        picture = self.picture(step, unwrapped(runner.model).data_preprocessor)
        path = Path(runner.work_dir) / "pseudo_labels" / f"iter_{iteration:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        runner.visualizer.add_image("pseudo_labels", picture, step=iteration)

    def picture(self, step: TeachingStep, preprocessor: Any) -> np.ndarray:
        """The first images of a step, one row each: weak view, strong view.

        Args:
            step: the step.
            preprocessor: the detector's data preprocessor, which normalised the views.

        Returns:
            (H, W, 3) uint8 RGB.
        """
        sides = {
            "teacher: weak view": (
                step.inputs_weak,
                step.samples_weak,
                step.labels_weak,
            ),
            "student: strong view": (
                step.inputs_strong,
                step.samples_strong,
                step.labels_strong,
            ),
        }
        rows = []
        for number in range(min(self.num_images, len(step.samples_weak))):
            views = [
                titled(
                    self._view(
                        to_picture(
                            inputs[number], preprocessor, samples[number].img_shape[:2]
                        ),
                        samples[number],
                        labels.instances[number],
                    ),
                    title,
                )
                for title, (inputs, samples, labels) in sides.items()
            ]
            rows.append(side_by_side(views))
        return stacked(rows)

    def _view(
        self, picture: np.ndarray, sample: DetDataSample, pseudo: InstanceData
    ) -> np.ndarray:
        """One view with truth below and pseudo labels above."""
        scale = legible_scale(picture)
        picture = enlarged(picture, scale)
        known = self.truth.find(sample.img_path) if self.truth else None
        if known is not None:
            boxes = to_view_frame(known.bboxes, sample)
            draw_boxes(
                picture, _scaled(boxes, scale), [""] * len(boxes), TRUTH_COLOUR, 3
            )
        captions = [
            f"{self.classes[label]} {score:.2f}"
            for label, score in zip(
                pseudo.labels.tolist(), pseudo.scores.tolist(), strict=True
            )
        ]
        return draw_boxes(
            picture, _scaled(pseudo.bboxes, scale), captions, PSEUDO_COLOUR, 1
        )


def _scaled(boxes_N4: Tensor, scale: int) -> np.ndarray:
    return boxes_N4.detach().float().cpu().numpy() * scale
