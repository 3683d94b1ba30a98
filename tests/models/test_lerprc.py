"""LER and PRC: their losses by loops, one forward pass, and the frame's contract."""

import gc
import weakref

import pytest
import torch
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from torch.nn.functional import cross_entropy, smooth_l1_loss

from ssod_mm.engine.amp import keep_detection_ops_in_float32
from ssod_mm.models.class_balance import box_heads
from ssod_mm.models.detectors.lerprc import assigned_quality
from ssod_mm.structures import PseudoBoxes
from tests.models.builders import DETECTORS, NUM_CLASSES, batch, total
from tests.models.dense_builders import FOCAL
from tests.models.gaussian_builders import build_lerprc, gaussian_cfg, with_heads

pytestmark = pytest.mark.usefixtures("mmdet_scope")

FLIP = torch.tensor([[-1.0, 0, 96], [0, 1, 0], [0, 0, 1]]).numpy()
SWITCHES = [(None, None), ({}, None), (None, {}), ({}, {})]


def trainable(module):
    return {n: p for n, p in module.named_parameters() if p.requires_grad}


def flipped_batch(**options):
    """A batch whose strong views are mirrored, in their pixels too."""
    inputs, samples = batch(**options)
    inputs["unsup_student"] = inputs["unsup_student"].flip(3)
    for one in samples["unsup_student"]:
        one.set_metainfo(dict(homography_matrix=FLIP))
    return inputs, samples


def watch(model):
    """Record what ``roi_loss`` gets and gives."""
    seen = []
    inner = model.roi_loss

    def spy(guidance, samples, candidates):
        losses = inner(guidance, samples, candidates)
        seen.append((guidance, candidates, losses))
        return losses

    model.roi_loss = spy
    return seen


def slow_losses(model, inputs, guidance, candidates, stage=0):
    """Equations 11 to 14, candidate by candidate, the teacher asked for each."""
    head = box_heads(model.teacher)[stage]
    extractor = model.teacher.roi_head.bbox_roi_extractor
    extractor = extractor[stage] if stage or hasattr(extractor, "append") else extractor
    sums = {"box": 0.0, "fg": 0.0, "bg": 0.0}
    counts = {"fg": 0, "bg": 0}
    first = 0
    for image, chosen in enumerate(candidates.sampling):
        num_pos = len(chosen.pos_priors)
        features = model.teacher.extract_feat(inputs["unsup_teacher"][image][None])
        for row in range(first, first + num_pos + len(chosen.neg_priors)):
            x1, y1, x2, y2 = candidates.rois[row, 1:].tolist()
            mirrored = torch.tensor([[0.0, 96 - x2, y1, 96 - x1, y2]])
            cls_score, boxes = head(extractor(features[:3], mirrored))
            probs = cls_score[0].softmax(0)
            label = int(candidates.labels[row])
            ce = cross_entropy(
                candidates.cls_score[row][None], torch.tensor([label])
            ).item()
            if row - first >= num_pos:
                assert label == NUM_CLASSES
                sums["bg"] += float(probs[-1]) * ce
                counts["bg"] += 1
                continue
            best = int(probs[:-1].argmax())
            quality = head.loc_quality(boxes)
            quality = quality[0, best] if quality.dim() == 2 else quality[0]
            sums["fg"] += float(probs[best] * quality) * ce
            counts["fg"] += 1
            gt = chosen.pos_assigned_gt_inds[row - first]
            pseudo = guidance.instances[image]
            assert int(pseudo.labels[gt]) == label
            student = box_heads(model.student)[stage]
            means = student.means(candidates.bbox_pred)[row].reshape(-1, 4)
            means = means[0 if student.reg_class_agnostic else label]
            target = student.bbox_coder.encode(
                candidates.rois[row, 1:][None], pseudo.bboxes[gt][None]
            )[0]
            loss = smooth_l1_loss(means, target, beta=1.0).item()
            sums["box"] += float(pseudo.loc_scores[gt]) * loss
        first += num_pos + len(chosen.neg_priors)
    box = sums["box"] / max(counts["fg"], 1)
    return box, sums["fg"] / max(counts["fg"], 1) + sums["bg"] / max(counts["bg"], 1)


@pytest.mark.parametrize("detector", ["faster", "cascade"])
def test_losses_are_the_equations_as_loops(detector):
    model = build_lerprc(detector, unsup_weight=1.0)
    seen = watch(model)
    inputs, samples = flipped_batch()
    model.loss(inputs, samples)
    assert len(seen) == (2 if detector == "cascade" else 1)
    for stage, (guidance, candidates, losses) in enumerate(seen):
        assert candidates.foreground.any()
        assert not candidates.foreground.all()
        with torch.no_grad():
            box, cls = slow_losses(model, inputs, guidance, candidates, stage)
        assert losses["loss_bbox"].item() == pytest.approx(box, rel=1e-3)
        assert losses["loss_cls"].item() == pytest.approx(cls, rel=1e-3)


