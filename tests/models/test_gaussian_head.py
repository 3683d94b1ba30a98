"""The Gaussian box head: losses by loops, packing through RoI heads, extreme values."""

import pytest
import torch
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead
from mmdet.registry import MODELS
from mmengine.config import ConfigDict

from ssod_mm.engine.amp import keep_detection_ops_in_float32
from ssod_mm.maths.gaussians import gaussian_kl_loss, localization_quality
from ssod_mm.models import GaussianBBoxHead
from tests.helpers import tiny_detector_cfg
from tests.models.builders import sample
from tests.models.gaussian_builders import gaussian_cfg, spread_variances

pytestmark = pytest.mark.usefixtures("mmdet_scope")


def make_head(kind="GaussianBBoxHead", num_classes=3, seed=0, **changes):
    """A box head on its own, with weights of its initialisation."""
    cfg = dict(tiny_detector_cfg(num_classes)["roi_head"]["bbox_head"], type=kind)
    cfg["loss_bbox"] = dict(type="SmoothL1Loss", beta=1.0)
    torch.manual_seed(seed)
    head = MODELS.build({**cfg, **changes})
    head.init_weights()
    return head


def candidates(head, labels, seed=0):
    """Random predictions and targets of candidates with these labels."""
    generator = torch.Generator().manual_seed(seed)
    num = len(labels)
    width = 4 if head.reg_class_agnostic else 4 * head.num_classes
    labels = torch.tensor(labels)
    foreground = labels < head.num_classes
    return dict(
        cls_score=torch.randn(num, head.num_classes + 1, generator=generator),
        bbox_pred=2 * torch.randn(num, 2 * width, generator=generator),
        rois=torch.rand(num, 5, generator=generator),
        labels=labels,
        label_weights=torch.ones(num),
        bbox_targets=torch.randn(num, 4, generator=generator) * foreground[:, None],
        bbox_weights=foreground[:, None].float().expand(num, 4).clone(),
    )


@pytest.mark.parametrize("agnostic", [True, False])
@pytest.mark.parametrize("norm", ["foreground", "sampled"])
def test_supervised_loss_is_equation_10_as_a_loop(agnostic, norm):
    head = make_head(reg_class_agnostic=agnostic, loss_norm=norm, kl_weight=0.5)
    data = candidates(head, [3, 0, 2, 3, 3, 1])
    data["bbox_weights"][1] *= 0.3  # such as a class balance puts in
    pred = data["bbox_pred"].double().reshape(6, 2, -1, 4)
    total = 0.0
    for row, label in enumerate(data["labels"].tolist()):
        if label == 3:
            continue
        place = 0 if agnostic else label
        loss = gaussian_kl_loss(
            pred[row, 0, place][None],
            pred[row, 1, place][None],
            data["bbox_targets"][row][None].double(),
        )
        total += float((loss * data["bbox_weights"][row]).sum())
    want = 0.5 * total / (3 if norm == "foreground" else 6)
    losses = head.loss(**data)
    assert losses["loss_bbox"].item() == pytest.approx(want, rel=1e-5)
    plain = make_head("Shared2FCBBoxHead", reg_class_agnostic=agnostic)
    narrow = {**data, "bbox_pred": head.means(data["bbox_pred"])}
    assert torch.equal(losses["loss_cls"], plain.loss(**narrow)["loss_cls"])


def test_single_losses_and_sums_on_demand():
    head = make_head(kl_weight=0.5)
    data = {**candidates(head, [3, 0, 2, 3]), "cls_score": None}
    each = head.loss(**data, reduction_override="none")["loss_bbox"]
    assert each.shape == (4, 4)
    assert each[[0, 3]].abs().sum() == 0
    summed = head.loss(**data, reduction_override="sum")["loss_bbox"]
    torch.testing.assert_close(summed, each.sum())
    torch.testing.assert_close(head.loss(**data)["loss_bbox"], each.sum() / 2)


