"""GFL's head with a localisation quality and weights of boxes, and LER on it."""

from __future__ import annotations

import copy

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config, ConfigDict
from mmengine.structures import InstanceData

from ssod_mm.apis.stock_export import export_detector
from ssod_mm.maths.distributions import spread_quality
from ssod_mm.models.anchor_grids import anchor_grid
from ssod_mm.models.dense.boxes import decoded_boxes
from tests.helpers import make_tiny_coco, tiny_mean_teacher_cfg
from tests.models.builders import (
    NUM_CLASSES,
    assert_whole_student_learns,
    batch,
    build_mean_teacher,
)
from tests.models.dense_builders import gfl_cfg

pytestmark = pytest.mark.usefixtures("mmdet_scope")

BINS = 9
BOXES = torch.tensor([[8.0, 8, 40, 44], [30, 20, 90, 60], [50, 5, 70, 30]])
METAS = [dict(img_shape=(64, 96), scale_factor=(2.0, 2.0))] * 2


def quality_cfg() -> dict:
    """The tiny GFL with our head."""
    cfg = gfl_cfg()
    cfg["bbox_head"]["type"] = "LocQualityGFLHead"
    return cfg


def heads_and_maps(**train_cfg):
    """Stock head, ours with the same weights, and outputs drawn for two images."""
    built = []
    for cfg in (gfl_cfg(), quality_cfg()):
        cfg["bbox_head"].update(
            train_cfg=ConfigDict(cfg["train_cfg"], **train_cfg),
            test_cfg=ConfigDict(cfg["test_cfg"], nms=dict(cfg["test_cfg"]["nms"])),
        )
        built.append(MODELS.build(cfg["bbox_head"]))
    stock, ours = built
    ours.load_state_dict(stock.state_dict(), strict=True)
    generator = torch.Generator().manual_seed(1)
    grids = [(8, 12), (4, 6), (2, 3)]
    maps = [
        [torch.randn(2, channels, *grid, generator=generator) for grid in grids]
        for channels in (NUM_CLASSES, 4 * BINS)
    ]
    return stock, ours, maps


def truth(weights=None):
    """Three boxes in the first image, one in the second."""
    instances = [
        InstanceData(bboxes=BOXES[rows], labels=torch.arange(3)[rows])
        for rows in (slice(3), slice(1, 2))
    ]
    if weights is not None:
        for boxes, values in zip(instances, weights, strict=True):
            boxes.box_weights = torch.tensor(values)
    return instances


def losses(head, maps, instances, metas=None):
    """Losses of each level and their gradients with respect to the maps."""
    metas = metas or [dict(meta, pad_shape=(64, 96)) for meta in METAS]
    leaves = [[level.clone().requires_grad_() for level in part] for part in maps]
    found = head.loss_by_feat(*leaves, instances, metas)
    sum(value for values in found.values() for value in values).backward()
    gradients = [level.grad for part in leaves for level in part]
    return {k: torch.stack(v).detach() for k, v in found.items()}, gradients


@pytest.mark.parametrize("border", [-1, 0])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("weights", [None, ([1.0, 1, 1], [1.0])])
def test_boxes_of_weight_one_have_mmdets_losses(border, padded, weights):
    stock, ours, maps = heads_and_maps(allowed_border=border)
    size = (64, 96)
    if padded:  # anchors in the padding are no candidates
        size = (40, 80)
    metas = [dict(METAS[0], img_shape=size, pad_shape=size)] * 2
    want, want_gradients = losses(stock, maps, truth(), metas)
    got, gradients = losses(ours, maps, truth(weights), metas)
    assert want["loss_bbox"].sum() > 0
    for key, value in want.items():
        assert torch.equal(got[key], value), key
    for one, other in zip(gradients, want_gradients, strict=True):
        assert torch.equal(one, other)
    assert "forward" not in vars(ours.loss_bbox)
    assert "forward" not in vars(ours.loss_dfl)


def test_a_weight_multiplies_the_box_losses_of_its_box():
    """The losses are linear in the weights; the classification does not change."""
    _, ours, maps = heads_and_maps()
    whole, _ = losses(ours, maps, truth())
    parts = [
        losses(ours, maps, truth(weights))[0]
        for weights in (
            ([1.0, 0, 0], [0.0]),
            ([0.0, 1, 0], [0.0]),
            ([0.0, 0, 1], [0.0]),
            ([0.0, 0, 0], [1.0]),
        )
    ]
    mixed, _ = losses(ours, maps, truth(([0.5, 2.0, 0.0], [0.25])))
    for key in ("loss_bbox", "loss_dfl"):
        each = torch.stack([part[key] for part in parts])
        assert (each.sum(1) > 0).all()
        torch.testing.assert_close(each.sum(0), whole[key])
        factors = torch.tensor([0.5, 2.0, 0.0, 0.25])[:, None]
        torch.testing.assert_close((factors * each).sum(0), mixed[key])
    for part in (*parts, mixed):
        assert torch.equal(part["loss_cls"], whole["loss_cls"])


