"""Dense losses against a loop over candidates, and the focal RoI head."""

import math

import pytest
import torch

from ssod_mm.models.dense.losses import Targets, best_overlaps, cluster_losses
from ssod_mm.models.dense.settings import DenseStage
from ssod_mm.models.heads.focal import FocalRoILoss, PriorLinear
from tests.models.builders import batch
from tests.models.dense_builders import build_dense, focal_cfg

pytestmark = pytest.mark.usefixtures("mmdet_scope")

NUM_ROWS, NUM_CLASSES = 9, 3
ROWS = [0, 1, 1, 4, 5, 6]  # prior 1 is a candidate of two classes
LABELS = [0, 0, 2, 2, 2, 1]
CLUSTERS = [0, 0, 1, 1, 1, 3]  # cluster 2 has lost its candidates
BACKGROUND = [2, 3, 8]


def targets():
    background = torch.zeros(NUM_ROWS, dtype=torch.bool)
    background[BACKGROUND] = True
    return Targets(
        rows=torch.tensor(ROWS),
        labels=torch.tensor(LABELS),
        scores=torch.tensor([0.9, 0.6, 0.5, 0.8, 0.7, 0.95]),
        clusters=torch.tensor(CLUSTERS),
        boxes=torch.arange(24.0).reshape(6, 4),
        num_clusters=4,
        background=background,
    )


def box_loss(rows, targets, labels):
    return targets.sum(1) + 10 * rows + 100 * labels


def slow_focal(logit, target, gamma=2.0, alpha=0.25):
    p = 1 / (1 + math.exp(-logit))
    if target:
        return -alpha * (1 - p) ** gamma * math.log(p)
    return -(1 - alpha) * p**gamma * math.log(1 - p)


def slow_losses(logits, made, stage, class_weights):
    """Equations 2, 3, 5 and 6 read off the paper, in float64."""
    classes = {row: set() for row in range(NUM_ROWS)}
    for row, label in zip(ROWS, LABELS, strict=True):
        classes[row].add(label)
    focal = [
        sum(slow_focal(logits[r][c], c in classes[r]) for c in range(NUM_CLASSES))
        for r in range(NUM_ROWS)
    ]
    cls, reg, rank = [], [], []
    for number in sorted(set(CLUSTERS)):
        mine = [i for i, c in enumerate(CLUSTERS) if c == number]
        weights = [class_weights[LABELS[i]] for i in mine]
        cls.append(
            sum(w * focal[ROWS[i]] for i, w in zip(mine, weights, strict=True))
            / len(mine)
        )
        boxes = [
            sum(made.boxes[i].tolist()) + 10 * ROWS[i] + 100 * LABELS[i] for i in mine
        ]
        reg.append(sum(w * b for w, b in zip(weights, boxes, strict=True)) / len(mine))
        p_s = [1 / (1 + math.exp(-logits[ROWS[i]][LABELS[i]])) for i in mine]
        p_t = [made.scores[i].item() for i in mine]
        e_s, e_t = ([math.exp(p / stage.temperature) for p in ps] for ps in (p_s, p_t))
        d_s, d_t = ([e / sum(es) for e in es] for es in (e_s, e_t))
        rank.append(sum(t * math.log(t / s) for t, s in zip(d_t, d_s, strict=True)))
    foreground, background = len(set(ROWS)), len(BACKGROUND)
    divisor = {"foreground": foreground, "all": foreground + background}
    negative = sum(focal[r] for r in BACKGROUND) / divisor[stage.background_norm]
    return {
        "cls": stage.cls_weight
        * (sum(cls) / len(cls) + stage.background_weight * negative),
        "reg": stage.reg_weight * sum(reg) / len(reg),
        "rank": stage.rank_weight * sum(rank) / len(rank),
    }


