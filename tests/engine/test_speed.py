"""What makes a step fast leaves its numbers and its config's wishes alone."""

from __future__ import annotations

import logging

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner
from torch import nn

from ssod_mm.apis.step_costs import CountedOperations, Phases
from ssod_mm.engine.folding import fold_frozen_norms
from ssod_mm.engine.loss_hook import LossInfoHook
from ssod_mm.engine.runtime import build_runner, resolve_config
from ssod_mm.engine.speed import (
    FastRunner,
    SpeedSettings,
    fuse_optimizer,
    prepare_model,
)
from ssod_mm.models.batched.anchor_heads import BatchedAnchorHead
from ssod_mm.models.batched.roi_heads import StandardRoIHead
from tests.engine.semi_runs import build_semi_model
from tests.helpers import make_tiny_coco, tiny_detector_cfg, tiny_mean_teacher_cfg
from tests.models.builders import batch, build_mean_teacher, total


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_tiny_coco(tmp_path_factory.mktemp("speed"), 4, size=(64, 96))


def runner_of(data, work_dir, **changes):
    cfg = Config({**tiny_mean_teacher_cfg(data), **changes})
    cfg = resolve_config(cfg, work_dir=str(work_dir))
    cfg.experiment_name = cfg.visualizer.name = str(work_dir)[1:].replace("/", "_")
    return build_runner(cfg)


def is_channels_last(model):
    weights = [m.weight for m in model.modules() if isinstance(m, nn.Conv2d)]
    spatial = [w for w in weights if w.shape[-1] > 1]
    assert spatial
    return {w.is_contiguous(memory_format=torch.channels_last) for w in spatial}


def step(model):
    """Losses and gradients of one step, by name."""
    torch.manual_seed(0)
    model.train()
    losses = model.loss(*batch())
    model.zero_grad()
    total(losses).backward()
    gradients = {k: p.grad for k, p in model.named_parameters() if p.grad is not None}
    return total(losses).item(), gradients


def assert_same_step(found, expected):
    assert found[0] == pytest.approx(expected[0], rel=1e-4)
    assert found[1].keys() == expected[1].keys()
    for name, gradient in found[1].items():
        scale = expected[1][name].abs().max().item()
        torch.testing.assert_close(
            gradient, expected[1][name], rtol=1e-3, atol=1e-3 * scale + 1e-7, msg=name
        )


def test_channels_last_changes_the_order_in_memory_and_no_number():
    torch.manual_seed(0)  # of one in many models a candidate changes sides by rounding
    model = build_semi_model()
    weights = {k: v.clone() for k, v in model.state_dict().items()}
    expected = step(model)
    assert is_channels_last(model) == {False}
    prepare_model(model, SpeedSettings())
    assert is_channels_last(model) == {True}
    assert all(torch.equal(weights[k], v) for k, v in model.state_dict().items())
    assert_same_step(step(model), expected)


@pytest.mark.parametrize("sizes", [[(50, 70)] * 3, [(50, 70), (64, 40), (50, 70)]])
def test_images_of_one_size_are_normalised_together_to_the_same_numbers(sizes):
    model = build_semi_model()
    generator = torch.Generator().manual_seed(0)

    def preprocessed():
        generator.manual_seed(0)
        images = [
            torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8)
            for size in sizes
        ]
        samples = [DetDataSample(metainfo=dict(img_shape=size)) for size in sizes]
        data = dict(inputs={"sup": images}, data_samples={"sup": samples})
        data = model.data_preprocessor(data, True)
        return data["inputs"]["sup"], data["data_samples"]["sup"]

    expected, samples = preprocessed()
    prepare_model(model, SpeedSettings())
    with CountedOperations(phases := Phases()):
        found, others = preprocessed()
    assert torch.equal(found, expected)
    assert found.shape == (3, 3, 64, 96)
    assert [s.metainfo for s in others] == [s.metainfo for s in samples]
    # 3 images are drawn; then 1 stack, and channels, float, mean, deviation, padding.
    if len(set(sizes)) == 1:
        assert phases.operations.total() <= 3 * 2 + 10


@pytest.mark.usefixtures("mmdet_scope")
@pytest.mark.parametrize("switch", [True, False])
def test_a_detector_without_a_teacher_gets_batched_heads(switch):
    detector = MODELS.build(ConfigDict(tiny_detector_cfg()))
    names = set(detector.state_dict())
    prepare_model(detector, SpeedSettings(batched_heads=switch))
    assert isinstance(detector.rpn_head, BatchedAnchorHead) is switch
    assert isinstance(detector.roi_head, StandardRoIHead) is switch
    assert set(detector.state_dict()) == names


def test_a_teacher_has_a_switch_of_its_own():
    model = build_mean_teacher(model=dict(batched_heads=False))
    prepare_model(model, SpeedSettings())
    assert not isinstance(model.student.rpn_head, BatchedAnchorHead)


