"""From the ``views`` of a config to the transforms of each data set.

``views`` describes a family of views in one place::

    views = dict(
        preset="soft_teacher",  # a family of VIEW_PRESETS
        scale=(304, 228),
        ratio=(0.75, 1.25),  # of all training views
        scale_per_batch=True,  # one scale for the images of a branch and batch
        test_scale=(304, 228),  # of test images
        strong=dict(erase=None),  # changes of one view
    )

A view, ``labelled``, ``weak`` or ``strong``, may have ``scale``, ``ratio``,
``flip_prob``, ``colour`` and ``affine`` (see :class:`RandomView`), ``blur`` (see
:class:`RandomBlur`), ``erase`` (see :class:`ErasePatches`) and ``operations``, a list
of further transforms that come last. ``None`` leaves a part out.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping
from typing import Any

from ssod_mm.errors import UserError

_ONE_COLOUR = dict(type="OneColour")
_SHORT_SIDES_400_TO_1200 = [(1333, 400), (1333, 1200)]

VIEW_PRESETS: dict[str, dict[str, Any]] = {
    # Resize over a wide range and flip everywhere; one colour operation on the labelled
    # view; one colour and one geometric operation and 1-5 erased patches on the strong
    # view.
    "soft_teacher": dict(
        scale=_SHORT_SIDES_400_TO_1200,
        test_scale=(1333, 800),
        labelled=dict(colour=_ONE_COLOUR),
        weak=dict(),
        strong=dict(
            colour=_ONE_COLOUR,
            affine=[
                dict(op="rotate", range=(0.0, 30.0)),
                dict(op="shear_x", range=(0.0, 30.0)),
                dict(op="shear_y", range=(0.0, 30.0)),
                dict(op="translate_x", range=(0.0, 0.1)),
                dict(op="translate_y", range=(0.0, 0.1)),
            ],
            erase=dict(num=(1, 5), ratio=(0.0, 0.2)),
        ),
    ),
    # DTG-SSOD, figure 5: one of four colour operations everywhere; on the strong view
    # also one of translation, rotation and shear, and 1-5 erased patches. The figure's
    # resize ratio (0.5, 1.5) of a short side of 800 is 400-1200. Section 3.1 names flip
    # and resize alone for the weak view, the figure a colour operation too.
    "dtg": dict(
        scale=_SHORT_SIDES_400_TO_1200,
        test_scale=(1333, 800),
        **{
            view: dict(
                colour=dict(
                    type="OneColour",
                    ops=["solarize", "brightness", "contrast", "sharpness"],
                )
            )
            for view in ("labelled", "weak", "strong")
        },
    ),
    # The certainty-aware method: flip for the teacher; flip, colour jitter, Gaussian
    # blur and Cutout for the student. The paper does not print the amounts: these are
    # the usual ones of its time.
    "flip_cutout": dict(
        scale=(1333, 800),
        test_scale=(1333, 800),
        labelled=dict(),
        weak=dict(),
        strong=dict(
            colour=dict(
                type="ColourJitter",
                brightness=0.4,
                contrast=0.4,
                saturation=0.4,
                hue=0.1,
                prob=0.8,
            ),
            blur=dict(sigma=(0.1, 2.0), prob=0.5),
            erase=dict(num=(1, 5), ratio=(0.05, 0.2)),
        ),
    ),
}
VIEW_PRESETS["dtg"]["strong"].update(
    affine=[
        dict(op=["translate_x", "translate_y"], range=(0.0, 0.1)),
        dict(op="rotate", range=(0.0, 30.0)),
        dict(op=["shear_x", "shear_y"], range=(0.0, 30.0)),
    ],
    erase=dict(num=(1, 5), ratio=(0.05, 0.2)),
)

_VIEWS = ("labelled", "weak", "strong")
_RESIZE = ("scale", "ratio", "flip_prob")
_PARTS = (*_RESIZE, "colour", "affine", "blur", "erase", "operations")
_KEYS = ("preset", "test_scale", "scale_per_batch", *_RESIZE, *_VIEWS)
_TEST_META = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")


def view_pipelines(views: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The transforms that a config's ``views`` stand for.

    Args:
        views: see the module.

    Returns:
        By use: ``"supervised"`` for labelled images of a plain detector, ``"labelled"``
        and ``"unlabelled"`` for the two halves of a teacher's batch, ``"test"``.

    Raises:
        ValueError: an unknown preset or key, or no size; names it.
    """
    views = _with_preset(views)
    load = [dict(type="LoadImage")]
    load_labelled = [*load, dict(type="LoadAnnotations", with_bbox=True)]
    boxes = dict(type="FilterAnnotations", min_gt_bbox_wh=(1e-2, 1e-2))
    pack = dict(type="PackView")
    labelled, weak, strong = (
        _operations({**_sizes(views), **views.get(view, {})}) for view in _VIEWS
    )
    if views.get("scale_per_batch"):
        for name, view in zip(_VIEWS, (labelled, weak, strong), strict=True):
            view[0]["scale_of_batch"] = name
    labelled = [*labelled, dict(boxes, keep_empty=False), pack]
    both = dict(type="TwoViews", weak=[*weak, pack], strong=[*strong, pack])
    test = [
        *load,
        dict(type="Resize", scale=_test_scale(views), keep_ratio=True),
        dict(type="LoadAnnotations", with_bbox=True),
        dict(type="PackDetInputs", meta_keys=_TEST_META),
    ]
    pipelines = {
        "supervised": [*load_labelled, *labelled],
        "labelled": [*load_labelled, dict(type="LabelledView", pipeline=labelled)],
        "unlabelled": [*load, both],
        "test": test,
    }
    return copy.deepcopy(pipelines)


