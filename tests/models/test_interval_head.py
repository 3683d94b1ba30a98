"""The interval box head: losses, weights, start, and its place in detectors."""

import math

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import ConfigDict

from ssod_mm.engine.amp import keep_detection_ops_in_float32
from ssod_mm.maths.intervals import encode_sides
from ssod_mm.models.heads import IntervalBBoxHead
from tests.helpers import tiny_detector_cfg
from tests.models.builders import (
    DETECTORS,
    batch,
    build_mean_teacher,
    cascade_cfg,
    sample,
    total,
)

pytestmark = pytest.mark.usefixtures("mmdet_scope")

NUM_CLASSES, K = 3, 6


def make_head(**changes) -> IntervalBBoxHead:
    cfg = dict(tiny_detector_cfg(NUM_CLASSES)["roi_head"]["bbox_head"])
    torch.manual_seed(0)
    head = MODELS.build(
        dict(cfg, type="IntervalBBoxHead", **{"num_intervals": K, **changes})
    )
    head.init_weights()
    return head


def with_interval_head(cfg: dict, **changes) -> ConfigDict:
    """A detector's config with nothing but the box head's type exchanged."""
    heads = cfg["roi_head"]["bbox_head"]
    for head in heads if isinstance(heads, list) else [heads]:
        head.update(type="IntervalBBoxHead", **changes)
    return ConfigDict(cfg)


def candidates(num=8, num_foreground=5, num_intervals=K, seed=0):
    """RoIs, outputs and mmdet's four targets; foreground first, labels 0, 1, 2, 0."""
    generator = torch.Generator().manual_seed(seed)
    corner = 50 * torch.rand(num, 2, generator=generator)
    sides = 10 + 40 * torch.rand(num, 2, generator=generator)
    boxes = torch.cat([corner, corner + sides], 1)
    rois = torch.cat([torch.zeros(num, 1), boxes], 1)
    cls_score = torch.randn(num, NUM_CLASSES + 1, generator=generator)
    bbox_pred = torch.randn(num, 8 * num_intervals, generator=generator)
    foreground = torch.arange(num) < num_foreground
    labels = torch.where(foreground, torch.arange(num) % NUM_CLASSES, NUM_CLASSES)
    truth = boxes + 4 * torch.randn(num, 4, generator=generator)
    bbox_targets = truth * foreground[:, None]
    weights = foreground[:, None].float().expand(-1, 4).clone()
    return rois, cls_score, bbox_pred, labels, torch.ones(num), bbox_targets, weights


def losses_of(head, given):
    rois, cls_score, bbox_pred, *targets = given
    return head.loss(cls_score, bbox_pred, rois, *targets)


def slow_side_losses(given, row, side):
    """Eq. 3 with both terms and the offset's smooth L1, for one side."""
    rois, _, bbox_pred, _, _, bbox_targets, _ = given
    index, offset = encode_sides(rois[[row], 1:], bbox_targets[[row]], K)
    k, distance = int(index[0, side]), float(offset[0, side])
    logits = bbox_pred[row, side * K : (side + 1) * K].tolist()
    seg = 0.0
    for j, t in enumerate(logits):
        p = 1 / (1 + math.exp(-t))
        seg -= math.log(p if j == k else 1 - p)
    d = abs(float(bbox_pred[row, 4 * K + side * K + k]) - distance)
    return seg, d * d / 2 if d < 1 else d - 0.5


@pytest.mark.parametrize(
    ("norm", "normaliser"), [("sampled", 8), ("foreground", 5 * 4)]
)
def test_losses_are_weighted_sums_over_the_foreground(norm, normaliser):
    head = make_head(loss_norm=norm, seg_weight=0.5, reg_weight=3.0)
    given = candidates()
    given[-1][:5] *= torch.tensor([1.0, 2, 0.5, 1, 0])[:, None]
    losses = losses_of(head, given)
    seg = reg = 0.0
    for row in range(5):
        for side in range(4):
            one = slow_side_losses(given, row, side)
            seg += one[0] * float(given[-1][row, side])
            reg += one[1] * float(given[-1][row, side])
    assert float(losses["loss_bbox_seg"]) == pytest.approx(0.5 * seg / normaliser)
    assert float(losses["loss_bbox_reg"]) == pytest.approx(3 * reg / normaliser)
    assert {key for key in losses if "loss" in key} == {
        "loss_cls",
        "loss_bbox_seg",
        "loss_bbox_reg",
    }


def test_class_weights_reach_the_losses_of_their_class_only():
    head, given = make_head(), candidates()
    labels, weights = given[3], given[-1]
    each = []
    for label in range(NUM_CLASSES):
        own = (labels == label)[:, None] * weights
        each.append(losses_of(head, (*given[:-1], own))["loss_bbox_seg"])
    alphas = torch.tensor([2.0, 0.3, 1.5, 1.0])
    weighted = losses_of(head, (*given[:-1], weights * alphas[labels][:, None]))
    expected = sum(a * loss for a, loss in zip(alphas.tolist(), each, strict=False))
    torch.testing.assert_close(weighted["loss_bbox_seg"], expected)


