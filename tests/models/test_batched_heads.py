"""Batched heads against mmdet's own: losses, gradients, proposals, detections."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from unittest.mock import patch

import pytest
import torch
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from mmdet.models.task_modules.samplers import BaseSampler, RandomSampler
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from ssod_mm.models.anchor_grids import valid_anchors
from ssod_mm.models.batched import batch_heads, proposals, roi_levels
from ssod_mm.models.batched.anchor_heads import BatchedAnchorHead
from ssod_mm.models.batched.roi_heads import StandardRoIHead
from ssod_mm.models.detectors import mean_teacher
from tests.golden.steps import CASES, losses_of_steps
from tests.helpers import tiny_detector_cfg
from tests.models.builders import DETECTORS, NUM_CLASSES, build_mean_teacher, sample

pytestmark = pytest.mark.usefixtures("mmdet_scope")

SIZE = (64, 96)
GRIDS = [(8, 12), (4, 6), (2, 3)]


@pytest.fixture(autouse=True)
def features_of_mmcv(monkeypatch):
    """RoIs pooled as by mmdet, to the bit; sums of rows round otherwise."""
    monkeypatch.setattr(roi_levels, "pooled_as_rows", lambda _maps: False)


def faster(assigner: dict | None = None, **bbox_head) -> dict:
    cfg = tiny_detector_cfg(NUM_CLASSES)
    cfg["roi_head"]["bbox_head"].update(bbox_head)
    for part in ("rpn", "rcnn"):
        cfg["train_cfg"][part]["assigner"].update(
            type="IgnoringMaxIoUAssigner", ignore_iof_thr=0.5
        )
    cfg["train_cfg"]["rpn_proposal"] = dict(
        nms_pre=60,
        max_per_img=40,
        nms=dict(type="nms", iou_threshold=0.7),
        min_bbox_size=0,
    )
    cfg["train_cfg"]["rpn"]["sampler"].update(num=24)
    cfg["train_cfg"]["rcnn"]["sampler"].update(num=16)
    cfg["test_cfg"]["rcnn"]["score_thr"] = 0.01
    return cfg


FOCAL = dict(
    loss_cls=dict(type="FocalRoILoss"), cls_predictor_cfg=dict(type="PriorLinear")
)
KINDS = {
    "faster": faster,
    "agnostic": lambda: faster(reg_class_agnostic=True),
    "smooth": lambda: faster(loss_bbox=dict(type="SmoothL1Loss", beta=0.3)),
    "gaussian": lambda: faster(type="GaussianBBoxHead"),
    "interval": lambda: faster(type="IntervalBBoxHead"),
    "focal": lambda: faster(**FOCAL),
    "retina": DETECTORS["retina"],
    "cascade": DETECTORS["cascade"],
    "fcos": DETECTORS["fcos"],
}
CHANGED = {
    "retina": ["bbox_head"],
    "cascade": [
        "rpn_head",
        *[f"roi_head.bbox_roi_extractor.{stage}" for stage in (0, 1)],
        *[f"roi_head.bbox_head.{stage}" for stage in (0, 1)],
    ],
    "fcos": [],
}
TWO_STAGE = [
    "rpn_head",
    "roi_head",
    "roi_head.bbox_roi_extractor",
    "roi_head.bbox_head",
]


def pair(kind: str, seed: int = 0) -> tuple[torch.nn.Module, torch.nn.Module]:
    """The same detector twice: as mmdet has it, and with batched heads."""
    import ssod_mm.models  # noqa: F401  (registers)

    torch.manual_seed(seed)
    stock = MODELS.build(ConfigDict(KINDS[kind]()))
    stock.init_weights()
    with torch.no_grad():
        # Larger deltas and logits than those of fresh heads, and no prior.
        for name, value in stock.named_parameters():
            if "cls" in name and name.endswith("bias"):
                value.zero_()
            elif "reg" in name or "cls" in name:
                value.mul_(20.0)
    batched = copy.deepcopy(stock)
    changed = batch_heads(batched)
    assert sorted(changed) == sorted(CHANGED.get(kind, TWO_STAGE))
    return stock, batched


class Keys:
    """Random keys that batched heads draw, and mmdet's samplers then choose by."""

    def __init__(self) -> None:
        self.drawn: list[torch.Tensor] = []
        self.calls = 0

    @contextmanager
    def drawing(self):
        def draw(_head, size, device):
            keys = torch.rand(size)
            self.drawn.append(keys)
            return keys.to(device)

        with (
            patch.object(BatchedAnchorHead, "sampling_keys", draw),
            patch.object(StandardRoIHead, "sampling_keys", draw),
        ):
            yield

    @contextmanager
    def choosing(self, samples, valid):
        """mmdet samples image after image, stage after stage, by the drawn keys.

        Its candidates are those of the batched form without padding: of the RPN the
        valid anchors, of the RoI head the true boxes and proposals.
        """
        counts = [len(sample.gt_instances) for sample in samples]
        stock, keys = RandomSampler.sample, self

        def sample(self, assigned, priors, boxes, **kwargs):
            stage, image = divmod(keys.calls, len(counts))
            keys.calls += 1
            row = keys.drawn[stage][image]
            if self.add_gt_as_proposals:
                start = max(1, *counts)
                own = row[: counts[image]]
                row = torch.cat([own, row[start : start + len(priors.priors)]])
            elif valid is not None:
                row = row[valid[image]]
            self.keys = row
            return stock(self, assigned, priors, boxes, **kwargs)

        def choose(self, gallery, num):
            return gallery[self.keys[gallery].topk(num).indices]

        with (
            patch.object(RandomSampler, "sample", sample),
            patch.object(RandomSampler, "random_choice", choose),
        ):
            yield


