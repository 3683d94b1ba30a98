"""EMA of the student into the teacher, as a hook of the training loop."""

from __future__ import annotations

from collections.abc import Iterator

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from ssod_mm.errors import UserError
from ssod_mm.maths.ema import EmaPairs, ema_momentum, update_ema


def _state(module: nn.Module) -> Iterator[Tensor]:
    """Parameters, then buffers: all that differs between two equal networks."""
    yield from module.parameters()
    yield from module.buffers()


@HOOKS.register_module()
class MeanTeacherEMAHook(Hook):
    """Make the teacher an exponential moving average of the student.

    ``teacher = m * teacher + (1 - m) * student`` after each iteration, with the
    warm-up of :func:`~ssod_mm.maths.ema.ema_momentum`. Parameters and floating
    buffers (running statistics) are averaged, counters are copied, all in one fused
    call. The hook has no state of its own: the teacher lives in the checkpoint, so
    that a resumed run goes on exactly. It also tells the detector its iteration, and
    the log the momentum of the step (``ema_momentum``).

    Args:
        momentum: final momentum m in [0, 1].
        teacher: ``"ema"``, or ``"frozen"``: the teacher keeps its first weights.
        warm_up: ramp the momentum up from 0.
        copy_at_start: a fresh run begins with teacher = student; switch it off when
            ``load_from`` brings a teacher of its own.
        copy_after_burn_in: at the end of the detector's burn-in teacher = student.
        interval: iterations between two updates.

    Raises:
        ValueError: for arguments out of range.
    """

    priority = "NORMAL"

    def __init__(
        self,
        momentum: float = 0.999,
        teacher: str = "ema",
        warm_up: bool = True,
        copy_at_start: bool = True,
        copy_after_burn_in: bool = True,
        interval: int = 1,
    ) -> None:
        if not 0.0 <= momentum <= 1.0:
            raise UserError(
                f"MeanTeacherEMAHook.momentum must lie in [0, 1], not {momentum}: "
                "it is the share of the old teacher that is kept, such as 0.999."
            )
        if teacher not in ("ema", "frozen"):
            raise UserError(
                "MeanTeacherEMAHook.teacher must be 'ema' or 'frozen', "
                f"not {teacher!r}."
            )
        if interval < 1:
            raise UserError("MeanTeacherEMAHook.interval must be at least 1.")
        self.momentum = momentum
        self.teacher = teacher
        self.warm_up = warm_up
        self.copy_at_start = copy_at_start
        self.copy_after_burn_in = copy_after_burn_in
        self.interval = interval
        self._pairs: tuple[nn.Module, EmaPairs] | None = None

    @staticmethod
    def _model(runner: Runner) -> nn.Module:
        model = runner.model
        return model.module if is_model_wrapper(model) else model

    @staticmethod
    def states(model: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
        """Tensors of teacher and student in the same order.

        Args:
            model: holds ``teacher`` and ``student``.
        """
        return list(_state(model.teacher)), list(_state(model.student))

    @staticmethod
    def copy_student(model: nn.Module) -> None:
        """Teacher = student, parameters and every buffer.

        Args:
            model: holds ``teacher`` and ``student``.
        """
        update_ema(*MeanTeacherEMAHook.states(model), momentum=0.0)

    def before_train(self, runner: Runner) -> None:
        """Check the model and start a fresh run with equal networks.

        Args:
            runner: the runner.

        Raises:
            UserError: if the model has no teacher and student.
            ValueError: if the two are different networks and one is to become the
                other, or if the teacher would keep its random start.
        """
        model = self._model(runner)
        self._pairs = None  # the networks may have other tensors now
        if not (hasattr(model, "teacher") and hasattr(model, "student")):
            raise UserError(
                "MeanTeacherEMAHook needs a model with a teacher and a student, such "
                f"as MeanTeacher; model.type is {type(model).__name__}."
            )
        self._check_networks(model)
        if runner.iter == 0:
            self._check_start(runner, model)
        if runner.iter == 0 and self.copy_at_start:
            self.copy_student(model)
            runner.logger.info("Teacher = student (start).")

    def _check_networks(self, model: nn.Module) -> None:
        """Refuse to average or copy what is no pair of equal networks."""
        teacher, student = self.states(model)
        moves = self.teacher == "ema" or self.copy_at_start or self._burn_in(model)
        if len(teacher) != len(student) and moves:
            raise UserError(
                "The teacher is another network than the student, an ensemble for "
                "example, and cannot follow it: set MeanTeacherEMAHook.teacher="
                "'frozen' and copy_at_start=False, and no semi_train_cfg.burn_in."
            )

    def _check_start(self, runner: Runner, model: nn.Module) -> None:
        """Refuse a frozen teacher that never learnt anything."""
        loaded = getattr(runner, "_load_from", None)
        brings_weights = getattr(model.teacher, "checkpoints", None)
        if self.teacher == "frozen" and not (
            loaded or brings_weights or self._burn_in(model)
        ):
            raise UserError(
                "MeanTeacherEMAHook.teacher='frozen', but no weights are loaded: the "
                "teacher would label with its random start. Train both phases with "
                "tools/train_phases.py, or set load_from=CHECKPOINT of a detector that "
                "was trained on the labelled images, or semi_train_cfg.burn_in."
            )

    def _burn_in(self, model: nn.Module) -> int:
        """Iterations of the detector's burn-in that ends with teacher = student."""
        settings = getattr(model, "settings", None)
        return settings.burn_in if settings and self.copy_after_burn_in else 0

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Tell the detector its iteration; copy the student when burn-in ends.

        Args:
            runner: the runner.
            batch_idx: unused.
            data_batch: unused.
        """
        model = self._model(runner)
        model.iteration = runner.iter
        burn_in = self._burn_in(model)
        if burn_in and runner.iter == burn_in:
            self.copy_student(model)
            runner.logger.info(f"Teacher = student (burn-in of {burn_in} ends).")

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Update the teacher.

        Args:
            runner: the runner.
            batch_idx: unused.
            data_batch: unused.
            outputs: unused.
        """
        if self.teacher == "frozen" or (runner.iter + 1) % self.interval:
            return
        model = self._model(runner)
        momentum = self.momentum
        if self.warm_up:
            momentum = ema_momentum(runner.iter, momentum)
        if self._pairs is None or self._pairs[0] is not model:
            self._pairs = model, EmaPairs.of(*self.states(model))
        self._pairs[1].update(momentum)
        runner.message_hub.update_scalar("train/ema_momentum", momentum)
