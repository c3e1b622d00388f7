"""Recordings: rosbag2 files read and written without ROS, and what is put into them."""