def drawn_samples(draw, generator) -> list:
    """Data samples with boxes, none, crowds of equal ones, ignored ones, padding."""
    samples = []
    for image in range(draw(st.integers(1, 3))):
        made = sample(image, SIZE)
        if draw(st.booleans()):  # a smaller image in a padded batch
            made.set_metainfo(dict(img_shape=(40, 70), pad_shape=(64, 96)))
        if draw(st.booleans()):
            made.set_metainfo(dict(img_shape=(30, 60), pad_shape=(32, 64)))
        for name in ("gt_instances", "ignored_instances"):
            count = draw(st.sampled_from([0, 0, 1, 3, 12]))
            corner = 50 * torch.rand(count, 2, generator=generator)
            sides = 4 + 40 * torch.rand(count, 2, generator=generator)
            boxes = torch.cat([corner, corner + sides], 1)
            if count == 12 and draw(st.booleans()):
                boxes[6:] = boxes[:6]
            labels = torch.randint(0, NUM_CLASSES, (count,), generator=generator)
            setattr(made, name, InstanceData(bboxes=boxes, labels=labels))
        samples.append(made)
    return samples


def total(losses: dict) -> torch.Tensor:
    parts = [v for k, v in losses.items() if "loss" in k]
    return sum(sum(part) if isinstance(part, list) else part for part in parts)


def value(loss) -> float:
    return (sum(loss) if isinstance(loss, list) else loss).item()


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("fcos", "cascade")])
def test_losses_and_gradients_equal_mmdets(kind, monkeypatch):
    monkeypatch.setattr(roi_levels, "pooled_as_rows", lambda _maps: True)
    stock, batched = pair(kind)
    stock.train(), batched.train()

    @settings(max_examples=25, deadline=None, phases=(Phase.generate,))
    @given(data=st.data())
    def check(data):
        generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**31)))
        samples = drawn_samples(data.draw, generator)
        images = torch.randn(len(samples), 3, *SIZE, generator=generator)
        if kind != "retina":
            # Neither sorts equal scores in an order that is defined.
            with torch.no_grad():
                maps = stock.rpn_head(stock.extract_feat(images))[0]
            for row in torch.cat([level.flatten(1) for level in maps], 1).sigmoid():
                assume(len(row.unique()) == len(row))
        keys = Keys()
        with keys.drawing():
            found = batched.loss(images, copy.deepcopy(samples))
        valid = None
        if kind != "retina":
            metas = [sample.metainfo for sample in samples]
            valid = valid_anchors(batched.rpn_head, GRIDS, metas, "cpu")
        with keys.choosing(samples, valid):
            expected = stock.loss(images, copy.deepcopy(samples))
        if kind != "retina":
            assert keys.calls == 2 * len(samples)
        for key, loss in expected.items():
            assert value(found[key]) == pytest.approx(value(loss), rel=2e-5, abs=2e-6)
        assert set(found) == set(expected)
        for model, losses in ((stock, expected), (batched, found)):
            model.zero_grad(set_to_none=False)
            total(losses).backward()
        pairs = zip(stock.named_parameters(), batched.named_parameters(), strict=True)
        for (name, tensor), (_, other) in pairs:
            if tensor.grad is None:
                assert other.grad is None or not other.grad.any(), name
                continue
            scale = tensor.grad.abs().max().item()
            torch.testing.assert_close(
                other.grad, tensor.grad, rtol=2e-4, atol=2e-5 * scale + 1e-8, msg=name
            )

    check()


