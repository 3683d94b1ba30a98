"""NMS clusters against plain greedy NMS, one box after the other."""

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mmcv.ops import batched_nms
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ssod_mm.maths import clustering
from ssod_mm.maths.clustering import (
    clusters_in_parts,
    greedy_nms,
    nms_clusters,
    pairwise_iou,
)


def slow_iou(a, b):
    """In float32, step by step as mmcv computes it."""
    a, b = a.float(), b.float()
    width = max(min(a[2], b[2]) - max(a[0], b[0]), torch.tensor(0.0))
    height = max(min(a[3], b[3]) - max(a[1], b[1]), torch.tensor(0.0))
    inter = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    return inter / union if union != 0 else torch.tensor(math.nan)


def greedy(boxes, scores, groups, iou_thr, score_thr):
    """Kept indices in order, and the kept box of each candidate (None: background)."""
    order = sorted(range(len(boxes)), key=lambda i: (-scores[i].item(), i))
    kept, owner = [], [None] * len(boxes)
    for i in order:
        if scores[i] < score_thr:
            continue
        for k in kept:
            same = groups[k] == groups[i]
            if same and slow_iou(boxes[k], boxes[i]) > torch.tensor(iou_thr):
                owner[i] = k
                break
        else:
            kept.append(i)
            owner[i] = i
    return kept, owner


# Whole numbers: many duplicates, boxes without area, ties and IoUs at the threshold.
candidates = st.lists(
    st.tuples(
        st.integers(0, 6),
        st.integers(0, 6),
        st.integers(0, 6),
        st.integers(0, 6),
        st.integers(1, 8),
        st.integers(0, 2),
    ),
    max_size=24,
)


def tensors(rows):
    table = torch.tensor(rows, dtype=torch.float32).reshape(-1, 6)
    boxes = torch.cat([table[:, :2], table[:, :2] + table[:, 2:4]], 1)
    return boxes, table[:, 4] / 8, table[:, 5].long()


@given(
    candidates,
    st.sampled_from([0.0, 0.3, 0.5, 0.7]),
    st.sampled_from([0.0, 0.45]),
    st.sampled_from([2**22, 40, 1]),
    st.sampled_from([1, 2, 5, 128]),
)
@example([], 0.5, 0.0, 2**22, 128)
@example([(0, 0, 4, 4, 8, 0)] * 9, 0.5, 0.0, 2**22, 2)
@example([(0, 0, 0, 0, 8, 0)] * 3, 0.5, 0.0, 2**22, 128)
@settings(deadline=None, max_examples=300)
def test_equals_greedy_nms(rows, iou_thr, score_thr, max_pairs, block):
    boxes, scores, groups = tensors(rows)
    whole_block = clustering.BLOCK
    clustering.BLOCK = block
    try:
        kept, cluster = nms_clusters(
            boxes, scores, groups, iou_thr, score_thr, max_pairs
        )
    finally:
        clustering.BLOCK = whole_block
    want, owner = greedy(boxes, scores, groups, iou_thr, score_thr)
    assert kept.tolist() == want
    got = [None if c < 0 else want[c] for c in cluster.tolist()]
    assert got == owner


# Each box suppresses the next: the search takes as many steps as there are.
CHAIN = [(place, 0, 5, 1, 8, 0) for place in range(24)]


@pytest.mark.parametrize("mixed", [False, True])
@given(
    st.lists(candidates, min_size=1, max_size=3), st.sampled_from([0.0, 0.3, 0.5, 0.7])
)
@example([CHAIN, [], CHAIN[:3]], 0.5)
@settings(deadline=None, max_examples=100)
def test_padded_groups_keep_what_greedy_nms_keeps(mixed, rows, iou_thr):
    most = max(map(len, rows))
    boxes, real = torch.rand(len(rows), most, 4), torch.zeros(len(rows), most).bool()
    wanted = []
    for group, drawn in enumerate(rows):
        part, _, sets = tensors(drawn)
        places = range(len(part))
        boxes[group, : len(part)], real[group, : len(part)] = part, sets != 2
        ranks = [-math.inf if sets[i] == 2 else -i for i in places]
        same = torch.zeros_like(sets)
        wanted.append(greedy(part, torch.tensor(ranks), same, iou_thr, -1000)[0])
    with torch.autocast("cpu", enabled=mixed):
        kept, counts = greedy_nms(boxes, real, iou_thr)
    assert [row.nonzero().flatten().tolist() for row in kept] == wanted
    assert counts == [len(row) for row in wanted]