def test_weights_follow_their_boxes_wherever_the_sampler_puts_the_anchors():
    _, ours, maps = heads_and_maps()
    sampler = ours.sampler.sample

    def reversed_sampler(*args, **kwargs):
        result = sampler(*args, **kwargs)
        order = torch.arange(len(result.pos_inds)).flip(0)
        names = "pos_inds", "pos_priors", "pos_is_gt", "pos_assigned_gt_inds"
        for name in names:
            setattr(result, name, getattr(result, name)[order])
        result.pos_gt_bboxes = result.pos_gt_bboxes[order]
        result.pos_gt_labels = result.pos_gt_labels[order]
        return result

    weights = ([0.5, 2.0, 0.1], [0.25])
    want, _ = losses(ours, maps, truth(weights))
    ours.sampler.sample = reversed_sampler
    got, _ = losses(ours, maps, truth(weights))
    for key, value in want.items():
        torch.testing.assert_close(got[key], value)


@pytest.mark.parametrize("rescale", [False, True])
def test_detections_are_mmdets_and_know_their_quality(rescale):
    stock, ours, maps = heads_and_maps()
    settings = dict(batch_img_metas=METAS, rescale=rescale)
    want = stock.predict_by_feat(*maps, **settings)
    got = ours.predict_by_feat(*maps, **settings)
    grid = anchor_grid(ours, [level.shape[-2:] for level in maps[0]], "cpu")
    for image, (mine, theirs) in enumerate(zip(got, want, strict=True)):
        assert len(mine) == len(theirs) == 20
        for key in ("bboxes", "scores", "labels"):
            torch.testing.assert_close(mine[key], theirs[key])
        logits, outputs = (
            torch.cat([level[image].flatten(1).t() for level in part]) for part in maps
        )
        # No two anchors have the same score.
        away = (logits.sigmoid()[:, mine.labels] - mine.scores).abs()
        rows = away.argmin(0)
        boxes = decoded_boxes(ours, grid.anchors[rows], outputs[rows])
        boxes = boxes.clamp(min=0).minimum(torch.tensor([96.0, 64, 96, 64]))
        torch.testing.assert_close(mine.bboxes * (2 if rescale else 1), boxes)
        qualities = spread_quality(outputs[rows].double().reshape(-1, 4, BINS))
        torch.testing.assert_close(mine.loc_scores, qualities.float())
        assert mine.loc_scores.std() > 0.01


def test_no_detection_has_no_quality():
    _, ours, maps = heads_and_maps()
    cfg = ConfigDict(ours.test_cfg, score_thr=1.0)
    [first, _] = ours.predict_by_feat(*maps, batch_img_metas=METAS, cfg=cfg)
    assert first.loc_scores.shape == first.scores.shape == (0,)
    raw = ours.predict_by_feat(*maps, batch_img_metas=METAS, with_nms=False)
    assert len(raw[0].loc_scores) == len(raw[0].bboxes) > 20


def build_ler(detector=None, ler=True, prc=None, **settings):
    """A LER teacher on GFL whose untrained teacher labels every image."""
    model = dict(
        type="LerPrcTeacher", detector=detector or quality_cfg(), ler=ler, prc=prc
    )
    built = build_mean_teacher(
        model=model, min_box_wh=(0.1, 0.1), min_visible=0.0, **settings
    )
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for part in (built.student, built.teacher):
            for parameter in part.bbox_head.parameters():
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.add_(0.1 * noise)
    return built


@pytest.mark.parametrize("ler", [None, True, {"quality": False}])
@pytest.mark.parametrize("case", ["all", "no pseudo label", "no box", "neither", "one"])
def test_every_batch_trains_every_parameter(ler, case):
    thr = 1.0 if case in ("no pseudo label", "neither") else 0.0
    model = build_ler(ler=ler, score_thr=thr)
    num_boxes = 0 if case in ("no box", "neither") else 2
    num_unsup = 1 if case == "one" else 2
    losses = model.loss(*batch(num_unsup=num_unsup, num_boxes=num_boxes))
    assert_whole_student_learns(model, losses)
    if ler is not None:
        quality = float(losses["unsup_ler_quality"])
        assert quality == 0 if thr == 1 else 0 < quality < 1


