"""Batches whose composition varies."""

from __future__ import annotations

from typing import Any

from mmdet.models.data_preprocessors import MultiBranchDataPreprocessor
from mmdet.registry import MODELS


@MODELS.register_module()
class BranchDataPreprocessor(MultiBranchDataPreprocessor):
    """mmdet's preprocessor of labelled and unlabelled images; either may be absent.

    A batch that is drawn from the union of all images may hold no labelled or no
    unlabelled one. It then lacks the branches; mmdet's own fails on the empty list.
    """

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Preprocess each branch that has images.

        Args:
            data: ``inputs`` and ``data_samples``, each a dict of lists over the
                branches while training, with None where an image has nothing.
            training: whether it is a training batch.

        Returns:
            ``inputs`` and ``data_samples``, each a dict over the branches.
        """
        if not training:
            return super().forward(data, training)
        filled = {
            key: {
                branch: [value for value in values if value is not None]
                for branch, values in branches.items()
            }
            for key, branches in data.items()
        }
        present = {
            key: {branch: values for branch, values in branches.items() if values}
            for key, branches in filled.items()
        }
        return super().forward(present, training)
