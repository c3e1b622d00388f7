"""Topics of the bags that are made here, and the name of the node whose outputs they hold."""

IMAGE_TOPIC = "/image"
CAMERA_INFO_TOPIC = "/camera_info"
POINTS_TOPIC = "/points"
TRUTH_TOPIC = "/truth"

NODE_NAME = "/sam_pt"
"""Results are on the topics that the node of this name publishes."""
