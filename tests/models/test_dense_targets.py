"""Dense guidance: what the clusters teach."""

from dataclasses import replace

import pytest
import torch
from mmdet.models.task_modules import AnchorGenerator
from mmengine.config import ConfigDict

from ssod_mm.models.batched import proposals
from ssod_mm.models.dense.anchors import anchor_matches, matched_rows
from ssod_mm.models.dense.losses import cluster_targets
from ssod_mm.models.dense.rcnn import student_targets
from ssod_mm.models.dense.settings import DenseStage
from tests.models.builders import batch, total
from tests.models.dense_builders import (
    BOTH,
    build_dense,
    focal_cfg,
    guidance_of,
    missing_gradients,
    retina_cfg,
)

pytestmark = pytest.mark.usefixtures("mmdet_scope")

FLIP = torch.tensor([[-1.0, 0, 96], [0, 1, 0], [0, 0, 1]])


@pytest.mark.parametrize("one_call", [False, True])
def test_kept_boxes_are_those_of_the_detector_itself(one_call, monkeypatch):
    monkeypatch.setattr(proposals, "in_one_call", lambda _boxes: one_call)
    model = build_dense(BOTH)
    inputs, samples = batch()
    found, _, _ = guidance_of(model)
    teacher, weak = model.teacher, samples["unsup_teacher"]
    metas = [sample.metainfo for sample in weak]
    with torch.no_grad():
        features = teacher.extract_feat(inputs["unsup_teacher"])
        test_cfg = ConfigDict(teacher.test_cfg.rcnn, score_thr=0.45, max_per_img=1000)
        # the proposals of training, which the student gets
        given = teacher.rpn_head.predict_by_feat(
            *teacher.rpn_head(features),
            batch_img_metas=metas,
            cfg=teacher.train_cfg.rpn_proposal,
        )
        want = teacher.roi_head.predict_bbox(features, metas, given, test_cfg)
    for mine, theirs in zip(found.instances, want, strict=True):
        assert len(mine) == len(theirs) > 3
        torch.testing.assert_close(mine.scores, theirs.scores)
        torch.testing.assert_close(mine.bboxes, theirs.bboxes)
        assert mine.labels.tolist() == theirs.labels.tolist()


def test_proposals_that_are_none_change_no_loss(monkeypatch):
    """On CUDA images have equally many RoIs; some of them stand for nothing."""
    cfg, losses, given = focal_cfg(), [], []
    cfg["train_cfg"]["rpn_proposal"]["max_per_img"] = 300  # more than NMS keeps
    for one_call in (False, True):
        monkeypatch.setattr(proposals, "in_one_call", lambda _boxes, one=one_call: one)
        model = build_dense(BOTH, cfg=cfg)
        ask = model._proposals
        model._proposals = lambda *args, ask=ask: given.append(ask(*args)) or given[-1]
        losses.append(model.loss(*batch()))
    found, padded = given
    assert found.real is None
    assert len(set(found.counts)) > 1
    assert len(set(padded.counts)) == 1
    assert padded.real.sum() == len(found.boxes) < len(padded.boxes)
    for name, value in losses[0].items():
        torch.testing.assert_close(
            total({"loss": losses[1][name]}), total({"loss": value})
        )


def test_rpn_keeps_what_the_rpn_itself_keeps():
    model = build_dense(BOTH)
    inputs, samples = batch()
    found, _, _ = guidance_of(model)
    rpn = model.teacher.rpn_head
    with torch.no_grad():
        maps = rpn(model.teacher.extract_feat(inputs["unsup_teacher"]))
        cfg = ConfigDict(model.teacher.test_cfg.rpn, nms_pre=10_000, max_per_img=10_000)
        metas = [s.metainfo for s in samples["unsup_teacher"]]
        want = rpn.predict_by_feat(*maps, batch_img_metas=metas, cfg=cfg)
    clusters = found.extra.stages["rpn"]
    for number, theirs in enumerate(want):
        theirs = theirs[theirs.scores >= 0.5]
        mine = clusters.images[clusters.kept] == number
        assert mine.sum() == len(theirs) > 3
        torch.testing.assert_close(clusters.kept_boxes[mine], theirs.bboxes)