def test_norms_differ_by_the_share_of_foreground():
    losses = []
    for norm in ("foreground", "sampled"):
        head = make_head(loss_norm=norm)
        losses.append(head.loss(**candidates(head, [3, 1, 3, 3]))["loss_bbox"])
    torch.testing.assert_close(losses[0], 4 * losses[1])


def test_loss_of_pseudo_labels_is_mmdets_and_spares_the_variances():
    head, plain = make_head(), make_head("Shared2FCBBoxHead")
    data = candidates(head, [3, 0, 2, 3])
    pred = data["bbox_pred"].requires_grad_()
    losses = head.unlabelled_loss(**data)
    want = plain.loss(**{**data, "bbox_pred": head.means(pred)})
    assert torch.equal(losses["loss_bbox"], want["loss_bbox"])
    losses["loss_bbox"].backward()
    assert head.means(pred.grad).abs().sum() > 0
    assert head.log_variances(pred.grad).abs().sum() == 0


@pytest.mark.parametrize("labels", [[3, 3], []])
def test_no_foreground_and_no_candidate_stay_in_the_graph(labels):
    head = make_head()
    features = torch.randn(len(labels), 16, 4, 4)
    cls_score, bbox_pred = head(features)
    data = {**candidates(head, labels), "cls_score": cls_score, "bbox_pred": bbox_pred}
    if not labels:
        data["labels"] = torch.zeros(0, dtype=torch.long)
    losses = head.loss(**data)
    assert losses["loss_bbox"].item() == 0
    losses["loss_bbox"].backward()
    for parameter in head.fc_reg.parameters():
        assert parameter.grad is not None


def test_one_class():
    head = make_head(num_classes=1)
    losses = head.loss(**candidates(head, [0, 1, 1]))
    assert torch.isfinite(losses["loss_bbox"])
    assert head.loc_quality(torch.zeros(2, 8)).shape == (2, 1)


def test_initial_variances_are_near_one_and_quality_near_its_middle():
    head = make_head()
    _, bbox_pred = head(torch.randn(8, 16, 4, 4))
    torch.testing.assert_close(
        head.variances(bbox_pred), torch.ones(8, 12), atol=0.05, rtol=0
    )
    assert head.fc_reg.log_var.weight.std().item() == pytest.approx(1e-4, rel=0.2)
    assert head.fc_reg.weight.std().item() == pytest.approx(1e-3, rel=0.2)
    # 1 - sigmoid(1)
    torch.testing.assert_close(
        head.loc_quality(bbox_pred), torch.full((8, 3), 0.268941), atol=0.01, rtol=0
    )


def test_a_plain_heads_checkpoint_fills_the_means():
    plain, head = make_head("Shared2FCBBoxHead", seed=1), make_head(seed=2)
    found = head.load_state_dict(plain.state_dict(), strict=False)
    assert not found.unexpected_keys
    assert set(found.missing_keys) == {
        "fc_reg.log_var.weight",
        "fc_reg.log_var.bias",
    }
    features = torch.randn(5, 16, 4, 4)
    cls_score, bbox_pred = head(features)
    want_cls, want_boxes = plain(features)
    torch.testing.assert_close(cls_score, want_cls)
    torch.testing.assert_close(head.means(bbox_pred), want_boxes)


