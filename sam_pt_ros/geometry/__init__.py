"""Camera models, depth images and positions in space."""
