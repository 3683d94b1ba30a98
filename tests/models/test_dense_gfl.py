"""Dense guidance on GFL, whose boxes are distributions over distances."""

from __future__ import annotations

import math

import pytest
import torch
from mmengine.config import ConfigDict

from ssod_mm.models.dense.boxes import box_losses, decoded_boxes, num_box_outputs
from tests.models.builders import batch, total
from tests.models.dense_builders import build_dense, gfl_cfg, missing_gradients

pytestmark = pytest.mark.usefixtures("mmdet_scope")

HEAD = dict(head=dict(tau=0.6))
BINS = 9


def test_a_step_trains_every_parameter():
    model = build_dense(HEAD, gfl_cfg())
    losses = model.loss(*batch())
    total(losses).backward()
    assert not missing_gradients(model)
    assert losses["head_clusters"] > 0
    for name in ("cls", "bbox"):
        assert losses[f"unsup_loss_{name}"] > 0


def test_kept_boxes_are_those_of_the_detector_itself():
    model = build_dense(HEAD, gfl_cfg())
    inputs, samples = batch()
    teacher, weak = model.teacher, samples["unsup_teacher"]
    cfg = ConfigDict(teacher.test_cfg, score_thr=0.6, nms_pre=10_000, max_per_img=1000)
    with torch.no_grad():
        teacher.bbox_head.gfl_cls.weight.mul_(0.2)  # no two scores round to 1
        found = model.teacher_guidance(inputs["unsup_teacher"], weak)
        want = teacher.bbox_head.predict_by_feat(
            *teacher.bbox_head(teacher.extract_feat(inputs["unsup_teacher"])),
            batch_img_metas=[sample.metainfo for sample in weak],
            cfg=cfg,
            rescale=False,
        )
    for mine, theirs in zip(found.instances, want, strict=True):
        assert len(mine) == len(theirs) > 3
        torch.testing.assert_close(mine.scores, theirs.scores)
        torch.testing.assert_close(mine.bboxes, theirs.bboxes)
        assert mine.labels.tolist() == theirs.labels.tolist()


def anchors_and_outputs(head):
    """Two anchors of each level, float64, and box outputs drawn for them."""
    grids = [(4, 6), (2, 3), (1, 2)]
    levels = head.prior_generator.grid_priors(grids, device="cpu")
    anchors = torch.cat([level[-2:] for level in levels]).double()
    generator = torch.Generator().manual_seed(0)
    shape = (len(anchors), num_box_outputs(head))
    outputs = torch.randn(shape, generator=generator, dtype=torch.float64)
    return anchors, outputs, [8, 8, 16, 16, 32, 32]


def expected_box(anchor, output, stride):
    """A box from the means of four distributions, one bin after the other."""
    x, y = (anchor[0] + anchor[2]) / 2, (anchor[1] + anchor[3]) / 2
    means = []
    for side in range(4):
        logits = output[side * BINS : (side + 1) * BINS]
        top = sum(math.exp(v) for v in logits)
        means.append(sum(i * math.exp(v) / top for i, v in enumerate(logits)) * stride)
    return [x - means[0], y - means[1], x + means[2], y + means[3]]


def expected_loss(anchor, output, stride, box):
    """GIoU loss of weight 2 and a quarter of the four distribution losses of 0.25."""
    got = expected_box(anchor, output, stride)

    def area(b):
        return max(b[2] - b[0], 0) * max(b[3] - b[1], 0)

    both = [max(got[0], box[0]), max(got[1], box[1])]
    both += [min(got[2], box[2]), min(got[3], box[3])]
    hull = [min(got[0], box[0]), min(got[1], box[1])]
    hull += [max(got[2], box[2]), max(got[3], box[3])]
    union = area(got) + area(box) - area(both)
    giou = area(both) / union - (area(hull) - union) / area(hull)

    x, y = (anchor[0] + anchor[2]) / 2, (anchor[1] + anchor[3]) / 2
    spread = 0.0
    distances = [x - box[0], y - box[1], box[2] - x, box[3] - y]
    for side, distance in enumerate(distances):
        logits = output[side * BINS : (side + 1) * BINS]
        top = math.log(sum(math.exp(v) for v in logits))
        wanted = min(max(distance / stride, 0), BINS - 1 - 0.1)
        low = int(wanted)
        spread -= (low + 1 - wanted) * (logits[low] - top)
        spread -= (wanted - low) * (logits[low + 1] - top)
    return 2 * (1 - giou) + 0.25 * spread / 4


def test_boxes_and_losses_against_a_loop():
    head = build_dense(HEAD, gfl_cfg()).student.bbox_head.double()
    anchors, outputs, strides = anchors_and_outputs(head)
    wanted = anchors + torch.tensor([3.0, -5.0, 9.0, 2.0], dtype=torch.float64)
    boxes = decoded_boxes(head, anchors, outputs)
    losses = box_losses(head, anchors, outputs, wanted)
    rows = [a.tolist() for a in (anchors, outputs, wanted)]
    for number, (anchor, output, box) in enumerate(zip(*rows, strict=True)):
        stride = strides[number]
        assert boxes[number].tolist() == pytest.approx(
            expected_box(anchor, output, stride)
        )
        assert float(losses[number]) == pytest.approx(
            expected_loss(anchor, output, stride, box), rel=1e-5
        )


def test_the_gradient_of_the_box_loss():
    head = build_dense(HEAD, gfl_cfg()).student.bbox_head.double()
    anchors, outputs, _ = anchors_and_outputs(head)
    outputs.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda values: box_losses(head, anchors, values, anchors + 2.0), (outputs,)
    )
