"""Assigners of candidates to boxes."""

from ssod_mm.models.assigners.ignoring_assigner import IgnoringMaxIoUAssigner

__all__ = ["IgnoringMaxIoUAssigner"]
