"""Schedules of the mean-teacher frame: EMA momentum and unsupervised weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


def ema_momentum(iteration: int, momentum: float = 0.999) -> float:
    """Momentum with warm-up, ``min(m, 1 - 1 / (iteration + 1))``.

    Iteration 0 gives 0 (the teacher becomes the student), so that the first updates
    average the students seen so far instead of keeping the random start: a constant
    0.999 would still hold 37 % of it at iteration 1000.

    Reference:
        Tarvainen and Valpola, Mean teachers are better role models (2017), section 3.

    Args:
        iteration: 0-based iteration, >= 0.
        momentum: final momentum m in [0, 1].

    Returns:
        Momentum for ``teacher = m * teacher + (1 - m) * student``.
    """
    return min(momentum, 1.0 - 1.0 / (iteration + 1.0))


def unsup_weight(
    iteration: int, weight: float, burn_in: int = 0, ramp_iters: int = 0
) -> float:
    """Weight alpha of the unsupervised loss at an iteration.

    0 before ``burn_in``; then it grows linearly and reaches ``weight`` at the
    ``ramp_iters``-th iteration after the burn-in.

    Args:
        iteration: 0-based iteration.
        weight: final alpha, >= 0.
        burn_in: iterations on labelled images alone.
        ramp_iters: length of the ramp; 0 switches it off.

    Returns:
        The weight, in [0, ``weight``].
    """
    if iteration < burn_in:
        return 0.0
    if ramp_iters <= 0:
        return weight
    return weight * min(1.0, (iteration - burn_in + 1) / ramp_iters)


@dataclass(frozen=True)
class EmaPairs:
    """Tensors of a teacher beside those of its student, sorted once for many updates.

    Attributes:
        floating: those that are averaged, (teacher's, student's).
        others: those that are copied, such as batch counters.
    """

    floating: tuple[list[Tensor], list[Tensor]]
    others: tuple[list[Tensor], list[Tensor]]

    @classmethod
    def of(cls, teacher: Sequence[Tensor], student: Sequence[Tensor]) -> EmaPairs:
        """Sort the tensors.

        Args:
            teacher: tensors to update.
            student: tensors of the same shapes, dtypes and order.
        """
        pairs = list(zip(teacher, student, strict=True))
        floating = [pair for pair in pairs if pair[0].is_floating_point()]
        others = [pair for pair in pairs if not pair[0].is_floating_point()]
        return cls(
            *(
                ([t for t, _ in part], [s for _, s in part])
                for part in (floating, others)
            )
        )

    @torch.no_grad()
    def update(self, momentum: float) -> None:
        """``teacher <- m * teacher + (1 - m) * student`` in place, one fused call.

        Args:
            momentum: m in [0, 1]; 0 copies exactly.
        """
        copies = [self.others] if momentum > 0 else [self.floating, self.others]
        for teacher, student in copies:
            if teacher:
                torch._foreach_copy_(teacher, student)
        if self.floating[0] and momentum > 0:
            torch._foreach_lerp_(*self.floating, 1.0 - momentum)


def update_ema(
    teacher: Sequence[Tensor], student: Sequence[Tensor], momentum: float
) -> None:
    """One update of tensors that are not kept, see :class:`EmaPairs`.

    Args:
        teacher: tensors to update.
        student: tensors of the same shapes, dtypes and order.
        momentum: m in [0, 1]; 0 copies exactly.
    """
    EmaPairs.of(teacher, student).update(momentum)
