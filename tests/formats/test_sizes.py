"""Sizes that are proposed for a data set, against slow references."""

from __future__ import annotations

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.structures.bbox import bbox_overlaps
from mmengine.config import Config

from ssod_mm.cli.data_sizes import set_sizes
from ssod_mm.errors import UserError
from ssod_mm.formats import sizes
from ssod_mm.formats.sizes import mean_best_iou, proposal_for, propose_sizes

STRIDES, RATIOS = (8, 16), (0.5, 1.0, 2.0)
SIDE = st.floats(1, 300)


@given(st.lists(st.tuples(SIDE, SIDE), min_size=1, max_size=4), st.floats(0.5, 9))
@settings(max_examples=60, deadline=None)
def test_mean_best_iou(boxes, scale):
    """mmdet's IoU between boxes and the anchors a quarter of a stride away."""
    anchors = []
    for stride in STRIDES:
        for ratio in RATIOS:
            w = scale * stride * math.sqrt(1 / ratio)
            h = w * ratio
            x = y = stride / 4
            anchors.append([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
    corners = [[-w / 2, -h / 2, w / 2, h / 2] for w, h in boxes]
    ious = bbox_overlaps(
        torch.tensor(corners, dtype=torch.float64),
        torch.tensor(anchors, dtype=torch.float64),
    )
    expected = ious.max(dim=1).values.mean().item()
    found = mean_best_iou(boxes, scale, STRIDES, RATIOS)
    assert found == pytest.approx(expected, abs=1e-6)


class TestView:
    """Images of 400 x 300; the tenth smallest of 11 boxes is number 1."""

    def propose(self, side, max_pixels, image=(400, 300)):
        boxes = [(1, 1, 0), *[(side, side, 0)] * 10]
        return propose_sizes([image], boxes, STRIDES, max_pixels=max_pixels)

    def test_in_its_own_size_where_boxes_are_large(self):
        found = self.propose(40, 10**6)
        assert found.view == (400, 300)
        assert found.small_box == 40
        assert "max_pixels" not in str(found)

    def test_enlarged_where_boxes_are_small(self):
        # 8 px become 16: twice as large.
        assert self.propose(8, 10**6).view == (800, 600)

    def test_never_of_more_pixels_than_allowed(self):
        # 304 * 228 is 0.76 of the image in both directions.
        found = self.propose(8, 304 * 228)
        assert found.view == (304, 228)
        assert found.small_box == pytest.approx(8 * 0.76)
        assert found.pixels_for_small == 800 * 600
        assert "below 6 px (at 16 px with max_pixels=480000" in str(found)

    def test_upright_images_have_the_same_limits(self):
        assert self.propose(40, 10**6, image=(300, 400)).view == (400, 300)


@pytest.mark.parametrize("scale", [2.0, 4.0, 8.0])
def test_the_scale_whose_anchors_the_boxes_are(scale):
    side = scale * 16
    boxes = [(side, side, 0)] * 5
    found = propose_sizes([(640, 480)], boxes, (16,), max_pixels=10**6)
    assert found.anchor_scale == scale
    by_hand = {s: mean_best_iou([(side, side)], s, (16,), RATIOS) for s in sizes.SCALES}
    assert max(by_hand, key=by_hand.get) == scale
    assert found.mean_iou == pytest.approx(by_hand[scale])


@pytest.mark.parametrize(
    ("images", "boxes", "pixels"),
    [([], [], 100), ([(9, 9)], [], 100), ([(9, 9)], [(0, 5, 0)], 100)],
)
def test_nothing_to_go_by(images, boxes, pixels):
    with pytest.raises(UserError, match="no box says which sizes suit the data"):
        propose_sizes(images, boxes, STRIDES, max_pixels=pixels)


@pytest.fixture
def ann_file(tmp_path):
    document = dict(
        images=[dict(id=5, width=400, height=300)],
        annotations=[
            dict(image_id=5, bbox=[0, 0, 64, 64]),
            dict(image_id=5, bbox=[0, 0, 4, 4], iscrowd=1),
        ],
        categories=[],
    )
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document))
    return path


def test_a_file(ann_file, monkeypatch):
    found = proposal_for(ann_file, STRIDES, 10**6)
    assert (found.view, found.num_boxes, found.small_box) == ((400, 300), 1, 64)
    ann_file.write_text(json.dumps(dict(images=[{}], annotations=[])))
    with pytest.raises(UserError, match=r"a\.json says no sizes"):
        proposal_for(ann_file, STRIDES, 10**6)


def make_config(ann_file, **changes):
    grid = dict(type="AnchorGenerator", scales=[4], strides=[16])
    return Config(
        {
            "sizes": "proposed",
            "max_pixels": 10**6,
            "views": dict(scale=(8, 8)),
            "model": dict(detector=dict(rpn_head=dict(anchor_generator=grid))),
            "train_dataloader": dict(dataset=dict(ann_file=str(ann_file))),
            **changes,
        }
    )


def test_a_config_takes_them_and_says_so(ann_file, capsys):
    cfg = make_config(ann_file)
    set_sizes(cfg)
    assert cfg.views.scale == cfg.views.test_scale == (400, 300)
    assert cfg.model.detector.rpn_head.anchor_generator.scales == [4.0]
    assert capsys.readouterr().out.startswith(
        "sizes that suit the 1 labelled boxes, in images of 400 x"
    )


@pytest.mark.parametrize(
    ("images", "max_pixels", "view"),
    [
        # As large as the median image, upright ones too ...
        ([(400, 300), (300, 400), (640, 480)], 10**6, (400, 300)),
        # ... but within the bound, in multiples of 4 pixels.
        ([(1920, 1080)] * 3, 320 * 320, (428, 240)),
        ([(320, 320)], 320 * 320, (320, 320)),
        ([], 320 * 320, (320, 320)),
    ],
)
def test_views_as_large_as_the_images(tmp_path, images, max_pixels, view):
    path = tmp_path / "val.json"
    sizes = [dict(width=width, height=height) for width, height in images]
    path.write_text(json.dumps(dict(images=sizes)))
    cfg = make_config(
        tmp_path / "none.json",
        sizes=None,
        max_pixels=max_pixels,
        views=dict(scale="images", test_scale="images"),
        val_dataloader=dict(dataset=dict(data_root=str(tmp_path), ann_file=path.name)),
    )
    set_sizes(cfg)
    assert (cfg.views.scale, cfg.views.test_scale) == (view, view)
    # Only what says so is set.
    cfg = make_config(path, sizes=None, views=dict(scale=(8, 8), test_scale="images"))
    set_sizes(cfg)
    assert (cfg.views.scale, cfg.views.test_scale) == ((8, 8), (1000, 1000))


@pytest.mark.parametrize("changes", [{"sizes": None}, {"sizes": "none"}])
def test_a_config_that_asks_for_nothing_stays(ann_file, changes):
    cfg = make_config(ann_file, **changes)
    set_sizes(cfg)
    assert cfg.views.to_dict() == dict(scale=(8, 8))


def test_before_the_split_is_there_nothing_changes(tmp_path):
    cfg = make_config(tmp_path / "none.json")
    set_sizes(cfg)
    assert cfg.views.scale == (8, 8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sizes": "large"}, "sizes must be None or \"proposed\", not 'large'"),
        ({"max_pixels": 0}, "max_pixels must be .* not 0"),
    ],
)
def test_wrong_values(ann_file, changes, message):
    with pytest.raises(UserError, match=message):
        set_sizes(make_config(ann_file, **changes))
