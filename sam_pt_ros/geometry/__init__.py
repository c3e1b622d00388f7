"""Cameras, depth and places in space."""
