import json

import numpy as np
import pytest
import torch

from ssod_mm.evaluation.voc07_metric import (
    NO_TRUTH,
    ClassTruth,
    Voc07Metric,
    voc_average_precision,
)

NONE = np.zeros((0, 4))


def boxes(*lefts):
    return np.array([[x, 0, x + 10, 10] for x in lefts], dtype=float).reshape(-1, 4)


def found(*pairs):
    return np.array([[x, 0, x + 10, 10, s] for x, s in pairs], dtype=float)


def test_both_rules_by_hand():
    # Four objects on two images; by score: right, wrong, right.
    # recall 1/4, 1/4, 2/4 and precision 1, 1/2, 2/3.
    truths = [ClassTruth(boxes(0, 100), NONE), ClassTruth(boxes(0, 100), NONE)]
    detections = [found((0, 0.9), (50, 0.8)), found((100, 0.7))]
    # 11 points: precision 1 at recall 0, 0.1, 0.2; 2/3 at 0.3, 0.4, 0.5; 0 above
    assert voc_average_precision(detections, truths, mode="11points") == pytest.approx(
        (3 * 1 + 3 * 2 / 3) / 11
    )
    # area: 1/4 at precision 1, another 1/4 at 2/3
    assert voc_average_precision(detections, truths, mode="area") == pytest.approx(
        0.25 + 0.25 * 2 / 3
    )


def test_difficult_boxes_neither_help_nor_hurt():
    plain = voc_average_precision([found((0, 0.5))], [ClassTruth(boxes(0), NONE)])
    with_difficult = voc_average_precision(
        [found((0, 0.5), (50, 0.9), (50, 0.8))], [ClassTruth(boxes(0), boxes(50, 90))]
    )
    assert plain == with_difficult == pytest.approx(1.0)


def test_a_second_detection_of_the_same_object_is_wrong():
    value = voc_average_precision(
        [found((0, 0.9), (0, 0.8), (100, 0.7))],
        [ClassTruth(boxes(0, 100), NONE)],
        mode="area",
    )
    assert value == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_nothing_to_find_is_no_number():
    assert np.isnan(voc_average_precision([found((0, 0.9))], [NO_TRUTH]))


@pytest.fixture
def ann_file(tmp_path):
    def ann(number, category, left, **flags):
        return dict(
            id=number, image_id=7, category_id=category, bbox=[left, 0, 10, 10], **flags
        )

    content = dict(
        images=[dict(id=7, file_name="a.jpg", width=200, height=20)],
        annotations=[ann(1, 5, 0), ann(2, 5, 50, difficult=1), ann(3, 9, 100)],
        # the order differs from that of the classes, one is foreign
        categories=[
            dict(id=9, name="dog"),
            dict(id=5, name="cat"),
            dict(id=1, name="elk"),
            dict(id=2, name="fox"),  # none in the images
        ],
    )
    path = tmp_path / "voc.json"
    path.write_text(json.dumps(content))
    return path


def sample(pred_boxes, labels):
    return dict(
        img_id=7,
        pred_instances=dict(
            bboxes=torch.tensor(pred_boxes),
            scores=torch.full((len(labels),), 0.9),
            labels=torch.tensor(labels),
        ),
    )


def test_metric_reads_json_and_names_its_result(ann_file):
    metric = Voc07Metric(str(ann_file), classwise=True)
    metric.dataset_meta = dict(classes=("cat", "dog", "fox"))
    # the cat, a difficult cat, and the dog called a cat
    metric.process({}, [sample(boxes(0, 50, 100), [0, 0, 0])])
    results = metric.evaluate(1)
    assert results.pop("voc07/fox_AP_11points") != results  # NaN: no fox to find
    assert results == pytest.approx(
        {
            "voc07/mAP_11points": 0.5,
            "voc07/cat_AP_11points": 1.0,
            "voc07/dog_AP_11points": 0.0,
        }
    )
    assert metric.result_names == ["mAP_11points", "*_AP_11points"]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        (dict(eval_mode="12points"), ValueError, "eval_mode='12points'"),
        (dict(iou_thr=0.0), ValueError, "iou_thr=0.0"),
        (dict(prefix="coco"), ValueError, "prefix='coco'"),
        (dict(ann_file="absent.json"), FileNotFoundError, "absent.json"),
    ],
)
def test_bad_arguments(ann_file, changes, error, words):
    with pytest.raises(error, match=words):
        Voc07Metric(**{"ann_file": ann_file, **changes})
