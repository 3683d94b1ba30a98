import copy
import math

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner

from ssod_mm.engine.guard_hook import (
    NonFiniteTrainingError,
    StopOnNaNHook,
    non_finite_names,
)
from ssod_mm.engine.teacher_hook import MeanTeacherEMAHook


class ToyTeacherStudent(BaseModel):
    """Fits a line; at ``bad_iter`` something goes wrong."""

    def __init__(self, bad_iter=None, what="loss"):
        super().__init__()
        self.student = torch.nn.Linear(2, 1)
        self.teacher = copy.deepcopy(self.student)
        self.bad_iter, self.what, self.count = bad_iter, what, 0

    def forward(self, inputs, data_samples=None, mode="tensor"):
        self.count += 1
        if mode == "predict":
            return []
        loss = self.student(inputs).square().mean()
        factor = 1.0
        if self.count == self.bad_iter:
            if self.what == "loss":
                factor = math.nan
            else:  # a finite loss whose gradient is not
                square = self.student.weight.sum() * 0
                loss = loss + torch.sqrt(square.abs())
        return {
            "sup_loss_cls": loss,
            "unsup_loss_bbox": loss * factor,
            "quality": loss.detach() * math.nan,
        }


def run(
    tmp_path,
    model,
    max_iters=8,
    checkpoint=None,
    hooks=(),
    default_hooks=None,
    optim_wrapper=None,
    **hook,
):
    runner = Runner(
        model=model,
        work_dir=str(tmp_path),
        train_dataloader=dict(
            dataset=[torch.rand(2) for _ in range(4)],
            sampler=dict(type="InfiniteSampler", shuffle=False),
            batch_size=2,
            num_workers=0,
            collate_fn=lambda items: dict(inputs=torch.stack(items)),
        ),
        train_cfg=dict(type="IterBasedTrainLoop", max_iters=max_iters),
        optim_wrapper=optim_wrapper or dict(optimizer=dict(type="SGD", lr=0.125)),
        default_hooks=dict(
            **(default_hooks or {}),
            checkpoint=dict(
                type="CheckpointHook", by_epoch=False, **(checkpoint or {"interval": 2})
            ),
        ),
        custom_hooks=[*hooks, MeanTeacherEMAHook(), StopOnNaNHook(**hook)],
        log_level="ERROR",
        experiment_name=tmp_path.name,
    )
    runner.train()
    return runner


def saved(tmp_path):
    return sorted(path.name for path in tmp_path.glob("*.pth"))


def finite(state):
    return all(torch.isfinite(tensor).all() for tensor in state.values())


def test_nan_loss_stops_with_all_that_one_needs_to_know(tmp_path):
    model = ToyTeacherStudent(bad_iter=4)
    with pytest.raises(NonFiniteTrainingError) as caught:
        run(tmp_path, model)
    message = str(caught.value)
    assert isinstance(caught.value, FloatingPointError)
    assert "iteration 4" in message
    assert "unsup_loss_bbox=nan" in message
    assert "sup_loss_cls" not in message
    assert "Learning rate: 0.125" in message
    assert str(tmp_path / "iter_2.pth") in message
    assert "auto_scale_lr" in message
    assert "unsup_weight" in message
    # iteration 4 was due to be saved
    assert saved(tmp_path) == ["iter_2.pth"]
    checkpoint = torch.load(tmp_path / "iter_2.pth", weights_only=False)
    assert finite(checkpoint["state_dict"])
    # the student took the bad step, the teacher did not follow
    assert not finite(model.student.state_dict())
    assert finite(model.teacher.state_dict())


def test_last_checkpoint_survives_when_only_one_is_kept(tmp_path):
    # The loss of iteration 4 is finite, but the step spoils the weights just before
    # the checkpoint that would replace the good one.
    model = ToyTeacherStudent(bad_iter=4, what="gradient")
    with pytest.raises(NonFiniteTrainingError, match=r"weights.*student\.weight"):
        run(tmp_path, model, checkpoint=dict(interval=2, max_keep_ckpts=1))
    assert saved(tmp_path) == ["iter_2.pth"]
    assert finite(model.teacher.state_dict())


def test_checkpoint_at_the_end_is_guarded_too(tmp_path):
    model = ToyTeacherStudent(bad_iter=3, what="gradient")
    with pytest.raises(NonFiniteTrainingError, match="No checkpoint had been written"):
        run(tmp_path, model, max_iters=3, checkpoint=dict(interval=100))
    assert saved(tmp_path) == []


def test_checks_at_its_interval_and_where_a_checkpoint_is_due(tmp_path):
    model = ToyTeacherStudent(bad_iter=3)
    with pytest.raises(NonFiniteTrainingError, match="iteration 5"):
        run(tmp_path, model, checkpoint=dict(interval=100), interval=5)
    model = ToyTeacherStudent(bad_iter=3)
    with pytest.raises(NonFiniteTrainingError, match="iteration 4"):
        run(tmp_path / "due", model, checkpoint=dict(interval=4), interval=100)
    assert saved(tmp_path / "due") == []


def test_healthy_run_is_left_alone(tmp_path):
    # its diagnostics are NaN all the time, which is nobody's loss
    run(tmp_path, ToyTeacherStudent(), max_iters=4)
    assert saved(tmp_path) == ["iter_2.pth", "iter_4.pth"]


def test_validation_does_not_judge_spoilt_weights(tmp_path):
    hook = StopOnNaNHook()
    runner = run(tmp_path, ToyTeacherStudent(), max_iters=2)
    torch.nn.init.constant_(runner.model.student.bias, math.inf)
    hook.before_val_epoch(runner)  # not in training: somebody evaluates, let him
    hook.before_train(runner)
    with pytest.raises(NonFiniteTrainingError, match=r"student\.bias"):
        hook.before_val_epoch(runner)


def test_no_value_is_fetched_from_the_device_again(tmp_path):
    class Fetches(Hook):
        """Hands on losses that must not be looked at after the log has them."""

        priority = 20  # after RuntimeInfoHook, before the guard

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            for key in outputs:
                outputs[key] = None

    run(tmp_path, ToyTeacherStudent(), max_iters=3, hooks=[Fetches()])


def test_interval_must_be_positive():
    with pytest.raises(ValueError, match=r"StopOnNaNHook\.interval=0"):
        StopOnNaNHook(interval=0)


def test_non_finite_names():
    tensors = dict(
        good=torch.full((3,), 3e38),
        none=torch.zeros(0),
        whole=torch.ones(2, dtype=torch.long),
        nan=torch.tensor([1.0, math.nan]),
        opposite=torch.tensor([math.inf, -math.inf]),
        half=torch.tensor([math.inf], dtype=torch.float16),
    )
    assert non_finite_names(tensors.items()) == ["nan", "opposite", "half"]