@pytest.mark.parametrize("one_call", [False, True])
@pytest.mark.parametrize("kind", list(KINDS))
def test_detections_equal_mmdets(kind, one_call, monkeypatch):
    monkeypatch.setattr(proposals, "in_one_call", lambda _boxes: one_call)
    stock, batched = pair(kind)
    stock.eval(), batched.eval()
    seen = 0
    for seed in range(4):
        torch.manual_seed(seed)
        samples = [sample(0, SIZE), sample(1, (40, 70)), sample(2, (30, 60))]
        for view in samples:
            view.set_metainfo(dict(scale_factor=(0.5, 0.5)))
        images = torch.randn(3, 3, *SIZE)
        with torch.no_grad():
            expected = stock.predict(images, copy.deepcopy(samples), rescale=True)
            found = batched.predict(images, copy.deepcopy(samples), rescale=True)
        for wanted, other in zip(expected, found, strict=True):
            wanted, other = wanted.pred_instances, other.pred_instances
            fields = sorted(wanted.keys())
            assert fields == sorted(other.keys())
            for key in fields:
                same_values(wanted[key], other[key], key, kind)
            seen += len(wanted)
    assert seen > 20


@settings(max_examples=60, deadline=None, phases=(Phase.generate,))
@given(data=st.data())
def test_levels_come_with_the_sampled_candidates(data):
    """The features are mmdet's, and the extractor fetches nothing by itself."""
    stock, batched = pair("faster")
    for detector in (stock, batched):
        detector.roi_head.bbox_roi_extractor.finest_scale = 6
    head, extractor = batched.roi_head, batched.roi_head.bbox_roi_extractor
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**31)))

    def boxes(count):
        corner = 50 * torch.rand(count, 2, generator=generator)
        return torch.cat([corner, corner + 60 * torch.rand(count, 2)], 1)

    samples = drawn_samples(data.draw, generator)
    given_boxes = [
        InstanceData(bboxes=boxes(data.draw(st.sampled_from([0, 3, 40]))))
        for _ in samples
    ]
    behind = None
    if data.draw(st.booleans()):
        behind = torch.nn.functional.pad(boxes(9), (1, 0))
        behind[:2, 3] = behind[:2, 1] - 1.0  # of negative size
    maps = [torch.randn(len(samples), 16, *grid, generator=generator) for grid in GRIDS]
    maps = maps[: extractor.num_inputs]
    head.rois_behind = behind
    sampling = head.sample(
        given_boxes,
        [one.gt_instances for one in samples],
        [one.ignored_instances for one in samples],
    )
    rois = sampling.rois
    if behind is not None:
        rois = torch.cat([rois, behind])
    levels = sampling.levels
    assert torch.equal(levels.numbers, extractor.levels(rois))
    found = torch.bincount(levels.numbers, minlength=extractor.num_inputs + 1)
    assert found.tolist() == list(levels.counts)
    with (
        patch.object(extractor, "counts", side_effect=AssertionError),
        roi_levels.known_levels(extractor, levels),
    ):
        pooled = extractor(maps, rois)
    assert extractor.known is None
    expected = stock.roi_head.bbox_roi_extractor(maps, rois)
    torch.testing.assert_close(pooled, expected, rtol=0, atol=0)
    with patch.object(roi_levels, "pooled_as_rows", return_value=True):
        summed = extractor(maps, rois)
    torch.testing.assert_close(summed, expected, rtol=1e-4, atol=1e-5)


