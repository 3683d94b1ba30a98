"""AP and precision at each IoU threshold."""

import json

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from ssod_mm.evaluation.iou_curves import (
    THRESHOLDS,
    class_average_precisions,
    match_counts,
    mean_over_classes,
    rarest_classes,
)

CLASSES = ("a", "b", "c")


def write_truth(path, boxes):
    """A json with one image per entry: lists of (category id, x, y, w, h)."""
    images = [
        dict(id=i, file_name=f"{i}.jpg", width=100, height=100)
        for i in range(len(boxes))
    ]
    rows = [(i, *box) for i, own in enumerate(boxes) for box in own]
    annotations = [
        dict(
            id=number,
            image_id=image,
            category_id=category,
            bbox=box,
            area=box[2] * box[3],
            iscrowd=0,
        )
        for number, (image, category, *box) in enumerate(rows, start=1)
    ]
    categories = [dict(id=i + 1, name=name) for i, name in enumerate(CLASSES)]
    path.write_text(
        json.dumps(dict(images=images, annotations=annotations, categories=categories))
    )
    return path


def detection(image, category, box, score):
    return dict(image_id=image, category_id=category, bbox=list(box), score=score)


@pytest.fixture
def truth(tmp_path):
    """Two a on image 0, one b on image 1; no c."""
    return write_truth(
        tmp_path / "truth.json",
        [[(1, 0, 0, 40, 40), (1, 50, 50, 40, 40)], [(2, 10, 10, 50, 20)]],
    )


@pytest.mark.parametrize("fast", [True, False])
def test_hand_worked_average_precision(truth, fast):
    """Class a: one of two found, moved by 8 of 40 px, so IoU 32 / 48 = 0.67.

    It counts up to the threshold 0.65: precision 1 up to recall 1/2, which COCO reads
    off at 51 of 101 recalls. Class b is found exactly, after a false one: precision
    1/2 at every recall.
    """
    found = [
        detection(0, 1, (8, 0, 40, 40), 0.9),
        detection(1, 2, (60, 60, 20, 20), 0.8),
        detection(1, 2, (10, 10, 50, 20), 0.4),
    ]
    ap = class_average_precisions(truth, found, [1, 2, 3], fast=fast)
    assert ap.shape == (10, 3)
    half = 51 / 101
    assert ap[:, 0].tolist() == pytest.approx([half] * 4 + [0.0] * 6)
    assert ap[:, 1].tolist() == pytest.approx([0.5] * 10)
    assert np.isnan(ap[:, 2]).all()
    means = mean_over_classes(ap)
    assert means == pytest.approx([(half + 0.5) / 2] * 4 + [0.25] * 6)
    assert mean_over_classes(ap, [0, 2]) == pytest.approx([half] * 4 + [0.0] * 6)
    assert np.isnan(mean_over_classes(ap, [2])).all()


def test_nothing_detected(truth):
    ap = class_average_precisions(truth, [], [1, 2, 3])
    assert mean_over_classes(ap) == [0.0] * 10


def test_rarest_classes(tmp_path):
    file = write_truth(
        tmp_path / "train.json", [[(1, 0, 0, 5, 5)] * 3, [(3, 0, 0, 5, 5)] * 2]
    )
    assert rarest_classes(file, CLASSES, 2) == [1, 2]
    content = json.loads(file.read_text())
    for annotation in content["annotations"][:2]:
        annotation["iscrowd"] = 1
    file.write_text(json.dumps(content))
    assert rarest_classes(file, CLASSES, 3) == [1, 0, 2]


@pytest.mark.parametrize("number", [0, 4])
def test_as_many_rare_classes_as_there_are(truth, number):
    with pytest.raises(ValueError, match=f"--rare {number} must lie between 1 and"):
        rarest_classes(truth, CLASSES, number)


def test_matches_at_each_threshold():
    """IoU 32 / 48 = 0.67 and 1."""
    boxes = torch.tensor([[8.0, 0, 48, 40], [50.0, 50, 90, 90]])
    labels = torch.tensor([0, 0])
    true = torch.tensor([[0.0, 0, 40, 40], [50.0, 50, 90, 90]])
    counts = match_counts(
        [InstanceData(bboxes=boxes, scores=torch.tensor([0.9, 0.8]), labels=labels)],
        [InstanceData(bboxes=true, labels=labels)],
        num_classes=3,
    )
    precisions = [float(count.overall.precisions) for count in counts]
    assert precisions == [1.0] * 4 + [0.5] * 6
    assert len(counts) == len(THRESHOLDS)