def test_alpha_and_stage_weights_apply_once():
    model = build_lerprc("cascade", unsup_weight=3.0)
    seen = watch(model)
    losses = model.loss(*batch())
    for stage, stage_weight in enumerate([1, 0.5]):
        raw = seen[stage][2]["loss_cls"].item()
        want = 3.0 * stage_weight * raw
        assert losses[f"unsup_s{stage}.loss_cls"].item() == pytest.approx(want)


def test_each_networks_parts_run_once():
    model = build_lerprc()
    calls = {}

    def count(name):
        return lambda *_: calls.update({name: calls.get(name, 0) + 1})

    for who in ("student", "teacher"):
        detector = getattr(model, who)
        detector.backbone.register_forward_hook(count(f"{who}.backbone"))
        detector.rpn_head.register_forward_hook(count(f"{who}.rpn"))
        detector.roi_head.bbox_head.register_forward_hook(count(f"{who}.box"))
    model.loss(*batch())
    assert calls == {
        "student.backbone": 1,  # labelled and strong views together
        "student.rpn": 2,  # labelled, strong
        "student.box": 2,
        "teacher.backbone": 1,
        "teacher.rpn": 1,
        "teacher.box": 2,  # detections, re-scoring
    }


def test_neither_is_the_plain_mean_teacher_with_mmdets_losses():
    """The same step as MeanTeacher's with an untouched head of the same weights."""
    results = []
    for kind in ("LerPrcTeacher", "MeanTeacher"):
        switches = dict(ler=None, prc=None) if kind == "LerPrcTeacher" else {}
        model = build_lerprc(model=dict(type=kind, **switches))
        if kind == "MeanTeacher":
            head = model.student.roi_head.bbox_head
            head.loss = head.unlabelled_loss
        torch.manual_seed(0)
        results.append(model.loss(*batch()))
    ours, plain = results
    for key in ("unsup_loss_cls", "unsup_loss_bbox", "unsup_acc"):
        torch.testing.assert_close(ours[key], plain[key])
    assert not any("ler_" in key or "prc_" in key for key in ours)


def test_switches_change_their_own_loss_alone():
    losses = {}
    for ler, prc in SWITCHES:
        model = build_lerprc(model=dict(ler=ler, prc=prc))
        torch.manual_seed(0)
        losses[ler is not None, prc is not None] = model.loss(*batch())
    for with_prc in (False, True):
        off, on = losses[False, with_prc], losses[True, with_prc]
        assert off["unsup_loss_cls"] == on["unsup_loss_cls"]
        assert off["unsup_loss_bbox"] != on["unsup_loss_bbox"]
    for with_ler in (False, True):
        off, on = losses[with_ler, False], losses[with_ler, True]
        assert off["unsup_loss_bbox"] == on["unsup_loss_bbox"]
        assert off["unsup_loss_cls"] != on["unsup_loss_cls"]
    for key in ("unsup_loss_rpn_cls", "unsup_loss_rpn_bbox", "sup_loss_bbox"):
        values = {str(one[key]) for one in losses.values()}
        assert len(values) == 1


def test_variant_keys_do_what_they_say():
    def step(**model):
        built = build_lerprc(model=model)
        seen = watch(built)
        torch.manual_seed(0)
        built.loss(*batch())
        return seen[0][1], seen[0][2]

    candidates, plain = step(ler=dict(quality=False, reg_norm="sampled"), prc=None)
    _, untouched = step(ler=None, prc=None)
    torch.testing.assert_close(plain["loss_bbox"], untouched["loss_bbox"])
    _, mean = step(ler=dict(quality=False), prc=None)
    ratio = len(candidates.labels) / (4 * candidates.foreground.sum())
    torch.testing.assert_close(mean["loss_bbox"], plain["loss_bbox"] * ratio)
    _, twice = step(ler=dict(quality=False, gain=2.0), prc=None)
    torch.testing.assert_close(twice["loss_bbox"], 2 * mean["loss_bbox"])

    _, printed = step(ler=None, prc={})
    _, alone = step(ler=None, prc=dict(quality=False))
    assert alone["prc_fg_reliability"] > printed["prc_fg_reliability"]
    assert alone["prc_bg_reliability"] == printed["prc_bg_reliability"]
    _, joint = step(ler=None, prc=dict(cls_norm="joint"))
    assert joint["loss_cls"] < printed["loss_cls"]
    _, gained = step(ler=None, prc=dict(gain=2.0))
    torch.testing.assert_close(
        gained["prc_fg_reliability"], 2 * printed["prc_fg_reliability"]
    )