def test_equal_networks_and_views_leave_nothing_to_rank():
    model = build_dense(BOTH, min_box_wh=(0.0, 0.0), min_visible=0.0)
    losses = model.loss(*batch())
    assert losses["rcnn_cluster_size"] > 1
    assert losses["rpn_cluster_size"] > 1
    for name in ("unsup_loss_rank", "unsup_loss_rpn_rank"):
        assert abs(losses[name].item()) < 1e-6
    assert losses["rcnn_rank_agreement"] == losses["rpn_rank_agreement"] == 1


def test_equal_views_teach_what_nms_kept():
    model = build_dense(BOTH, min_box_wh=(0.0, 0.0), min_visible=0.0)
    found, moved, _ = guidance_of(model)
    weak, strong = found.extra.stages["rcnn"], moved.extra.stages["rcnn"]
    targets = student_targets(moved.extra, model.stages["rcnn"])
    torch.testing.assert_close(strong.kept_boxes, weak.kept_boxes, atol=1e-3, rtol=0)
    assert len(targets.rows) == int(strong.alive[weak.clusters].sum()) > 5
    for row, label, cluster, target in zip(
        targets.rows, targets.labels, targets.clusters, targets.boxes, strict=True
    ):
        kept = weak.kept[cluster]
        assert label == weak.labels[kept]
        torch.testing.assert_close(target, weak.boxes[kept], atol=1e-3, rtol=0)
        assert moved.extra.proposal_images[row] == weak.images[kept]
        assert not targets.background[row]
    rows, iou = matched_rows(
        model.student.rpn_head,
        [(8, 12), (4, 6), (2, 3)],
        moved.extra.stages["rpn"].priors,
        moved.extra.stages["rpn"].images,
        model.stages["rpn"],
    )
    assert rows.tolist() == found.extra.stages["rpn"].rows.tolist()
    assert iou.min() > 0.999


@pytest.mark.parametrize(
    ("level", "least"),
    # 60.8 px: level 0 has at most 50.8 px, level 1 has 64 px
    [("floor", 50.8**2 / 60.8**2), ("nearest", 0.95**2)],
)
def test_partners_of_shrunk_anchors(level, least):
    """Three scales per level: all keep their level in an equal view."""
    model = build_dense(cfg=retina_cfg())
    head, grids = model.student.bbox_head, [(8, 12), (4, 6), (2, 3)]
    generator = AnchorGenerator(
        [8, 16, 32], [1.0], octave_base_scale=4, scales_per_octave=3
    )
    head.prior_generator = generator
    anchors = torch.cat(generator.grid_priors(grids, device="cpu"))
    images = torch.zeros(len(anchors)).long()
    stage = DenseStage(level=level)
    rows, iou = matched_rows(head, grids, anchors, images, stage)
    assert rows.tolist() == list(range(len(anchors)))
    centres = (anchors[:, :2] + anchors[:, 2:]).repeat(1, 2) / 2
    shrunk = centres + 0.95 * (anchors - centres)
    _, iou = matched_rows(head, grids, shrunk, images, stage)
    assert iou.min().item() == pytest.approx(least, abs=0.01)


def test_a_flipped_view_flips_rois_targets_and_anchors():
    model = build_dense(BOTH)
    found, moved, _ = guidance_of(model, FLIP)
    mirrored = found.extra.proposals[:, [2, 1, 0, 3]].clone()
    mirrored[:, [0, 2]] = 96 - mirrored[:, [0, 2]]
    torch.testing.assert_close(moved.extra.proposals, mirrored, atol=1e-3, rtol=0)
    kept = found.extra.stages["rpn"].kept_boxes[:, [2, 1, 0, 3]].clone()
    kept[:, [0, 2]] = 96 - kept[:, [0, 2]]
    torch.testing.assert_close(
        moved.extra.stages["rpn"].kept_boxes, kept, atol=1e-3, rtol=0
    )


