import cv2
import numpy as np
import pytest
import torch
from mmdet.models.data_preprocessors import (
    DetDataPreprocessor,
    MultiBranchDataPreprocessor,
)
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from ssod_mm.evaluation.drawing import (
    class_colours,
    detections_picture,
    draw_boxes,
    enlarged,
    legible_scale,
    side_by_side,
    stacked,
    titled,
    to_picture,
)


@pytest.mark.parametrize("bgr_to_rgb", [True, False])
@pytest.mark.parametrize("wrapped", [True, False])
def test_picture_is_the_loaded_image_again(bgr_to_rgb, wrapped, mmdet_scope):
    inner = dict(
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=bgr_to_rgb,
        pad_size_divisor=32,
    )
    preprocessor = DetDataPreprocessor(**inner)
    bgr = torch.randint(0, 256, (3, 20, 30), dtype=torch.uint8)
    sample = DetDataSample(metainfo=dict(img_shape=(20, 30)))
    data = preprocessor(dict(inputs=[bgr], data_samples=[sample]))
    if wrapped:
        preprocessor = MultiBranchDataPreprocessor(
            dict(type="mmdet.DetDataPreprocessor", **inner)
        )
    picture = to_picture(data["inputs"][0], preprocessor, (20, 30))
    assert picture.shape == (20, 30, 3)
    assert (picture == bgr.flip(0).permute(1, 2, 0).numpy()).all()


def test_without_normalisation():
    preprocessor = DetDataPreprocessor(bgr_to_rgb=True)
    image = torch.full((3, 4, 4), 7.0)
    assert (to_picture(image, preprocessor, (4, 4)) == 7).all()


def test_boxes_are_drawn_where_they_are():
    picture = np.zeros((40, 60, 3), dtype=np.uint8)
    colour = (255, 140, 0)
    boxes = np.array([[10, 5, 30, 35], [50, 5, 50, 30]])
    draw_boxes(picture, boxes, ["", ""], colour, thickness=1)
    rows, columns = np.nonzero(picture.any(-1))
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == (10, 5, 30, 35)
    assert tuple(picture[5, 20]) == colour
    assert not picture[10:30, 15:25].any()


def test_detections_are_drawn_by_their_class_probability(tmp_path):
    """A head that ranks by p * v has scores below p."""
    file = tmp_path / "image.png"
    cv2.imwrite(str(file), np.zeros((80, 120, 3), np.uint8))
    found = InstanceData(
        bboxes=torch.tensor([[10.0, 20, 30, 60], [60.0, 20, 100, 60]]),
        scores=torch.tensor([0.36, 0.3]),
        cls_scores=torch.tensor([0.9, 0.4]),
        labels=torch.tensor([0, 1]),
    )
    sample = DetDataSample(pred_instances=found)
    picture = detections_picture(file, sample, ("a", "b"), 0.5)
    assert picture[21:59, 5:35].any()
    assert not picture[30:59, 58:102].any()
    del found.cls_scores
    assert not detections_picture(file, sample, ("a", "b"), 0.5).any()


def test_captions_stay_inside_the_picture():
    picture = np.zeros((40, 200, 3), dtype=np.uint8)
    draw_boxes(picture, np.array([[190, 0, 199, 39]]), ["word 0.99"], (255, 255, 0))
    assert picture[:20, 100:190].any()


def test_as_many_captions_as_boxes():
    with pytest.raises(ValueError, match="1 boxes but 2 captions"):
        draw_boxes(np.zeros((9, 9, 3), np.uint8), np.ones((1, 4)), ["", ""], (0, 0, 0))


def test_small_pictures_become_legible():
    small, large = np.zeros((60, 100, 3), np.uint8), np.zeros((500, 900, 3), np.uint8)
    assert legible_scale(small) == 5
    assert legible_scale(large) == 1
    assert enlarged(small, 5).shape == (300, 500, 3)


def test_tiles_of_different_size():
    wide, high = np.zeros((10, 90, 3), np.uint8), np.zeros((50, 20, 3), np.uint8)
    row = side_by_side([wide, high])
    assert row.shape == (50, 90 + 6 + 20, 3)
    assert (row[10:, :90] == 255).all()
    assert stacked([row, high]).shape == (50 + 6 + 50, 116, 3)
    assert titled(wide, "x").shape == (30, 90, 3)


def test_classes_have_different_colours():
    assert len(set(class_colours(80))) == 80
