"""``mmdet.datasets``, imported without the lines that it prints about OneDL.

Whatever imports a part of mmdet that leads there imports this module before.
"""

from __future__ import annotations

import contextlib
import io

with contextlib.redirect_stdout(io.StringIO()):
    from mmdet.datasets.api_wrappers import COCO

__all__ = ["COCO"]
