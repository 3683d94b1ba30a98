"""Boxes that an anchor head gives: four offsets of an anchor, or GFL's distributions.

GFL (Generalized Focal Loss, NeurIPS 2020) tells each side of a box by a distribution
over its distance from the centre of the anchor, in strides.
"""

from __future__ import annotations

from mmdet.models.dense_heads import AnchorHead, GFLHead
from torch import Tensor


def num_box_outputs(head: AnchorHead) -> int:
    """How many outputs tell the box of an anchor."""
    if isinstance(head, GFLHead):
        return 4 * (head.reg_max + 1)
    return head.bbox_coder.encode_size


def decoded_boxes(head: AnchorHead, anchors_N4: Tensor, outputs_NC: Tensor) -> Tensor:
    """Boxes (N, 4) in pixels of the anchors' frame.

    Args:
        head: RetinaNet's, an RPN, or GFL's.
        anchors_N4: anchors as the head's generator gives them, xyxy.
        outputs_NC: the head's box outputs, see :func:`num_box_outputs`.
    """
    if not isinstance(head, GFLHead):
        return head.bbox_coder.decode(anchors_N4, outputs_NC)
    distances = head.integral(outputs_NC) * anchor_strides(head, anchors_N4)
    return head.bbox_coder.decode(head.anchor_center(anchors_N4), distances)


def box_losses(
    head: AnchorHead, anchors_N4: Tensor, outputs_NC: Tensor, boxes_N4: Tensor
) -> Tensor:
    """Loss (N,) of each anchor's box, as the head's own loss weighs it.

    Args:
        head: as in :func:`decoded_boxes`.
        anchors_N4: as in :func:`decoded_boxes`.
        outputs_NC: as in :func:`decoded_boxes`.
        boxes_N4: boxes to predict, in the same frame.
    """
    if isinstance(head, GFLHead):
        strides = anchor_strides(head, anchors_N4)
        centres = head.anchor_center(anchors_N4) / strides
        sides = head.bbox_coder.encode(centres, boxes_N4 / strides, head.reg_max)
        spread = head.loss_dfl(
            outputs_NC.reshape(-1, head.reg_max + 1),
            sides.reshape(-1),
            reduction_override="none",
        )
        predicted = decoded_boxes(head, anchors_N4, outputs_NC)
        placed = head.loss_bbox(predicted, boxes_N4, reduction_override="none")
        return placed + spread.reshape(-1, 4).mean(1)
    if head.reg_decoded_bbox:
        predicted, wanted = decoded_boxes(head, anchors_N4, outputs_NC), boxes_N4
    else:
        predicted = outputs_NC
        wanted = head.bbox_coder.encode(anchors_N4, boxes_N4)
    values = head.loss_bbox(predicted, wanted, reduction_override="none")
    return values.reshape(len(anchors_N4), -1).sum(1)


def anchor_strides(head: GFLHead, anchors_N4: Tensor) -> Tensor:
    """Stride in pixels (N, 1) of the level of each anchor.

    GFL has one anchor at a point, which is as many strides wide on every level.
    """
    generator = head.prior_generator
    first = generator.base_anchors[0][0]
    per_pixel = float(generator.strides[0][0] / (first[2] - first[0]))
    return (anchors_N4[:, 2:3] - anchors_N4[:, 0:1]) * per_pixel
