"""Installs ssod_mm; its configs and tools land inside the package.

`make setup` builds the whole pinned environment. To add ssod_mm to an environment
that already has torch, mmcv with its operators, mmengine and mmdetection:

    pip install --no-build-isolation .
"""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def version() -> str:
    """``__version__`` of the package, read without importing it."""
    text = (ROOT / "ssod_mm" / "version.py").read_text(encoding="utf-8")
    return re.search(r'__version__ = "([^"]+)"', text)[1]


def long_description() -> str:
    """The README, where the source tree has one."""
    readme = ROOT / "README.md"
    return readme.read_text(encoding="utf-8") if readme.is_file() else ""


setup(
    name="ssod_mm",
    version=version(),
    description="Semi-supervised object detection on MMDetection",
    long_description=long_description(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10,<3.13",
    packages=[
        *find_packages(include=["ssod_mm", "ssod_mm.*"]),
        "ssod_mm.configs",
        "ssod_mm.tools",
    ],
    package_dir={"ssod_mm.configs": "configs", "ssod_mm.tools": "tools"},
    package_data={
        "ssod_mm.configs": ["**/*.py", "**/*.md", "**/*.yml"],
        "ssod_mm.tools": ["*.sh"],
    },
    exclude_package_data={"ssod_mm.tools": ["setup_env.sh"]},
    include_package_data=False,
    entry_points={"console_scripts": ["ssod = ssod_mm.cli.main:main"]},
    zip_safe=False,
    install_requires=[
        "torch>=2.4",
        "numpy>=1.26,<2.3",
        "onedl-mmengine>=0.10.12,<0.11",
        "onedl-mmcv>=2.3.6,<2.4",
        "onedl-mmdetection>=3.5.1,<3.6",
        "opencv-python>=4.8",
        "pillow>=9",
        "safetensors>=0.4",
        "pycocotools>=2.0.7",
        "terminaltables>=3.1",
        "jinja2>=3.1",
        "scipy>=1.11",
        "matplotlib>=3.7",
        "tensorboard>=2.15",
        "rich>=13",
        "tqdm>=4.60",
        "pyyaml>=6",
        "setuptools<81",
    ],
    extras_require={
        "fast-eval": ["faster-coco-eval>=1.6"],
        "report": ["plotly>=6"],
        "slurm": ["submitit>=1.5"],
        "dev": [
            "pytest>=8",
            "pytest-xdist>=3.6",
            "hypothesis>=6.100",
            "ruff>=0.12",
            "pre-commit>=4",
        ],
    },
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
