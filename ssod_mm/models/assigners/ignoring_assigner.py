"""mmdet's assigners, which also ignore where an image has no box at all."""

from __future__ import annotations

from typing import Any

from mmdet.models.task_modules.assigners import (
    AssignResult,
    ATSSAssigner,
    MaxIoUAssigner,
)
from mmdet.registry import TASK_UTILS
from mmengine.structures import InstanceData


@TASK_UTILS.register_module()
class IgnoringMaxIoUAssigner(MaxIoUAssigner):
    """``MaxIoUAssigner`` whose ignored boxes count in images without other boxes.

    mmdet marks ignored candidates in the matrix of overlaps with the boxes, which has
    no rows when an image has none: there every candidate becomes background. Images
    on which a teacher is unsure of all that it sees are just such images.
    """

    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
        **kwargs: Any,
    ) -> AssignResult:
        """Assign candidates to boxes.

        Args:
            pred_instances: candidates, ``priors`` (N, 4) xyxy in pixels.
            gt_instances: ``bboxes`` (M, 4) and ``labels`` (M,).
            gt_instances_ignore: ``bboxes`` (K, 4) to ignore.
            **kwargs: for mmdet's method.

        Returns:
            mmdet's result; -1 in ``gt_inds`` stands for ignored candidates.
        """
        result = super().assign(
            pred_instances, gt_instances, gt_instances_ignore, **kwargs
        )
        ignored = getattr(gt_instances_ignore, "bboxes", None)
        if len(gt_instances) or self.ignore_iof_thr <= 0:
            return result
        if ignored is None or not len(ignored) or not len(pred_instances):
            return result
        priors = pred_instances.priors
        if self.ignore_wrt_candidates:
            shares = self.iou_calculator(priors, ignored, mode="iof").amax(1)
        else:
            shares = self.iou_calculator(ignored, priors, mode="iof").amax(0)
        result.gt_inds[shares > self.ignore_iof_thr] = -1
        return result


@TASK_UTILS.register_module()
class IgnoringATSSAssigner(ATSSAssigner):
    """``ATSSAssigner`` whose ignored boxes take candidates from the background alone.

    mmdet ignores first and assigns what is left: a box that the teacher is sure of
    loses its candidates to an unsure one of another class in the same place. And in
    images without other boxes it ignores nothing.
    """

    def assign(
        self,
        pred_instances: InstanceData,
        num_level_priors: list[int],
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
    ) -> AssignResult:
        """Assign candidates to boxes.

        Args:
            pred_instances: candidates, ``priors`` (N, 4) xyxy in pixels.
            num_level_priors: candidates of each level.
            gt_instances: ``bboxes`` (M, 4) and ``labels`` (M,).
            gt_instances_ignore: ``bboxes`` (K, 4) to ignore.

        Returns:
            mmdet's result; -1 in ``gt_inds`` stands for ignored candidates.
        """
        result = super().assign(pred_instances, num_level_priors, gt_instances)
        ignored = getattr(gt_instances_ignore, "bboxes", None)
        if ignored is None or not len(ignored) or self.ignore_iof_thr <= 0:
            return result
        shares = self.iou_calculator(pred_instances.priors, ignored, mode="iof")
        unsure = (shares > self.ignore_iof_thr).any(1) & (result.gt_inds == 0)
        result.gt_inds.masked_fill_(unsure, -1)
        return result
