"""Clusters laid open for drawings, and the shares in the log."""

import pytest
import torch

from ssod_mm.models.dense.losses import assignment_masks
from ssod_mm.models.dense.rcnn import student_targets
from tests.models.builders import batch
from tests.models.dense_builders import build_dense, retina_cfg

pytestmark = pytest.mark.usefixtures("mmdet_scope")

DENSE = dict(rcnn=dict(tau=0.45))


def test_equal_networks_and_views_show_equal_clusters():
    model = build_dense(DENSE, min_box_wh=(0.0, 0.0), min_visible=0.0).eval()
    teacher, student, _ = model.inspect(*batch())
    assert sum(len(image) for image in teacher) > 5
    for theirs, own in zip(teacher, student, strict=True):
        torch.testing.assert_close(theirs.bboxes, own.bboxes, atol=1e-2, rtol=0)
        torch.testing.assert_close(theirs.scores, own.scores, atol=1e-4, rtol=0)
        assert theirs.rank.tolist() == own.rank.tolist()
        for cluster in theirs.cluster.unique():
            mine = theirs[theirs.cluster == cluster]
            assert mine.rank.sort().values.tolist() == list(range(len(mine)))
            assert (mine.scores[mine.rank.argsort()].diff() <= 0).all()
            assert len(mine.labels.unique()) == 1


def test_disagreements_against_a_loop():
    model = build_dense(DENSE)
    inputs, samples = batch()
    views = samples["unsup_teacher"], samples["unsup_student"]
    with torch.no_grad():
        weak = model.teacher_guidance(inputs["unsup_teacher"], views[0])
    strong = model.to_student_view(weak, *views).extra
    targets = student_targets(strong, model.stages["rcnn"])
    found = strong.stages["rcnn"]
    overlaps, ambiguous, suppressed = assignment_masks(strong, targets, 0.5)
    taught = set(targets.rows.tolist())
    assert suppressed.any()
    for row, box in enumerate(strong.proposals):
        best = 0.0
        for cluster, kept in enumerate(found.kept_boxes):
            same = found.images[found.kept[cluster]] == strong.proposal_images[row]
            if not (same and found.alive[cluster]):
                continue
            w = min(box[2], kept[2]) - max(box[0], kept[0])
            h = min(box[3], kept[3]) - max(box[1], kept[1])
            inter = max(float(w), 0.0) * max(float(h), 0.0)
            areas = [float((b[2] - b[0]) * (b[3] - b[1])) for b in (box, kept)]
            best = max(best, inter / max(sum(areas) - inter, 1e-9))
        assert overlaps[row].item() == pytest.approx(best, abs=1e-4)
        assigned = best >= 0.5 and bool(strong.proposals_seen[row])
        assert bool(ambiguous[row]) == (row in taught and not assigned)
        assert bool(suppressed[row]) == (assigned and bool(targets.background[row]))


def test_one_stage_detectors_have_no_rcnn_clusters():
    model = build_dense(dict(head=dict(tau=0.6)), retina_cfg())
    with pytest.raises(ValueError, match="one-stage"):
        model.inspect(*batch())
