"""Class balance: the counts, the thresholds, and the weights in the losses."""

import multiprocessing

import pytest
import torch
from mmengine.structures import InstanceData
from torch.nn.functional import cross_entropy

from ssod_mm.engine.amp import keep_detection_ops_in_float32
from ssod_mm.models import class_balance, pseudo_labels
from ssod_mm.models.class_balance import ClassBalance
from ssod_mm.models.heads.answers import box_heads
from ssod_mm.models.roi_losses import roi_losses
from ssod_mm.structures import PseudoBoxes
from tests.models.builders import NUM_CLASSES, batch, build_mean_teacher, total

pytestmark = pytest.mark.usefixtures("mmdet_scope")


def build_balanced(detector="faster", settings=None, seed=0, **balance):
    return build_mean_teacher(
        detector,
        seed,
        model=dict(class_balance=dict({"use_loc": False, "clip": (0, 1)}, **balance)),
        **(settings or {}),
    )


def detections(labels, scores, **fields):
    found = InstanceData(
        bboxes=torch.rand(len(labels), 4),
        labels=torch.tensor(labels, dtype=torch.long),
        scores=torch.tensor(scores),
        **{key: torch.tensor(value) for key, value in fields.items()},
    )
    return pseudo_labels.detections(found)


def test_counts_p_times_v_above_the_floor():
    balance = ClassBalance(3, floor=0.05)
    first = detections([0, 0, 2], [0.5, 0.04, 1.0], loc_scores=[0.5, 1.0, 0.25])
    balance.observe([first, detections([0], [0.2], loc_scores=[0.5])])
    balance.observe([detections([], [])])
    assert balance.mass.tolist() == pytest.approx([0.35, 0, 0.25])
    assert balance.counts.tolist() == [2, 0, 1]


def test_probabilities_count_where_scores_rank_by_more():
    balance = ClassBalance(1)
    balance.observe([detections([0], [0.3], cls_scores=[0.6], loc_scores=[0.5])])
    assert balance.mass.item() == pytest.approx(0.3)


def test_without_localisation_quality():
    balance = ClassBalance(2, use_loc=False)
    balance.observe([detections([1], [0.8], loc_scores=[0.5])])
    assert balance.mass.tolist() == pytest.approx([0, 0.8])
    with pytest.raises(ValueError, match="use_loc=False"):
        ClassBalance(2).update(torch.tensor([1]), torch.tensor([0.8]))
    with pytest.raises(ValueError, match="Shared2FCBBoxHead gives no localisation"):
        build_balanced(use_loc=True)


def test_decay_forgets():
    balance = ClassBalance(1, use_loc=False, decay=0.5)
    for _ in range(3):
        balance.observe([detections([0], [1.0])])
    assert balance.mass.item() == balance.counts.item() == 1.75


def test_counts_are_summed_over_processes(monkeypatch):
    """Four equal processes stand in: the reduction sees this step's sums alone."""
    monkeypatch.setattr(class_balance, "all_reduce", lambda sums: sums.mul_(4))
    balance = ClassBalance(1, use_loc=False)
    balance.observe([detections([0], [0.5])])
    balance.observe([detections([0], [0.5])])
    assert balance.mass.item() == 4
    assert balance.counts.item() == 8


def _one_rank(rank, store, results):
    torch.distributed.init_process_group(
        "gloo",
        store=torch.distributed.FileStore(store, 2),
        rank=rank,
        world_size=2,
    )
    balance = ClassBalance(2, use_loc=False)
    found = [detections([0, 1], [0.5, 1.0])] if rank == 0 else []
    balance.observe(found)  # the other one has no unlabelled image at all
    balance.observe([detections([1], [0.25])])
    results.put((balance.mass.tolist(), balance.counts.tolist()))
    torch.distributed.destroy_process_group()