def saved_bytes(call):
    """Bytes that autograd keeps of a call."""
    sizes = {}

    def pack(tensor):
        sizes[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        call()
    return sum(sizes.values())


class Holder(nn.Module):
    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone


@pytest.mark.usefixtures("mmdet_scope")
@pytest.mark.parametrize("kind", ["ResNet", "MobileNetV2"])
def test_folded_norm_gives_the_same_gradients_from_fewer_activations(kind):
    from mmdet.registry import MODELS

    options = (
        dict(depth=18, base_channels=8, stem_channels=8) if kind == "ResNet" else {}
    )
    torch.manual_seed(0)
    backbone = MODELS.build(dict(type=kind, norm_eval=True, **options))
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):  # not those of an untrained network
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    backbone.train()
    images = torch.randn(1, 3, 320, 320)

    def gradients():
        backbone.zero_grad()
        maps = backbone(images)
        sum(level.square().mean() for level in maps).backward()
        return maps, {
            k: p.grad.clone()
            for k, p in backbone.named_parameters()
            if p.grad is not None
        }

    expected_maps, expected = gradients()
    before = saved_bytes(lambda: backbone(images))
    assert fold_frozen_norms(Holder(backbone)) == ["backbone"]
    maps, found = gradients()
    for level, other in zip(maps, expected_maps, strict=True):
        torch.testing.assert_close(level, other, rtol=1e-3, atol=1e-4)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        scale = expected[name].abs().max().item()
        torch.testing.assert_close(
            gradient, expected[name], rtol=1e-2, atol=1e-3 * scale + 1e-6, msg=name
        )
    assert saved_bytes(lambda: backbone(images)) < 0.8 * before


def test_trained_norm_is_not_folded():
    backbone = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    images = torch.randn(2, 3, 5, 5)
    expected = backbone(images)
    mean = backbone[1].running_mean.clone()
    fold_frozen_norms(Holder(backbone))
    torch.testing.assert_close(backbone(images), expected)
    assert not torch.equal(backbone[1].running_mean, mean)  # statistics of the batch


def test_backbone_that_cannot_be_traced_is_left_and_named(caplog):
    class Branching(nn.Sequential):
        def forward(self, images):
            return super().forward(images) if images.sum() > 0 else images

    backbone = Branching(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    with caplog.at_level(logging.INFO):
        assert fold_frozen_norms(Holder(backbone)) == []
    assert "forward" not in vars(backbone)


def test_runner_has_the_fast_defaults(data, tmp_path, monkeypatch):
    order = []
    wrap = Runner.wrap_model

    def wrapping(self, cfg, model):
        order.append(is_channels_last(model))
        return wrap(self, cfg, model)

    monkeypatch.setattr(Runner, "wrap_model", wrapping)
    runner = runner_of(data, tmp_path / "run")
    assert order == [{True}]  # before a wrapper could fix the order of gradients
    assert runner.model.data_preprocessor.data_preprocessor._non_blocking
    assert any(isinstance(hook, LossInfoHook) for hook in runner.hooks)
    runner.train()
    assert runner.optim_wrapper.optimizer.defaults["fused"] is True
    assert torch.backends.cuda.matmul.allow_tf32 is False


def test_first_weights_do_not_depend_on_the_order_in_memory(data, tmp_path):
    weights = []
    for wanted in (True, False):
        runner = runner_of(
            data, tmp_path / str(wanted), env_cfg=dict(channels_last=wanted)
        )
        torch.manual_seed(0)
        runner._init_model_weights()
        assert is_channels_last(runner.model) == {wanted}
        weights.append(runner.model.state_dict())
    assert all(torch.equal(value, weights[1][k]) for k, value in weights[0].items())


def test_config_is_stronger_than_the_defaults(data, tmp_path):
    cfg = tiny_mean_teacher_cfg(data)
    cfg["optim_wrapper"]["optimizer"]["foreach"] = False
    cfg["model"]["data_preprocessor"]["data_preprocessor"]["non_blocking"] = False
    cfg["env_cfg"] = dict(channels_last=False)
    runner = runner_of(data, tmp_path / "run", **cfg)
    assert is_channels_last(runner.model) == {False}
    assert not runner.model.data_preprocessor.data_preprocessor._non_blocking
    wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    assert not wrapper.optimizer.defaults["fused"]


def test_batches_are_pinned_where_there_is_a_gpu(monkeypatch):
    def loader(**options):
        dataset = [torch.zeros(1)]
        return FastRunner.build_dataloader(
            dict(
                dataset=dataset,
                batch_size=1,
                num_workers=0,
                sampler=dict(type="DefaultSampler", shuffle=False),
                **options,
            )
        )

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert loader().pin_memory is True
    assert loader(pin_memory=False).pin_memory is False
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert loader().pin_memory is False


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (dict(chanels_last=True), r"env_cfg has unknown key\(s\) \['chanels_last'\]"),
        (dict(tf32=1), r"env_cfg\.tf32 must be True or False, not 1"),
    ],
)
def test_mistakes_in_env_cfg_are_refused(env, message):
    with pytest.raises(ValueError, match=message):
        SpeedSettings.of_env(dict(cudnn_benchmark=False, **env))


def test_only_known_optimisers_are_fused():
    kinds = {}
    for kind in ("SGD", "AdamW", "RMSprop"):
        optimizer = dict(type=kind)
        fuse_optimizer(optimizer)
        kinds[kind] = optimizer.get("fused", False)
    assert kinds == {"SGD": True, "AdamW": True, "RMSprop": False}
