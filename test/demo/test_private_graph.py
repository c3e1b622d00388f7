"""The profile for large images: the demo's, and the one that is shipped."""

import subprocess
import sys
import threading
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

pytest.importorskip("rosbags")
pytest.importorskip("rclpy")
pytest.importorskip("sensor_msgs.msg")

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from sam_pt_ros.demo.private_graph import choose_domain, exchanged, private_environment

SHIPPED = Path(__file__).resolve().parents[2] / "config" / "fastdds_large_images.xml"
IMAGES = 40
CAMERA = f"""
import array, time
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

rclpy.init()
node = rclpy.create_node("camera")
qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
publisher = node.create_publisher(Image, "image", qos)
message = Image(height=720, width=1280, encoding="bgr8", step=3 * 1280)
message.data = array.array("B", bytes(720 * message.step))
while publisher.get_subscription_count() == 0:
    time.sleep(0.05)
time.sleep(1.0)
for _ in range({IMAGES}):
    publisher.publish(message)
    time.sleep(0.02)
time.sleep(1.0)
"""


def sizes(path):
    root = ElementTree.parse(path).getroot()
    return {
        name: int(root.find(f".//{{*}}{name}").text) for name in ("segment_size", "maxMessageSize")
    }


def test_the_demo_fits_the_profile_to_its_images():
    with private_environment(5, image_bytes=4_000_000) as environment:
        path = environment["FASTDDS_DEFAULT_PROFILES_FILE"]
        assert sizes(path) == {"segment_size": 12 * 4_004_096, "maxMessageSize": 4_004_096}
        assert environment["ROS_DOMAIN_ID"] == "5"
    assert not Path(path).exists()


def test_the_shipped_profile_holds_several_images():
    known = sizes(SHIPPED)
    assert known["maxMessageSize"] >= 4 * 1920 * 1080
    assert known["segment_size"] >= 4 * known["maxMessageSize"]


@pytest.mark.skipif(
    "rmw_fastrtps" not in rclpy.get_rmw_implementation_identifier(), reason="it is Fast DDS's"
)
def test_no_image_of_a_best_effort_camera_with_the_shipped_profile_is_lost():
    """It is enough that the camera's driver has it."""
    domain = choose_domain()
    received = []
    context = rclpy.Context()
    with private_environment(domain, image_bytes=0) as environment:
        del environment["FASTDDS_DEFAULT_PROFILES_FILE"]
        with exchanged(environment):
            rclpy.init(context=context, domain_id=domain)
    node = rclpy.create_node("receiver", context=context)
    qos = QoSProfile(depth=IMAGES, reliability=ReliabilityPolicy.BEST_EFFORT)
    node.create_subscription(Image, "image", lambda m: received.append(len(m.data)), qos)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    try:
        environment["FASTDDS_DEFAULT_PROFILES_FILE"] = str(SHIPPED)
        subprocess.run([sys.executable, "-c", CAMERA], env=environment, check=True, timeout=300)
    finally:
        executor.shutdown()
        thread.join()
        node.destroy_node()
        rclpy.shutdown(context=context)
    assert received == [3 * 1280 * 720] * IMAGES