def test_the_weights_are_the_teachers_qualities_in_the_students_views():
    """Boxes of the flipped view are weighted by the quality of the weak view's box."""
    flip = torch.tensor([[-1.0, 0, 96], [0, 1, 0], [0, 0, 1]])
    model = build_ler(ler=dict(gain=2.0))
    inputs, samples = batch()
    for strong in samples["unsup_student"]:
        strong.set_metainfo(dict(homography_matrix=flip.numpy()))
    with torch.no_grad():
        weak = model.teacher_guidance(inputs["unsup_teacher"], samples["unsup_teacher"])
    seen = []
    stock = model.student.bbox_head.loss_by_feat

    def spy(cls_scores, bbox_preds, instances, *args, **kwargs):
        seen.append(instances)
        return stock(cls_scores, bbox_preds, instances, *args, **kwargs)

    model.student.bbox_head.loss_by_feat = spy
    model.loss(inputs, samples)
    assert len(seen) == 2
    [taught] = [part for part in seen if all("box_weights" in boxes for boxes in part)]
    [_] = [part for part in seen if all("box_weights" not in boxes for boxes in part)]
    for boxes, detected in zip(taught, weak.instances, strict=True):
        assert len(boxes) > 3
        back = boxes.bboxes[:, [2, 1, 0, 3]] * torch.tensor([-1.0, 1, -1, 1])
        back += torch.tensor([96.0, 0, 96, 0])
        for box, label, weight in zip(
            back, boxes.labels, boxes.box_weights, strict=True
        ):
            away = (detected.bboxes - box).abs().sum(1)
            same = (away < 0.01) & (detected.labels == label)
            assert same.sum() == 1
            torch.testing.assert_close(2.0 * detected.loc_scores[same][0], weight)


def test_without_ler_or_of_equal_weights_it_is_a_mean_teacher():
    plain = build_ler(ler=None).loss(*batch())
    equal = build_ler(ler=dict(quality=False)).loss(*batch())
    halved = build_ler(ler=dict(quality=False, gain=0.5)).loss(*batch())
    weighted = build_ler().loss(*batch())
    mean_teacher = build_mean_teacher(
        model=dict(detector=gfl_cfg()), min_box_wh=(0.1, 0.1), min_visible=0.0
    )
    mean_teacher.load_state_dict(build_ler().state_dict(), strict=True)
    stock = mean_teacher.loss(*batch())
    for key in [key for key in plain if "loss" in key]:
        values = [torch.stack(list(found[key])) for found in (plain, equal, stock)]
        assert torch.equal(values[0], values[1]), key
        assert torch.equal(values[0], values[2]), key
        half, by_quality = (torch.stack(list(f[key])) for f in (halved, weighted))
        if key in ("unsup_loss_bbox", "unsup_loss_dfl"):
            torch.testing.assert_close(half, values[0] / 2)
            assert 0 < by_quality.sum() < values[0].sum()
        else:
            assert torch.equal(half, values[0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(prc=True), r"model\.prc asks .* set model\.prc to None"),
        (dict(ler=dict(reg_norm="sampled")), r"model\.ler\.reg_norm='sampled'"),
        (dict(detector=gfl_cfg()), "bbox_head.type='LocQualityGFLHead'"),
    ],
)
def test_what_needs_roi_candidates_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        build_ler(**settings)


def test_class_balance_counts_with_the_quality():
    balance = dict(g2=0, use_loc=True, floor=0.0)
    model = build_mean_teacher(
        model=dict(detector=quality_cfg(), class_balance=balance)
    )
    model.loss(*batch())
    found = model.teacher_guidance(
        *(part["unsup_teacher"] for part in batch())
    ).instances
    mass = sum(float((b.cls_scores * b.loc_scores).sum()) for b in found)
    assert float(model.class_balance.mass.sum()) == pytest.approx(mass, rel=1e-5)


def test_exported_it_is_mmdets_head(tmp_path):
    model = build_ler().eval()
    cfg = Config(tiny_mean_teacher_cfg(make_tiny_coco(tmp_path / "data", 4)))
    cfg.model = ConfigDict(
        type="LerPrcTeacher",
        detector=quality_cfg(),
        prc=None,
        data_preprocessor=dict(
            type="MultiBranchDataPreprocessor",
            data_preprocessor=quality_cfg()["data_preprocessor"],
        ),
    )
    cfg.model.detector.train_cfg.assigner.type = "IgnoringATSSAssigner"
    checkpoint = tmp_path / "iter_1.pth"
    classes = tuple(f"class_{number}" for number in range(NUM_CLASSES))
    meta = dict(dataset_meta=dict(classes=classes))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), checkpoint)
    files = export_detector(cfg, checkpoint, "teacher", tmp_path / "out")
    exported = Config.fromfile(files[0])
    assert "custom_imports" not in exported
    assert exported.model.bbox_head.type == "GFLHead"
    assert exported.model.train_cfg.assigner.type == "ATSSAssigner"
    stock = MODELS.build(exported.model).eval()
    state = torch.load(files[1], weights_only=False)["state_dict"]
    stock.load_state_dict(state, strict=True)
    inputs, samples = (part["unsup_teacher"] for part in batch())
    with torch.no_grad():
        ours = model.predict(inputs, copy.deepcopy(samples))
        theirs = stock.predict(inputs, copy.deepcopy(samples))
    for one, other in zip(ours, theirs, strict=True):
        assert len(one.pred_instances) > 3
        for key in ("bboxes", "scores", "labels"):
            torch.testing.assert_close(
                one.pred_instances[key], other.pred_instances[key]
            )
        assert "loc_scores" in one.pred_instances
