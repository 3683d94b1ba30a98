"""NMS for a batch against NMS image by image."""

from __future__ import annotations

from unittest.mock import patch

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import ConfigDict

from ssod_mm.models.batched import proposals
from ssod_mm.models.batched.proposals import joint_nms, nms_by_image


def test_many_candidates_go_through_nms_image_by_image(monkeypatch):
    """The mask of one call grows with the square of their number."""
    monkeypatch.setattr(proposals, "in_one_call", lambda _boxes: True)
    corner = torch.rand(30, 2) * 50
    boxes = torch.cat([corner, corner + 20], 1)
    images, labels = torch.arange(30) // 10, torch.arange(30) % 2
    cfg = ConfigDict(nms=dict(type="nms", iou_threshold=0.5), max_per_img=4)
    arguments = boxes, torch.rand(30), images, labels, 4, 2, cfg
    rows, counts = proposals.detections_nms(*arguments)
    monkeypatch.setattr(proposals, "_MOST_IN_ONE_CALL", 29)
    with patch.object(proposals, "nms_in_cells", side_effect=AssertionError):
        again, same = proposals.detections_nms(*arguments)
    assert rows.tolist() == again.tolist()
    assert counts == same == [4, 4, 4, 0]


def test_one_nms_call_keeps_what_a_call_for_each_image_keeps(monkeypatch):
    """Among the best boxes, or among all where the best are too few."""
    by_image, ways = nms_by_image, set()

    def among_all(*arguments):
        ways.add("all")
        return by_image(*arguments)

    monkeypatch.setattr(proposals, "nms_by_image", among_all)

    @settings(max_examples=80, deadline=None)
    @given(data=st.data())
    def check(data):
        draw = data.draw
        generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
        images, count = draw(st.integers(1, 4)), draw(st.integers(1, 60))
        # Whole pixels: moved apart or not, their IoUs are the same to the bit.
        size = (images, count, 2)
        corner = torch.randint(0, 300, size, generator=generator)
        sides = torch.randint(1, 200, size, generator=generator)
        boxes = torch.cat([corner, corner + sides], 2).float()
        scores = torch.rand(images, count, generator=generator)
        groups = torch.randint(0, 5, (count,), generator=generator)
        real = torch.rand(images, count, generator=generator) < draw(
            st.sampled_from([0.0, 0.5, 1.0])
        )
        boxes = boxes * real[..., None]
        limit = draw(st.integers(1, count))
        cfg = ConfigDict(type="nms", iou_threshold=draw(st.sampled_from([0.1, 0.5])))
        expected = by_image(boxes, scores, groups, real, cfg, limit)
        before = len(ways)
        found = joint_nms(boxes, scores, groups, real, cfg, limit)
        if len(ways) == before and 2 * limit < count:
            ways.add("best")
        for image in range(images):
            wanted = expected[0][image][expected[1][image]]
            other = found[0][image][found[1][image]]
            assert wanted.tolist() == other.tolist()
            assert found[1][image].tolist() == sorted(
                found[1][image].tolist(), reverse=True
            )

    check()
    assert ways == {"all", "best"}


def test_many_proposals_go_through_nms_image_by_image(monkeypatch):
    """The pairs of one search grow with the square of their number."""
    torch.manual_seed(0)
    corner = torch.rand(2, 30, 2) * 50
    boxes, scores = torch.cat([corner, corner + 20], 2), torch.rand(2, 30)
    cfg = ConfigDict(type="nms", iou_threshold=0.5)
    arguments = boxes, scores, torch.arange(30) % 3, None, cfg, 4
    rows, real = joint_nms(*arguments)
    monkeypatch.setattr(proposals, "_MOST_PAIRS", 2 * 8**2 - 1)
    with patch.object(proposals, "greedy_nms", side_effect=AssertionError):
        again, same = joint_nms(*arguments)
    assert real.all()
    assert same.all()
    assert rows.tolist() == again.tolist()
