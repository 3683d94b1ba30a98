"""Datasets, views and samplers; importing registers them."""

import ssod_mm.mmdet_datasets  # noqa: F401  (first: it silences mmdet)
from ssod_mm.data.datasets import CocoSemiDataset, SeededConcatDataset
from ssod_mm.data.image_folder import ImageFolderDataset
from ssod_mm.data.loading import LoadImage
from ssod_mm.data.samplers import DrawIndex, RatioSampler
from ssod_mm.data.views import LabelledView, PackView, TwoViews
from ssod_mm.data.views.colour import OneColour
from ssod_mm.data.views.erasing import ErasePatches
from ssod_mm.data.views.jitter import ColourJitter, RandomBlur
from ssod_mm.data.views.random import RandomView

__all__ = [
    "CocoSemiDataset",
    "ColourJitter",
    "DrawIndex",
    "ErasePatches",
    "ImageFolderDataset",
    "LabelledView",
    "LoadImage",
    "OneColour",
    "PackView",
    "RandomBlur",
    "RandomView",
    "RatioSampler",
    "SeededConcatDataset",
    "TwoViews",
]
