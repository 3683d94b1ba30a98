"""A random part of the background, so that a stage need not look at all of it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ssod_mm.models.dense.cluster_losses import Lesson


def sampled_background(
    lesson: Lesson, images_R: Tensor, num_images: int, limit: int
) -> tuple[Lesson, Tensor]:
    """The lesson on its taught priors and on some of each image's background.

    Background priors are drawn at random, without replacement; each stands for as many
    of its image as there are per drawn one, so that the background part of the loss
    has the same expectation. Priors that teach nothing are left out.

    Args:
        lesson: on R priors.
        images_R: (R,) image of each prior, int64 in [0, num_images).
        num_images: images of the batch.
        limit: most background priors of an image, at least 1.

    Returns:
        The lesson on R' of the priors, with ``background_counts``; and which they are
        (R',), rising.
    """
    background_R = lesson.background
    keys_R = torch.rand(len(images_R), device=images_R.device)
    # By image, its background first and in random order.
    order = torch.where(background_R, keys_R, 2.0).argsort()
    order = order[images_R[order].argsort(stable=True)]
    images = images_R[order]
    place = torch.arange(len(order), device=order.device)
    place = place - torch.searchsorted(images, images)
    drawn_R = torch.empty_like(background_R)
    drawn_R[order] = place < limit
    drawn_R &= background_R
    used_R = drawn_R.index_fill(0, lesson.rows, True)
    rows = used_R.nonzero(as_tuple=True)[0]
    number_R = used_R.cumsum(0) - 1
    totals, drawn = (
        keys_R.new_zeros(num_images).index_add(0, images_R, one_R.to(keys_R))
        for one_R in (background_R, drawn_R)
    )
    each_R = (totals / drawn.clamp(min=1))[images_R]
    made = replace(
        lesson,
        rows=number_R[lesson.rows],
        background=drawn_R[rows],
        background_counts=(each_R * drawn_R)[rows],
    )
    return made, rows
