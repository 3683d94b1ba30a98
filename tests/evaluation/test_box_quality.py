"""Boxes beside their IoU, by hand."""

import math

import pytest
import torch
from mmengine.structures import InstanceData

from ssod_mm.evaluation.box_quality import BoxQuality, box_quality


def found(boxes, labels, **fields):
    num = len(boxes)
    values = dict(
        scores=torch.full((num,), 0.5), loc_scores=torch.full((num,), 0.25), **fields
    )
    return InstanceData(
        bboxes=torch.tensor(boxes).float().reshape(-1, 4),
        labels=torch.tensor(labels, dtype=torch.long),
        **values,
    )


def truth(boxes, labels, ignored=None):
    made = InstanceData(
        bboxes=torch.tensor(boxes).float().reshape(-1, 4),
        labels=torch.tensor(labels, dtype=torch.long),
    )
    made.ignored = torch.tensor(ignored or [False] * len(labels)).bool()
    return made


def test_iou_with_the_best_box_of_the_same_class():
    objects = truth([[0, 0, 10, 10], [0, 0, 10, 20], [50, 50, 60, 60]], [0, 0, 1])
    # On the first object: 10 x 10 of 10 x 20 overlap; the second exactly; the third
    # is of another class; and one far from all.
    boxes = found(
        [[0, 0, 10, 5], [0, 0, 10, 20], [50, 50, 60, 60], [80, 80, 90, 90]],
        [0, 0, 0, 1],
    )
    got = box_quality(boxes, objects)
    assert got.ious.tolist() == pytest.approx([0.5, 1.0, 0.0, 0.0])
    assert got.loc_scores.tolist() == [0.25] * 4


def test_boxes_on_ignored_objects_do_not_count():
    objects = truth([[0, 0, 10, 10], [30, 30, 40, 40]], [0, 0], [True, False])
    boxes = found([[0, 0, 10, 9], [30, 30, 40, 39], [70, 70, 80, 80]], [0, 0, 0])
    assert box_quality(boxes, objects).ious.tolist() == pytest.approx([0.9, 0.0])


def test_no_truth_and_no_detection():
    lonely = box_quality(found([[0, 0, 5, 5]], [0]), truth([], []))
    assert lonely.ious.tolist() == [0.0]
    nothing = box_quality(found([], []), truth([[0, 0, 5, 5]], [0]))
    assert len(nothing) == 0
    assert len(BoxQuality.joined([lonely, nothing])) == 1
    assert all(
        math.isnan(value)
        for pair in BoxQuality.joined([]).correlations().values()
        for value in pair
    )


def test_class_probability_and_not_the_rank_is_p():
    boxes = found([[0, 0, 5, 5]], [0], cls_scores=torch.tensor([0.9]))
    assert box_quality(boxes, truth([], [])).cls_scores.tolist() == pytest.approx([0.9])


def test_correlations_and_threshold():
    ious = torch.tensor([0.1, 0.4, 0.5, 0.9])
    quality = BoxQuality(ious, torch.tensor([0.9, 0.8, 0.7, 0.6]), ious.square())
    got = quality.correlations()
    assert got["p"][1] == pytest.approx(-1)
    assert got["v"][1] == pytest.approx(1)
    assert got["v"][0] < 1
    assert set(got) == {"p", "v", "p*v"}
    assert quality.above(0.7).ious.tolist() == pytest.approx([0.1, 0.4, 0.5])


def test_heads_without_quality_are_told():
    boxes = found([[0, 0, 5, 5]], [0])
    del boxes.loc_scores
    with pytest.raises(ValueError, match=r"no loc_scores.*GaussianBBoxHead"):
        box_quality(boxes, truth([], []))
