"""Dense guidance: the contract of every mode, and refused settings."""

import pytest
import torch

from ssod_mm.models import class_balance
from ssod_mm.models.dense import losses as dense_losses
from ssod_mm.models.detectors import mean_teacher
from ssod_mm.models.features import joint_features, passes_by_size
from tests.models.builders import (
    batch,
    build_mean_teacher,
    cascade_cfg,
    one_stage_cfg,
    total,
)
from tests.models.dense_builders import (
    BOTH,
    build_dense,
    focal_cfg,
    missing_gradients,
    retina_cfg,
)

pytestmark = pytest.mark.usefixtures("mmdet_scope")


MODES = {
    "dense, dense": BOTH,
    "off, dense": dict(rpn=dict(mode="off")),
    "dense, off": dict(rpn=dict(tau=0.5), rcnn=dict(mode="off")),
    "sparse, dense": dict(rpn=dict(mode="sparse")),
    "dense, sparse": dict(rpn=dict(tau=0.5), rcnn=dict(mode="sparse")),
    "sparse, sparse": dict(rpn=dict(mode="sparse"), rcnn=dict(mode="sparse")),
    "classes alone": dict(rcnn=dict(box_target="none", rank_weight=0.0)),
    "some background": dict(rcnn=dict(max_background=4)),
    "own boxes": dict(rcnn=dict(box_target="own"), rpn=dict(tau=0.5, box_target="own")),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("empty", [False, True])
def test_every_mode_trains_every_parameter(mode, empty):
    dense = {name: dict(stage) for name, stage in MODES[mode].items()}
    if empty:
        for name in ("rpn", "rcnn"):
            dense.setdefault(name, {})["tau"] = 1 - 1e-9
    model = build_dense(dense, score_thr=1.0 if empty else 0.9)
    before = {k: v.clone() for k, v in model.teacher.state_dict().items()}
    losses = model.loss(*batch(num_boxes=0 if empty else 2))
    value = total(losses)
    assert torch.isfinite(value)
    value.backward()
    assert not missing_gradients(model)
    assert all(torch.equal(v, before[k]) for k, v in model.teacher.state_dict().items())
    taught = sum(total({k: v}) for k, v in losses.items() if "unsup_loss" in k)
    assert (taught == 0) == empty


def test_retinanet_learns_from_clusters():
    model = build_dense(dict(head=dict(tau=0.6)), retina_cfg())
    losses = model.loss(*batch())
    total(losses).backward()
    assert not missing_gradients(model)
    assert losses["head_clusters"] > 0
    assert losses["unsup_loss_cls"] > 0
    assert losses["unsup_loss_bbox"] > 0


@pytest.mark.parametrize("balance", [None, dict(use_loc=False)])
def test_a_process_without_unlabelled_images_joins_the_reductions(monkeypatch, balance):
    """Else the other processes of a batch drawn from the union wait for ever."""
    calls = []

    def noted(counts):
        calls.append(counts.shape)
        return counts

    monkeypatch.setattr(dense_losses, "reduce_mean", noted)
    monkeypatch.setattr(class_balance, "all_reduce", noted)
    monkeypatch.setattr(mean_teacher, "all_reduce", noted)
    model = build_dense(BOTH, class_balance=balance)
    inputs, samples = batch()
    model.loss(inputs, samples)
    asked = calls.copy()
    calls.clear()
    model.loss({"sup": inputs["sup"]}, {"sup": samples["sup"]})
    # in the same order, too
    assert calls == asked
    assert len(calls) == (3 if balance is None else 4)
    assert len({tuple(shape) for shape in calls[-2:]}) == 2


@pytest.mark.parametrize("rcnn", ["dense", "sparse"])
def test_losses_of_all_stages_can_be_weighted(rcnn):
    dense = dict(rpn=dict(mode="sparse"), rcnn=dict(mode=rcnn))
    names = ["loss_rpn_bbox", "loss_bbox"]
    whole, weighted = (
        build_dense(dense, unsup_loss_weights=factors).loss(*batch())
        for factors in (None, dict.fromkeys(names, 0.25))
    )
    for key, value in whole.items():
        factor = 0.25 if key.removeprefix("unsup_") in names else 1.0
        if key.startswith("unsup_loss"):
            for plain, other in zip(
                tensors(value), tensors(weighted[key]), strict=True
            ):
                torch.testing.assert_close(other, factor * plain)
    assert torch.stack(tensors(whole["unsup_loss_rpn_bbox"])).sum() > 0


def tensors(loss):
    return loss if isinstance(loss, list) else [loss]


def test_no_proposal_at_all():
    model = build_dense(BOTH)
    for detector in (model.teacher, model.student):
        detector.train_cfg["rpn_proposal"]["min_bbox_size"] = 10_000
    losses = model.loss(*batch(num_boxes=0))
    assert losses["rcnn_clusters"] == 0
    total(losses).backward()
    assert not missing_gradients(model)


def test_burn_in_leaves_the_teacher_alone():
    model = build_dense(BOTH, burn_in=5)
    model.teacher.extract_feat = None
    losses = model.loss(*batch())
    assert not any(key.startswith("unsup_loss") for key in losses)


def test_each_network_runs_once_per_step():
    model = build_dense(BOTH)
    calls = []
    for detector, name in ((model.teacher, "teacher"), (model.student, "student")):
        for part in ("backbone", "rpn_head.rpn_conv", "roi_head.bbox_head.fc_cls"):
            detector.get_submodule(part).register_forward_hook(
                lambda _m, _a, _o, key=f"{name} {part}": calls.append(key)
            )
    model.loss(*batch())
    assert calls.count("teacher backbone") == calls.count("student backbone") == 1
    assert calls.count("teacher rpn_head.rpn_conv") == 3  # levels
    assert calls.count("student rpn_head.rpn_conv") == 3
    assert calls.count("teacher roi_head.bbox_head.fc_cls") == 1
    assert calls.count("student roi_head.bbox_head.fc_cls") == 1


@pytest.mark.parametrize("dtype", [torch.bfloat16])
def test_reduced_precision_trains(dtype):
    from ssod_mm.engine.amp import keep_detection_ops_in_float32

    model = build_dense(BOTH)
    keep_detection_ops_in_float32(model)
    with torch.autocast("cpu", dtype):
        losses = model.loss(*batch())
    assert losses["rcnn_clusters"] > 0
    value = total(losses)
    assert torch.isfinite(value)
    value.backward()


@pytest.mark.parametrize(
    ("dense", "key"),
    [
        (dict(rcnn=dict(mode="both")), "model.dense.rcnn.mode"),
        (dict(rcnn=dict(threshold=0.4)), "threshold"),
        (dict(roi=dict()), "roi"),
        (dict(rpn=dict(tau=1.5)), "model.dense.rpn.tau"),
        (dict(rcnn=dict(ignore_thr=0.9)), "model.dense.rcnn.ignore_thr"),
        (dict(rpn=dict(level="ceil")), "model.dense.rpn.level"),
        (dict(rcnn=dict(temperature=0)), "model.dense.rcnn.temperature"),
        (dict(rcnn=dict(rank_weight=-1)), "model.dense.rcnn.rank_weight"),
        (dict(rcnn=dict(iou_thr=1.0)), "model.dense.rcnn.iou_thr"),
        (dict(rcnn=dict(kept_by="p*v")), "IntervalBBoxHead"),
        (dict(rpn=dict(kept_by="p*v")), "model.dense.rpn.kept_by"),
        (
            dict(rcnn=dict(tau=0.95), rpn=dict(mode="sparse")),
            "model.semi_train_cfg.score_thr",
        ),
    ],
)
def test_bad_settings_name_their_key(dense, key):
    with pytest.raises(ValueError, match=key.replace(".", r"\.")):
        build_dense(dense)


def test_unfit_detectors_are_refused():
    plain = focal_cfg(
        loss_cls=dict(type="CrossEntropyLoss"), cls_predictor_cfg=dict(type="Linear")
    )
    with pytest.raises(ValueError, match="FocalRoILoss"):
        build_dense(None, plain, certain=False)
    with pytest.raises(ValueError, match="CascadeRoIHead"):
        build_dense(None, cascade_cfg(), certain=False)
    with pytest.raises(ValueError, match="FCOSHead has none"):
        build_dense(None, one_stage_cfg("FCOSHead"), certain=False)


def test_images_do_not_pass_by_size(monkeypatch):
    """Beyond the images of a group the maps of the anchor head hold no prediction."""
    asked = []

    def features(detector, batches, waste, sizes=None):
        asked.append(sizes)
        return joint_features(detector, batches, waste, sizes)

    def passes(detector, sizes, waste):
        asked.append(waste if waste >= 0 else None)
        return passes_by_size(detector, sizes, waste)

    monkeypatch.setattr(mean_teacher, "joint_features", features)
    monkeypatch.setattr(mean_teacher, "passes_by_size", passes)
    build_dense(BOTH).loss(*batch())
    assert asked == [None, None]
    build_mean_teacher().loss(*batch())
    assert None not in asked[2:]


def test_a_one_stage_detector_may_learn_pseudo_boxes():
    dense = dict(head=dict(mode="sparse", tau=0.5))
    model = build_dense(dense, cfg=retina_cfg(), score_thr=0.55)
    losses = model.loss(*batch())
    assert losses["pseudo_per_image"] > 0
    total({k: v for k, v in losses.items() if k.startswith("unsup")}).backward()
    assert sum(p.grad.abs().sum() for p in model.student.bbox_head.parameters()) > 0
