"""Trained weights: checkpoints, downloads, devices and memory."""
