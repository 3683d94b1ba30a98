import json

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample

from ssod_mm.evaluation.hidden_truth import HiddenTruth, to_image_frame, to_view_frame

KEY = "custom_hooks[0].ann_file"


def content(**changes):
    def ann(number, image_id, category, box, **flags):
        return dict(
            id=number, image_id=image_id, category_id=category, bbox=box, **flags
        )

    return {
        "images": [
            dict(id=30, file_name="b/x.jpg", width=100, height=50),
            dict(id=10, file_name="x.jpg", width=100, height=50),
            dict(id=20, file_name="empty.jpg", width=100, height=50),
        ],
        "annotations": [
            ann(1, 10, 2, [0, 0, 10, 10]),
            ann(2, 30, 1, [5, 6, 7, 8]),
            ann(3, 10, 1, [1, 2, 3, 4], iscrowd=1),
            ann(4, 10, 3, [1, 2, 3, 4]),
        ],
        "categories": [dict(id=i, name=f"c{i}") for i in (1, 2, 3)],
        **changes,
    }


def truth_of(tmp_path, classes=("c2", "c1"), **changes):
    path = tmp_path / "hidden.json"
    path.write_text(json.dumps(content(**changes)))
    return HiddenTruth(path, classes, KEY)


def test_finds_images_by_the_end_of_their_path(tmp_path):
    truth = truth_of(tmp_path)
    assert len(truth) == 3
    one = truth.find("/data/train/x.jpg")
    assert one.bboxes.tolist() == [[0, 0, 10, 10], [1, 2, 4, 6]]
    assert one.labels.tolist() == [0, 1]  # by name; c3 is not among the classes
    assert one.ignored.tolist() == [False, True]
    assert truth.find("/data/train/b/x.jpg").bboxes.tolist() == [[5, 6, 12, 14]]
    assert len(truth.find("empty.jpg").bboxes) == 0
    assert truth.find("/data/train/xx.jpg") is None
    assert truth.find("/data/x.jpg/other.jpg") is None


def test_missing_file_names_key_and_way_out(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"custom_hooks\[0\].*make_splits"):
        HiddenTruth(tmp_path / "absent.json", ("c1",), KEY)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (dict(annotations=[]), "-hidden.json"),
        (
            dict(categories=[dict(id=i, name=f"zebra{i}") for i in (1, 2, 3)]),
            "is missing.*zebra1",
        ),
    ],
)
def test_files_without_usable_truth(tmp_path, changes, words):
    with pytest.raises(ValueError, match=words):
        truth_of(tmp_path, **changes)


@pytest.mark.parametrize("text", ["{", "[1]", "{}"])
def test_no_coco_json(tmp_path, text):
    path = tmp_path / "hidden.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"hidden\.json"):
        HiddenTruth(path, ("c1",), KEY)


def test_frames_are_inverse_and_clipped():
    # flipped and twice as large: x' = 200 - 2x, y' = 2y
    matrix = np.array([[-2, 0, 200], [0, 2, 0], [0, 0, 1]], dtype=np.float32)
    sample = DetDataSample(
        metainfo=dict(
            homography_matrix=matrix, ori_shape=(50, 100), img_shape=(100, 200)
        )
    )
    boxes = torch.tensor([[10.0, 5.0, 30.0, 20.0]])
    view = to_view_frame(boxes, sample)
    assert view.tolist() == [[140, 10, 180, 40]]
    torch.testing.assert_close(to_image_frame(view, sample), boxes)
    outside = torch.tensor([[-20.0, -20.0, 500.0, 40.0]])
    assert to_image_frame(outside, sample).tolist() == [[0, 0, 100, 20]]