@given(st.lists(st.tuples(candidates, st.sampled_from([0.3, 0.7])), max_size=3))
@settings(deadline=None, max_examples=100)
def test_parts_are_clustered_as_each_alone(parts):
    """One search over several sets of candidates with thresholds of their own."""
    drawn = [(*tensors(rows), iou_thr) for rows, iou_thr in parts]
    if not drawn:
        return
    sizes = [len(boxes) for boxes, *_ in drawn]
    numbers = torch.arange(len(drawn)).repeat_interleave(torch.tensor(sizes))
    thresholds = torch.tensor([iou_thr for *_, iou_thr in drawn])
    boxes, scores, groups = (
        torch.cat(column) for column in list(zip(*drawn, strict=True))[:3]
    )
    kept, clusters, kept_counts, counts = clusters_in_parts(
        boxes,
        scores,
        3 * numbers + groups,
        thresholds[numbers],
        scores >= 0.4,
        numbers,
        len(drawn),
    )
    start = first = 0
    for number, (boxes, scores, groups, iou_thr) in enumerate(drawn):
        want, owners = nms_clusters(boxes, scores, groups, iou_thr, 0.4)
        end, last = start + len(boxes), first + len(want)
        assert (kept[first:last] - start).tolist() == want.tolist()
        mine = clusters[start:end]
        assert torch.where(mine < 0, -1, mine - first).tolist() == owners.tolist()
        assert kept_counts[number] == len(want)
        assert counts[number] == (scores >= 0.4).sum()
        start, first = end, last


@given(candidates, st.sampled_from([0.3, 0.5, 0.7]))
@settings(deadline=None, max_examples=100)
def test_kept_boxes_are_those_of_mmcv(rows, iou_thr):
    """mmcv leaves the order of equal scores open, so it gets distinct ones."""
    boxes, scores, groups = tensors(rows)
    if not rows:
        return
    ranks = scores.argsort(descending=True, stable=True).argsort()
    nms = dict(type="nms", iou_threshold=iou_thr)
    _, keep = batched_nms(boxes, -ranks.float(), groups, nms)
    kept, _ = nms_clusters(boxes, scores, groups, iou_thr)
    assert kept.tolist() == keep.tolist()


@given(
    st.integers(0, 2**32 - 1),
    st.integers(300, 800),
    st.integers(10, 60),
    st.sampled_from([0.3, 0.5, 0.7]),
    st.sampled_from([2**22, 5000]),
)
@settings(deadline=None, max_examples=50)
def test_kept_real_valued_boxes_are_those_of_mmcv(
    seed, count, num_groups, iou_thr, max_pairs
):
    """Hundreds of overlapping boxes in tens of groups.

    mmcv shifts the groups apart by multiples of the largest coordinate; multiples of
    1 / 1024 below 36 stay exact under it, so that both see the same IoUs.
    """
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, generator=generator) * 16
    sides = 12 + 8 * torch.rand(count, 2, generator=generator)
    boxes = torch.cat([corners, corners + sides], 1).mul(1024).round() / 1024
    scores = torch.randperm(count, generator=generator) / count
    groups = torch.randint(0, num_groups, (count,), generator=generator)
    _, keep = batched_nms(
        boxes, scores, groups, dict(type="nms", iou_threshold=iou_thr)
    )
    kept, _ = nms_clusters(boxes, scores, groups, iou_thr, max_pairs=max_pairs)
    assert kept.tolist() == keep.tolist()
    assert len(kept) < count


