"""Batches from the union of all images: a branch may be absent."""

from __future__ import annotations

import inspect

import pytest
import torch
from mmdet.models.dense_heads import RetinaHead, RPNHead
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample

from ssod_mm.models import class_balance
from ssod_mm.models.detectors import mean_teacher
from tests.models.builders import batch, build_mean_teacher, total

pytestmark = pytest.mark.usefixtures("mmdet_scope")


def only(branches, **kwargs):
    inputs, samples = batch(**kwargs)
    return (
        {key: value for key, value in inputs.items() if key.startswith(branches)},
        {key: value for key, value in samples.items() if key.startswith(branches)},
    )


def losses_of(model, data):
    torch.manual_seed(0)
    return model.loss(*data)


def every_parameter_is_trained(model, losses):
    value = total(losses)
    assert torch.isfinite(value)
    value.backward()
    return all(
        p.grad is not None for p in model.student.parameters() if p.requires_grad
    )


@pytest.mark.parametrize("branch", ["sup", "unsup"])
def test_one_kind_of_images_alone_trains(branch):
    model = build_mean_teacher()
    losses = losses_of(model, only(branch))
    kinds = {key.split("_")[0] for key in losses if "loss" in key}
    assert kinds == {branch}
    assert (model.last_step is None) == (branch == "sup")
    assert every_parameter_is_trained(model, losses)


@pytest.mark.parametrize("branch", ["sup", "unsup"])
def test_losses_that_wait_for_other_processes_refuse_part_of_a_batch(
    branch, monkeypatch
):
    monkeypatch.setattr(mean_teacher, "get_world_size", lambda: 2)
    losses_of(build_mean_teacher(), only(branch))
    model = build_mean_teacher("fcos")
    losses_of(model, batch())
    with pytest.raises(ValueError, match="source_ratio"):
        losses_of(model, only(branch))
    monkeypatch.undo()
    losses_of(model, only(branch))


@pytest.mark.parametrize("head", [RPNHead, RetinaHead])
def test_heads_said_to_wait_for_no_process_do_not(head):
    sources = [inspect.getsource(inspect.getmodule(cls)) for cls in head.__mro__[:-1]]
    assert not any("reduce_mean" in source for source in sources)


@pytest.mark.parametrize(
    ("detector", "waits"),
    [("faster", False), ("cascade", False), ("retina", False), ("fcos", True)],
)
def test_which_losses_wait_for_other_processes(detector, waits):
    assert build_mean_teacher(detector).needs_whole_batches == waits


def test_burn_in_without_labelled_images_keeps_every_parameter_in_the_graph():
    model = build_mean_teacher(burn_in=5)
    losses = losses_of(model, only("unsup"))
    assert total(losses).item() == 0
    assert every_parameter_is_trained(model, losses)


def test_losses_weigh_as_their_images():
    """1 labelled and 3 unlabelled images: a quarter and three quarters."""
    data = dict(num_sup=1, num_unsup=3)
    plain = losses_of(build_mean_teacher(), batch(**data))
    model = build_mean_teacher(weight_by_images=True)
    shared = losses_of(model, batch(**data))
    for branch, share in (("sup", 0.25), ("unsup", 0.75)):
        for name in ("cls", "bbox"):
            key = f"{branch}_loss_{name}"
            assert shared[key].item() == pytest.approx(share * plain[key].item())
    alone = losses_of(model, only("sup"))
    want = plain["sup_loss_cls"].item()  # its backbone pass was shared
    assert alone["sup_loss_cls"].item() == pytest.approx(want, rel=1e-2)


def test_a_process_without_unlabelled_images_joins_the_reduction(monkeypatch):
    calls = []
    monkeypatch.setattr(class_balance, "all_reduce", lambda sums: calls.append(sums))
    model = build_mean_teacher(model=dict(class_balance=dict(use_loc=False)))
    model.loss(*only("sup"))
    model.loss(*only("unsup"))
    assert len(calls) == 2
    assert calls[0].sum() == 0 < calls[1].sum()


def collated(*kinds):
    """What the data loader hands over: None where an image has no branch."""
    rows = {"sup": [], "unsup_teacher": [], "unsup_student": []}
    samples = {key: [] for key in rows}
    for number, kind in enumerate(kinds):
        for branch in rows:
            filled = branch.startswith(kind)
            image = torch.full((3, 32, 40), number, dtype=torch.uint8)
            made = DetDataSample(metainfo=dict(img_shape=(32, 40), img_id=number))
            rows[branch].append(image if filled else None)
            samples[branch].append(made if filled else None)
    return dict(inputs=rows, data_samples=samples)


@pytest.mark.parametrize(
    ("kinds", "sizes"),
    [
        (("sup", "unsup"), dict(sup=1, unsup_teacher=1, unsup_student=1)),
        (("sup", "sup"), dict(sup=2)),
        (("unsup", "unsup"), dict(unsup_teacher=2, unsup_student=2)),
    ],
)
def test_preprocessor_leaves_out_empty_branches(kinds, sizes):
    inner = dict(type="DetDataPreprocessor", mean=[0.0] * 3, std=[1.0] * 3)
    made = MODELS.build(dict(type="BranchDataPreprocessor", data_preprocessor=inner))
    data = made(collated(*kinds), training=True)
    assert {key: len(images) for key, images in data["inputs"].items()} == sizes
    assert {key: len(sample) for key, sample in data["data_samples"].items()} == sizes
    for branch, images in data["inputs"].items():
        numbers = [s.img_id for s in data["data_samples"][branch]]
        assert images.amax((1, 2, 3)).tolist() == numbers
