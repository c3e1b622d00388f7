"""Results as messages and pictures, and messages as arrays; without rclpy."""
