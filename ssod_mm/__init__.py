"""ssod_mm: semi-supervised object detection on MMDetection.

Importing the package registers nothing and loads neither torch nor mmdet; the
subpackages ``data``, ``models``, ``engine`` and ``evaluation`` register their
classes when a config names them in ``custom_imports``.
"""

from ssod_mm.version import __version__

__all__ = ["__version__"]