def test_hidden_kept_boxes_teach_nothing():
    model = build_dense(BOTH, min_visible=0.2)
    patches = torch.tensor([[0.0, 0.0, 96.0, 64.0]]).numpy()
    _, moved, _ = guidance_of(model, erased_patches=patches)
    assert len(moved.extra.stages["rcnn"]) > 0
    assert not moved.extra.stages["rcnn"].alive.any()
    targets = student_targets(moved.extra, model.stages["rcnn"])
    assert len(targets.rows) == 0
    assert not targets.background.any()


def test_own_boxes_are_each_candidates_own():
    model = build_dense(dict(rcnn=dict(box_target="own")))
    _, moved, _ = guidance_of(model)
    clusters = moved.extra.stages["rcnn"]
    targets = student_targets(moved.extra, model.stages["rcnn"])
    taught = (
        clusters.alive[clusters.clusters] & moved.extra.proposals_seen[clusters.rows]
    )
    torch.testing.assert_close(targets.boxes, clusters.boxes[taught])
    assert not torch.equal(clusters.boxes, clusters.kept_boxes[clusters.clusters])


def test_own_boxes_outside_the_view_give_way_to_the_kept_one():
    """An own box of no width in the view has no finite deltas."""
    model = build_dense(dict(rcnn=dict(box_target="own")))
    found, _, samples = guidance_of(model)
    mine = found.extra.stages["rcnn"]
    boxes = mine.boxes.clone()
    kept = torch.zeros(len(boxes), dtype=torch.bool).index_fill(0, mine.kept, True)
    boxes[~kept, 0::2] += 200  # to the right of all views
    found.extra.stages["rcnn"] = replace(mine, boxes=boxes)
    moved = model.to_student_view(found, batch()[1]["unsup_teacher"], samples)
    targets = student_targets(moved.extra, model.stages["rcnn"])
    own = moved.extra.stages["rcnn"].kept_boxes[targets.clusters]
    torch.testing.assert_close(targets.boxes, own)
    assert not kept.all()


def test_pseudo_boxes_leave_the_variances_alone():
    model = build_dense(dict(rpn=dict(mode="off")), focal_cfg(type="GaussianBBoxHead"))
    model.settings = replace(model.settings, sup_weight=0.0)
    losses = model.loss(*batch())
    assert losses["unsup_loss_bbox"] > 0
    total(losses).backward()
    assert not model.student.roi_head.bbox_head.fc_reg.log_var.weight.grad.any()
    assert model.student.roi_head.bbox_head.fc_reg.weight.grad.any()


SCALED = torch.tensor([[-0.8, 0.1, 90], [0.05, 0.7, 3], [0, 0, 1]])


