"""The frame's contract, over two-stage and one-stage detectors."""

from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

import pytest
import torch

from ssod_mm.engine.amp import keep_detection_ops_in_float32
from ssod_mm.models import MeanTeacher, SemiTrainConfig
from ssod_mm.models.detectors import mean_teacher
from ssod_mm.models.geometry import Findings
from ssod_mm.structures import GuidedLosses, PseudoBoxes
from tests.models.builders import (
    DETECTORS,
    assert_whole_student_learns,
    batch,
    build_mean_teacher,
    total,
    trainable,
)

pytestmark = pytest.mark.usefixtures("mmdet_scope")


@pytest.mark.parametrize("detector", list(DETECTORS))
def test_step_trains_the_student_alone(detector):
    model = build_mean_teacher(detector)
    before = {k: v.clone() for k, v in model.teacher.state_dict().items()}
    losses = model.loss(*batch())
    assert any(
        k.startswith("sup_loss") or k.startswith("sup_rpn") or k.startswith("sup_s0")
        for k in losses
    )
    assert any(k.startswith("unsup_") and "loss" in k for k in losses)
    assert len(model.last_step.labels_weak.instances[0]) > 0
    assert_whole_student_learns(model, losses)
    for key, old in before.items():
        assert torch.equal(model.teacher.state_dict()[key], old)


@pytest.mark.parametrize("detector", list(DETECTORS))
@pytest.mark.parametrize("case", ["no pseudo label", "no box", "neither"])
def test_empty_batches_train_on(detector, case):
    thr = 0.0 if case == "no box" else 1.0
    model = build_mean_teacher(detector, score_thr=thr)
    losses = model.loss(*batch(num_boxes=0 if case != "no pseudo label" else 2))
    value = total(losses)
    assert torch.isfinite(value)
    value.backward()
    missing = [n for n, p in trainable(model.student).items() if p.grad is None]
    assert not missing


def test_no_sampled_roi_keeps_every_parameter_in_the_graph():
    model = build_mean_teacher(score_thr=1.0)
    # No proposal survives this size and without boxes none is added.
    model.student.train_cfg["rpn_proposal"]["min_bbox_size"] = 10_000
    losses = model.loss(*batch(num_boxes=0))
    assert {"sup_loss_cls", "unsup_loss_cls"} <= set(losses)
    total(losses).backward()
    missing = [n for n, p in trainable(model.student).items() if p.grad is None]
    assert not missing


def test_teacher_is_asked_in_eval_mode_without_grad():
    model = build_mean_teacher()
    model.train()
    seen = []
    model.teacher.backbone.register_forward_hook(
        lambda module, _args, out: seen.append(
            (module.training, torch.is_grad_enabled(), out[0].requires_grad)
        )
    )
    model.loss(*batch())
    assert seen == [(False, False, False)]
    assert model.student.training
    assert not any(m.training for m in model.teacher.modules())


def test_burn_in_leaves_the_teacher_alone_and_ramp_scales():
    model = build_mean_teacher(burn_in=5, ramp_iters=4, unsup_weight=2.0)
    model.teacher.forward = model.teacher.predict = None
    losses = model.loss(*batch())
    assert not any(k.startswith("unsup_loss") for k in losses)
    assert losses["unsup_weight"] == 0
    assert losses["pseudo_per_image"] == 0
    assert model.last_step is None

    model = build_mean_teacher(burn_in=5, ramp_iters=4, unsup_weight=2.0)
    values = {}
    for iteration in (5, 6, 8, 50):
        model.iteration = iteration
        torch.manual_seed(0)
        values[iteration] = model.loss(*batch())["unsup_loss_cls"].item()
    assert values[6] == pytest.approx(2 * values[5], rel=1e-5)
    assert values[8] == pytest.approx(4 * values[5], rel=1e-5)
    assert values[50] == pytest.approx(values[8], rel=1e-6)


@pytest.mark.parametrize("detector", list(DETECTORS))
@pytest.mark.parametrize("sup_size", [(64, 96), (64, 64)])
def test_joint_backbone_pass_equals_separate_passes(detector, sup_size):
    results = []
    for joint in (False, True):
        model = build_mean_teacher(detector, joint_forward=joint)
        calls = []
        model.student.backbone.register_forward_hook(
            lambda _m, _a, _o, calls=calls: calls.append(1)
        )
        torch.manual_seed(3)
        # One pass of the heads would draw other candidates.
        with patch.object(mean_teacher, "heads_of_parts", lambda _student: None):
            losses = model.loss(*batch(sup_size=sup_size))
        total(losses).backward()
        results.append((losses, model.student.neck, len(calls)))
    (apart, neck_apart, two), (together, neck_together, one) = results
    assert (two, one) == (2, 1)
    if sup_size == (64, 96):  # padded anchors change the random sampling otherwise
        for key in apart:
            left, right = apart[key], together[key]
            if isinstance(left, list):
                left, right = torch.stack(left), torch.stack(right)
            torch.testing.assert_close(left, right, rtol=1e-3, atol=1e-5)
        for left, right in zip(
            neck_apart.parameters(), neck_together.parameters(), strict=True
        ):
            torch.testing.assert_close(left.grad, right.grad, rtol=1e-2, atol=1e-4)


