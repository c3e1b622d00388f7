"""`sam-pt demo`: a video through the real node over DDS, and pictures and numbers of it."""
