"""Image loading that knows a broken file when it reads one."""

from __future__ import annotations

import functools
import io
import logging
from pathlib import Path

import mmcv
import numpy as np
import torch
from mmcv.transforms import LoadImageFromFile
from mmdet.registry import TRANSFORMS
from mmengine import fileio
from mmengine.logging import print_log
from PIL import Image
from torch.utils.data import get_worker_info

from ssod_mm.errors import UserError

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
TAIL_BYTES = 64
MAX_WORKERS = 128


class SkipCounter:
    """A count in shared memory, which data loader workers add to.

    Each worker has a place of its own, so that no two add to the same number at once.
    """

    def __init__(self) -> None:
        self._by_worker = torch.zeros(1 + MAX_WORKERS, dtype=torch.int64)
        self._by_worker.share_memory_()

    def add_one(self) -> None:
        """Count one more, in the main process or in a worker."""
        worker = get_worker_info()
        place = 0 if worker is None else 1 + worker.id % MAX_WORKERS
        self._by_worker[place] += 1

    @property
    def total(self) -> int:
        """Sum over the main process and all workers."""
        return int(self._by_worker.sum())

    def __deepcopy__(self, memo: dict) -> SkipCounter:
        """A copied pipeline goes on counting in the same place."""
        return self


@functools.cache
def _process_counter() -> SkipCounter:
    return SkipCounter()


@functools.cache
def _unturned_counter() -> SkipCounter:
    return SkipCounter()


def num_unturned_images() -> int:
    """Images that were loaded as stored, against their EXIF data, as the json says."""
    return _unturned_counter().total


def num_skipped_images() -> int:
    """Images skipped by every ``LoadImage`` of this process and its data workers."""
    return _process_counter().total


