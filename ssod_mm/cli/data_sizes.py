"""Size of the views from the images; of views and anchors from labelled boxes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from ssod_mm.cli.data_files import labelled_ann_file
from ssod_mm.errors import UserError
from ssod_mm.settings import number_rule

_COUNT = number_rule("whole number", at_least=1)


def set_sizes(cfg: Config) -> None:
    """Set ``views.scale`` and ``views.test_scale``, with ``sizes`` the anchors too.

    ``"images"`` as a scale stands for the median size of the validation images, within
    ``max_pixels``: it is the same for every label split. ``sizes="proposed"`` replaces
    both scales and the anchors by what suits the labelled boxes, once their json is
    there, and says so.

    Args:
        cfg: a config whose placeholders are filled in; it is changed.

    Raises:
        UserError: ``sizes`` or ``max_pixels`` is out of its range, or the json has no
            boxes.
    """
    views = cfg.get("views") or {}
    scales = [key for key in ("scale", "test_scale") if views.get(key) == "images"]
    proposed = cfg.get("sizes") not in (None, "None", "none")
    if proposed and cfg.sizes != "proposed":
        raise UserError(f'sizes must be None or "proposed", not {cfg.sizes!r}')
    if (scales or proposed) and not _COUNT.allows(cfg.get("max_pixels")):
        raise UserError(
            f"max_pixels must be {_COUNT.wanted}, not {cfg.get('max_pixels')!r}"
        )
    if scales:
        from ssod_mm.formats.sizes import view_of_images

        size = view_of_images(_validation_images(cfg), cfg.max_pixels)
        views.update(dict.fromkeys(scales, size))
    if not proposed:
        return
    named = labelled_ann_file(cfg)
    if named is None or not Path(named[0]).is_file():
        return
    from ssod_mm.formats.sizes import STRIDES, proposal_for

    grids = list(_anchor_grids(cfg.get("model") or {}))
    strides = [int(s) for s in grids[0]["strides"]] if grids else STRIDES
    proposal = proposal_for(named[0], strides, cfg.max_pixels)
    cfg.views.scale = cfg.views.test_scale = proposal.view
    for grid in grids:
        grid["scales"] = [proposal.anchor_scale]
    print_log(str(proposal))


def _validation_images(cfg: Config) -> list[tuple[float, float]]:
    """Width and height of the validation images; none where their json cannot tell."""
    dataset = (cfg.get("val_dataloader") or {}).get("dataset") or {}
    if not dataset.get("ann_file"):
        return []
    path = Path(dataset.get("data_root") or "", dataset["ann_file"])
    try:
        images = json.loads(path.read_bytes())["images"]
        sizes = [(float(image["width"]), float(image["height"])) for image in images]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # the check of the files, or training, names what is wrong
    return [size for size in sizes if min(size) > 0]


def _anchor_grids(node: Any) -> Iterator[dict]:
    """The anchor generators that have one list of scales."""
    if isinstance(node, Mapping):
        if node.get("type") == "AnchorGenerator" and node.get("scales"):
            yield node
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for part in node:
            yield from _anchor_grids(part)
