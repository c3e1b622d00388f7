"""Recordings: reading and writing rosbag2 files without ROS, and what goes into them."""
