"""A random part of the background stands for all of it."""

from dataclasses import replace

import pytest
import torch

from ssod_mm.models.dense.losses import Targets, cluster_losses, sampled_background
from ssod_mm.models.dense.rcnn import student_targets
from ssod_mm.models.dense.settings import DenseStage, stage_settings
from tests.models.builders import batch, total
from tests.models.dense_builders import build_dense, guidance_of, missing_gradients

pytestmark = pytest.mark.usefixtures("mmdet_scope")

# Three images: one with much background, one with none, one with a little.
IMAGES = torch.tensor([2, 0, 0, 0, 1, 0, 0, 2, 0, 1, 2])
BACKGROUND = [1, 3, 5, 6, 8, 7]
ROWS = [2, 4, 4, 10]


def targets():
    background = torch.zeros(len(IMAGES), dtype=torch.bool)
    background[BACKGROUND] = True
    return Targets(
        rows=torch.tensor(ROWS),
        labels=torch.tensor([0, 1, 2, 0]),
        scores=torch.tensor([0.9, 0.6, 0.5, 0.8]),
        clusters=torch.tensor([0, 1, 2, 3]),
        boxes=torch.arange(16.0).reshape(4, 4),
        num_clusters=4,
        background=background,
    )


@pytest.mark.parametrize("limit", [1, 2, 4])
def test_every_image_keeps_its_candidates_and_some_background(limit):
    torch.manual_seed(0)
    whole = targets()
    made, used = sampled_background(whole, IMAGES, 3, limit)
    assert used[made.rows].tolist() == ROWS
    background = used[made.background]
    assert set(background.tolist()) <= set(BACKGROUND)
    assert len(used) == len(background) + len(set(ROWS))
    assert (made.background_counts[~made.background] == 0).all()
    for image, count in enumerate([5, 0, 1]):
        mine = IMAGES[used] == image
        assert (IMAGES[background] == image).sum() == min(count, limit)
        assert made.background_counts[mine].sum().item() == pytest.approx(count)


def losses(made, logits, stage):
    def box_loss(rows, targets, labels):
        return targets.sum(1) + logits[rows].sum(1)

    return cluster_losses(logits, logits, box_loss, made, stage, (2.0, 0.25))[0]


@pytest.mark.parametrize("norm", ["foreground", "all"])
def test_the_losses_have_the_same_mean(norm):
    stage = DenseStage(background_norm=norm)
    logits = torch.randn(len(IMAGES), 3, generator=torch.manual_seed(1))
    want = losses(targets(), logits, stage)
    torch.manual_seed(0)
    drawn = []
    for _ in range(600):
        made, used = sampled_background(targets(), IMAGES, 3, 2)
        drawn.append(losses(made, logits[used], stage))
    for name in ("reg", "rank"):
        assert all(trial[name].item() == pytest.approx(want[name]) for trial in drawn)
    cls = torch.stack([trial["cls"] for trial in drawn])
    assert cls.std() > 0.01 * want["cls"]
    error = cls.std() / len(cls) ** 0.5
    assert abs(cls.mean() - want["cls"]) < 4 * error


def test_every_background_prior_is_drawn_alike():
    torch.manual_seed(0)
    hits = torch.zeros(len(IMAGES))
    for _ in range(1000):
        made, used = sampled_background(targets(), IMAGES, 3, 2)
        hits[used[made.background]] += 1
    first = [row for row in BACKGROUND if IMAGES[row] == 0]
    assert hits[first].tolist() == pytest.approx([400] * 5, abs=70)
    assert hits[7] == 1000


def test_without_priors_nothing_is_drawn():
    empty = targets()
    empty = Targets(
        **{
            name: getattr(empty, name)[:0]
            for name in ("rows", "labels", "scores", "clusters", "boxes")
        },
        num_clusters=0,
        background=empty.background[:0],
    )
    made, used = sampled_background(empty, IMAGES[:0], 2, 5)
    assert len(used) == len(made.background) == len(made.background_counts) == 0


def test_a_limit_above_all_background_changes_no_loss():
    got = []
    for limit in (None, 10_000):
        model = build_dense(dict(rcnn=dict(max_background=limit)))
        got.append(model.loss(*batch()))
    whole, drawn = got
    assert set(whole) == set(drawn)
    for name in ("unsup_loss_cls", "unsup_loss_bbox", "unsup_loss_rank"):
        assert drawn[name].item() == pytest.approx(whole[name].item(), rel=1e-4)
    for name in ("rcnn_ambiguous", "rcnn_suppressed", "rcnn_clusters"):
        assert drawn[name] == whole[name]


def test_the_head_sees_no_more_than_it_learns_from():
    model = build_dense(dict(rcnn=dict(max_background=3)), joint_forward=False)
    head, seen = model.student.roi_head.bbox_head, []
    head.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    losses = model.loss(*batch())
    found, moved, _ = guidance_of(model)
    taught = student_targets(moved.extra, model.stages["rcnn"]).rows.unique()
    assert seen[-1] <= len(taught) + 2 * 3 < len(found.extra.proposals)
    assert losses["unsup_loss_cls"] > 0


def test_only_the_rcnn_stage_draws():
    student = build_dense().student
    with pytest.raises(ValueError, match=r"dense\.rpn\.max_background"):
        stage_settings(dict(rpn=dict(max_background=5)), student, 0.9)
    with pytest.raises(ValueError, match="max_background must be a whole number"):
        stage_settings(dict(rcnn=dict(max_background=0)), student, 0.9)


def test_no_proposal_in_view_still_trains_every_parameter():
    model = build_dense(dict(rcnn=dict(max_background=4)))
    whole = model.to_student_view

    def blind(*arguments):
        moved = whole(*arguments)
        hidden = torch.zeros_like(moved.extra.proposals_seen)
        return replace(moved, extra=replace(moved.extra, proposals_seen=hidden))

    model.to_student_view = blind
    losses = model.loss(*batch())
    total(losses).backward()
    assert losses["unsup_loss_cls"] == 0
    assert not missing_gradients(model)
