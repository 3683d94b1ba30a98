"""Images that show several views of a batch: mosaics and mixup.

MixPL (*Mixed Pseudo Labels for Semi-Supervised Object Detection*, 2023). The student
learns from mixed images; the teacher sees each weak view by itself. Pseudo labels, and
the boxes of labelled images, follow their views by homography.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from mmdet.structures import SampleList
from mmdet.utils import OptConfigType
from torch import Tensor

from ssod_mm.maths.mixing import TILES, mosaic_matrices, mosaics, overlaid
from ssod_mm.models.mixed_views import MixedViews, mixed_samples


@dataclass(frozen=True)
class Mixing:
    """Keys of ``model.mixing``.

    What is drawn comes from PyTorch's generator, which is seeded by the iteration: a
    resumed run mixes as the uninterrupted one.

    Deviations: a mosaic is one more image of the batch, not a loss term of its own; the
    views are those of the batch, without a cache of earlier ones, which a checkpoint
    would have to hold; a mosaic takes views without pseudo labels as well.

    Attributes:
        pseudo_mixup: probability that a strong view is overlaid with another one of the
            batch. Its pseudo labels are those of both.
        pseudo_mosaic: for every four strong views, the probability that a mosaic of
            them is learnt from beside the views themselves.
        labelled_mosaic: the same for labelled images.
        mixup_share: weight of a view's own pixels under mixup.
        mosaic_cross: the cross of a mosaic lies between these shares of its width and
            of its height.
    """

    pseudo_mixup: float = 0.0
    pseudo_mosaic: float = 0.0
    labelled_mosaic: float = 0.0
    mixup_share: float = 0.5
    mosaic_cross: tuple[float, float] = (0.4, 0.6)

    @classmethod
    def from_config(cls, cfg: OptConfigType) -> Mixing:
        """Checked settings from a config dict.

        Args:
            cfg: the dict ``model.mixing``, or None for no mixing.

        Returns:
            The settings.

        Raises:
            ValueError: for an unknown key or a value out of range; names the key.
        """
        cfg = dict(cfg or {})
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(cfg) - set(known))
        if unknown:
            raise ValueError(
                f"model.mixing has unknown key(s) {unknown}; known: {known}."
            )
        settings = cls(**cfg)
        for key in ("pseudo_mixup", "pseudo_mosaic", "labelled_mosaic", "mixup_share"):
            _check_share(f"model.mixing.{key}", getattr(settings, key))
        cross = settings.mosaic_cross
        if not isinstance(cross, Sequence) or len(cross) != 2:
            raise ValueError(
                f"model.mixing.mosaic_cross must be a pair of shares, not {cross!r}."
            )
        for share in cross:
            _check_share("model.mixing.mosaic_cross", share)
        if not 0 < cross[0] <= cross[1] < 1:
            raise ValueError(
                "model.mixing.mosaic_cross must be (least, largest) with 0 < least <= "
                f"largest < 1, not {tuple(cross)}."
            )
        return settings

    def refuse(self, keys: Sequence[str], reason: str) -> None:
        """Raise if one of the keys is on.

        Args:
            keys: keys of ``model.mixing`` that a method cannot use.
            reason: why, a clause.

        Raises:
            ValueError: names key and reason.
        """
        for key in keys:
            if getattr(self, key):
                raise ValueError(f"model.mixing.{key} must be 0 here: {reason}.")

    def __call__(
        self, branch: str, inputs: Tensor, samples: SampleList, varies: bool = False
    ) -> MixedViews | None:
        """Mix the images of a branch that the student learns from.

        Args:
            branch: ``"sup"`` or ``"unsup_student"``.
            inputs: its preprocessed images (B, 3, H, W).
            samples: their data samples; not changed.
            varies: whether the number of images varies from batch to batch; one with
                too few is then left as it is.

        Returns:
            The mixed images, mosaics last, or None where nothing is mixed.

        Raises:
            ValueError: the batch has too few images for it.
        """
        is_labelled = branch == "sup"
        mosaic = self.labelled_mosaic if is_labelled else self.pseudo_mosaic
        mixup = 0.0 if is_labelled else self.pseudo_mixup
        if not mosaic and not mixup:
            return None
        if not self._is_enough(branch, len(inputs), mosaic, varies):
            return None
        sizes = torch.tensor([sample.img_shape[:2] for sample in samples])
        partners, mixed = _partners(len(inputs), mixup)
        tiles, matrices = self._tiles(sizes, inputs.shape[-2:], mosaic)
        own = torch.arange(len(inputs))
        eye = torch.eye(3, dtype=torch.float64)
        targets = torch.cat([own, own[mixed], len(own) + own[: len(tiles)] // TILES])
        order = targets.argsort(stable=True)
        placed = MixedViews(
            inputs=self._drawn(inputs, partners, mixed, tiles, matrices, sizes),
            samples=[],
            views=samples,
            sources=torch.cat([own, partners[mixed], tiles])[order],
            targets=targets[order],
            matrices=torch.cat(
                [eye.expand(len(own) + int(mixed.sum()), 3, 3), matrices]
            )[order],
        )
        placed.samples.extend(mixed_samples(placed))
        return placed

    def _is_enough(self, branch: str, count: int, mosaic: float, varies: bool) -> bool:
        """Whether the batch can be mixed; an error if it never can."""
        least = TILES if mosaic else 2
        if count < least and not varies:
            is_labelled = branch == "sup"
            key = "labelled_mosaic" if is_labelled else "pseudo_mosaic"
            kind = "labelled" if is_labelled else "unlabelled"
            raise ValueError(
                f"model.mixing.{key if mosaic else 'pseudo_mixup'} needs {least} "
                f"{kind} images in the batch of a process, and this one has {count}: "
                "raise train_dataloader.batch_size, or set the key to 0."
            )
        return count >= least

    def _tiles(
        self, sizes: Tensor, canvas: tuple[int, int], mosaic: float
    ) -> tuple[Tensor, Tensor]:
        """Views of the mosaics (4 K,) and their placements (4 K, 3, 3)."""
        order = torch.randperm(len(sizes))[: len(sizes) // TILES * TILES]
        groups = order.view(-1, TILES)
        groups = groups[torch.rand(len(groups)) < mosaic]
        low, high = self.mosaic_cross
        crosses = low + (high - low) * torch.rand(len(groups), 2)
        crosses = (crosses * torch.tensor([canvas[1], canvas[0]])).round()
        matrices = mosaic_matrices(sizes[groups], crosses, tuple(canvas))
        return groups.flatten(), matrices.flatten(0, 1)

    def _drawn(
        self,
        inputs: Tensor,
        partners: Tensor,
        mixed: Tensor,
        tiles: Tensor,
        matrices: Tensor,
        sizes: Tensor,
    ) -> Tensor:
        """Pixels of the mixed images."""
        device = inputs.device
        images = inputs
        if mixed.any():
            shares = torch.where(mixed, self.mixup_share, 1.0).to(device)
            images = overlaid(inputs, partners.to(device), shares)
        if not len(tiles):
            return images
        of_tiles = inputs[tiles.to(device)]
        tiled = mosaics(of_tiles, matrices.to(device), sizes[tiles].to(device))
        return torch.cat([images, tiled])


def _partners(count: int, mixup: float) -> tuple[Tensor, Tensor]:
    """Another view for each one, and whether it is overlaid, each (B,)."""
    order = torch.randperm(count)
    partners = torch.empty_like(order)
    partners[order] = order.roll(1)
    return partners, torch.rand(count) < mixup


def _check_share(key: str, value: object) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= 1:
        raise ValueError(f"{key} must be a number in [0, 1], not {value!r}.")
