"""Assigners of candidates to boxes."""

from ssod_mm.models.assigners.ignoring_assigner import (
    IgnoringATSSAssigner,
    IgnoringMaxIoUAssigner,
)

__all__ = ["IgnoringATSSAssigner", "IgnoringMaxIoUAssigner"]