def test_weights_of_the_background_count_nothing():
    head, given = make_head(), candidates()
    everywhere = losses_of(head, (*given[:-1], torch.ones(8, 4)))
    own = losses_of(head, given)
    for key in ("loss_bbox_seg", "loss_bbox_reg"):
        torch.testing.assert_close(everywhere[key], own[key])


def test_classification_is_the_plain_heads():
    head, given = make_head(), candidates()
    cfg = dict(tiny_detector_cfg(NUM_CLASSES)["roi_head"]["bbox_head"])
    plain = MODELS.build(dict(cfg, reg_class_agnostic=True))
    given[4][:] = torch.linspace(0.5, 2, 8)
    rois, cls_score, _, *targets = given
    theirs = plain.loss(cls_score, torch.zeros(8, 4), rois, *targets)
    torch.testing.assert_close(losses_of(head, given)["loss_cls"], theirs["loss_cls"])


def test_reductions():
    head = make_head(loss_norm="foreground")
    rois, cls_score, bbox_pred, *targets = candidates()
    none, mean = (
        head.loss(cls_score, bbox_pred, rois, *targets, reduction_override=how)
        for how in ("none", "mean")
    )
    # mmdet's classification loss is divided by a number, and refuses this
    summed = head.loss(None, bbox_pred, rois, *targets, reduction_override="sum")
    classes = head.loss(cls_score, None, rois, *targets)
    assert not any("bbox" in key for key in classes)
    torch.testing.assert_close(classes["loss_cls"], mean["loss_cls"])
    for key in ("loss_bbox_seg", "loss_bbox_reg"):
        assert none[key].shape == (8, 4)
        assert not none[key][5:].any()
        torch.testing.assert_close(none[key][:5].mean(), mean[key])
        torch.testing.assert_close(none[key].sum(), summed[key])


def test_share_of_sides_in_the_right_interval():
    """Two foreground rows; the first has all four sides right, the second one."""
    head, given = make_head(), candidates(num=3, num_foreground=2)
    rois, _, bbox_pred, _, _, bbox_targets, _ = given
    indices, _ = encode_sides(rois[:, 1:], bbox_targets, K)
    logits = torch.zeros(3, 4, K)
    logits.scatter_(-1, indices[..., None], 1.0)
    logits[1, 1:] *= -1
    bbox_pred[:, : 4 * K] = logits.flatten(1)
    assert float(losses_of(head, given)["interval_acc"]) == pytest.approx(100 * 5 / 8)


@pytest.mark.parametrize("norm", ["sampled", "foreground"])
@pytest.mark.parametrize("num", [6, 0])
def test_without_foreground_losses_are_zero_and_keep_the_graph(norm, num):
    head = make_head(loss_norm=norm)
    features = torch.randn(num, 16, 4, 4)
    cls_score, bbox_pred = head(features)
    rois, _, _, *targets = candidates(num, 0)
    losses = head.loss(cls_score, bbox_pred, rois, *targets)
    box = losses["loss_bbox_seg"] + losses["loss_bbox_reg"]
    assert box.item() == 0
    box.backward()
    assert head.fc_reg.weight.grad is not None
    assert not head.fc_reg.weight.grad.any()


def test_candidates_without_width_stay_finite():
    head, given = make_head(), candidates()
    given[0][:3, 3] = given[0][:3, 1]
    given[0][1, 4] = given[0][1, 2]
    given[2].requires_grad_()
    losses = losses_of(head, given)
    total(losses).backward()
    assert all(bool(value.isfinite()) for value in losses.values())
    assert bool(given[2].grad.isfinite().all())
    boxes = head.bbox_coder.decode(given[0][:, 1:], given[2], (100, 120))
    assert bool(boxes.isfinite().all())


@pytest.mark.parametrize("num_intervals", [1, 2, 5, 30])
def test_an_untrained_head_leaves_boxes_where_they_are(num_intervals):
    head = make_head(num_intervals=num_intervals)
    _, bbox_pred = head(torch.rand(20, 16, 4, 4))
    rois = candidates(20)[0]
    moved = head.bbox_coder.decode(rois[:, 1:], bbox_pred) - rois[:, 1:]
    extents = (rois[:, 3:] - rois[:, 1:3]).repeat(1, 2)
    assert float((moved / extents).abs().max()) < 0.5 / num_intervals + 0.01
    if num_intervals > 2:
        probability = bbox_pred[:, : 4 * num_intervals].sigmoid()
        assert float(probability.median()) == pytest.approx(1 / num_intervals, rel=0.7)