@pytest.mark.parametrize("ignore_thr", [None, 0.3])
def test_background_anchors_are_partners_of_the_teachers(ignore_thr):
    """A loop over the teacher's anchors, in a view flipped, smaller, sheared."""
    model = build_dense(dict(rpn=dict(tau=0.5, ignore_thr=ignore_thr)))
    inputs, _ = batch()
    _, moved, strong = guidance_of(model, SCALED)
    rpn, grids = model.student.rpn_head, [(8, 12), (4, 6), (2, 3)]
    with torch.no_grad():
        maps = model.teacher.rpn_head(
            model.teacher.extract_feat(inputs["unsup_teacher"])
        )[0]
    anchors = torch.cat(rpn.prior_generator.grid_priors(grids, device="cpu"))
    corners = anchors[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    there = corners @ SCALED[:2, :2].T + SCALED[:2, 2]
    mapped = torch.cat([there.amin(1), there.amax(1)], 1)
    images = torch.zeros(len(mapped), dtype=torch.int64)
    found = matched_rows(rpn, grids, mapped, images, model.stages["rpn"])
    partners = list(zip(*(column.tolist() for column in found), strict=True))

    floor = 0.5 if ignore_thr is None else ignore_thr
    want = []
    for number in range(len(strong)):
        scores = torch.cat(
            [m[number].permute(1, 2, 0).reshape(-1).sigmoid() for m in maps]
        ).tolist()
        clear = {
            row
            for (row, iou), score in zip(partners, scores, strict=True)
            if score < floor and iou > 0
        }
        looked_at = {
            row
            for (row, _), score in zip(partners, scores, strict=True)
            if score >= floor
        }
        want += [row in clear - looked_at for row in range(len(mapped))]
    stage = model.stages["rpn"]
    clusters = moved.extra.stages["rpn"]
    background = anchor_matches(rpn, grids, strong, clusters, stage).background
    assert background.tolist() == want
    all_of_it = replace(stage, background="all")
    everything = anchor_matches(rpn, grids, strong, clusters, all_of_it).background
    assert 0 < sum(want) < everything.sum()
    assert not (background & ~everything).any()


def test_equal_views_teach_the_rpn_what_nms_kept():
    """Candidates get their kept box and are no background; all others are."""
    model = build_dense(BOTH, min_box_wh=(0.0, 0.0), min_visible=0.0)
    found, moved, strong = guidance_of(model)
    grids = [(8, 12), (4, 6), (2, 3)]
    weak, stage = found.extra.stages["rpn"], model.stages["rpn"]
    rpn = model.student.rpn_head
    matches = anchor_matches(rpn, grids, strong, moved.extra.stages["rpn"], stage)
    (targets,) = cluster_targets([matches], [stage])
    taught = moved.extra.stages["rpn"].alive[weak.clusters]
    assert targets.rows.tolist() == weak.rows[taught].tolist()
    want = torch.ones_like(targets.background).index_fill(0, weak.rows, False)
    assert torch.equal(targets.background, want)
    kept = weak.boxes[weak.kept[weak.clusters[taught]]]
    torch.testing.assert_close(targets.boxes, kept, atol=1e-3, rtol=0)


def test_unsure_candidates_are_neither_taught_nor_background():
    sure = build_dense(dict(rcnn=dict(tau=0.6)))
    unsure = build_dense(dict(rcnn=dict(tau=0.6, ignore_thr=0.3)))
    both = []
    for model in (sure, unsure):
        _, moved, _ = guidance_of(model)
        both.append(student_targets(moved.extra, model.stages["rcnn"]))
    assert torch.equal(both[0].rows, both[1].rows)
    dropped = both[0].background & ~both[1].background
    assert dropped.any()
    assert not (both[1].background & ~both[0].background).any()


def test_fewer_proposals():
    model = build_dense(dict(rcnn=dict(max_proposals=7)))
    found, _, _ = guidance_of(model)
    assert len(found.extra.proposals) == 14


def test_kept_box_by_localisation_quality():
    kept = {}
    for key in ("p", "p*v"):
        model = build_dense(
            dict(rcnn=dict(kept_by=key)), focal_cfg(type="IntervalBBoxHead")
        )
        with torch.no_grad():  # qualities that differ
            for detector in (model.student, model.teacher):
                torch.manual_seed(1)
                torch.nn.init.normal_(detector.roi_head.bbox_head.fc_reg.weight, std=1)
        losses = model.loss(*batch())
        total(losses).backward()
        found, _, _ = guidance_of(model)
        kept[key] = torch.cat([instances.bboxes for instances in found.instances])
        ranks = [
            instances.scores * (instances.loc_scores if key == "p*v" else 1)
            for instances in found.instances
        ]
        assert all((rank.diff() <= 0).all() for rank in ranks)
    assert kept["p"].shape != kept["p*v"].shape or not torch.equal(*kept.values())


def test_class_balance_sets_thresholds_and_weights():
    model = build_dense(
        dict(rcnn=dict(tau=0.5)), class_balance=dict(use_loc=False, g1=5.0)
    )
    assert model.class_balance.tau == 0.5
    model.class_balance.mass.copy_(torch.tensor([90.0, 9.0, 1.0]))
    model.class_balance.counts.copy_(torch.tensor([90.0, 9.0, 1.0]))
    taus = model.class_balance.thresholds()
    assert taus[0] > taus[2]
    found, _, _ = guidance_of(model)
    clusters = found.extra.stages["rcnn"]
    assert (clusters.scores >= taus[clusters.labels]).all()
    assert clusters.scores.min() < taus.max()
    losses = model.loss(*batch())
    total(losses).backward()
    assert not missing_gradients(model)
