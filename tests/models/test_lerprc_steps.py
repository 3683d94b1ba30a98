"""LER and PRC: every kind of batch and head trains, and refused settings."""

import gc
import weakref

import pytest
import torch
from mmdet.models.roi_heads.bbox_heads import BBoxHead

from ssod_mm.engine.amp import keep_detection_ops_in_float32
from ssod_mm.models.detectors.lerprc import assigned_quality
from tests.models.builders import (
    DETECTORS,
    assert_whole_student_learns,
    batch,
    total,
    trainable,
)
from tests.models.dense_builders import FOCAL, build_dense, focal_cfg
from tests.models.gaussian_builders import (
    SWITCHES,
    build_lerprc,
    gaussian_cfg,
    spread_variances,
    watch,
    with_heads,
)

pytestmark = pytest.mark.usefixtures("mmdet_scope")


@pytest.mark.parametrize(
    ("detector", "switches"),
    [*(("faster", switch) for switch in SWITCHES), ("cascade", ({}, {}))],
)
@pytest.mark.parametrize("case", ["all", "no pseudo label", "no box", "neither", "one"])
def test_every_batch_trains_every_parameter(detector, switches, case):
    ler, prc = switches
    thr = 1.0 if case in ("no pseudo label", "neither") else 0.0
    model = build_lerprc(detector, model=dict(ler=ler, prc=prc), score_thr=thr)
    num_boxes = 0 if case in ("no box", "neither") else 2
    num_unsup = 1 if case == "one" else 2
    losses = model.loss(*batch(num_unsup=num_unsup, num_boxes=num_boxes))
    assert_whole_student_learns(model, losses)
    if prc is not None and case == "all":
        prefix = "unsup_s0." if detector == "cascade" else "unsup_"
        assert 0 < losses[f"{prefix}prc_fg_reliability"] < 0.5
        assert 0 < losses[f"{prefix}prc_bg_reliability"] < 1


def test_one_class_and_no_sampled_roi():
    cfg = gaussian_cfg(num_classes=1)
    model = build_lerprc(cfg)
    inputs, samples = batch()
    for sample in samples["sup"]:
        sample.gt_instances.labels = torch.zeros_like(sample.gt_instances.labels)
    value = total(model.loss(inputs, samples))
    assert torch.isfinite(value)
    value.backward()
    assert_finite_gradients(model)

    model = build_lerprc(score_thr=1.0, empty_weight=1.0)
    # No proposal survives this size and without boxes none is added.
    model.student.train_cfg["rpn_proposal"]["min_bbox_size"] = 10_000
    losses = model.loss(*batch(num_boxes=0))
    assert {"sup_loss_cls", "unsup_loss_cls"} <= set(losses)
    value = total(losses)
    assert torch.isfinite(value)
    value.backward()
    assert_finite_gradients(model)


@pytest.mark.parametrize("kind", ["LerPrcTeacher", "MeanTeacher", "CertaintyTeacher"])
def test_variances_learn_from_labelled_images_alone(kind):
    model = build_lerprc(model=dict(type=kind), sup_weight=0.0)
    assert_means_alone_learn(model, model.loss(*batch()))


def assert_finite_gradients(model):
    grads = [parameter.grad for parameter in trainable(model.student).values()]
    assert all(grad is not None and grad.isfinite().all() for grad in grads)


@pytest.mark.parametrize("branch", ["sup", "unsup"])
def test_batches_of_one_kind_and_burn_in(branch):
    """A batch drawn from the union may lack labelled or unlabelled images."""
    for burn_in in (0, 5):
        model = build_lerprc(burn_in=burn_in)
        inputs, samples = batch()
        for key in [key for key in inputs if not key.startswith(branch)]:
            del inputs[key], samples[key]
        losses = model.loss(inputs, samples)
        value = total(losses)
        assert torch.isfinite(value)
        value.backward()
        assert_finite_gradients(model)
        learns = branch == "unsup" and burn_in == 0
        assert ("unsup_prc_fg_reliability" in losses) == learns


def test_variances_learn_from_labelled_images_alone_in_sparse_stages():
    sparse = dict(mode="sparse")
    cfg = focal_cfg(type="GaussianBBoxHead")
    dense = dict(rpn=sparse, rcnn=dict(tau=0.45, **sparse))
    model = build_dense(dense, cfg=cfg, sup_weight=0.0, score_thr=0.45)
    spread_variances(model.student)
    assert_means_alone_learn(model, model.loss(*batch()))


def assert_means_alone_learn(model, losses):
    total(losses).backward()
    layer = model.student.roi_head.bbox_head.fc_reg
    assert layer.weight.grad.abs().sum() > 0
    assert layer.log_var.weight.grad.abs().sum() == 0


@pytest.mark.parametrize("kind", ["LerPrcTeacher", "MeanTeacher"])
def test_an_roi_head_with_losses_of_its_own_is_refused(kind):
    """Its losses would be those of true boxes, and nothing would tell."""
    cfg = gaussian_cfg()
    cfg["roi_head"]["type"] = "PISARoIHead"
    sampler = dict(type="ScoreHLRSampler", num=32, pos_fraction=0.25)
    cfg["train_cfg"]["rcnn"].update(sampler=sampler, isr=None, carl=None)
    model = build_lerprc(cfg, model=dict(type=kind))
    with pytest.raises(ValueError, match=r"PISARoIHead.* use StandardRoIHead"):
        model.loss(*batch())


