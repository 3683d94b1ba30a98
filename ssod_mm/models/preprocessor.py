"""Batches whose composition varies."""

from __future__ import annotations

import logging
from typing import Any

from mmdet.models.data_preprocessors import MultiBranchDataPreprocessor
from mmdet.registry import MODELS
from mmengine.logging import print_log

LARGEST_STRIDE = 32


def prepare_views(preprocessor: MultiBranchDataPreprocessor) -> None:
    """Let a detector's preprocessor take views of any size as they are.

    What resizes whole batches is left out, with a warning: it would move boxes that
    the homographies of the views know nothing of. Images are padded to a multiple of
    the largest stride, which detectors for one fixed size do not ask for.

    Args:
        preprocessor: of a teacher-student pair; it is changed.
    """
    single = getattr(preprocessor, "data_preprocessor", None)
    if single is None:
        return
    if getattr(single, "batch_augments", None):
        names = [type(augment).__name__ for augment in single.batch_augments]
        print_log(
            f"data_preprocessor.batch_augments ({', '.join(names)}) is left out: the "
            "views resize images, and their boxes with them",
            logger="current",
            level=logging.WARNING,
        )
        single.batch_augments = None
    if getattr(single, "pad_size_divisor", LARGEST_STRIDE) < LARGEST_STRIDE:
        single.pad_size_divisor = LARGEST_STRIDE


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