def same_values(wanted, other, key, kind):
    if key == "loc_scores" or (key, kind) == ("scores", "focal"):
        # exp rounds the last elements of a tensor otherwise than those before.
        torch.testing.assert_close(other, wanted, rtol=1e-6, atol=0, msg=key)
    else:
        assert torch.equal(wanted, other), key


@pytest.mark.parametrize("one_call", [False, True])
@pytest.mark.parametrize("kind", ["faster", "agnostic", "gaussian", "focal"])
def test_drawn_detections_equal_mmdets(kind, one_call, monkeypatch):
    """Images without RoIs or detections, equal scores, limits; boxes of whole pixels.

    Moved apart or not, the IoUs of such boxes are the same to the bit. mmcv's NMS takes
    equal scores in any order, so that one call has none.
    """
    monkeypatch.setattr(proposals, "in_one_call", lambda _boxes: one_call)
    stock, batched = (model.roi_head.bbox_head for model in pair(kind))
    kept = 0

    @settings(max_examples=40, deadline=None, phases=(Phase.generate,))
    @given(data=st.data())
    def check(data):
        nonlocal kept
        draw = data.draw
        generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
        counts = draw(st.lists(st.integers(0, 25), min_size=1, max_size=4))
        total_rois = sum(counts)
        corner = torch.randint(0, 40, (total_rois, 2), generator=generator)
        sides = 2 * torch.randint(1, 20, (total_rois, 2), generator=generator)
        boxes = torch.cat([corner, corner + sides], 1).float()
        images = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
        rois = torch.cat([images[:, None].float(), boxes], 1)
        shape = (total_rois, stock.fc_cls.out_features)
        logits = torch.randn(shape, generator=generator)
        if not one_call and kind != "focal" and draw(st.booleans()):
            logits = logits.round()  # many equal scores
        deltas = torch.zeros(total_rois, stock.fc_reg.out_features)
        if kind == "gaussian":
            deltas = torch.zeros(total_rois, 2 * stock.fc_reg.out_features)
        sizes = [(32 + 8 * image, 64) for image in range(len(counts))]
        metas = [dict(img_shape=size, scale_factor=(0.5, 2.0)) for size in sizes]
        cfg = ConfigDict(
            score_thr=draw(st.sampled_from([0.0, 0.2, 0.5, 1.0])),
            nms=dict(type="nms", iou_threshold=draw(st.sampled_from([0.3, 0.5, 0.9]))),
            max_per_img=draw(st.sampled_from([-1, 1, 5, 100])),
        )
        arguments = (
            *(part.split(counts) for part in (rois, logits, deltas)),
            metas,
            draw(st.sampled_from([cfg, None])),
            draw(st.booleans()),
        )
        expected = stock.predict_by_feat(*arguments)
        found = batched.predict_by_feat(*arguments)
        assert len(found) == len(expected)
        for wanted, other in zip(expected, found, strict=True):
            assert len(wanted) == len(other)
            if not len(wanted) and arguments[4] is None:
                continue  # fields of an image without RoIs
            fields = sorted(wanted.keys())
            assert fields == sorted(other.keys())
            for key in fields:
                assert wanted[key].shape == other[key].shape
                same_values(wanted[key], other[key], key, kind)
            kept += len(wanted)

    check()
    assert kept > 100


