"""Image files below a folder, and their sizes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from ssod_mm.errors import UserError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
EXIF_ORIENTATION = 0x0112


def file_names(
    folder: Path, extensions: tuple[str, ...], recursive: bool = True
) -> Iterator[str]:
    """Paths of files below a folder, relative to it, in no order.

    Links are followed, each folder once, so that a circle of links ends. Files and
    folders whose name starts with a dot do not count.

    Args:
        folder: where to look.
        extensions: endings in small letters.
        recursive: whether folders inside the folder count too.
    """
    seen = set()
    for current, subfolders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(current)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders[:] = sorted(
            name for name in subfolders if recursive and not name.startswith(".")
        )
        below = Path(current).relative_to(folder)
        for name in files:
            if name.lower().endswith(extensions) and not name.startswith("."):
                yield (below / name).as_posix()


def image_size(path: str | Path) -> tuple[int, int]:
    """Height and width of an image as loaded, that is, turned as its EXIF says."""
    if not Path(path).is_file():
        raise UserError(f"{path} is no regular file")
    with Image.open(path) as image:
        width, height = image.size
        turned = image.getexif().get(EXIF_ORIENTATION, 1) >= 5
    return (width, height) if turned else (height, width)
