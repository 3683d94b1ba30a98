"""EMA updates of a real teacher and student, step by step."""

import logging
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub
from torch import nn

from ssod_mm.engine.teacher_hook import MeanTeacherEMAHook
from ssod_mm.errors import UserError


class Pair(nn.Module):
    """A teacher and a student with trained norm layers."""

    def __init__(self, burn_in: int = 0) -> None:
        super().__init__()
        self.student = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.teacher = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.settings = SimpleNamespace(burn_in=burn_in)
        self.iteration = -1


def runner_for(model, iteration=0, load_from="weights.pth"):
    return SimpleNamespace(
        model=model,
        iter=iteration,
        logger=logging.getLogger("test"),
        message_hub=MessageHub("test"),
        _load_from=load_from,
    )


def train_student(model):
    """Change weights and running statistics of the student."""
    model.student.train()
    model.student(torch.randn(8, 3, 4, 4) * 3 + 1)
    with torch.no_grad():
        for p in model.student.parameters():
            p.add_(torch.randn_like(p))


def states(module):
    return {k: v.clone() for k, v in module.state_dict().items()}


def test_start_copies_weights_and_every_buffer():
    model = Pair()
    train_student(model)
    MeanTeacherEMAHook().before_train(runner_for(model))
    for key, value in model.student.state_dict().items():
        assert torch.equal(model.teacher.state_dict()[key], value), key
    assert model.teacher[1].running_mean.abs().sum() > 0


def test_update_averages_weights_and_running_statistics():
    model = Pair()
    hook = MeanTeacherEMAHook(momentum=0.9, warm_up=False)
    train_student(model)
    old, new = states(model.teacher), states(model.student)
    hook.after_train_iter(runner_for(model, 5), 0)
    for key, value in model.teacher.state_dict().items():
        if value.is_floating_point():
            want = 0.9 * old[key].double() + 0.1 * new[key].double()
            torch.testing.assert_close(value.double(), want, rtol=1e-6, atol=1e-7)
        else:
            assert value == new[key]


def test_tensors_are_looked_up_once_for_each_training(monkeypatch):
    looked_up, original = [], MeanTeacherEMAHook.states

    def states_of(model):
        looked_up.append(model)
        return original(model)

    monkeypatch.setattr(MeanTeacherEMAHook, "states", staticmethod(states_of))
    model, hook = Pair(), MeanTeacherEMAHook(momentum=0.5, warm_up=False)
    hook.before_train(runner_for(model, 1))
    looked_up.clear()
    for iteration in (1, 2, 3):
        train_student(model)
        old, new = states(model.teacher), states(model.student)
        hook.after_train_iter(runner_for(model, iteration), 0)
        want = (old["0.weight"] + new["0.weight"]) / 2
        torch.testing.assert_close(model.teacher[0].weight, want)
    assert looked_up == [model]
    other = Pair()  # a model that takes the place of the first
    hook.after_train_iter(runner_for(other, 4), 0)
    assert looked_up == [model, other]


def test_warm_up_starts_from_the_student():
    model = Pair()
    train_student(model)
    MeanTeacherEMAHook(0.999).after_train_iter(runner_for(model, 0), 0)
    for key, value in model.student.state_dict().items():
        assert torch.equal(model.teacher.state_dict()[key], value)


def test_frozen_teacher_keeps_its_weights():
    model = Pair()
    hook = MeanTeacherEMAHook(teacher="frozen", copy_at_start=False)
    old = states(model.teacher)
    hook.before_train(runner_for(model))
    train_student(model)
    hook.after_train_iter(runner_for(model, 7), 0)
    assert all(torch.equal(old[k], v) for k, v in model.teacher.state_dict().items())


def test_frozen_teacher_without_weights_is_refused():
    hook = MeanTeacherEMAHook(teacher="frozen")
    with pytest.raises(ValueError, match=r"tools/train_phases\.py"):
        hook.before_train(runner_for(Pair(), load_from=None))
    hook.before_train(runner_for(Pair(burn_in=3), load_from=None))
    hook.before_train(runner_for(Pair(), iteration=9, load_from=None))
    model = Pair()
    model.teacher.checkpoints = ("a.pth", "b.pth")
    hook.before_train(runner_for(model, load_from=None))


def test_another_network_as_teacher_is_refused_unless_it_rests():
    model = Pair(burn_in=3)
    model.teacher = nn.Sequential(*model.teacher, nn.Linear(1, 1))
    rests = dict(teacher="frozen", copy_at_start=False, copy_after_burn_in=False)
    for key, value in dict(
        teacher="ema", copy_at_start=True, copy_after_burn_in=True
    ).items():
        hook = MeanTeacherEMAHook(**{**rests, key: value})
        with pytest.raises(ValueError, match="another network"):
            hook.before_train(runner_for(model))
    MeanTeacherEMAHook(**rests).before_train(runner_for(model))


def test_resumed_run_does_not_copy_the_student():
    model = Pair()
    old = states(model.teacher)
    MeanTeacherEMAHook().before_train(runner_for(model, iteration=12))
    assert all(torch.equal(old[k], v) for k, v in model.teacher.state_dict().items())


def test_end_of_burn_in_copies_once_and_the_model_knows_its_iteration():
    model = Pair(burn_in=3)
    hook = MeanTeacherEMAHook()
    old = states(model.teacher)
    for iteration in (0, 2, 4):
        hook.before_train_iter(runner_for(model, iteration), 0)
        assert model.iteration == iteration
        now = model.teacher.state_dict()
        assert all(torch.equal(old[k], v) for k, v in now.items())
    hook.before_train_iter(runner_for(model, 3), 0)
    for key, value in model.student.state_dict().items():
        assert torch.equal(model.teacher.state_dict()[key], value)


def test_interval_skips_iterations():
    model = Pair()
    hook = MeanTeacherEMAHook(interval=4)
    old = states(model.teacher)
    hook.after_train_iter(runner_for(model, 5), 0)
    assert all(torch.equal(old[k], v) for k, v in model.teacher.state_dict().items())
    hook.after_train_iter(runner_for(model, 7), 0)
    assert not torch.equal(old["0.weight"], model.teacher[0].weight)


def test_plain_detector_is_refused():
    with pytest.raises(UserError, match=r"model\.type is Linear"):
        MeanTeacherEMAHook().before_train(runner_for(nn.Linear(1, 1)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(momentum=1.5), "momentum must lie"),
        (dict(teacher="best"), "'best'"),
        (dict(interval=0), "interval must be at least 1"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        MeanTeacherEMAHook(**arguments)
