"""Batched assignment and sampling against mmdet's, image by image."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.models.task_modules.assigners import AssignResult, MaxIoUAssigner
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from mmdet.models.task_modules.samplers import RandomSampler
from mmengine.structures import InstanceData

from ssod_mm.maths.assignment import (
    AssignRule,
    SampleRule,
    assign_max_iou,
    batch_overlaps,
    sample_by_keys,
)
from ssod_mm.maths.deltas import decode_deltas, encode_deltas
from ssod_mm.models.assigners import IgnoringMaxIoUAssigner


def grid_boxes(count: int, generator: torch.Generator, size: int = 8) -> torch.Tensor:
    """Boxes on a coarse grid, so that equal overlaps and equal boxes are frequent."""
    corner = torch.randint(0, size, (count, 2), generator=generator)
    sides = torch.randint(1, size, (count, 2), generator=generator)
    return torch.cat([corner, corner + sides], 1).float()


def padded(parts: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(1, *[len(part) for part in parts])
    boxes, real = torch.zeros(len(parts), width, 4), torch.zeros(len(parts), width)
    for row, part in enumerate(parts):
        boxes[row, : len(part)] = part
        real[row, : len(part)] = 1
    return boxes, real.bool()


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_assignment_equals_mmdets(data):
    draw = data.draw
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    images = draw(st.integers(1, 3))
    boxes = [grid_boxes(draw(st.integers(0, 6)), generator) for _ in range(images)]
    ignored = [grid_boxes(draw(st.integers(0, 3)), generator) for _ in range(images)]
    shared = draw(st.booleans())
    count = draw(st.integers(1, 30))
    priors = [grid_boxes(count, generator) for _ in range(1 if shared else images)]
    low = draw(st.sampled_from([0.3, (0.1, 0.4), 0.5]))
    args = dict(
        pos_iou_thr=0.5,
        neg_iou_thr=low,
        min_pos_iou=draw(st.sampled_from([0.0, 0.3, 0.5])),
        match_low_quality=draw(st.booleans()),
        gt_max_assign_all=draw(st.booleans()),
        ignore_iof_thr=draw(st.sampled_from([-1, 0.3, 0.5])),
        ignore_wrt_candidates=draw(st.booleans()),
    )
    ignoring = draw(st.booleans())
    low_high = low if isinstance(low, tuple) else (0.0, low)
    rule = {key: value for key, value in args.items() if key != "neg_iou_thr"}
    rule = AssignRule(neg_iou_range=low_high, ignore_without_boxes=ignoring, **rule)
    real_boxes, real = padded(boxes)
    found = assign_max_iou(
        torch.stack(priors),
        real_boxes,
        real,
        rule,
        *(padded(ignored) if any(map(len, ignored)) else (None, None)),
        max_pairs=draw(st.sampled_from([1, 2**20])),
    )
    assigner = (IgnoringMaxIoUAssigner if ignoring else MaxIoUAssigner)(**args)
    for image in range(images):
        expected = assigner.assign(
            InstanceData(priors=priors[0 if shared else image]),
            InstanceData(
                bboxes=boxes[image], labels=torch.zeros(len(boxes[image])).long()
            ),
            InstanceData(bboxes=ignored[image]),
        )
        assert found[image].tolist() == expected.gt_inds.tolist()


def test_candidates_that_take_no_part_are_left_alone():
    boxes = torch.tensor([[[0.0, 0, 10, 10]], [[0.0, 0, 10, 10]]])
    priors = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 10, 8], [50, 50, 60, 60]]])
    valid = torch.tensor([[False, True, True], [True, True, False]])
    rule = AssignRule(0.9, (0.0, 0.3), min_pos_iou=0.5)
    found = assign_max_iou(priors, boxes, torch.ones(2, 1).bool(), rule, valid_BN=valid)
    # The best box that takes part is taken: 0.8 in the first image.
    assert found.tolist() == [[-1, 1, 0], [1, -1, -1]]


def test_no_candidates():
    boxes, real = padded([torch.tensor([[0.0, 0, 4, 4]])])
    found = assign_max_iou(torch.zeros(1, 0, 4), boxes, real, AssignRule(0.5, (0, 0.5)))
    assert found.shape == (1, 0)
    rows, foreground, background = sample_by_keys(
        found, torch.zeros(1, 0), SampleRule(4, 2)
    )
    assert rows.shape == foreground.shape == background.shape == (1, 0)


def test_overlap_by_either_area():
    box, prior = torch.tensor([[[0.0, 0, 4, 4]]]), torch.tensor([[[2.0, 0, 4, 8]]])
    assert batch_overlaps(box, prior).item() == pytest.approx(8 / 24)
    assert batch_overlaps(box, prior, "boxes").item() == pytest.approx(8 / 16)
    assert batch_overlaps(box, prior, "priors").item() == pytest.approx(8 / 16)
    prior[..., 3] = 4
    assert batch_overlaps(box, prior, "priors").item() == pytest.approx(1.0)


class KeyedSampler(RandomSampler):
    """mmdet's sampler, its random choice made by keys."""

    keys: torch.Tensor

    def random_choice(self, gallery, num):
        return gallery[self.keys[gallery].topk(num).indices]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_sampling_equals_mmdets(data):
    draw = data.draw
    count = draw(st.integers(1, 40))
    inds = st.lists(st.integers(-1, 2), min_size=count, max_size=count)
    assigned = torch.tensor([draw(inds) for _ in range(draw(st.integers(1, 3)))])
    keys = torch.stack(
        [torch.randperm(count).float() / count for _ in range(len(assigned))]
    )
    num = draw(st.integers(1, 50))
    fraction = draw(st.sampled_from([0.0, 0.25, 0.5, 1.0]))
    most = draw(st.sampled_from([-1, 0, 1, 2.5]))
    rule = SampleRule(num, int(num * fraction), most)
    rows, foreground, background = sample_by_keys(assigned, keys, rule)
    sampler = KeyedSampler(num, fraction, most, add_gt_as_proposals=False)
    for image, inds in enumerate(assigned):
        sampler.keys = keys[image]
        labels = torch.where(inds > 0, 0, -1)
        expected = sampler.sample(
            AssignResult(2, inds, torch.zeros(count), labels),
            InstanceData(priors=torch.zeros(count, 4)),
            InstanceData(bboxes=torch.zeros(2, 4), labels=torch.zeros(2).long()),
        )
        assert rows[image][foreground[image]].tolist() == expected.pos_inds.tolist()
        assert rows[image][background[image]].tolist() == expected.neg_inds.tolist()
        order = foreground[image].int() * 2 + background[image].int()
        assert order.tolist() == sorted(order.tolist(), reverse=True)


