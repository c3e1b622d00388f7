"""Track what was clicked: SAM-PT made causal, as a library and as a ROS 2 node."""

from pkgutil import extend_path

# Python finds this package in the source tree first when it is run from there; the generated
# messages are in the installed one.
__path__ = extend_path(__path__, __name__)

__version__ = "0.2.0"