def looks_truncated(data: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end marker and cannot be decoded in full.

    Some OpenCV versions fill what a cut file lacks with grey and report nothing. Only
    a file without the marker in its last 64 bytes is decoded once more, by PIL, which
    is strict. Damage in the middle of a file that has its end is not seen.
    """
    if data.startswith(JPEG_START):
        end = JPEG_END
    elif data.startswith(PNG_START):
        end = PNG_END
    else:
        return False
    if end in data[-TAIL_BYTES:]:
        return False
    try:
        Image.open(io.BytesIO(data)).load()
    except Exception:  # PIL raises OSError, SyntaxError, struct.error ... here
        return True
    return False


def json_size(results: dict) -> tuple[int, int] | None:
    """Height and width that an annotation file gives an image; None without."""
    if not results.get("height") or not results.get("width"):
        return None
    return int(results["height"]), int(results["width"])


@TRANSFORMS.register_module()
class LoadImage(LoadImageFromFile):
    """Load an image; refuse, or skip and count, one that is missing or broken.

    Args:
        on_error: "raise" stops at the first unreadable image; "skip" logs a warning,
            counts it (``num_skipped_images()``) and returns ``None``, on which the
            data set draws another image.
        max_skips_in_a_row: with "skip", so many unreadable images one after another
            are an error: then it is the folder or the disk, not a file.
        on_other_size: for an image that has not the size that the json gives. "raise"
            is an error, or a skip with ``on_error="skip"``; "resize" brings the image
            to the json's size, so that the boxes fit it.
        **kwargs: ``to_float32``, ``color_type``, ``imdecode_backend`` and
            ``backend_args`` of ``mmcv.transforms.LoadImageFromFile``.
    """

    def __init__(
        self,
        on_error: str = "raise",
        max_skips_in_a_row: int = 20,
        on_other_size: str = "raise",
        **kwargs: object,
    ) -> None:
        if on_error not in ("raise", "skip"):
            raise UserError(
                f'LoadImage: on_error = {on_error!r}, must be "raise" or "skip"'
            )
        if on_other_size not in ("raise", "resize"):
            raise UserError(
                f"LoadImage: on_other_size = {on_other_size!r}, must be "
                '"raise" or "resize"'
            )
        if max_skips_in_a_row < 1:
            raise UserError(
                f"LoadImage: max_skips_in_a_row = {max_skips_in_a_row}, must be >= 1"
            )
        super().__init__(**kwargs)
        self.on_error = on_error
        self.max_skips_in_a_row = max_skips_in_a_row
        self.on_other_size = on_other_size
        self._skips_in_a_row = 0
        # An attribute, so that it also reaches workers that are spawned, not forked.
        self._counter = _process_counter()
        self._unturned = _unturned_counter()

    def transform(self, results: dict) -> dict | None:
        """Read and decode ``results["img_path"]``.

        Args:
            results: sample description; gains ``img`` (H, W, 3) uint8 BGR (float32
                with ``to_float32``), ``img_shape`` and ``ori_shape`` (H, W). Where it
                has ``height`` and ``width``, the image must have that size; one that
                has it only without the turn in its EXIF data is not turned.

        Returns:
            ``results``, or ``None`` for a skipped image.

        Raises:
            FileNotFoundError: the image is missing and ``on_error="raise"``.
            ValueError: it is empty, truncated, no image or of another size, and
                ``on_error="raise"``.
            UserError: too many images in a row were skipped.
        """
        path = results["img_path"]
        try:
            img = self._read(path, json_size(results))
        except (OSError, ValueError) as error:
            if self.on_error == "raise":
                kind = type(error) if isinstance(error, OSError) else UserError
                raise kind(
                    f"{error}. Replace the file, or set "
                    'LoadImage(on_error="skip") to go on without it'
                ) from None
            self._skip(error)
            return None
        self._skips_in_a_row = 0
        if self.to_float32:
            img = img.astype(np.float32)
        results["img"] = img
        results["img_shape"] = img.shape[:2]
        results["ori_shape"] = img.shape[:2]
        return results

    def _read(self, path: str, size: tuple[int, int] | None) -> np.ndarray:
        data = self._read_bytes(path)
        img = self._decode(path, data, self.color_type)
        if size is None or img.shape[:2] == size:
            return img
        if img.shape[1::-1] == size and self.color_type in ("color", "grayscale"):
            stored = self._decode(path, data, f"{self.color_type}_ignore_orientation")
            if stored.shape[:2] == size:
                self._tell_unturned(path)
                return stored
        if self.on_other_size == "resize":
            return mmcv.imresize(img, size[::-1])
        raise UserError(
            f"image {path} has {img.shape[1]} x {img.shape[0]} pixels, but its "
            f"annotation file says {size[1]} x {size[0]}, so that boxes would lie in "
            "the wrong place: use the images that the file was made from, or set "
            'LoadImage(on_other_size="resize")'
        )

    def _tell_unturned(self, path: str) -> None:
        self._unturned.add_one()
        if self._unturned.total == 1:
            print_log(
                f"image {path} is to be turned by its EXIF data, but its annotation "
                "file gives the size of the stored pixels: it is not turned, nor are "
                "others like it (counted in the log as unturned_images)",
                logger="current",
                level=logging.WARNING,
            )

    def _read_bytes(self, path: str) -> bytes:
        if "://" not in path and Path(path).exists() and not Path(path).is_file():
            raise UserError(f"image {path} is no regular file")
        try:
            data = fileio.get(path, backend_args=self.backend_args)
        except FileNotFoundError:
            raise FileNotFoundError(f"image {path} not found") from None
        except OSError as error:
            raise UserError(f"image {path} cannot be read: {error}") from None
        if not data:
            raise UserError(f"image {path} is an empty file")
        if looks_truncated(data):
            raise UserError(f"image {path} is truncated")
        return data

    def _decode(self, path: str, data: bytes, flag: str) -> np.ndarray:
        try:
            img = mmcv.imfrombytes(data, flag=flag, backend=self.imdecode_backend)
        except Exception as error:  # each backend has its own exceptions
            raise UserError(f"image {path} cannot be decoded: {error}") from None
        if img is None:
            raise UserError(f"image {path} cannot be decoded")
        return img

    def _skip(self, error: Exception) -> None:
        self._counter.add_one()
        self._skips_in_a_row += 1
        print_log(
            f"skipped: {error} ({self._counter.total} skipped so far)",
            logger="current",
            level=logging.WARNING,
        )
        if self._skips_in_a_row >= self.max_skips_in_a_row:
            raise UserError(
                f"{self._skips_in_a_row} images in a row could not be loaded, the last "
                f"one because {error}. Check data_root and data_prefix of the data "
                "set, and that its disk is there"
            )

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(on_error={self.on_error!r}, "
            f"max_skips_in_a_row={self.max_skips_in_a_row}, "
            f"on_other_size={self.on_other_size!r}, "
            f"to_float32={self.to_float32}, color_type={self.color_type!r}, "
            f"imdecode_backend={self.imdecode_backend!r}, "
            f"backend_args={self.backend_args})"
        )
