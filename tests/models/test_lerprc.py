"""LER and PRC: their losses by loops, one forward pass, the switches."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy, smooth_l1_loss

from ssod_mm.models.detectors.lerprc import assigned_quality
from ssod_mm.models.heads.answers import box_heads
from tests.models.builders import NUM_CLASSES, batch
from tests.models.gaussian_builders import SWITCHES, build_lerprc, watch

pytestmark = pytest.mark.usefixtures("mmdet_scope")

# From an image to its strong view, not its own inverse: which way it is used shows.
RIGHT, DOWN = 100, 7
MOVED = torch.tensor([[-1.0, 0, RIGHT], [0, 1, DOWN], [0, 0, 1]]).numpy()


def moved_batch(**options):
    """A batch whose strong views are mirrored and moved, in their pixels too."""
    inputs, samples = batch(**options)
    images = inputs["unsup_student"].flip(3)
    images = torch.roll(images, (DOWN, RIGHT - images.shape[3]), (2, 3))
    inputs["unsup_student"] = images
    for sample in samples["unsup_student"]:
        sample.set_metainfo(dict(homography_matrix=MOVED))
    return inputs, samples


def in_weak_view(box, size=(64, 96)):
    """A box of the strong view in the weak one, which shows the image as it is."""
    x1, y1, x2, y2 = box
    xs = [min(max(x, 0.0), size[1]) for x in (RIGHT - x2, RIGHT - x1)]
    ys = [min(max(y, 0.0), size[0]) for y in (y1 - DOWN, y2 - DOWN)]
    return [xs[0], ys[0], xs[1], ys[1]]


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
            box = in_weak_view(candidates.rois[row, 1:].tolist())
            roi = torch.tensor([[0.0, *box]])
            cls_score, boxes = head(extractor(features[:3], roi))
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
            loss = smooth_l1_loss(means, target, beta=1.0, reduction="sum").item()
            sums["box"] += float(pseudo.loc_scores[gt]) * loss
        first += num_pos + len(chosen.neg_priors)
    box = sums["box"] / max(counts["fg"], 1)
    return box, sums["fg"] / max(counts["fg"], 1) + sums["bg"] / max(counts["bg"], 1)


@pytest.mark.parametrize("detector", ["faster", "cascade"])
def test_losses_are_the_equations_as_loops(detector):
    model = build_lerprc(detector, unsup_weight=1.0)
    seen = watch(model)
    inputs, samples = moved_batch()
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
        "student.rpn": 1,
        "student.box": 1,
        "teacher.backbone": 1,
        "teacher.rpn": 1,
        "teacher.box": 2,  # detections, re-scoring
    }


def test_neither_is_the_plain_mean_teacher():
    """The same step as MeanTeacher's with a head of the same weights."""
    results = []
    for kind in ("LerPrcTeacher", "MeanTeacher"):
        switches = dict(ler=None, prc=None) if kind == "LerPrcTeacher" else {}
        model = build_lerprc(model=dict(type=kind, **switches))
        torch.manual_seed(0)
        results.append(model.loss(*batch()))
    ours, plain = results
    for key in ("unsup_loss_cls", "unsup_loss_bbox", "unsup_acc", "sup_loss_bbox"):
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
        values = {str(loss[key]) for loss in losses.values()}
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
    ratio = len(candidates.labels) / candidates.foreground.sum()
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
        for instances, boxes, quality in zip(
            found.instances, places, qualities, strict=True
        ):
            new = instances[: len(boxes)]
            new.bboxes = torch.tensor(boxes).reshape(-1, 4)
            new.loc_scores = torch.tensor(quality)
            new.labels = torch.zeros(len(boxes), dtype=torch.long)
            made.append(new)
        return replace(found, instances=made)

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
