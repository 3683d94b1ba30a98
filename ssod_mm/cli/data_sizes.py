"""``sizes="proposed"``: size of the views and anchors from the labelled boxes."""

from __future__ import annotations

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
    """Set ``views.scale``, ``views.test_scale`` and the anchors, and say so.

    Nothing changes without ``sizes``, or before the labelled json is there.

    Args:
        cfg: a config whose placeholders are filled in; it is changed.

    Raises:
        UserError: ``sizes`` or ``max_pixels`` is out of its range, or the json has no
            boxes.
    """
    if cfg.get("sizes") in (None, "None", "none"):
        return
    if cfg.sizes != "proposed":
        raise UserError(f'sizes must be None or "proposed", not {cfg.sizes!r}')
    if not _COUNT.allows(cfg.get("max_pixels")):
        raise UserError(
            f"max_pixels must be {_COUNT.wanted}, not {cfg.get('max_pixels')!r}"
        )
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


def _anchor_grids(node: Any) -> Iterator[dict]:
    """The anchor generators that have one list of scales."""
    if isinstance(node, Mapping):
        if node.get("type") == "AnchorGenerator" and node.get("scales"):
            yield node
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for part in node:
            yield from _anchor_grids(part)
