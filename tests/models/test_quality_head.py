"""Qualities through NMS against a slow loop, under both kinds of RoI heads."""

import math

import pytest
import torch
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from ssod_mm.models.heads import LocQualityHead, ranking_scores
from ssod_mm.models.pseudo_labels import detections
from tests.helpers import tiny_detector_cfg
from tests.models.builders import cascade_cfg, sample

pytestmark = pytest.mark.usefixtures("mmdet_scope")

META = dict(img_shape=(100, 120), scale_factor=(2.0, 0.5))
FIELDS = {"bboxes", "scores", "cls_scores", "loc_scores", "labels"}


@MODELS.register_module()
class KnownQualityHead(LocQualityHead, Shared2FCBBoxHead):
    """The quality is a formula of the RoI's corner."""

    per_class = False

    def loc_quality(self, bbox_pred, rois):
        first = (rois[:, 1] * 7.3 + rois[:, 2] * 3.1 + rois[:, 4]) % 1.0
        if not self.per_class:
            return first
        shift = torch.arange(self.num_classes) / self.num_classes
        return (first[:, None] + shift) % 1.0


def make_head(factor="p*v", agnostic=True, per_class=False, num_classes=3):
    cfg = dict(tiny_detector_cfg(num_classes)["roi_head"]["bbox_head"])
    cfg.update(
        type="KnownQualityHead", score_factor=factor, reg_class_agnostic=agnostic
    )
    head = MODELS.build(cfg)
    head.per_class = per_class
    return head


def candidates(num, head, seed=0):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(num, 2, generator=generator) * 40
    sides = 20 + 30 * torch.rand(num, 2, generator=generator)
    rois = torch.cat([torch.zeros(num, 1), corner, corner + sides], 1)
    logits = 2 * torch.randn(num, head.num_classes + 1, generator=generator)
    width = 4 * (1 if head.reg_class_agnostic else head.num_classes)
    return rois, logits, torch.randn(num, width, generator=generator)


def rcnn_cfg(score_thr=0.05, iou=0.5, limit=100):
    nms = dict(type="nms", iou_threshold=iou)
    return ConfigDict(score_thr=score_thr, nms=nms, max_per_img=limit)


