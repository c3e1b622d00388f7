"""The interactive study of SAM-PT (arXiv 2307.01197, Appendix L): mask quality by clicks.

A simulated annotator who knows the ground truth clicks on one object of a video until its masks
are good enough or a budget is spent. Three methods are compared. "SAM only": a click affects its
own frame alone. "Online": one pass through the video, with points that are tracked on. "Offline":
several passes with rising goals, of which the best result is kept.

The limits (300 interactions, 3 per frame, an IoU of 0.95) are those of the study. The text of its
Algorithms 1 to 4 was not available; the rest follows the authors' published simulation
(``sam_pt_interactive.py``): wrong points are removed before others are added, a click goes where
more pixels are wrong, each click is tracked by itself and never resampled, and offline there is a
checkpoint after each pass, with the authors' thresholds.

Four points differ. The authors draw a click at random near the middle of the largest cluster of
errors; here it is the deepest pixel of the largest connected region, so that a study can be
repeated. "SAM only" stops at the same IoU and within the same budget as the other methods; theirs
spends all interactions of each frame. Masks are those of the segmenter with its own options;
theirs uses SAM without refinement. The first point is an interaction like any other, so the study
begins with empty masks; theirs charges it to the budget, too.
"""