def test_the_teachers_features_do_not_outlive_the_step():
    model = build_lerprc()
    seen = watch(model)
    model.loss(*batch())
    alive = weakref.ref(seen[0][0].extra.features[0])
    assert model.last_step.labels_weak.extra is None
    assert model.last_step.labels_strong.extra is None
    seen.clear()
    gc.collect()
    assert alive() is None
    head = model.student.roi_head.bbox_head
    assert head.loss_and_target.__func__ is BBoxHead.loss_and_target


def test_a_failing_loss_leaves_the_head_as_it_was():
    model = build_lerprc()
    model.roi_loss = lambda *_: 1 / 0
    with pytest.raises(ZeroDivisionError):
        model.loss(*batch())
    assert "loss_and_target" not in vars(model.student.roi_head.bbox_head)


def test_class_balance_weights_pass_through():
    balance = dict(g1=0.0, use_loc=False, weight_bounds=(3.0, 3.0), prior=0.0)
    results = []
    for extra in ({}, dict(class_balance=balance)):
        model = build_lerprc(model=extra)
        seen = watch(model)
        torch.manual_seed(0)
        model.loss(*batch())
        results.append(seen[0])
    (_, one, plain), (_, _, balanced) = results
    torch.testing.assert_close(balanced["loss_bbox"], 3 * plain["loss_bbox"])
    assert plain["loss_cls"] < balanced["loss_cls"] < 3 * plain["loss_cls"]
    assert one.foreground.any()


def test_ler_takes_the_quality_of_the_interval_head():
    for norm in ("sampled", "foreground"):
        cfg = with_heads(DETECTORS["faster"](), type="IntervalBBoxHead", loss_norm=norm)
        model = build_lerprc(cfg, model=dict(prc={}))
        seen = watch(model)
        losses = model.loss(*batch())
        total(losses).backward()
        guidance, candidates, got = seen[0]
        head = candidates.head
        quality = assigned_quality(guidance, candidates)
        per_side = head.loss(
            candidates.cls_score,
            candidates.bbox_pred,
            candidates.rois,
            candidates.labels,
            candidates.label_weights,
            candidates.bbox_targets,
            candidates.bbox_weights,
            reduction_override="none",
        )["loss_bbox_seg"]
        want = (per_side * quality[:, None]).sum() / candidates.foreground.sum()
        torch.testing.assert_close(got["loss_bbox_seg"], want, rtol=1e-4, atol=1e-6)


def test_plain_heads_take_prc_without_quality():
    model = build_lerprc(
        DETECTORS["faster"](), model=dict(ler=None, prc=dict(quality=False))
    )
    assert torch.isfinite(total(model.loss(*batch())))


def test_prc_normalises_a_focal_loss_once():
    cfg = with_heads(DETECTORS["faster"](), **FOCAL)
    model = build_lerprc(cfg, model=dict(ler=None, prc=dict(quality=False)))
    model._prc_weights = lambda _guidance, _samples, candidates: (
        torch.full((len(candidates.labels),), 0.25),
        {},
    )
    seen = watch(model)
    model.loss(*batch())
    _, candidates, got = seen[0]
    rows = candidates.head.loss_cls(
        candidates.cls_score, candidates.labels, reduction_override="none"
    )
    assert candidates.foreground.sum() > 1
    torch.testing.assert_close(got["loss_cls"], 0.25 * rows.sum())


@pytest.mark.parametrize("detector", ["faster", "cascade"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_step(detector, dtype):
    model = build_lerprc(detector)
    keep_detection_ops_in_float32(model)
    with torch.autocast("cpu", dtype):
        losses = model.loss(*batch())
    value = total(losses)
    value.backward()
    assert torch.isfinite(value)
    assert_finite_gradients(model)
    prefix = "unsup_s0." if detector == "cascade" else "unsup_"
    assert losses[f"{prefix}loss_cls"].dtype == torch.float32


@pytest.mark.parametrize(
    ("detector", "model", "message"),
    [
        ("faster", dict(ler=dict(norm="x")), r"model\.ler has unknown key.*norm"),
        ("faster", dict(ler=dict(reg_norm="x")), r"model\.ler\.reg_norm must be one"),
        ("faster", dict(prc=dict(cls_norm="x")), r"model\.prc\.cls_norm must be one"),
        ("faster", dict(prc=dict(box_hull="x")), r"model\.prc\.box_hull must be one"),
        (
            "faster",
            dict(prc=dict(gain=0)),
            r"model\.prc\.gain must be a number above 0",
        ),
        (DETECTORS["faster"], {}, r"model\.ler\.quality needs .* Shared2FCBBoxHead"),
        (DETECTORS["faster"], dict(ler=None), r"model\.prc\.quality needs"),
        (DETECTORS["fcos"], {}, "model.detector must be a two-stage detector"),
    ],
)
def test_wrong_settings_name_their_key(detector, model, message):
    cfg = detector if isinstance(detector, str) else detector()
    if not isinstance(cfg, str) and "rcnn" not in cfg["test_cfg"]:
        cfg["test_cfg"]["rcnn"] = {}
    with pytest.raises(ValueError, match=message):
        build_lerprc(cfg, model=model)
