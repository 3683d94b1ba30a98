"""Dense guidance in mosaics, against loops over the views of each mixed image."""

from dataclasses import replace

import pytest
import torch

from ssod_mm.maths.boxes import warp_boxes
from ssod_mm.models.dense.anchors import partners
from ssod_mm.models.mixing import Mixing
from tests.models.builders import assert_whole_student_learns, batch, total
from tests.models.dense_builders import BOTH, build_dense, retina_cfg

pytestmark = pytest.mark.usefixtures("mmdet_scope")

MOSAIC = dict(pseudo_mosaic=1.0)


def guidance_in_mosaics(dense, least=0.0, cfg=None):
    """The model, guidance in strong views and in mixed images, and these."""
    model = build_dense(dense, cfg, min_box_wh=(least, least), min_visible=0.0)
    inputs, samples = batch(num_unsup=5)
    weak, strong = samples["unsup_teacher"], samples["unsup_student"]
    with torch.no_grad():
        found = model.teacher_guidance(inputs["unsup_teacher"], weak)
    moved = model.to_student_view(found, weak, strong)
    torch.manual_seed(4)
    mixed = Mixing.from_config(MOSAIC)("unsup_student", inputs["unsup_student"], strong)
    return model, moved.extra, model.to_mixed_views(moved, mixed).extra, mixed


def homographies(mixed):
    """(mixed image, view, homography) of every placement, in order; views are 100+."""
    for target, sample in enumerate(mixed.samples):
        for origin in sample.mixed_from:
            yield target, origin["img_id"] - 100, origin["homography_matrix"]


@pytest.mark.parametrize("background", ["partners", "all"])
@pytest.mark.parametrize("least", [0.0, 12.0])
def test_clusters_follow_their_views(background, least):
    dense = dict(rpn=dict(tau=0.5, background=background), rcnn=dict(tau=0.45))
    _, strong, got, mixed = guidance_in_mosaics(dense, least)
    dropped = 0
    for name in ("rpn", "rcnn"):
        before, after = strong.stages[name], got.stages[name]
        first_row = first_cluster = 0
        for target, view, matrix in homographies(mixed):
            mine = (before.images == view).nonzero().flatten()
            rows = slice(first_row, first_row + len(mine))
            first_row += len(mine)
            assert (after.images[rows] == target).all()
            assert torch.equal(after.labels[rows], before.labels[mine])
            assert torch.equal(after.scores[rows], before.scores[mine])
            priors = warp_boxes(before.priors[mine], matrix)
            torch.testing.assert_close(after.priors[rows], priors, atol=1e-3, rtol=0)
            for row, old in zip(range(rows.start, rows.stop), mine, strict=True):
                cluster, was = after.clusters[row], before.clusters[old]
                want = warp_boxes(before.kept_boxes[was][None], matrix)[0]
                kept = after.kept_boxes[cluster]
                torch.testing.assert_close(kept, want, atol=1e-3, rtol=0)
                large = bool((want[2:] - want[:2] >= least).all())
                assert after.alive[cluster] == (before.alive[was] and large)
                dropped += not large
                of_kept = after.kept[cluster]
                assert after.clusters[of_kept] == cluster
                assert after.scores[of_kept] == before.scores[before.kept[was]]
                assert after.images[of_kept] == target
            first_cluster += int((before.images[before.kept] == view).sum())
        assert first_row == len(after.rows) > len(before.rows)
        assert first_cluster == len(after) > len(before)
    assert (dropped > 0) == (least > 0)


def test_proposals_and_anchors_go_along():
    _, strong, got, mixed = guidance_in_mosaics(BOTH)
    want, images = [], []
    for target, view, matrix in homographies(mixed):
        mine = strong.proposal_images == view
        want.append(warp_boxes(strong.proposals[mine], matrix))
        images += [target] * int(mine.sum())
    torch.testing.assert_close(got.proposals, torch.cat(want), atol=1e-3, rtol=0)
    assert got.proposal_images.tolist() == images
    assert images == sorted(images)

    before, after = strong.stages["rcnn"], got.stages["rcnn"]
    assert torch.equal(got.proposal_images[after.rows], after.images)
    assert torch.equal(got.proposal_images[after.unsure_rows], after.unsure_images)
    want = [
        warp_boxes(strong.proposals[before.rows[before.images == view]], matrix)
        for _, view, matrix in homographies(mixed)
    ]
    torch.testing.assert_close(
        got.proposals[after.rows], torch.cat(want), atol=1e-3, rtol=0
    )

    rpn = got.stages["rpn"]
    every = rpn.all_priors.flatten(0, 1)
    torch.testing.assert_close(every[rpn.rows], rpn.priors, atol=1e-3, rtol=0)
    per_view = rpn.all_priors.shape[1]
    places = rpn.rows // per_view
    assert torch.equal(rpn.prior_images[places], rpn.images)
    assert not rpn.clear.flatten()[rpn.rows].any()


def test_background_of_a_tile_ends_at_its_edge():
    """Beyond it the anchors of a view, here moved by 40 px, lie on a neighbour."""
    _, strong, _, mixed = guidance_in_mosaics(BOTH)
    rpn = strong.stages["rpn"]
    away = replace(rpn, all_priors=rpn.all_priors + 40.0)
    moved = replace(strong, stages={**strong.stages, "rpn": away})
    clear = moved.to_mixed_views(mixed, (0.0, 0.0)).stages["rpn"].clear
    dropped = 0
    for place, (target, view, _) in enumerate(homographies(mixed)):
        boxes = away.all_priors[view]
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        inside = ((centres >= 0) & (centres <= torch.tensor([96, 64]))).all(1)
        want = rpn.clear[view] & inside if target == 5 else rpn.clear[view]
        assert torch.equal(clear[place], want)
        dropped += int((rpn.clear[view] & ~want).sum())
    assert dropped > 0


def test_partners_lie_in_the_mixed_image():
    model, _, got, _ = guidance_in_mosaics(BOTH)
    head, grids = model.student.rpn_head, [(8, 12), (4, 6), (2, 3)]
    per_image = sum(h * w for h, w in grids) * head.num_base_priors
    rows, iou, _, clear = partners(
        head, grids, got.stages["rpn"], model.stages["rpn"], 6 * per_image
    )
    assert torch.equal(rows // per_image, got.stages["rpn"].images)
    in_mosaic = rows >= 5 * per_image
    assert in_mosaic.any()
    assert (iou[~in_mosaic] > 0.999).all()
    assert clear.view(6, -1).any(1).all()


@pytest.mark.parametrize("stage", ["two", "one", "sparse"])
def test_a_step_with_mosaics(stage):
    dense, cfg = {
        "two": (BOTH, None),
        "one": (dict(head=dict(tau=0.6)), retina_cfg()),
        "sparse": (dict(rpn=dict(mode="sparse"), rcnn=dict(mode="sparse")), None),
    }[stage]
    model = build_dense(dense, cfg, mixing=MOSAIC)
    losses = model.loss(*batch(num_unsup=5))
    assert total({k: v for k, v in losses.items() if "unsup" in k}) > 0
    assert_whole_student_learns(model, losses)
    assert len(model.last_step.labels_strong) == 5


def test_without_clusters_nothing_fails():
    dense = dict(rpn=dict(tau=1 - 1e-9), rcnn=dict(tau=1 - 1e-9))
    model = build_dense(dense, mixing=MOSAIC)
    losses = model.loss(*batch(num_unsup=4))
    assert torch.isfinite(total(losses))
