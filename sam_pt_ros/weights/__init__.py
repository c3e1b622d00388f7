"""Trained weights: checkpoints, downloads, and what networks need of PyTorch."""