@pytest.mark.parametrize(
    "stage",
    [
        DenseStage(),
        DenseStage(background_norm="all", background_weight=0.5, temperature=0.3),
        DenseStage(cls_weight=2.0, reg_weight=0.5, rank_weight=7.0),
    ],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_losses_equal_the_loop(stage, weighted):
    logits = torch.randn(NUM_ROWS, NUM_CLASSES, generator=torch.manual_seed(0))
    weights = torch.tensor([0.5, 1.0, 3.0]) if weighted else torch.ones(3)
    made = targets()
    got, stats = cluster_losses(
        logits,
        logits,
        box_loss,
        made,
        stage,
        (2.0, 0.25),
        weights if weighted else None,
    )
    want = slow_losses(logits.tolist(), made, stage, weights.tolist())
    assert {k: v.item() for k, v in got.items()} == pytest.approx(want, rel=1e-4)
    assert stats["clusters"] == 3
    assert stats["cluster_size"] == 2


def test_few_clusters_do_not_blow_up_the_background():
    logits = torch.zeros(NUM_ROWS, NUM_CLASSES)
    stage = DenseStage(min_foreground=1.0, cls_weight=1.0)
    made = targets()
    floor, _ = cluster_losses(logits, logits, box_loss, made, stage, (2.0, 0.25))
    other = DenseStage(background_norm="all")
    whole, _ = cluster_losses(logits, logits, box_loss, made, other, (2.0, 0.25))
    assert floor["cls"].item() == pytest.approx(whole["cls"].item())


def test_no_box_target_gives_no_box_loss():
    stage = DenseStage(box_target="none")
    logits = torch.zeros(9, 3)
    got, _ = cluster_losses(logits, logits, box_loss, targets(), stage, (2.0, 0.25))
    assert got["reg"] == 0


def test_overlaps_count_within_an_image():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10], [5, 0, 15, 10]])
    objects = torch.tensor([[0.0, 0, 10, 10], [50, 50, 60, 60]])
    images, of_objects = torch.tensor([0, 1, 0]), torch.tensor([0, 1])
    got = best_overlaps(boxes, images, objects, of_objects)
    assert got.tolist() == pytest.approx([1.0, 0.0, 50 / 150])
    assert best_overlaps(boxes, images, objects[:0], of_objects[:0]).tolist() == [0] * 3


def test_focal_roi_loss_divides_by_the_foreground():
    logits = torch.randn(4, 2, generator=torch.manual_seed(0))
    labels, weights = torch.tensor([0, 2, 1, 2]), torch.tensor([1.0, 1.0, 2.0, 0.0])
    rows = [
        sum(slow_focal(logits[i, c].item(), c == labels[i]) for c in range(2))
        for i in range(4)
    ]
    summed = rows[0] + rows[1] + 2 * rows[2]
    got = FocalRoILoss(loss_weight=3.0)(logits, labels, weights, avg_factor=99.0)
    assert got.item() == pytest.approx(3 * summed / 2, rel=1e-5)
    got = FocalRoILoss(norm="all")(logits, labels, weights, avg_factor=8.0)
    assert got.item() == pytest.approx(summed / 8, rel=1e-5)
    nothing = FocalRoILoss()(logits, torch.full((4,), 2))
    assert nothing.item() == pytest.approx(
        sum(slow_focal(x, False) for x in logits.flatten().tolist()), rel=1e-5
    )


def test_focal_norm_is_checked():
    with pytest.raises(ValueError, match=r"loss_cls\.norm"):
        FocalRoILoss(norm="positive")


def test_a_focal_head_predicts_every_class():
    """Each class's sigmoid is its score, the last class and background included."""
    model = build_dense()
    inputs, samples = batch()
    head = model.student.roi_head.bbox_head
    assert head.fc_cls.out_features == 3
    with torch.no_grad():
        torch.nn.init.zeros_(head.fc_cls.weight)
        head.fc_cls.bias.copy_(torch.tensor([-9.0, -9.0, 1.0]))
        found = model.student.predict(
            inputs["unsup_teacher"], samples["unsup_teacher"], rescale=False
        )[0].pred_instances
    assert set(found.labels.tolist()) == {2}
    assert found.scores.tolist() == pytest.approx([1 / (1 + math.exp(-1))] * len(found))
    accuracy = head.loss_cls.get_accuracy(
        torch.tensor([[1.0, 0, 2], [-1, -2, -3], [3, -1, 0]]), torch.tensor([2, 3, 1])
    )
    assert accuracy["acc"].item() == pytest.approx(200 / 3)


def test_probabilities_start_at_the_prior():
    layer = PriorLinear(4, 3, prior=0.02)
    layer.init_weights()
    assert layer.bias.sigmoid().tolist() == pytest.approx([0.02] * 3)
    model = build_dense(None, focal_cfg(), certain=False)
    bias = model.student.roi_head.bbox_head.fc_cls.bias
    assert bias.sigmoid().tolist() == pytest.approx([0.01] * 3)
