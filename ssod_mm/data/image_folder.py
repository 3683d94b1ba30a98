"""A plain folder of images as an unlabelled data set."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from mmdet.datasets import BaseDetDataset
from mmdet.registry import DATASETS
from mmengine.logging import print_log

from ssod_mm.coco_json import read_coco_json
from ssod_mm.data.datasets import SkipGuardMixin
from ssod_mm.errors import UserError
from ssod_mm.formats.image_sizes import image_sizes
from ssod_mm.formats.images import EXTENSIONS, file_names


@DATASETS.register_module()
class ImageFolderDataset(SkipGuardMixin, BaseDetDataset):
    """All images below a folder, in the order of their names; no json needed.

    Items have ``img_path``, ``img_id`` (the path below the folder, with "/") and no
    instances. The classes come from ``metainfo``, or from the labelled set beside it
    in a ``SeededConcatDataset``.

    Args:
        extensions: endings of image files, in any case.
        recursive: whether folders inside the folder count too. Files and folders
            whose name starts with a dot never do.
        exclude: images to leave out, such as the labelled ones: names below the
            folder, or a COCO json (its images), or a text file of one name a line;
            the files relative to ``data_root``.
        read_sizes: whether ``height`` and ``width`` are read from all files when the
            set is built (needed by aspect-grouped sampling), those of many images
            once, see :func:`ssod_mm.formats.image_sizes.image_sizes`; files whose head
            cannot be read are left out.
        **kwargs: as in mmdet's ``BaseDetDataset``: ``data_root``,
            ``data_prefix=dict(img=...)``, ``pipeline`` ...

    Raises:
        FileNotFoundError: the folder or the file of ``exclude`` is missing.
        ValueError: the folder holds no image, ``extensions`` or ``exclude`` are no
            lists of names, or the file of ``exclude`` cannot be read.
    """

    METAINFO: ClassVar[dict] = {}

    def __init__(
        self,
        *args: Any,
        extensions: Sequence[str] = EXTENSIONS,
        recursive: bool = True,
        exclude: str | Path | Sequence[str] | None = None,
        read_sizes: bool = False,
        **kwargs: Any,
    ) -> None:
        _check_names("extensions", extensions)
        if exclude is not None and not isinstance(exclude, (str, Path)):
            _check_names("exclude", exclude)
        self.extensions = tuple(extension.lower() for extension in extensions)
        self.recursive = recursive
        self.exclude = exclude
        self.read_sizes = read_sizes
        kwargs.setdefault("data_prefix", {"img": ""})
        super().__init__(*args, **kwargs)

    @property
    def folder(self) -> Path:
        """The folder of the images."""
        if not self.data_prefix.get("img"):
            raise UserError(
                "ImageFolderDataset needs data_root or data_prefix=dict(img=...), the "
                f"folder of the images; data_prefix is {self.data_prefix}"
            )
        return Path(self.data_prefix["img"])

    def load_data_list(self) -> list[dict]:
        """List the images."""
        folder = self.folder
        if not folder.is_dir():
            raise FileNotFoundError(
                f"image folder {folder} not found (data_root and data_prefix.img of "
                "ImageFolderDataset)"
            )
        names = sorted(file_names(folder, self.extensions, self.recursive))
        if not names:
            where = "or below it" if self.recursive else "(recursive=False)"
            raise UserError(
                f"image folder {folder} is empty: no file in it {where} ends in "
                f"{', '.join(self.extensions)}"
            )
        excluded = self._excluded_names()
        kept = [name for name in names if name not in excluded]
        if not kept:
            raise UserError(
                f"image folder {folder}: exclude leaves none of its {len(names)} images"
            )
        if excluded:
            num_found = len(names) - len(kept)
            print_log(
                f"{folder}: {len(kept)} images; exclude names {len(excluded)}, of "
                f"which {num_found} are in the folder",
                logger="current",
                level=logging.INFO if num_found else logging.WARNING,
            )
        items = [
            {"img_path": str(folder / name), "img_id": name, "instances": []}
            for name in kept
        ]
        return self._with_sizes(items) if self.read_sizes else items

    def _excluded_names(self) -> set[str]:
        if self.exclude is None:
            return set()
        if not isinstance(self.exclude, (str, Path)):
            return set(self.exclude)
        path = Path(self.data_root or "", self.exclude)
        if not path.is_file():
            raise FileNotFoundError(
                f"file {path} not found (exclude of ImageFolderDataset)"
            )
        if path.suffix == ".json":
            document = read_coco_json(path, key="exclude", needs=("images",))
            names = {image.get("file_name") for image in document["images"]}
            if None in names:
                raise UserError(f"{path} (exclude): an image has no file_name")
            return names
        try:
            lines = path.read_text("utf-8-sig").splitlines()
        except UnicodeDecodeError:
            raise UserError(
                f"{path} (exclude of ImageFolderDataset) is no text in UTF-8: give one "
                "name a line, or a COCO json"
            ) from None
        return {line.strip() for line in lines if line.strip()}

    def _with_sizes(self, items: list[dict]) -> list[dict]:
        sizes = image_sizes(self.folder, [item["img_id"] for item in items])
        sized = []
        for item in items:
            size = sizes[item["img_id"]]
            if isinstance(size, str):
                print_log(
                    f"left out {item['img_path']}: {size}",
                    logger="current",
                    level=logging.WARNING,
                )
                continue
            sized.append({**item, "height": size[0], "width": size[1]})
        if not sized:
            raise UserError(
                f"image folder {self.folder}: none of its {len(items)} files is a "
                "readable image"
            )
        return sized


def _check_names(key: str, names: Any) -> None:
    """Check that a key is a list of texts.

    Raises:
        ValueError: it is not; names the key and the value.
    """
    is_list = isinstance(names, (list, tuple, set, frozenset))
    if not is_list or not all(isinstance(name, str) for name in names):
        raise UserError(f"ImageFolderDataset: {key} = {names!r} is no list of texts")
