"""Heads that treat all images of a batch at once, in place of mmdet's own."""

from ssod_mm.models.batched.convert import batch_heads

__all__ = ["batch_heads"]