@pytest.mark.parametrize("min_size", [-1, 0, 12])
@pytest.mark.parametrize("one_call", [False, True])
def test_proposals_equal_mmdets(min_size, one_call, monkeypatch):
    """With one call of NMS for the batch, as on a GPU, and with one for each image."""
    monkeypatch.setattr(proposals, "in_one_call", lambda _boxes: one_call)
    stock, batched = pair("faster")
    cfg = copy.deepcopy(stock.train_cfg.rpn_proposal)
    cfg.min_bbox_size = min_size
    metas = [dict(img_shape=size) for size in (SIZE, (40, 70), (30, 60))]
    for seed in range(5):
        torch.manual_seed(seed)
        logits = [torch.randn(3, 3, *grid) for grid in GRIDS]
        deltas = [0.5 * torch.randn(3, 12, *grid) for grid in GRIDS]
        args = dict(batch_img_metas=metas, cfg=cfg, rescale=False)
        expected = stock.rpn_head.predict_by_feat(logits, deltas, **args)
        found = batched.rpn_head.predict_by_feat(logits, deltas, **args)
        assert len(found) == len(expected)
        for wanted, other in zip(expected, found, strict=True):
            assert torch.equal(wanted.bboxes, other.bboxes)
            # A sigmoid rounds the last elements of a tensor otherwise than the others.
            torch.testing.assert_close(other.scores, wanted.scores, rtol=1e-6, atol=0)
            assert torch.equal(wanted.labels, other.labels)


def test_checkpoints_fit_both_ways():
    stock, batched = pair("gaussian")
    assert list(stock.state_dict()) == list(batched.state_dict())
    batched.load_state_dict(stock.state_dict())
    stock.load_state_dict(batched.state_dict())
    assert batch_heads(batched) == []


@pytest.mark.parametrize(
    ("change", "absent"),
    [
        (
            lambda c: c["train_cfg"]["rpn"]["sampler"].update(
                type="IoUBalancedNegSampler"
            ),
            "rpn_head",
        ),
        (lambda c: c["train_cfg"]["rpn"].update(allowed_border=0), "rpn_head"),
        (lambda c: c["rpn_head"].update(reg_decoded_bbox=True), "rpn_head"),
        (
            lambda c: c["rpn_head"].update(loss_bbox=dict(type="GIoULoss")),
            "rpn_head",
        ),
        (
            lambda c: c["train_cfg"]["rcnn"]["sampler"].update(
                type="InstanceBalancedPosSampler"
            ),
            "roi_head",
        ),
        (
            lambda c: c["roi_head"]["bbox_head"].update(
                loss_cls=dict(type="SeesawLoss", num_classes=NUM_CLASSES)
            ),
            "roi_head.bbox_head",
        ),
    ],
)
def test_what_is_not_known_stays_mmdets(change, absent):
    import ssod_mm.models  # noqa: F401  (registers)

    cfg = faster()
    change(cfg)
    detector = MODELS.build(ConfigDict(cfg))
    before = type(detector.get_submodule(absent))
    assert absent not in batch_heads(detector)
    assert type(detector.get_submodule(absent)) is before


@pytest.mark.parametrize(
    ("method", "variant"), [(m, v) for m, variants in CASES.items() for v in variants]
)
def test_methods_have_the_same_losses_on_both(method, variant):
    """Whole steps, all candidates sampled, so that nothing is left to chance."""

    def losses(switch):
        with (
            patch.object(mean_teacher, "batch_heads", switch),
            patch.object(RandomSampler, "__init__", _samples_all),
            patch.object(BatchedAnchorHead, "sampling_keys", _no_keys),
            patch.object(StandardRoIHead, "sampling_keys", _no_keys),
        ):
            return losses_of_steps(CASES[method][variant])

    found, expected = losses(batch_heads), losses(lambda _model: None)
    for step, before in zip(found, expected, strict=True):
        assert step == pytest.approx(before, rel=2e-4, abs=2e-6)


def _samples_all(self, *_args, add_gt_as_proposals=True, **_kwargs):
    BaseSampler.__init__(self, 5000, 1.0, -1, add_gt_as_proposals)


def _no_keys(_head, size, device):
    return torch.zeros(size, device=device)


@pytest.mark.parametrize("switch", [True, False])
def test_the_switch_is_on_by_default(switch):
    given = {} if switch else dict(model=dict(batched_heads=False))
    model = build_mean_teacher(**given)
    for detector in (model.teacher, model.student):
        assert isinstance(detector.rpn_head, BatchedAnchorHead) is switch
        assert isinstance(detector.roi_head, StandardRoIHead) is switch