def iou_of(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def slow_detections(head, rois, logits, deltas, cfg, scale):
    """Greedy NMS per class, one candidate at a time."""
    plain = make_head(agnostic=head.reg_class_agnostic)
    quality = head.loc_quality(deltas, rois)
    found = []
    for row in range(len(rois)):
        p = logits[row].softmax(0)
        for label in range(head.num_classes):
            if p[label] <= cfg.score_thr:
                continue
            first = 0 if head.reg_class_agnostic else 4 * label
            box = plain.bbox_coder.decode(
                rois[row : row + 1, 1:],
                deltas[row : row + 1, first : first + 4],
                max_shape=META["img_shape"],
            )[0].tolist()
            box = [side / scale[i % 2] for i, side in enumerate(box)]
            v = quality[row, label] if quality.dim() == 2 else quality[row]
            rank = {
                "p": p[label],
                "p*v": p[label] * v,
                "sqrt(p*v)": (p[label] * v) ** 0.5,
            }[head.score_factor]
            found.append((float(rank), float(p[label]), float(v), label, box))
    kept = []
    for detection in sorted(found, reverse=True):
        if all(
            detection[3] != other[3]
            or iou_of(detection[4], other[4]) <= cfg.nms.iou_threshold
            for other in kept
        ):
            kept.append(detection)
    return kept[: cfg.max_per_img]


@pytest.mark.parametrize("factor", ["p", "p*v", "sqrt(p*v)"])
@pytest.mark.parametrize("agnostic", [True, False])
@pytest.mark.parametrize("per_class", [True, False])
@pytest.mark.parametrize("rescale", [True, False])
def test_detections_are_those_of_a_slow_loop(factor, agnostic, per_class, rescale):
    head = make_head(factor, agnostic, per_class)
    rois, logits, deltas = candidates(40, head)
    cfg = rcnn_cfg(limit=30)
    (found,) = head.predict_by_feat(
        (rois,), (logits,), (deltas,), [META], cfg, rescale=rescale
    )
    scale = META["scale_factor"] if rescale else (1.0, 1.0)
    expected = slow_detections(head, rois, logits, deltas, cfg, scale)
    assert set(found.keys()) == FIELDS
    assert found.labels.tolist() == [detection[3] for detection in expected]
    for field, column in (("scores", 0), ("cls_scores", 1), ("loc_scores", 2)):
        values = [detection[column] for detection in expected]
        assert found[field].tolist() == pytest.approx(values, abs=1e-6)
        assert found[field].dtype == torch.float32
    boxes = torch.tensor([detection[4] for detection in expected])
    torch.testing.assert_close(found.bboxes, boxes, atol=1e-3, rtol=1e-5)
    assert 5 < len(expected) <= 30


def test_rank_p_gives_mmdets_own_detections():
    head = make_head("p", agnostic=False)
    rois, logits, deltas = candidates(50, head, seed=3)
    ours = head._predict_by_feat_single(
        rois, logits, deltas, META, rcnn_test_cfg=rcnn_cfg()
    )
    theirs = Shared2FCBBoxHead._predict_by_feat_single(
        head,
        rois,
        logits,
        deltas,
        META,
        rcnn_test_cfg=rcnn_cfg(),
    )
    for field in ("bboxes", "scores", "labels"):
        torch.testing.assert_close(ours[field], theirs[field])


def test_the_threshold_looks_at_p_not_at_the_rank():
    head = make_head("p*v")
    rois, _, deltas = candidates(1, head)
    logits = torch.tensor([[0.6, 0.3, 0.1, 1e-9]]).log()
    head.loc_quality = lambda _pred, _rois: torch.tensor([0.5])
    (found,) = head.predict_by_feat(
        (rois,), (logits,), (deltas,), [META], rcnn_cfg(score_thr=0.25)
    )
    assert found.labels.tolist() == [0, 1]
    assert found.scores.tolist() == pytest.approx([0.3, 0.15])


def test_quality_decides_which_of_two_overlapping_boxes_stays():
    """p favours the first, p * v the second."""
    rois = torch.tensor([[0.0, 10, 10, 50, 50.2], [0.0, 10, 10, 50, 50.9]])
    logits = torch.tensor([[0.6, 0.0, 0.0, 0.4], [0.5, 0.0, 0.0, 0.5]]).log()
    for factor, kept_p in (("p", 0.6), ("p*v", 0.5), ("sqrt(p*v)", 0.5)):
        head = make_head(factor)
        head.loc_quality = lambda _pred, _rois: torch.tensor([0.4, 0.9])
        (found,) = head.predict_by_feat(
            (rois,), (logits,), (torch.zeros(2, 4),), [META], rcnn_cfg(0.1)
        )
        assert found.cls_scores.tolist() == pytest.approx([kept_p])


@pytest.mark.parametrize("num_rois", [0, 4])
def test_no_detection_has_all_fields(num_rois):
    head = make_head()
    rois, logits, deltas = candidates(num_rois, head)
    (found,) = head.predict_by_feat(
        (rois,), (logits,), (deltas,), [META], rcnn_cfg(score_thr=1.0)
    )
    assert set(found.keys()) == FIELDS
    assert len(found) == 0
    assert found.bboxes.shape == (0, 4)
    assert found.labels.dtype == torch.long


def test_without_a_test_config_the_raw_candidates():
    head = make_head(per_class=True)
    rois, logits, deltas = candidates(6, head)
    found = head._predict_by_feat_single(rois, logits, deltas, META)
    assert found.scores.shape == (6, 4)
    assert found.loc_scores.shape == (6, 3)


def test_no_limit_on_the_number_of_boxes():
    head = make_head()
    rois, logits, deltas = candidates(40, head)
    many, few = (
        head._predict_by_feat_single(
            rois, logits, deltas, META, rcnn_test_cfg=rcnn_cfg(limit=limit)
        )
        for limit in (-1, 7)
    )
    assert len(few) == 7 < len(many)
    torch.testing.assert_close(few.scores, many.scores[:7])


def test_soft_nms_keeps_its_lowered_scores():
    head = make_head()
    rois, logits, deltas = candidates(30, head)
    cfg = rcnn_cfg()
    cfg.nms = dict(type="soft_nms", iou_threshold=0.3, min_score=0.01)
    found = head._predict_by_feat_single(rois, logits, deltas, META, rcnn_test_cfg=cfg)
    rank = found.cls_scores * found.loc_scores
    assert bool((found.scores <= rank + 1e-6).all())
    assert bool((found.scores < 0.9 * rank).any())


@pytest.mark.parametrize("make_cfg", [tiny_detector_cfg, cascade_cfg])
def test_whole_detectors_give_the_qualities(make_cfg):
    cfg = make_cfg()
    heads = cfg["roi_head"]["bbox_head"]
    for head in heads if isinstance(heads, list) else [heads]:
        head.update(type="KnownQualityHead", reg_class_agnostic=True)
    cfg["test_cfg"]["rcnn"]["score_thr"] = 0.01
    torch.manual_seed(0)
    model = MODELS.build(ConfigDict(cfg)).eval()
    with torch.no_grad():
        samples = model.predict(torch.randn(2, 3, 64, 96), [sample(0), sample(1)])
    for prediction in samples:
        found = prediction.pred_instances
        assert len(found) > 0
        product = found.cls_scores * found.loc_scores
        torch.testing.assert_close(found.scores, product)
        assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)


def test_a_bad_factor_names_the_key():
    with pytest.raises(ValueError, match=r"bbox_head\.score_factor.*'p\+v'"):
        make_head("p+v")


def test_hand_worked_ranks():
    p, v = torch.tensor([0.5]), torch.tensor([0.32])
    assert ranking_scores(p, v, "p").item() == 0.5
    assert ranking_scores(p, v, "p*v").item() == pytest.approx(0.16)
    assert ranking_scores(p, v, "sqrt(p*v)").item() == pytest.approx(math.sqrt(0.16))


def test_plain_detections_get_a_quality_of_one():
    plain = InstanceData(bboxes=torch.ones(2, 4), scores=torch.tensor([0.3, 0.2]))
    full = detections(plain)
    assert full.cls_scores.tolist() == full.scores.tolist()
    assert full.loc_scores.tolist() == [1.0, 1.0]
    known = InstanceData(
        bboxes=torch.ones(1, 4, dtype=torch.float16),
        scores=torch.tensor([0.1]),
        cls_scores=torch.tensor([0.5]),
        loc_scores=torch.tensor([0.2]),
    )
    assert detections(known).cls_scores.item() == pytest.approx(0.5)
    assert known.loc_scores.item() == pytest.approx(0.2)
    assert known.bboxes.dtype == torch.float32
