"""The certainty-aware teacher: its guidance, its switches, teachers that join."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from ssod_mm.engine.amp import keep_detection_ops_in_float32
from ssod_mm.errors import UserError
from ssod_mm.models.detectors.ensemble import merge_detections
from tests.models.builders import (
    DETECTORS,
    NUM_CLASSES,
    batch,
    cascade_cfg,
    sample,
    total,
)

pytestmark = pytest.mark.usefixtures("mmdet_scope")


def interval_cfg(detector="faster"):
    """The tiny detector with interval heads."""
    cfg = cascade_cfg() if detector == "cascade" else DETECTORS[detector]()
    heads = cfg["roi_head"]["bbox_head"]
    for head in heads if isinstance(heads, list) else [heads]:
        head.update(type="IntervalBBoxHead", num_intervals=6)
    cfg["test_cfg"]["rcnn"]["score_thr"] = 0.01
    return cfg


def build(detector="faster", seed=0, balance=None, cfg=None, **model):
    torch.manual_seed(seed)
    cfg = cfg or interval_cfg(detector)
    settings = dict(score_thr=0.0, **model.pop("settings", {}))
    built = MODELS.build(
        ConfigDict(
            type="CertaintyTeacher",
            detector=cfg,
            data_preprocessor=dict(
                type="MultiBranchDataPreprocessor",
                data_preprocessor=cfg["data_preprocessor"],
            ),
            semi_train_cfg=settings,
            class_balance=dict(clip=(0, 1), **(balance or {})),
            **model,
        )
    )
    built.init_weights()
    if "teachers" not in model:
        built.teacher.load_state_dict(built.student.state_dict())
    return built.train()


@pytest.mark.parametrize("detector", ["faster", "cascade"])
def test_step_learns_intervals_from_pseudo_boxes(detector):
    model = build(detector)
    losses = model.loss(*batch())
    assert any(k.startswith("unsup_") and k.endswith("loss_bbox_seg") for k in losses)
    value = total(losses)
    assert torch.isfinite(value)
    value.backward()
    assert all(p.grad is not None for p in model.student.parameters())
    assert not any(p.requires_grad for p in model.teacher.parameters())


def test_class_balance_counts_p_times_v_of_the_teachers_detections():
    model = build()
    model.loss(*batch())
    with torch.no_grad():
        found = model.teacher_guidance(*(part["unsup_teacher"] for part in batch()))
    mass, counts = torch.zeros(NUM_CLASSES), torch.zeros(NUM_CLASSES)
    for instances in found.instances:
        torch.testing.assert_close(
            instances.scores, instances.cls_scores * instances.loc_scores
        )
        assert instances.loc_scores.max() < 1
        for label, p, v in zip(
            instances.labels, instances.cls_scores, instances.loc_scores, strict=True
        ):
            mass[label] += p * v * (p >= 0.05)
            counts[label] += p >= 0.05
    assert counts.sum() > 0
    torch.testing.assert_close(model.class_balance.mass.float(), mass)
    torch.testing.assert_close(model.class_balance.counts.float(), counts)


def test_mean_certainty_of_the_pseudo_labels_is_reported():
    model = build()
    losses = model.loss(*batch())
    taught = [
        instances.loc_scores for instances in model.last_step.labels_strong.instances
    ]
    torch.testing.assert_close(losses["pseudo_certainty"], torch.cat(taught).mean())
    model.settings = type(model.settings)(score_thr=1.0)
    model.class_balance.tau, model.class_balance.g1 = 1.0, 0.0
    assert model.loss(*batch())["pseudo_certainty"] == 0


def test_weights_reach_the_interval_losses():
    values = []
    for g2 in (0.0, 0.6):
        model = build(balance=dict(g1=0.0, g2=g2))
        model.class_balance.mass.fill_(1.0)
        model.class_balance.counts.fill_(1000.0)
        torch.manual_seed(0)
        values.append(model.loss(*batch()))
    for branch in ("sup", "unsup"):
        for name in ("cls", "bbox_seg", "bbox_reg"):
            plain, weighted = (v[f"{branch}_loss_{name}"].item() for v in values)
            assert weighted > 1.5 * plain > 0


def test_plain_head_has_certainty_one_and_needs_use_loc_off():
    cfg = DETECTORS["faster"]()
    cfg["test_cfg"]["rcnn"]["score_thr"] = 0.01
    with pytest.raises(ValueError, match="use_loc=False"):
        build(cfg=cfg)
    model = build(cfg=cfg, balance=dict(use_loc=False))
    assert model.loss(*batch())["pseudo_certainty"] == 1


def test_bfloat16_step():
    model = build()
    keep_detection_ops_in_float32(model)
    with torch.autocast("cpu", torch.bfloat16):
        value = total(model.loss(*batch()))
    value.backward()
    assert torch.isfinite(value)


@pytest.fixture
def teacher_files(tmp_path):
    """Checkpoints of a plain detector and of a teacher with its student."""
    plain, pair = tmp_path / "plain.pth", tmp_path / "pair.pth"
    torch.save(dict(state_dict=build(seed=1).student.state_dict()), plain)
    torch.save(dict(state_dict=build(seed=2).state_dict()), pair)
    return [str(plain), str(pair)]


def test_teachers_label_together(teacher_files):
    model = build(teachers=teacher_files)
    for member, file in zip(model.teacher.members, teacher_files, strict=True):
        state = torch.load(file, weights_only=False)["state_dict"]
        start = "teacher." if file.endswith("pair.pth") else ""
        for key, value in member.state_dict().items():
            assert torch.equal(value, state[start + key])
    before = {k: v.clone() for k, v in model.teacher.state_dict().items()}
    value = total(model.loss(*batch()))
    value.backward()
    assert len(model.last_step.labels_weak.instances[0]) > 0
    for key, old in before.items():
        assert torch.equal(model.teacher.state_dict()[key], old)
    assert not any(m.training for m in model.teacher.modules())
    assert all(p.grad is None for p in model.teacher.parameters())


def test_a_plain_checkpoint_starts_the_student_alone(teacher_files):
    model = build(teachers=teacher_files)
    before = {k: v.clone() for k, v in model.teacher.state_dict().items()}
    state = build(seed=5).student.state_dict()
    model.load_state_dict(dict(state), strict=False)
    for key, value in model.student.state_dict().items():
        assert torch.equal(value, state[key])
    for key, old in before.items():
        assert torch.equal(model.teacher.state_dict()[key], old)


def test_wrong_teachers_are_named(tmp_path, teacher_files):
    with pytest.raises(FileNotFoundError, match=r"absent\.pth"):
        build(teachers=[teacher_files[0], str(tmp_path / "absent.pth")])
    other = tmp_path / "other.pth"
    torch.save(dict(state_dict={"weight": torch.ones(1)}), other)
    with pytest.raises(ValueError, match=r"other\.pth does not fit"):
        build(teachers=[str(other)])
    with pytest.raises(ValueError, match="num_members"):
        MODELS.build(dict(type="EnsembleDetector", detector=interval_cfg()))


def boxes(*rows):
    """Detections from (x, label, p, v) rows; boxes are 10 x 10 at (x, 0)."""
    table = torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)
    x, label, p, v = table.unbind(1)
    zero = torch.zeros_like(x)
    return InstanceData(
        bboxes=torch.stack([x, zero, x + 10, zero + 10], 1),
        labels=label.long(),
        scores=p * v,
        cls_scores=p,
        loc_scores=v,
    )


def test_joint_detections():
    first = boxes((0, 0, 0.8, 0.5), (40, 1, 0.6, 1.0))
    second = boxes((1, 0, 0.6, 1.0), (40, 2, 0.4, 0.5))
    merged = merge_detections([first, second], 0.5, 100)
    # class 0: the second's box ranks higher (0.6 > 0.4), both found it; class 1 and
    # class 2 were found by one of the two
    assert merged.labels.tolist() == [0, 1, 2]
    assert merged.bboxes[:, 0].tolist() == [1, 40, 40]
    assert merged.scores.tolist() == pytest.approx([0.5, 0.3, 0.1])
    assert merged.cls_scores.tolist() == pytest.approx([0.7, 0.3, 0.2])
    assert merged.loc_scores.tolist() == pytest.approx([0.75, 1.0, 0.5])
    assert len(merge_detections([first, second], 0.5, 1)) == 1


def test_joint_detections_of_equal_detectors_are_their_own():
    one = boxes((0, 0, 0.8, 0.5), (40, 1, 0.6, 0.5))
    merged = merge_detections([one, one], 0.5, 100)
    for key in ("bboxes", "labels", "scores", "cls_scores", "loc_scores"):
        torch.testing.assert_close(merged[key], one[key])


def test_nothing_found():
    empty = boxes()
    bare = InstanceData(bboxes=empty.bboxes, labels=empty.labels, scores=empty.scores)
    assert len(merge_detections([bare, empty], 0.5, 100)) == 0
    one = merge_detections([bare, boxes((0, 0, 0.8, 0.5))], 0.5, 100)
    assert one.cls_scores.tolist() == pytest.approx([0.4])


def test_ensemble_predicts_and_refuses_to_train():
    torch.manual_seed(0)
    model = MODELS.build(
        ConfigDict(type="EnsembleDetector", detector=interval_cfg(), num_members=2)
    )
    model.init_weights()
    model.eval()
    images, samples = torch.randn(2, 3, 64, 96), [sample(0), sample(1)]
    with torch.no_grad():
        results = model.predict(images, samples, rescale=False)
    assert len(results) == 2
    assert 0 < len(results[0].pred_instances) <= 100
    with pytest.raises(UserError, match="each for itself"):
        model.loss(images, samples)
