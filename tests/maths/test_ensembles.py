"""Joint detections: matches and means against plain loops."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssod_mm.maths.ensembles import mean_over_members, member_matches


def slow_means(ious, same, scores, members, num_members, iou_thr, as_zero):
    means = []
    for k in range(len(ious)):
        found = []
        for member in range(num_members):
            own = [
                scores[n]
                for n in range(len(scores))
                if members[n] == member and same[k][n] and ious[k][n] >= iou_thr
            ]
            if own:
                found.append(max(own))
        count = num_members if as_zero else max(len(found), 1)
        means.append(sum(found) / count)
    return means


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 5), st.integers(0, 8), st.integers(1, 3), st.booleans())
def test_means_equal_the_loop(num_kept, num_boxes, num_members, as_zero):
    generator = torch.Generator().manual_seed(100 * num_kept + num_boxes)
    ious = torch.rand(num_kept, num_boxes, generator=generator, dtype=torch.float64)
    same = torch.rand(num_kept, num_boxes, generator=generator) > 0.4
    scores = torch.rand(num_boxes, generator=generator, dtype=torch.float64)
    members = torch.randint(num_members, (num_boxes,), generator=generator)
    matches = member_matches(ious, same, scores, members, num_members, 0.5)
    found = mean_over_members(scores, *matches, as_zero)
    plain = (tensor.tolist() for tensor in (ious, same, scores, members))
    want = slow_means(*plain, num_members, 0.5, as_zero)
    assert found.shape == (num_kept,)
    assert found.tolist() == pytest.approx(want)


def test_value_by_hand():
    # box 0 of detector 0 is kept; detector 1 sees it twice (0.6 counts), 2 does not
    ious = torch.tensor([[1.0, 0.7, 0.5, 0.4]])
    scores = torch.tensor([0.9, 0.3, 0.6, 0.8])
    members = torch.tensor([0, 1, 1, 2])
    same = torch.ones(1, 4, dtype=torch.bool)
    index, found = member_matches(ious, same, scores, members, 3)
    assert index[0, :2].tolist() == [0, 2]
    assert found.tolist() == [[True, True, False]]
    assert mean_over_members(scores, index, found, True).item() == pytest.approx(0.5)
    assert mean_over_members(scores, index, found, False).item() == pytest.approx(0.75)
    same[0, 2] = False
    index, _ = member_matches(ious, same, scores, members, 3)
    assert index[0, 1] == 1
