"""A dataset index that carries the seed of its own draw."""

from __future__ import annotations

from contextvars import ContextVar

batch_seed: ContextVar[int | None] = ContextVar("batch_seed", default=None)
"""Seed of the batch whose item is being loaded; None outside of a sampler's batches."""


class DrawIndex(int):
    """An integer index with the seed that its augmentations start from.

    A sampler yields it, the data loader sends it to a worker, and the dataset seeds
    the random generators with ``seed`` before it loads the item. What an item looks
    like is then a function of the draw alone: neither the number of workers nor a
    resume in between changes it.

    Attributes:
        seed: non-negative seed of this draw.
        batch_seed: non-negative seed of its batch, the same for all its images; None
            for none.
    """

    seed: int
    batch_seed: int | None

    def __new__(cls, value: int, seed: int, batch_seed: int | None = None) -> DrawIndex:
        """Integers get their value here, not in ``__init__``.

        Args:
            value: index into the (concatenated) dataset.
            seed: non-negative seed of this draw.
            batch_seed: non-negative seed of its batch.
        """
        index = super().__new__(cls, value)
        index.seed, index.batch_seed = int(seed), batch_seed
        return index

    def __reduce__(self) -> tuple[type[DrawIndex], tuple[int, int, int | None]]:
        return DrawIndex, (int(self), self.seed, self.batch_seed)

    def __repr__(self) -> str:
        return f"DrawIndex({int(self)}, seed={self.seed})"