def test_the_start_survives_a_second_initialisation():
    head = make_head()
    with torch.no_grad():
        head.fc_reg.bias.fill_(7.0)
    head.init_weights()
    assert bool((head.fc_reg.bias == 7).all())


def test_it_learns_the_boxes_and_to_be_certain():
    head = make_head(num_intervals=12, loss_norm="foreground")
    given = candidates(12, 12, 12)
    rois, _, _, *targets = given
    features = torch.randn(12, 16, 4, 4, generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.Adam(head.parameters(), lr=3e-3)
    for _ in range(150):
        cls_score, bbox_pred = head(features)
        losses = head.loss(cls_score, bbox_pred, rois, *targets)
        optimizer.zero_grad()
        total(losses).backward()
        optimizer.step()
    assert float(losses["interval_acc"]) == 100
    _, bbox_pred = head(features)
    error = head.bbox_coder.decode(rois[:, 1:], bbox_pred) - targets[2]
    assert float(error.abs().max()) < 1.0
    assert float(head.loc_quality(bbox_pred, rois).min()) > 0.8


def test_boxes_are_clipped_to_the_image():
    head = make_head(num_intervals=1)
    rois = torch.tensor([[0.0, 80, 20, 110, 90]])
    bbox_pred = torch.zeros(1, 8)
    bbox_pred[0, 6:] = 1.0  # right and lower side one extent further out
    boxes = head.bbox_coder.decode(rois[:, 1:], bbox_pred, (100, 120))
    assert boxes.tolist() == [[80, 20, 120, 100]]
    free = head.bbox_coder.decode(rois[:, 1:], bbox_pred)
    assert free.tolist() == [[80, 20, 140, 160]]
    regressed = head.regress_by_class(
        rois[:, 1:], torch.tensor([2]), bbox_pred, dict(img_shape=(100, 120))
    )
    assert regressed.tolist() == boxes.tolist()


@pytest.mark.parametrize("make_cfg", [tiny_detector_cfg, cascade_cfg])
@pytest.mark.parametrize("num_boxes", [2, 0])
def test_trains_and_detects_inside_whole_detectors(make_cfg, num_boxes):
    cfg = with_interval_head(make_cfg(), num_intervals=K)
    cfg.test_cfg.rcnn.score_thr = 0.01
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    model.init_weights()
    images = torch.randn(1, 3, 64, 96)
    losses = model.loss(images, [sample(0, num_boxes=num_boxes)])
    objective = total(losses)
    objective.backward()
    assert bool(objective.isfinite())
    roi_head = model.roi_head
    for name, parameter in roi_head.named_parameters():
        assert parameter.grad is not None, name
    if num_boxes:
        assert any(
            float(v) > 0 for key, v in losses.items() if key.endswith("bbox_seg")
        )
    with torch.no_grad():
        found = model.eval().predict(images, [sample(0)])[0].pred_instances
    assert len(found) > 0
    heads = roi_head.bbox_head
    last = heads[-1] if isinstance(heads, torch.nn.ModuleList) else heads
    assert last.score_factor == "p*v"
    torch.testing.assert_close(found.scores, found.cls_scores * found.loc_scores)
    assert 0 < float(found.loc_scores.min()) <= float(found.loc_scores.max()) < 1


@pytest.mark.parametrize("detector", ["faster", "cascade"])
def test_is_teacher_and_student_of_a_mean_teacher_in_bfloat16(detector, monkeypatch):
    make_cfg = DETECTORS[detector]
    monkeypatch.setitem(
        DETECTORS, detector, lambda: with_interval_head(make_cfg(), num_intervals=K)
    )
    model = build_mean_teacher(detector)
    keep_detection_ops_in_float32(model)
    with torch.autocast("cpu", torch.bfloat16):
        losses = model.loss(*batch())
    total(losses).backward()
    assert bool(total(losses).isfinite())
    assert any(key.endswith("loss_bbox_seg") and "unsup" in key for key in losses)
    assert all(
        v.dtype == torch.float32
        for key, v in losses.items()
        if key.endswith(("loss_bbox_seg", "loss_bbox_reg"))
    )
    kept = model.last_step.labels_strong.instances
    assert all("loc_scores" in instances for instances in kept)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(num_intervals=0), r"bbox_head\.num_intervals.*0"),
        (dict(num_intervals=2.5), r"bbox_head\.num_intervals.*2\.5"),
        (dict(segment_scale=0), r"bbox_head\.segment_scale.*0"),
        (dict(loss_norm="mean"), r"bbox_head\.loss_norm.*'mean'"),
        (dict(score_factor="v"), r"bbox_head\.score_factor.*'v'"),
        (
            dict(loss_bbox=dict(type="L1Loss", loss_weight=2.0)),
            "seg_weight and reg_weight",
        ),
    ],
)
def test_bad_settings_name_the_key(changes, message):
    with pytest.raises(ValueError, match=message):
        make_head(**changes)
