"""Detections between the two thresholds: neither taught nor background."""

import pytest
import torch
from mmengine.structures import InstanceData

from ssod_mm.models import (
    IgnoringATSSAssigner,
    IgnoringMaxIoUAssigner,
    SemiTrainConfig,
)
from ssod_mm.models.pseudo_labels import detections, pseudo_labelled
from ssod_mm.structures import PseudoBoxes, where_true
from tests.models.builders import batch, build_mean_teacher, sample, total

pytestmark = pytest.mark.usefixtures("mmdet_scope")


def boxes(*scores):
    count = len(scores)
    corner = 12.0 * torch.arange(count).float()[:, None].expand(-1, 2)
    found = InstanceData(
        bboxes=torch.cat([corner, corner + 20], 1),
        scores=torch.tensor(scores),
        labels=torch.zeros(count, dtype=torch.long),
    )
    return detections(found)


def test_scores_sort_detections_into_taught_ignored_and_dropped():
    model = build_mean_teacher(score_thr=0.7, ignore_thr=0.2)
    chosen = model.select(PseudoBoxes([boxes(0.9, 0.7, 0.5, 0.2, 0.1)]))
    assert chosen.instances[0].scores.tolist() == pytest.approx([0.9, 0.7])
    assert chosen.ignored[0].scores.tolist() == pytest.approx([0.5, 0.2])


def test_without_the_threshold_nothing_is_ignored():
    model = build_mean_teacher(score_thr=0.7)
    chosen = model.select(PseudoBoxes([boxes(0.9, 0.5)]))
    assert chosen.ignored is None
    made = pseudo_labelled([sample(0)], chosen)
    assert "ignored_instances" not in made[0]


def test_ignored_boxes_are_mapped_like_the_others():
    flip = torch.tensor([[-1.0, 0, 96], [0, 1, 0], [0, 0, 1]])
    model = build_mean_teacher()
    weak, strong = [sample(5)], [sample(5)]
    strong[0].set_metainfo(dict(homography_matrix=flip.numpy()))
    both = PseudoBoxes([boxes(0.9)], [boxes(0.5, 0.4)])
    moved = model.to_student_view(both, weak, strong)
    # Corners 0..20 and 12..32 on a view 96 wide become 76..96 and 64..84.
    assert moved.instances[0].bboxes.tolist() == [[76, 0, 96, 20]]
    assert moved.ignored[0].bboxes.tolist() == [[76, 0, 96, 20], [64, 12, 84, 32]]


@pytest.mark.parametrize("num_taught", [0, 1])
def test_candidates_inside_ignored_boxes_are_not_background(num_taught):
    """With and without another box on the image; mmdet's assigner fails at the second.

    Priors: inside the ignored box, half inside it, elsewhere, on the taught box.
    """
    priors = torch.tensor(
        [[52.0, 52, 60, 60], [35, 50, 65, 70], [0, 80, 10, 90], [0, 0, 20, 20]]
    )
    taught = InstanceData(
        bboxes=torch.tensor([[0.0, 0, 20, 20]])[:num_taught],
        labels=torch.zeros(num_taught, dtype=torch.long),
    )
    unsure = InstanceData(
        bboxes=torch.tensor([[50.0, 50, 80, 80]]), labels=torch.zeros(1).long()
    )
    thresholds = dict(pos_iou_thr=0.5, neg_iou_thr=0.5, ignore_iof_thr=0.6)
    assigner = IgnoringMaxIoUAssigner(**thresholds)
    found = assigner.assign(InstanceData(priors=priors), taught, unsure)
    assert found.gt_inds.tolist() == [-1, 0, 0, num_taught]
    without = assigner.assign(InstanceData(priors=priors), taught, None)
    assert without.gt_inds.tolist() == [0, 0, 0, num_taught]
    nothing = assigner.assign(InstanceData(priors=priors), taught, unsure[:0])
    assert nothing.gt_inds.tolist() == [0, 0, 0, num_taught]


@pytest.mark.parametrize("num_taught", [0, 1])
def test_atss_ignores_background_alone(num_taught):
    """An unsure box over a taught one leaves it its anchors; mmdet takes them all.

    Anchors of 16 px on a row: on the taught box, beside it, and far from it inside an
    unsure box, half inside it and outside.
    """
    left = torch.tensor([20.0, 36, 100, 132, 180])
    priors = torch.stack(
        [left, torch.zeros(5), left + 16, torch.full((5,), 16.0)], dim=1
    )
    taught = InstanceData(
        bboxes=torch.tensor([[18.0, 0, 38, 16]])[:num_taught],
        labels=torch.zeros(num_taught, dtype=torch.long),
    )
    unsure = InstanceData(
        bboxes=torch.tensor([[18.0, 0, 38, 16], [98, 0, 140, 16]]),
        labels=torch.ones(2).long(),
    )
    assigner = IgnoringATSSAssigner(topk=3, ignore_iof_thr=0.6)
    found = assigner.assign(InstanceData(priors=priors), [5], taught, unsure)
    assert found.gt_inds.tolist() == [1 if num_taught else -1, 0, -1, 0, 0]
    for nothing in (None, unsure[:0]):
        found = assigner.assign(InstanceData(priors=priors), [5], taught, nothing)
        assert found.gt_inds.tolist() == [num_taught, 0, 0, 0, 0]


def test_unsure_teacher_trains_on_with_finite_losses():
    model = build_mean_teacher(score_thr=1.0, ignore_thr=0.0, empty_weight=1.0)
    losses = model.loss(*batch())
    assert sum(len(ignored) for ignored in model.last_step.labels_strong.ignored) > 0
    assert torch.isfinite(total(losses))


def test_threshold_above_the_other_is_refused():
    with pytest.raises(ValueError, match=r"ignore_thr must lie in \[0, score_thr"):
        SemiTrainConfig.from_config(dict(score_thr=0.5, ignore_thr=0.6))


def test_instances_where_masks_are_true_keep_every_field():
    """As mmengine's own indexing by a mask, image by image."""
    given = [
        InstanceData(scores=torch.rand(count), labels=torch.arange(count))
        for count in (3, 0, 5)
    ]
    masks = [
        torch.tensor([True, False, True]),
        torch.zeros(0).bool(),
        torch.ones(5) > 2,
    ]
    both = torch.cat(masks), ~torch.cat(masks)
    found, others = where_true(InstanceData.cat(given), [3, 0, 5], both)
    for before, kept, rest, mask in zip(given, found, others, masks, strict=True):
        for field in ("scores", "labels"):
            assert kept[field].tolist() == before[mask][field].tolist()
            assert rest[field].tolist() == before[~mask][field].tolist()