def test_joint_pass_is_refused_where_padding_wastes_too_much():
    model = build_mean_teacher(joint_forward=0.1)
    calls = []
    model.student.backbone.register_forward_hook(lambda *_: calls.append(1))
    model.loss(*batch(sup_size=(32, 32)))  # 2 x 64 x 96 + 32 x 32 -> 38 % waste
    assert len(calls) == 2
    model.loss(*batch(sup_size=(64, 96)))
    assert len(calls) == 3


def test_teacher_equal_to_student_on_equal_views_keeps_its_boxes():
    model = build_mean_teacher(min_box_wh=(0.0, 0.0), min_visible=0.0)
    model.loss(*batch())
    step = model.last_step
    for weak, strong in zip(
        step.labels_weak.instances, step.labels_strong.instances, strict=True
    ):
        inside = (weak.bboxes[:, 2:] > weak.bboxes[:, :2]).all(1)
        torch.testing.assert_close(
            weak[inside].bboxes, strong.bboxes, atol=1e-3, rtol=0
        )


def test_images_are_kept_for_one_step_and_only_on_request():
    model = build_mean_teacher()
    inputs, samples = batch()
    kept = []
    for asked in (False, True, False):
        model.keeps_images = model.keeps_images or asked
        model.loss(inputs, samples)
        step = model.last_step
        kept.append((step.inputs_weak, step.inputs_strong))
    assert kept[0] == kept[2] == (None, None)
    assert kept[1][0] is inputs["unsup_teacher"]
    assert kept[1][1] is inputs["unsup_student"]


def test_flipped_strong_view_flips_the_boxes():
    flip = torch.tensor([[-1.0, 0, 96], [0, 1, 0], [0, 0, 1]])
    model = build_mean_teacher()
    inputs, samples = batch()
    for sample in samples["unsup_student"]:
        sample.set_metainfo(dict(homography_matrix=flip.numpy()))
    model.loss(inputs, samples)
    step = model.last_step
    weak, strong = step.labels_weak.instances[0], step.labels_strong.instances[0]
    assert len(strong) > 0
    want = weak.bboxes[:, [2, 1, 0, 3]].clone()
    want[:, [0, 2]] = 96 - want[:, [0, 2]]
    for box in strong.bboxes:
        assert (want - box).abs().amax(1).min() < 1e-2


def test_hidden_boxes_are_dropped():
    model = build_mean_teacher(min_visible=0.2)
    patches = torch.tensor([[0.0, 0.0, 96.0, 64.0]]).numpy()
    model.loss(*batch(erased_patches=patches))
    assert sum(len(x) for x in model.last_step.labels_weak.instances) > 0
    assert sum(len(x) for x in model.last_step.labels_strong.instances) == 0


def test_guidance_fields_travel_with_their_boxes():
    model = build_mean_teacher()
    _, samples = batch()
    with torch.no_grad():
        found = model.teacher_guidance(
            batch()[0]["unsup_teacher"], samples["unsup_teacher"]
        )
    for instances in found.instances:
        instances.loc_scores = instances.scores * 2
    moved = model.to_student_view(
        found, samples["unsup_teacher"], samples["unsup_student"]
    )
    for instances in moved.instances:
        torch.testing.assert_close(instances.loc_scores, instances.scores * 2)


class Marked(Findings):
    """Notes which way it went."""

    def __init__(self, *way):
        self.way = way

    def to_student_view(self, views):
        return Marked(*self.way, views.matrices.shape)

    def to_mixed_views(self, mixed, min_box_wh):
        return Marked(*self.way, len(mixed.samples))


def test_what_is_found_beyond_boxes_goes_along():
    model = build_mean_teacher(model=dict(mixing=dict(pseudo_mosaic=1.0)))
    found, taught = model.teacher_guidance, []
    guided_loss = model.guided_loss
    model.teacher_guidance = lambda *a: replace(found(*a), extra=Marked("weak"))
    model.guided_loss = lambda f, s, g: taught.append(g) or guided_loss(f, s, g)
    model.loss(*batch(num_unsup=4))
    assert taught[0].extra.way == ("weak", (4, 3, 3), 5)
    assert model.last_step.labels_strong.extra is None