def test_two_processes_have_the_same_counts(tmp_path):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [
        context.Process(target=_one_rank, args=(rank, str(tmp_path / "store"), results))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    got = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(timeout=60)
    assert got[0] == got[1] == ([0.5, 1.5], [1, 3])


def test_starts_from_tau_and_one():
    balance = ClassBalance(4, tau=0.6, use_loc=False)
    assert balance.thresholds().tolist() == pytest.approx([0.6] * 4)
    assert balance.weights().tolist() == pytest.approx([1.0] * 4)
    # one detection does not yet tell much; a thousand of one class do
    balance.observe([detections([0], [0.9])])
    assert balance.weights().max() < 1.2
    for _ in range(1000):
        balance.observe([detections([0], [0.9])])
    assert balance.weights()[0] < 0.5 < 5 < balance.weights()[1]
    assert balance.thresholds()[0] > 0.6 > 0.5 > balance.thresholds()[1]


@pytest.mark.parametrize(("average", "ratio"), [("evidence", 1.0), ("count", 0.2)])
def test_equal_classes_of_an_unsure_teacher(average, ratio):
    balance = ClassBalance(2, prior=0.0, clip=(0, 1), average=average)
    balance.observe([detections([0, 1], [0.5, 0.5], loc_scores=[0.4, 0.4])])
    assert balance.weights().tolist() == pytest.approx([ratio**-0.6] * 2)
    assert balance.thresholds().tolist() == pytest.approx([0.7 * ratio**0.05] * 2)


def test_select_takes_the_threshold_of_the_class():
    model = build_balanced(settings=dict(score_thr=0.5, ignore_thr=0.2))
    model.class_balance.thresholds = lambda: torch.tensor([0.9, 0.5, 0.1])
    found = detections([0, 1, 2, 0, 1, 2], [0.6, 0.6, 0.6, 0.1, 0.1, 0.1])
    chosen = model.select(PseudoBoxes([found]))
    assert chosen.instances[0].labels.tolist() == [1, 2, 2]
    assert chosen.ignored[0].labels.tolist() == [0]


def test_select_compares_the_probability():
    model = build_mean_teacher(score_thr=0.5)
    found = detections([0, 0], [0.4, 0.6], cls_scores=[0.8, 0.3])
    assert model.select(PseudoBoxes([found])).instances[0].cls_scores.tolist() == [
        pytest.approx(0.8)
    ]


def record_losses(model, monkeypatch):
    """Arguments of every call of a box head's loss."""
    calls = []
    for head in box_heads(model.student):

        def recorded(*args, plain=head.loss, head=head, **kwargs):
            calls.append((head, args))
            return plain(*args, **kwargs)

        monkeypatch.setattr(head, "loss", recorded)
    return calls


def slow_losses(head, args, weights):
    """Classification and box loss, one candidate after the other."""
    cls_score, bbox_pred, _rois, labels, _, targets, _ = args
    loss_cls = loss_bbox = 0.0
    for row, label in enumerate(labels.tolist()):
        weight = weights[label] if label < head.num_classes else 1.0
        loss_cls += weight * cross_entropy(cls_score[row], labels[row]).item()
        if label < head.num_classes:
            start = 0 if head.reg_class_agnostic else 4 * label
            pred = bbox_pred[row, start : start + 4]
            loss_bbox += weight * (pred - targets[row]).abs().sum().item()
    return loss_cls / len(labels), loss_bbox / len(labels)


@pytest.mark.parametrize("detector", ["faster", "cascade"])
def test_weights_multiply_the_losses_of_foreground_candidates(detector, monkeypatch):
    weights = [0.5, 3.0, 7.0]
    model = build_mean_teacher(detector)
    calls = record_losses(model, monkeypatch)
    images, samples = (part["sup"] for part in batch(num_sup=2, num_boxes=3))
    features = model.student.extract_feat(images)

    torch.manual_seed(0)
    plain = model.student_loss(features, samples)
    num_stages = len(calls)
    torch.manual_seed(0)
    with roi_losses(model.student, None, torch.tensor(weights)):
        found = model.student_loss(features, samples)

    assert num_stages == {"faster": 1, "cascade": 2}[detector]
    stage_weights = [1.0, 0.5]
    for stage, (head, args) in enumerate(calls[:num_stages]):
        assert set(args[3].tolist()) == {0, 1, 2, 3}  # every class and background
        start = "" if detector == "faster" else f"s{stage}."
        want = slow_losses(head, args, weights)
        for name, value in zip(("loss_cls", "loss_bbox"), want, strict=True):
            ours = found[start + name].item()
            assert ours == pytest.approx(stage_weights[stage] * value, rel=1e-4)
            assert ours != pytest.approx(plain[start + name].item(), rel=1e-2)
    for name in ("loss_rpn_cls", "loss_rpn_bbox"):
        torch.testing.assert_close(found[name], plain[name])


def test_labelled_and_unlabelled_losses_are_weighted():
    losses = []
    for g2 in (0.0, 0.6):
        model = build_balanced(g1=0.0, g2=g2)
        model.class_balance.mass.fill_(1.0)
        model.class_balance.counts.fill_(1000.0)
        torch.manual_seed(0)
        losses.append(model.loss(*batch()))
    plain, weighted = losses
    for name in ("sup_loss_bbox", "unsup_loss_bbox"):
        assert weighted[name].item() > 3 * plain[name].item() > 0


def test_switched_off_it_changes_nothing():
    losses = []
    for model in (build_mean_teacher(), build_balanced(g1=0.0, g2=0.0)):
        torch.manual_seed(0)
        losses.append(model.loss(*batch()))
    plain, balanced = losses
    assert plain.keys() == balanced.keys()
    for name in plain:
        torch.testing.assert_close(balanced[name], plain[name], rtol=0, atol=0)


def test_heads_are_as_before_also_after_an_error():
    model = build_mean_teacher("cascade")
    heads = box_heads(model.student)
    try:
        with roi_losses(model.student, None, torch.ones(NUM_CLASSES)):
            assert all("loss_and_target" in vars(head) for head in heads)
            raise RuntimeError
    except RuntimeError:
        pass
    assert not any("loss_and_target" in vars(head) for head in heads)


@pytest.mark.parametrize("detector", ["faster", "cascade"])
@pytest.mark.parametrize(
    ("num_boxes", "thr"), [(2, 1.0), (0, 0.0), (0, 1.0)], ids=["pseudo", "true", "any"]
)
def test_no_box_keeps_every_parameter_in_the_graph(detector, num_boxes, thr):
    model = build_balanced(detector, settings=dict(score_thr=thr))
    value = total(model.loss(*batch(num_boxes=num_boxes)))
    assert torch.isfinite(value)
    value.backward()
    assert all(p.grad is not None for p in model.student.parameters())


def test_bfloat16_step():
    model = build_balanced()
    keep_detection_ops_in_float32(model)
    with torch.autocast("cpu", torch.bfloat16):
        value = total(model.loss(*batch()))
    value.backward()
    assert torch.isfinite(value)
    assert model.class_balance.counts.sum() > 0


def test_counts_travel_in_checkpoints():
    model = build_balanced()
    model.loss(*batch())
    assert model.class_balance.counts.sum() > 0
    other = build_balanced(seed=1)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.class_balance.mass, model.class_balance.mass)
    torch.testing.assert_close(
        other.class_balance.weights(), model.class_balance.weights()
    )


