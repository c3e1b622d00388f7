"""Track what was clicked: SAM-PT made causal, as a library and as a ROS 2 node."""

__version__ = "0.1.0"