def test_alpha_empty_weight_and_factors_apply_once_to_each_part():
    settings = dict(empty_weight=0.5, unsup_loss_weights=dict(loss_b=3.0))
    model = build_mean_teacher(**settings)
    one = torch.tensor(1.0)
    parts = [
        GuidedLosses(dict(loss_a=one, acc=one), 4, dict(pseudo_x=one)),
        GuidedLosses(dict(loss_b=[one, one]), 0),
    ]
    got = model.weighted(parts, weight=2.0)
    assert got["unsup_loss_a"] == 2.0
    assert got["unsup_loss_b"] == [3.0, 3.0]
    assert got["unsup_acc"] == got["pseudo_x"] == 1.0


def test_nothing_is_selected_where_the_teacher_has_chosen():
    model = build_mean_teacher(score_thr=1.0)
    with torch.no_grad():
        found = model.teacher_guidance(*(b["unsup_teacher"] for b in batch()))
    assert model.select(found).num_boxes == 0
    assert model.select(replace(found, chosen=True)).num_boxes == found.num_boxes > 0


def test_views_of_different_images_are_refused():
    model = build_mean_teacher()
    inputs, samples = batch()
    samples["unsup_student"].reverse()
    with pytest.raises(ValueError, match="different images"):
        model.loss(inputs, samples)


def test_threshold_keeps_scores_at_or_above_it():
    model = build_mean_teacher()
    found = model.teacher_guidance(*(b["unsup_teacher"] for b in batch()))
    middle = found.instances[0].scores.median().item()
    model = build_mean_teacher(score_thr=middle)
    kept = model.select(found)
    assert 0 < len(kept.instances[0]) < len(found.instances[0])
    assert kept.instances[0].scores.min() >= middle
    assert isinstance(kept, PseudoBoxes)


def test_diagnostics_count_what_is_taught():
    model = build_mean_teacher()
    losses = model.loss(*batch())
    strong = model.last_step.labels_strong.instances
    count = sum(len(instances) for instances in strong)
    assert losses["pseudo_per_image"].item() == pytest.approx(count / 2)
    scores = torch.cat([instances.scores for instances in strong])
    assert losses["pseudo_score"].item() == pytest.approx(scores.mean().item())
    assert 0 < losses["pseudo_kept_ratio"].item() <= 1
    assert losses["unsup_weight"].item() == 1.0


def test_single_losses_can_be_weighted_and_wrong_names_are_told():
    model = build_mean_teacher(unsup_loss_weights=dict(loss_bbox=0.0))
    assert model.loss(*batch())["unsup_loss_bbox"].item() == 0
    model = build_mean_teacher(unsup_loss_weights=dict(loss_box=0.0))
    with pytest.raises(ValueError, match="loss_box"):
        model.loss(*batch())


@pytest.mark.parametrize("detector", list(DETECTORS))
def test_bfloat16_step_on_the_cpu(detector):
    model = build_mean_teacher(detector)
    keep_detection_ops_in_float32(model)
    with torch.autocast("cpu", torch.bfloat16):
        losses = model.loss(*batch())
    labels = model.last_step.labels_weak.instances[0]
    assert labels.bboxes.dtype == labels.scores.dtype == torch.float32
    value = total(losses)
    value.backward()
    assert torch.isfinite(value)


def test_defaults_without_semi_train_cfg():
    cfg = build_mean_teacher()
    assert SemiTrainConfig.from_config(None) == SemiTrainConfig()
    assert isinstance(cfg, MeanTeacher)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(score_th=0.5), "unknown key.*score_th"),
        (dict(score_thr=1.5), r"score_thr must be a number from 0 to 1"),
        (dict(freeze_teacher=False), "freeze_teacher must be True"),
        (dict(burn_in=-1), "burn_in must be a whole number of at least 0"),
    ],
)
def test_wrong_settings_name_their_key(settings, message):
    with pytest.raises(ValueError, match=message):
        SemiTrainConfig.from_config(settings)


def test_teacher_on_its_own_stream_is_asked_after_the_students_backbone(monkeypatch):
    order = []

    class Fake:
        """Notes what happens while the teacher works beside."""

        def mark(self):
            order.append("mark")

        @contextmanager
        def beside(self):
            order.append("begin")
            yield
            order.append("end")

    plain = build_mean_teacher()
    torch.manual_seed(0)
    expected = plain.loss(*batch())
    model = build_mean_teacher(teacher_stream=True)
    assert model._side_stream(batch()[0]) is None  # there is none on a CPU
    fake = Fake()
    monkeypatch.setattr(model, "_side_stream", lambda _inputs: fake)
    for name in ("student", "teacher"):
        backbone = getattr(model, name).backbone
        backbone.register_forward_hook(lambda *_, name=name: order.append(name))
    torch.manual_seed(0)
    losses = model.loss(*batch())
    assert order == ["mark", "student", "begin", "teacher", "end"]
    assert losses.keys() == expected.keys()
    for key, value in losses.items():
        torch.testing.assert_close(value, expected[key], msg=key)
    model.iteration, model.settings = 0, replace(model.settings, burn_in=5)
    order.clear()
    model.loss(*batch())
    assert order == ["student"]
