"""Which detectors of mmdet work as teacher and student, as docs/detectors.md says.

Each family is built from mmdet's own config, with a small backbone.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.multiprocessing
from mmdet.registry import MODELS
from mmengine.config import Config

from ssod_mm.apis.stock_export import export_detector
from ssod_mm.models.features import joint_canvas
from tests.ddp_worker import save_gradients_of_rank
from tests.helpers import make_tiny_coco, tiny_mean_teacher_cfg
from tests.models.families import (
    FAMILIES,
    SIZES,
    build_family,
    family_batch,
    family_cfg,
    family_model_cfg,
)

ROI_HEADS = ("Faster R-CNN", "Cascade R-CNN")
DENSE = (*ROI_HEADS, "RetinaNet", "GFL")
each_family = pytest.mark.parametrize("family", FAMILIES)


def step(model, **batch):
    """Losses of one training step, after backward."""
    losses = model(**family_batch(model, **batch), mode="loss")
    loss, _ = model.parse_losses(losses)
    model.zero_grad()
    loss.backward()
    assert math.isfinite(float(loss))
    return losses


@each_family
def test_a_training_step(family, mmdet_scope):
    model = build_family(family)
    for threshold, empty in ((0.0, False), (0.0, True), (1.1, False)):
        model.settings = replace(model.settings, score_thr=threshold)
        losses = step(model, empty=empty)
        found = model.last_step.labels_strong.num_boxes
        assert found == 0 if threshold > 1 else found > 0
        assert {key.split("_")[0] for key in losses if "loss" in key} == {
            "sup",
            "unsup",
        }
        without = [
            name
            for name, parameter in model.student.named_parameters()
            if parameter.requires_grad and parameter.grad is None
        ]
        assert not without
        assert all(p.grad is None for p in model.teacher.parameters())


@each_family
def test_teacher_and_student_predict(family, mmdet_scope):
    model = build_family(family).eval()
    with torch.no_grad():
        for part in model.student.parameters():
            part.mul_(0.9)
    data = family_batch(model)
    inputs, samples = data["inputs"]["sup"], data["data_samples"]["sup"]
    scores = []
    for which in ("teacher", "student"):
        model.semi_test_cfg["predict_on"] = which
        results = model.predict(inputs, copy.deepcopy(samples))
        assert len(results) == 2
        assert torch.isfinite(results[0].pred_instances.bboxes).all()
        scores.append(results[0].pred_instances.scores)
    assert scores[0].tolist() != scores[1].tolist()


@each_family
def test_a_joint_pass_says_how_far_images_are_padded(family, mmdet_scope, monkeypatch):
    """What masks the padding reads ``batch_input_shape``: that of the features."""
    for waste, joint in ((9.0, True), (-1.0, False)):
        model = build_family(family, joint_forward=waste if joint else False)
        data = family_batch(model)
        inputs, samples = data["inputs"], data["data_samples"]
        groups = [inputs["sup"], inputs["unsup_student"]]
        assert (joint_canvas(groups, model.settings.max_waste) is not None) == joint
        seen = []
        stock = model.student.loss

        def loss(images, shown, seen=seen, stock=stock):
            seen.extend(sample.batch_input_shape for sample in shown)
            return stock(images, shown)

        monkeypatch.setattr(model.student, "loss", loss)
        model(inputs, samples, mode="loss")
        shapes = [tuple(group.shape[-2:]) for group in groups]
        canvas = tuple(map(max, zip(*shapes, strict=True)))
        # In one call where the heads take both halves; otherwise strong views first.
        expected = [canvas, canvas] if joint else shapes[::-1]
        assert seen == [shape for shape in expected for _ in range(2)]
        for branch, group in zip(("sup", "unsup_student"), groups, strict=True):
            kept = {sample.batch_input_shape for sample in samples[branch]}
            assert kept == {tuple(group.shape[-2:])}


@each_family
def test_the_teacher_is_mmdets_detector(family, mmdet_scope, tmp_path):
    """Exported, it loads into stock mmdet and finds the same; so does a resumed one."""
    model = build_family(family).eval()
    data = make_tiny_coco(tmp_path / "data", 4)
    cfg = Config(tiny_mean_teacher_cfg(data))
    cfg.model = family_model_cfg(family)
    checkpoint = tmp_path / "iter_1.pth"
    meta = dict(dataset_meta=dict(classes=("class_0", "class_1", "class_2")))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), checkpoint)
    files = export_detector(cfg, checkpoint, "teacher", tmp_path / "out")
    stock = MODELS.build(Config.fromfile(files[0]).model).eval()
    state = torch.load(files[1], weights_only=False)["state_dict"]
    stock.load_state_dict(state, strict=True)

    batch = family_batch(model)
    inputs, samples = batch["inputs"]["sup"], batch["data_samples"]["sup"]
    if family == "Sparse R-CNN":  # stages, each from the last one's boxes
        model, stock, inputs = model.double(), stock.double(), inputs.double()
    with torch.no_grad():
        ours = model.predict(inputs, copy.deepcopy(samples))
        theirs = stock.predict(inputs, copy.deepcopy(samples))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(
            one.pred_instances.bboxes, other.pred_instances.bboxes
        )
        torch.testing.assert_close(
            one.pred_instances.scores, other.pred_instances.scores
        )

    again = build_family(family)
    again.load_state_dict(model.state_dict(), strict=True)


TWO_PROCESSES = ("ATSS", "RTMDet", "YOLOX", "Sparse R-CNN", "DETR", "DINO")


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """``ranks[family][rank]``: gradients that each of two processes ends up with."""
    folder = tmp_path_factory.mktemp("ranks")
    loader = tiny_mean_teacher_cfg(
        make_tiny_coco(folder / "data", 12, size=(64, 64)), batch_size=3
    )["train_dataloader"]
    data = dict(
        dataset=loader["dataset"], source_ratio=loader["sampler"]["source_ratio"]
    )
    cfgs = {
        family: dict(data, model=family_model_cfg(family)) for family in TWO_PROCESSES
    }
    torch.multiprocessing.start_processes(
        save_gradients_of_rank,
        args=(cfgs, 2, 3, str(folder)),
        nprocs=2,
        start_method="spawn" if torch.cuda.is_available() else "fork",
    )
    return {
        family: [torch.load(folder / f"{family}_{rank}.pth") for rank in range(2)]
        for family in cfgs
    }


@pytest.mark.parametrize("family", TWO_PROCESSES)
def test_two_processes_end_with_the_same_gradients(ranks, family):
    first, second = ranks[family]
    assert len(first) > 10
    for key, gradient in first.items():
        assert torch.isfinite(gradient).all(), key
        assert torch.equal(gradient, second[key]), key


def test_what_resizes_whole_batches_is_left_out(mmdet_scope):
    model = build_family("YOLOX")
    inner = model.data_preprocessor.data_preprocessor
    assert not inner.batch_augments
    assert inner.pad_size_divisor == 32
    assert (
        build_family("RTMDet").data_preprocessor.data_preprocessor.pad_size_divisor
        == 32
    )


def test_tood_leaves_its_first_assigner_after_the_burn_in(mmdet_scope):
    model = build_family("TOOD", burn_in=5)
    for iteration, first in ((4, True), (5, False)):
        model.iteration = iteration
        step(model)
        head = model.student.bbox_head
        assert (head.epoch < head.initial_epoch) == first


METHODS = {
    "CertaintyTeacher": (
        dict(class_balance=dict(type="ClassBalance")),
        ROI_HEADS,
        "RoI head",
    ),
    "LerPrcTeacher": (dict(ler=dict(), prc=dict()), ROI_HEADS, "two-stage"),
    "DenseGuidanceTeacher": (
        dict(dense=dict(head=dict(tau=0.0))),
        DENSE,
        "NMS|RPN|head",
    ),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", ["RTMDet", "ATSS", "YOLOX", "DETR", "DINO"])
def test_a_method_refuses_detectors_that_it_cannot_teach(method, family, mmdet_scope):
    settings, works, message = METHODS[method]
    cfg = family_model_cfg(family)
    cfg.update(type=method, **settings)
    assert family not in works
    with pytest.raises(ValueError, match=message):
        MODELS.build(cfg)


def test_the_page_names_every_family():
    text = (Path(__file__).parents[2] / "docs" / "detectors.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    for family in FAMILIES:
        assert any(row.startswith(f"| {family} |") for row in rows), family
    assert family_cfg("DETR").type == "DETR"
    assert set(SIZES) == {"sup", "unsup_teacher", "unsup_student"}
