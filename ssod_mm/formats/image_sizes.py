"""Sizes of the images of a folder, read from their heads once."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from ssod_mm.durable import write_durably
from ssod_mm.errors import UserError
from ssod_mm.formats.cache import alone, caches, writable_cache
from ssod_mm.formats.images import image_size

KEPT_FROM = 1000
"""Fewer images are read anew each time, which takes less than a second."""

Sizes = dict[str, list[int] | str]


def image_sizes(folder: Path, names: Sequence[str]) -> Sizes:
    """Height and width of images, or why a file is none, by name.

    Those of many images are kept beside them, or in the user's cache, until an image
    is added, removed or changes its length. Where nothing can be kept, they are read
    each time.

    Args:
        folder: of the images.
        names: of the files, relative to it.
    """
    if len(names) < KEPT_FROM:
        return _read(folder, names)
    digest = hashlib.sha256(b"sizes 1")
    for name in names:
        digest.update(os.fsencode(f"\n{name} {(folder / name).stat().st_size}"))
    file = f"sizes-{digest.hexdigest()[:16]}.json"
    root = folder.absolute()
    for cache in caches(root):
        if (cache / file).is_file():
            return json.loads((cache / file).read_bytes())
    try:
        cache = writable_cache(root)
    except UserError:
        return _read(folder, names)
    with alone(cache):
        path = cache / file
        if not path.is_file():
            write_durably(path, json.dumps(_read(folder, names)))
    return json.loads(path.read_bytes())


def _read(folder: Path, names: Sequence[str]) -> Sizes:
    sizes: Sizes = {}
    for name in names:
        try:
            sizes[name] = list(image_size(folder / name))
        except Exception as error:  # PIL raises many kinds on broken heads
            sizes[name] = str(error)
    return sizes
