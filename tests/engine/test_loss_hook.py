"""Losses that arrive late change neither the log nor what is saved."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook

from ssod_mm.engine.guard_hook import NonFiniteTrainingError
from ssod_mm.engine.loss_hook import LossInfoHook
from ssod_mm.engine.telemetry_hooks import PseudoLabelLogHook
from tests.engine.test_guard import ToyTeacherStudent, finite, run, saved


def late_run(
    folder, late=True, max_iters=7, model=None, hooks=(), clip=True, **options
):
    """A toy training that logs every third iteration."""
    torch.manual_seed(0)
    return run(
        folder,
        model or ToyTeacherStudent(),
        max_iters,
        hooks=hooks,
        default_hooks=dict(
            runtime_info=LossInfoHook(late),
            logger=dict(type="LoggerHook", interval=3, log_metric_by_epoch=False),
        ),
        optim_wrapper=dict(
            optimizer=dict(type="SGD", lr=0.125),
            clip_grad=dict(max_norm=0.01) if clip else None,
        ),
        **options,
    )


class Reader(Hook):
    """Notes how many losses the message hub has after each iteration."""

    priority = "LOW"

    def __init__(self):
        self.counts = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        history = runner.message_hub.log_scalars.get("train/loss")
        self.counts.append(0 if history is None else len(history.data[0]))


def test_log_and_history_are_those_of_losses_that_are_fetched_at_once(tmp_path):
    reader = Reader()
    late = late_run(tmp_path / "late", hooks=[reader])
    once = late_run(tmp_path / "once", late=False)
    # Saved at 2, 4, 6; logged at 2, 3, 6; ends at 7. Elsewhere one is still to come.
    assert reader.counts == [0, 2, 3, 4, 4, 6, 7]
    for key in ("loss", "sup_loss_cls", "unsup_loss_bbox", "grad_norm", "lr"):
        values = [
            loop.message_hub.log_scalars[f"train/{key}"].data[0].tolist()
            for loop in (late, once)
        ]
        assert len(values[0]) == 7
        assert values[0] == values[1]
    logs = []
    for runner in (late, once):
        path = next(Path(runner.work_dir).rglob("scalars.json"))
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        logs.append([(row["step"], row["loss"], row["grad_norm"]) for row in rows])
    assert logs[0] == logs[1]
    assert [row[0] for row in logs[0]] == [2, 3, 6]  # a pass over the data ends at 2
    hubs = [
        torch.load(tmp_path / name / "iter_4.pth", weights_only=False)["message_hub"]
        for name in ("late", "once")
    ]
    histories = [hub["log_scalars"]["train/loss"].data[0].tolist() for hub in hubs]
    assert histories[0] == histories[1]
    assert len(histories[0]) == 4


@pytest.mark.parametrize("late", [False, True])
def test_figures_are_computed_where_they_are_read(tmp_path, late):
    class Asked(ToyTeacherStudent):
        wants_figures = True

        def __init__(self):
            super().__init__()
            self.asked = []

        def forward(self, inputs, data_samples=None, mode="tensor"):
            self.asked.append(self.wants_figures)
            return super().forward(inputs, data_samples, mode)

    model = Asked()
    late_run(tmp_path / "read", late, model=model)
    # Saved at 2, 4, 6; logged at 2, 3, 6; ends at 7.
    assert model.asked == [False, True, True, True, False, True, True]
    model, averaging = Asked(), PseudoLabelLogHook(keys=["figure"])
    late_run(tmp_path / "averaged", late, model=model, hooks=[averaging])
    assert all(model.asked)


def test_nan_stops_a_run_one_iteration_late_and_is_never_saved(tmp_path):
    model = ToyTeacherStudent(bad_iter=3)
    checkpoint = dict(interval=100, save_last=False)
    with pytest.raises(NonFiniteTrainingError, match=r"iteration 3\..*unsup_loss"):
        late_run(tmp_path / "logged", model=model, checkpoint=checkpoint)
    model = ToyTeacherStudent(bad_iter=4)
    with pytest.raises(NonFiniteTrainingError, match=r"iteration 5\..*unsup_loss_bbox"):
        late_run(tmp_path / "later", model=model, checkpoint=checkpoint)
    model = ToyTeacherStudent(bad_iter=4)
    with pytest.raises(NonFiniteTrainingError, match="iteration 4"):
        late_run(tmp_path / "saved", model=model)
    assert saved(tmp_path / "saved") == ["iter_2.pth"]
    assert finite(model.teacher.state_dict())


def test_a_nan_that_does_not_last_is_found_too(tmp_path):
    class Passing(ToyTeacherStudent):
        """A NaN without a gradient, as under a scaler that skips the step."""

        def forward(self, inputs, data_samples=None, mode="tensor"):
            losses = super().forward(inputs, data_samples, mode)
            if self.count == 5:
                losses["other_loss"] = torch.tensor(math.nan)
            return losses

    with pytest.raises(NonFiniteTrainingError, match=r"iteration 6\..*other_loss=nan"):
        late_run(tmp_path, model=Passing(), clip=False)


def test_on_a_cpu_losses_are_fetched_at_once(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert LossInfoHook().late is False
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert LossInfoHook().late is True
