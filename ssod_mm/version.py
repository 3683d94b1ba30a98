"""The package's version, readable without importing torch or mmdet."""

__version__ = "0.1.0"