@pytest.mark.parametrize("seed", range(2))
def test_many_real_valued_boxes(seed):
    """400 overlapping boxes in 2 groups: several rounds, long chains."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.rand(400, 2, generator=generator) * 60
    sides = 10 + 20 * torch.rand(400, 2, generator=generator)
    boxes = torch.cat([centres - sides / 2, centres + sides / 2], 1)
    scores = torch.rand(400, generator=generator)
    groups = torch.randint(0, 2, (400,), generator=generator)
    kept, cluster = nms_clusters(boxes, scores, groups, 0.5, 0.2)
    want, owner = greedy(boxes, scores, groups, 0.5, 0.2)
    assert kept.tolist() == want
    assert [None if c < 0 else want[c] for c in cluster.tolist()] == owner


# a = [0, 0, 10, 10] and b = [2, 0, 12, 10] meet in 8 x 10: IoU 80 / 120 = 0.667; c =
# [4, 0, 14, 10] has 0.667 with b, but 60 / 140 = 0.43 with a. b has gone to a, so c is
# kept although it overlaps b.
def test_a_suppressed_box_suppresses_nothing():
    boxes = torch.tensor([[0.0, 0, 10, 10], [2, 0, 12, 10], [4, 0, 14, 10]])
    kept, cluster = nms_clusters(
        boxes, torch.tensor([0.9, 0.8, 0.7]), torch.zeros(3).long(), 0.5
    )
    assert kept.tolist() == [0, 2]
    assert cluster.tolist() == [0, 0, 1]


def test_the_best_kept_box_claims_a_candidate_between_two():
    boxes = torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10], [2.5, 0, 12.5, 10]])
    scores = torch.tensor([0.8, 0.9, 0.7])
    kept, cluster = nms_clusters(boxes, scores, torch.zeros(3).long(), 0.5)
    assert kept.tolist() == [1, 0]
    assert cluster.tolist() == [1, 0, 0]


class LargestTensor(TorchDispatchMode):
    """Counts the elements of the largest tensor that any operation returns."""

    def __init__(self):
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        sizes = [t.numel() for t in tree_leaves(out) if isinstance(t, torch.Tensor)]
        self.numel = max(self.numel, *sizes, 0)
        return out


def test_memory_is_bounded(monkeypatch):
    """No more IoUs at a time than asked, no tensor beyond the boxes of their pairs.

    3000 boxes apart from each other in 30 groups; 10 boxes of each group are kept in a
    round, so that all candidates against these are ten times the pairs allowed.
    """
    seen = []

    def watched(a, b):
        iou = pairwise_iou(a, b)
        seen.append(iou.numel())
        return iou

    monkeypatch.setattr(clustering, "pairwise_iou", watched)
    corner = torch.arange(3000.0)[:, None].expand(-1, 2) * 20
    boxes = torch.cat([corner, corner + 10], 1)
    scores = torch.rand(3000, generator=torch.Generator().manual_seed(0))
    with LargestTensor() as largest:
        kept, _ = nms_clusters(
            boxes, scores, torch.arange(3000) % 30, 0.5, max_pairs=3000
        )
    assert len(kept) == 3000
    assert max(seen) <= 3000
    assert 3000 <= largest.numel <= 4 * 3000


def test_nan_scores_are_background():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10]])
    scores = torch.tensor([math.nan, 0.5])
    kept, cluster = nms_clusters(boxes, scores, torch.zeros(2).long(), 0.5)
    assert kept.tolist() == [1]
    assert cluster.tolist() == [-1, 0]


def test_threshold_out_of_range_is_named():
    empty = torch.zeros(0)
    with pytest.raises(ValueError, match="iou_thr"):
        nms_clusters(empty.reshape(0, 4), empty, empty.long(), 1.0)
