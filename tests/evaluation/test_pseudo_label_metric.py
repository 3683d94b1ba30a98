import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.structures import InstanceData

from ssod_mm.evaluation.pseudo_label_metric import (
    PseudoLabelCounts,
    count_matches,
    greedy_match,
)


def iou(one, other):
    w = min(one[2], other[2]) - max(one[0], other[0])
    h = min(one[3], other[3]) - max(one[1], other[1])
    inner = max(w, 0) * max(h, 0)
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)]
    return inner / (sum(areas) - inner)


def slow_match(label, box, real, taken, iou_thr):
    """Best free truth and its IoU; whether an ignored one lies there."""
    best, best_iou, excused = None, 0.0, False
    for j, other in enumerate(real["bboxes"]):
        value = iou(box, other)
        if real["labels"][j] != label or value < iou_thr:
            continue
        if real["ignored"][j]:
            excused = True
        elif j not in taken and value > best_iou:
            best, best_iou = j, value
    return best, best_iou, excused


def slow_counts(pseudo, truth, num_classes, iou_thr):
    """The rule as it is stated, one box after the other."""
    table = [[0, 0, 0, 0.0] for _ in range(num_classes)]
    for own, real in zip(pseudo, truth, strict=True):
        taken = set()
        for i in sorted(range(len(own["scores"])), key=lambda i: -own["scores"][i]):
            label, box = own["labels"][i], own["bboxes"][i]
            best, value, excused = slow_match(label, box, real, taken, iou_thr)
            if best is not None:
                taken.add(best)
                table[label][0] += 1
                table[label][3] += value
            elif not excused:
                table[label][1] += 1
        for j, label in enumerate(real["labels"]):
            if not real["ignored"][j] and j not in taken:
                table[label][2] += 1
    return table


sides = st.integers(0, 6)
# whole numbers on a small grid: many overlaps, many equal IoUs
box = st.tuples(sides, sides, st.integers(1, 6), st.integers(1, 6)).map(
    lambda b: (float(b[0]), float(b[1]), float(b[0] + b[2]), float(b[1] + b[3]))
)
label = st.integers(0, 2)


@st.composite
def images(draw):
    own = draw(st.lists(st.tuples(box, label, st.integers(0, 5)), max_size=9))
    real = draw(st.lists(st.tuples(box, label, st.booleans()), max_size=6))
    pseudo = dict(
        bboxes=[b for b, _, _ in own],
        labels=[c for _, c, _ in own],
        scores=[s / 5 for _, _, s in own],
    )
    truth = dict(
        bboxes=[b for b, _, _ in real],
        labels=[c for _, c, _ in real],
        ignored=[i for _, _, i in real],
    )
    return pseudo, truth


def instances(fields):
    kinds = dict(bboxes=torch.float, labels=torch.long, scores=torch.float)
    tensors = {
        key: torch.tensor(value, dtype=kinds.get(key, torch.bool))
        for key, value in fields.items()
    }
    tensors["bboxes"] = tensors["bboxes"].reshape(-1, 4)
    return InstanceData(**tensors)


@settings(max_examples=100, deadline=None)
@given(st.lists(images(), min_size=1, max_size=3), st.sampled_from([0.2, 0.45, 0.7]))
def test_equals_the_rule_box_by_box(batch, iou_thr):
    pseudo, truth = zip(*batch, strict=True)
    expected = torch.tensor(slow_counts(pseudo, truth, 3, iou_thr)).double()
    got = count_matches(
        [instances(p) for p in pseudo], [instances(t) for t in truth], 3, iou_thr
    )
    torch.testing.assert_close(got.table, expected, rtol=1e-5, atol=1e-5)


def test_a_refused_box_takes_its_second_choice_before_lower_scores_do():
    # Box 1 loses truth 0 to box 0 and moves on to truth 1, which box 2 had asked for
    # at once: box 2 comes later by score and gets nothing.
    ious = torch.tensor([[0.9, 0.0], [0.8, 0.6], [0.0, 0.7]])
    matched = greedy_match(ious, torch.tensor([0.9, 0.8, 0.7]), 0.5)
    assert matched.tolist() == [0, 1, -1]


def test_figures_by_hand():
    # two right (IoU 1 and 0.5), one wrong, one object missed
    truth = [[0, 0, 10, 10], [20, 0, 30, 10], [50, 50, 60, 60]]
    pseudo = [[0, 0, 10, 10], [20, 0, 30, 5], [70, 70, 80, 80]]
    counts = count_matches(
        [
            InstanceData(
                bboxes=torch.tensor(pseudo).float(),
                labels=torch.zeros(3).long(),
                scores=torch.ones(3),
            )
        ],
        [
            InstanceData(
                bboxes=torch.tensor(truth).float(), labels=torch.zeros(3).long()
            )
        ],
        num_classes=2,
    )
    assert counts.table[0].tolist() == [2, 1, 1, 1.5]
    assert counts.precisions[0] == pytest.approx(2 / 3)
    assert counts.recalls[0] == pytest.approx(2 / 3)
    assert counts.mean_ious[0] == pytest.approx(0.75)
    assert counts.precisions[1].isnan()
    both = counts + counts
    assert both.overall.table.tolist() == [[4, 2, 2, 3.0]]


def test_nothing_at_all():
    assert count_matches([], [], 4).table.tolist() == [[0] * 4] * 4
    assert PseudoLabelCounts.zeros(2).overall.recalls.isnan().all()


@pytest.mark.parametrize("iou_thr", [0, -0.1, 1.1])
def test_iou_thr_out_of_range(iou_thr):
    with pytest.raises(ValueError, match="iou_thr"):
        greedy_match(torch.rand(2, 2), torch.rand(2), iou_thr)


def test_lists_must_speak_of_the_same_images():
    with pytest.raises(ValueError, match="1 images, but truth of 0"):
        count_matches([InstanceData()], [], 2)