@pytest.mark.parametrize("agnostic", [True, False])
def test_detections_are_a_plain_heads_with_the_quality_of_their_own_row(agnostic):
    head = make_head(reg_class_agnostic=agnostic, quality_on="log_variance")
    plain = make_head("Shared2FCBBoxHead", reg_class_agnostic=agnostic)
    data = candidates(head, [0] * 30, seed=3)
    corner = 40 * torch.rand(30, 2, generator=torch.Generator().manual_seed(4))
    rois = torch.cat([torch.zeros(30, 1), corner, corner + 30], 1)
    meta = dict(img_shape=(80, 90), scale_factor=(1.0, 1.0))
    nms = dict(type="nms", iou_threshold=0.5)
    cfg = ConfigDict(score_thr=0.2, nms=nms, max_per_img=20)
    (found,) = head.predict_by_feat(
        (rois,), (data["cls_score"],), (data["bbox_pred"],), [meta], cfg
    )
    means = head.means(data["bbox_pred"]).contiguous()
    (want,) = plain.predict_by_feat(
        (rois,), (data["cls_score"],), (means,), [meta], cfg
    )
    for field in ("bboxes", "scores", "labels"):
        torch.testing.assert_close(found[field], want[field])
    probs = data["cls_score"].softmax(1)
    log_var = data["bbox_pred"].reshape(30, 2, -1, 4)[:, 1]
    assert len(found) > 3
    for score, label, quality in zip(
        found.cls_scores, found.labels, found.loc_scores, strict=True
    ):
        row = (probs[:, label] - score).abs().argmin()
        own = log_var[row, 0 if agnostic else label]
        want_quality = localization_quality(own, "log_variance")
        assert quality.item() == pytest.approx(want_quality.item(), abs=1e-6)


@pytest.mark.parametrize("detector", ["faster", "cascade"])
@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_whole_detectors_train_and_predict(detector, dtype):
    torch.manual_seed(0)
    model = MODELS.build(ConfigDict(gaussian_cfg(detector)))
    model.init_weights()
    spread_variances(model)
    keep_detection_ops_in_float32(model)
    samples = [sample(0), sample(1)]
    with torch.autocast("cpu", dtype, enabled=dtype is not None):
        losses = model.loss(torch.randn(2, 3, 64, 96), samples)
    total = sum(
        sum(v) if isinstance(v, list) else v for k, v in losses.items() if "loss" in k
    )
    total.backward()
    assert torch.isfinite(total)
    for name, parameter in model.named_parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name
        assert parameter.grad is not None or not parameter.requires_grad, name
    model.test_cfg.rcnn.score_thr = 0.01
    with torch.no_grad():
        predicted = model.eval().predict(torch.randn(2, 3, 64, 96), samples)
    for prediction in predicted:
        found = prediction.pred_instances
        assert len(found) > 0
        assert ((found.loc_scores >= 0) & (found.loc_scores < 0.5)).all()
        assert torch.equal(found.scores, found.cls_scores)


def test_kl_training_makes_the_variance_follow_the_error():
    """Two kinds of RoIs: one whose targets scatter, one whose targets do not."""
    head = make_head(num_classes=1, reg_class_agnostic=True)
    torch.manual_seed(0)
    optimiser = torch.optim.SGD(head.parameters(), lr=0.005, momentum=0.9)
    features = torch.randn(2, 16, 4, 4).repeat_interleave(32, 0)
    sure = torch.arange(64) < 32
    for _ in range(300):
        cls_score, bbox_pred = head(features)
        scatter = torch.where(sure[:, None], 0.05, 0.8) * torch.randn(64, 4)
        losses = head.loss(
            cls_score,
            bbox_pred,
            torch.zeros(64, 5),
            torch.zeros(64, dtype=torch.long),
            torch.ones(64),
            scatter,
            torch.ones(64, 4),
        )
        optimiser.zero_grad()
        losses["loss_bbox"].backward()
        optimiser.step()
    quality = head.loc_quality(head(features)[1])
    assert quality[sure].mean() > quality[~sure].mean() + 0.05


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(loss_norm="all"), r"bbox_head\.loss_norm.*'all'"),
        (dict(quality_on="entropy"), r"bbox_head\.quality_on.*'entropy'"),
        (dict(log_var_limit=-1.0), "log_var_limit must be positive"),
        (dict(score_factor="v"), r"bbox_head\.score_factor"),
        (dict(reg_decoded_bbox=True), r"bbox_head\.reg_decoded_bbox must be False"),
    ],
)
def test_wrong_settings_name_their_key(changes, message):
    with pytest.raises(ValueError, match=message):
        make_head(**changes)


def test_the_head_is_a_shared_2fc_head():
    assert issubclass(GaussianBBoxHead, Shared2FCBBoxHead)