def test_every_candidate_is_sampled_equally_often():
    assigned = torch.tensor([1] * 6 + [0] * 10 + [-1] * 4).expand(6000, -1)
    keys = torch.rand(assigned.shape, generator=torch.Generator().manual_seed(0))
    rows, foreground, background = sample_by_keys(assigned, keys, SampleRule(8, 3))
    times = torch.zeros(20).scatter_add_(
        0, rows.flatten(), (foreground | background).flatten().float()
    )
    share = times / len(assigned)
    # 3 of 6 foreground ones, 5 of 10 others; five standard errors are 0.032.
    assert share[:16].tolist() == pytest.approx([0.5] * 16, abs=0.032)
    assert share[16:].sum() == 0
    # Pairs too: two given of six are both among three with probability 1/5.
    chosen = torch.zeros(len(assigned), 20).scatter_(1, rows, foreground.float())
    assert (chosen[:, 0] * chosen[:, 1]).mean().item() == pytest.approx(0.2, abs=0.026)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_deltas_equal_mmdets_to_the_bit(seed):
    generator = torch.Generator().manual_seed(seed)
    priors, boxes = (grid_boxes(20, generator, 200) for _ in range(2))
    means, stds = (0.1, 0.0, -0.2, 0.3), (0.1, 0.1, 0.2, 0.2)
    coder = DeltaXYWHBBoxCoder(means, stds)
    deltas = encode_deltas(priors, boxes, torch.tensor(means), torch.tensor(stds))
    assert torch.equal(deltas, coder.encode(priors, boxes))
    wild = 30 * torch.randn(20, 4, generator=generator)
    limit = 4.135166556742356
    decoded = decode_deltas(
        priors, wild, torch.tensor(means), torch.tensor(stds), limit
    )
    assert torch.equal(decoded, coder.decode(priors, wild))