def test_one_stage_detectors_have_thresholds_but_no_weights():
    model = build_balanced("fcos", g2=0.0, floor=0.0)
    losses = model.loss(*batch())
    assert torch.isfinite(total(losses))
    assert model.class_balance.counts.sum() > 0
    with pytest.raises(ValueError, match=r"class_balance\.g2=0 .*two-stage"):
        build_balanced("retina")


def test_threshold_of_an_average_class_is_the_score_threshold():
    assert build_balanced(settings=dict(score_thr=0.3)).class_balance.tau == 0.3
    assert build_balanced(tau=0.6).class_balance.tau == 0.6


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (dict(g1=-1), r"class_balance\.g1 must be a number of at least 0"),
        (dict(prior=-1), r"class_balance\.prior must be a number of at least 0"),
        (dict(average="sum"), r"class_balance\.average must be one of"),
        (dict(tau=2), r"class_balance\.tau must be a number from 0 to 1"),
        (dict(decay=0), r"class_balance\.decay must be a number above 0"),
        (dict(clip=(0.9, 0.4)), r"class_balance\.clip must be a lower"),
        (dict(weight_bounds=(0, 1)), r"class_balance\.weight_bounds must be"),
    ],
)
def test_wrong_arguments_name_their_key(wrong, message):
    with pytest.raises(ValueError, match=message):
        ClassBalance(3, **wrong)
