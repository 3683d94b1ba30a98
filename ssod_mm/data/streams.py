"""Endless random sequences that can be read at any position without what is before."""

from __future__ import annotations

import numpy as np

from ssod_mm.maths.seeds import mix_seed

LANDSCAPE, PORTRAIT = 0, 1


class IndexStream:
    """An endless sequence over some indices, pass after pass, read at any position.

    Args:
        indices: The dataset indices, (N,) with N >= 1.
        seed: Seed of the order.
        shuffle: Whether each pass has an order of its own.
    """

    def __init__(self, indices: np.ndarray, seed: int, shuffle: bool) -> None:
        self.indices = indices
        self.seed = seed
        self.shuffle = shuffle
        self._pass_number = -1
        self._pass_order = indices

    def __getitem__(self, position: int) -> int:
        """The index at ``position`` >= 0."""
        pass_number, offset = divmod(position, len(self.indices))
        if self.shuffle and pass_number != self._pass_number:
            # The legacy generator: NumPy guarantees that its numbers never change.
            order = np.random.RandomState(mix_seed(self.seed, pass_number))
            self._pass_order = order.permutation(self.indices)
            self._pass_number = pass_number
        return int(self._pass_order[offset])


class OrientationDraws:
    """The orientation of every iteration, and how often each came before.

    Args:
        seed: Seed of the draws.
        portrait_share: Probability of a portrait iteration, in [0, 1].
    """

    BLOCK = 4096

    def __init__(self, seed: int, portrait_share: float) -> None:
        self.seed = seed
        self.portrait_share = portrait_share
        self._portraits_before_block = [0]
        self._block_number = -1
        self._block = np.zeros(0, dtype=bool)

    def _load(self, number: int) -> np.ndarray:
        if number != self._block_number:
            generator = np.random.RandomState(mix_seed(self.seed, number))
            self._block = generator.random_sample(self.BLOCK) < self.portrait_share
            self._block_number = number
        return self._block

    def orientation(self, iteration: int) -> int:
        """``LANDSCAPE`` or ``PORTRAIT``."""
        number, offset = divmod(iteration, self.BLOCK)
        return PORTRAIT if self._load(number)[offset] else LANDSCAPE

    def count_before(self, iteration: int, orientation: int) -> int:
        """Number of iterations before ``iteration`` that had ``orientation``."""
        number, offset = divmod(iteration, self.BLOCK)
        for block in range(len(self._portraits_before_block) - 1, number):
            portraits = self._portraits_before_block[block] + int(
                self._load(block).sum()
            )
            self._portraits_before_block.append(portraits)
        portraits = self._portraits_before_block[number]
        portraits += int(self._load(number)[:offset].sum())
        return portraits if orientation == PORTRAIT else iteration - portraits