def _with_preset(views: Mapping[str, Any]) -> dict[str, Any]:
    """``views`` laid over the preset that they name."""
    _refuse_unknown(views, _KEYS, "views")
    for view in _VIEWS:
        if not isinstance(views.get(view, {}), Mapping):
            raise UserError(
                f"views.{view} must be a dict of its parts, not {views[view]!r}"
            )
        _refuse_unknown(views.get(view, {}), _PARTS, f"views.{view}")
    name = views.get("preset")
    if name is None:
        return dict(views)
    if name not in VIEW_PRESETS:
        raise UserError(f"views.preset={name!r} is none of {sorted(VIEW_PRESETS)}")
    return _merged(VIEW_PRESETS[name], views)


def _merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with changes; a part that says its ``type`` replaces the other one."""
    merged = dict(base)
    for key, value in change.items():
        old = merged.get(key)
        joined = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(old, value) if joined and "type" not in value else value
    return merged


def _sizes(views: Mapping[str, Any]) -> dict[str, Any]:
    return {key: views[key] for key in _RESIZE if views.get(key) is not None}


def _operations(view: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The transforms of one view, without loading and packing."""
    if view.get("scale") is None:
        raise UserError("views.scale is missing: (long, short) limits of an image")
    random_view = dict(type="RandomView", flip_prob=0.5)
    for key in (*_RESIZE, "colour", "affine"):
        if view.get(key) is not None:
            random_view[key] = _size(view[key]) if key == "scale" else view[key]
    steps = [random_view]
    if view.get("blur") is not None:
        steps.append(dict(type="RandomBlur", **view["blur"]))
    if view.get("erase") is not None:
        steps.append(dict(type="ErasePatches", **view["erase"]))
    return [*steps, *(view.get("operations") or [])]


def _test_scale(views: Mapping[str, Any]) -> Any:
    scale = views.get("test_scale", views.get("scale"))
    if scale is None or isinstance(scale[0], (list, tuple)):
        raise UserError("views.test_scale is missing: (long, short) limits at test")
    return _size(scale)


def _size(scale: Any) -> Any:
    """Limits as tuples, also where a command line gave lists."""
    if isinstance(scale[0], (list, tuple)):
        return [tuple(limits) for limits in scale]
    return tuple(scale)


def _refuse_unknown(
    part: Mapping[str, Any], known: tuple[str, ...], place: str
) -> None:
    for key in part:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it may have {list(known)}"
            raise UserError(f"{place} has the unknown key {key}; {hint}")