def test_quality_reaches_the_candidates_of_its_own_pseudo_label():
    """Hand-made boxes: two pseudo labels on image 0, none on image 1, one on 2."""
    model = build_lerprc()
    seen = watch(model)
    inputs, samples = batch(num_unsup=3)
    places = [[[2.0, 2, 30, 30], [50, 20, 90, 60]], [], [[10.0, 10, 60, 50]]]
    qualities = [[0.1, 0.4], [], [0.3]]
    inner = model.teacher_guidance

    def known(images, metas):
        found = inner(images, metas)
        made = []
        for one, boxes, quality in zip(found.instances, places, qualities, strict=True):
            new = one[: len(boxes)]
            new.bboxes = torch.tensor(boxes).reshape(-1, 4)
            new.loc_scores = torch.tensor(quality)
            new.labels = torch.zeros(len(boxes), dtype=torch.long)
            made.append(new)
        return found.replace(PseudoBoxes(made))

    model.teacher_guidance = known
    model.loss(inputs, samples)
    guidance, candidates, losses = seen[0]
    got = assigned_quality(guidance, candidates)
    checked = set()
    for row, box in enumerate(candidates.rois):
        image = int(box[0])
        if not candidates.foreground[row]:
            continue
        overlaps = [iou(box[1:].tolist(), place) for place in places[image]]
        nearest = max(range(len(overlaps)), key=overlaps.__getitem__)
        assert overlaps[nearest] >= 0.5
        assert got[row].item() == pytest.approx(qualities[image][nearest])
        checked.add((image, nearest))
    assert checked == {(0, 0), (0, 1), (2, 0)}
    mean = got[candidates.foreground].mean().item()
    assert losses["ler_quality"].item() == pytest.approx(mean)


def iou(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


@pytest.mark.parametrize(
    ("detector", "switches"),
    [*(("faster", one) for one in SWITCHES), ("cascade", ({}, {}))],
)
@pytest.mark.parametrize("case", ["all", "no pseudo label", "no box", "neither", "one"])
def test_every_batch_trains_every_parameter(detector, switches, case):
    ler, prc = switches
    thr = 1.0 if case in ("no pseudo label", "neither") else 0.0
    model = build_lerprc(detector, model=dict(ler=ler, prc=prc), score_thr=thr)
    num_boxes = 0 if case in ("no box", "neither") else 2
    num_unsup = 1 if case == "one" else 2
    losses = model.loss(*batch(num_unsup=num_unsup, num_boxes=num_boxes))
    value = total(losses)
    assert torch.isfinite(value)
    value.backward()
    missing = [n for n, p in trainable(model.student).items() if p.grad is None]
    assert not missing
    assert not trainable(model.teacher)
    if prc is not None and case == "all":
        prefix = "unsup_s0." if detector == "cascade" else "unsup_"
        assert 0 < losses[f"{prefix}prc_fg_reliability"] < 0.5
        assert 0 < losses[f"{prefix}prc_bg_reliability"] < 1


def test_one_class_and_no_sampled_roi():
    cfg = gaussian_cfg(num_classes=1)
    model = build_lerprc(cfg)
    inputs, samples = batch()
    for one in samples["sup"]:
        one.gt_instances.labels = torch.zeros_like(one.gt_instances.labels)
    total(model.loss(inputs, samples)).backward()
    assert all(p.grad is not None for p in trainable(model.student).values())

    model = build_lerprc(score_thr=1.0, empty_weight=1.0)
    # No proposal survives this size and without boxes none is added.
    model.student.train_cfg["rpn_proposal"]["min_bbox_size"] = 10_000
    losses = model.loss(*batch(num_boxes=0))
    assert {"sup_loss_cls", "unsup_loss_cls"} <= set(losses)
    value = total(losses)
    assert torch.isfinite(value)
    value.backward()
    assert all(p.grad is not None for p in trainable(model.student).values())


def test_variances_learn_from_labelled_images_alone():
    model = build_lerprc(sup_weight=0.0)
    total(model.loss(*batch())).backward()
    layer = model.student.roi_head.bbox_head.fc_reg
    assert layer.weight.grad.abs().sum() > 0
    assert layer.log_var.weight.grad.abs().sum() == 0


def test_the_teachers_features_do_not_outlive_the_step():
    model = build_lerprc()
    seen = watch(model)
    model.loss(*batch())
    alive = weakref.ref(seen[0][0].features[0])
    assert type(model.last_step.labels_weak) is PseudoBoxes
    assert type(model.last_step.labels_strong) is PseudoBoxes
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
        want = (per_side * quality[:, None]).sum() / (4 * candidates.foreground.sum())
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


@pytest.mark.parametrize("dtype", [torch.bfloat16])
def test_bfloat16_step(dtype):
    model = build_lerprc()
    keep_detection_ops_in_float32(model)
    with torch.autocast("cpu", dtype):
        losses = model.loss(*batch())
    value = total(losses)
    value.backward()
    assert torch.isfinite(value)
    assert losses["unsup_loss_cls"].dtype == torch.float32


@pytest.mark.parametrize(
    ("detector", "model", "message"),
    [
        ("faster", dict(ler=dict(norm="x")), r"model\.ler has unknown key.*norm"),
        ("faster", dict(ler=dict(reg_norm="x")), r"model\.ler\.reg_norm must be one"),
        ("faster", dict(prc=dict(cls_norm="x")), r"model\.prc\.cls_norm must be one"),
        ("faster", dict(prc=dict(box_hull="x")), r"model\.prc\.box_hull must be one"),
        ("faster", dict(prc=dict(gain=0)), r"model\.prc\.gain must be positive"),
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
