"""The interactive study of SAM-PT (arXiv 2307.01197, Appendix L): clicks against quality.

A simulated annotator who knows the truth clicks on one object of a video until its masks are good
enough or a budget is spent. Three ways of working are compared: SAM only, where a click tells
about its own frame alone; online, one pass through the video with points that are tracked on; and
offline, several passes that ask for more and more, the best of which is kept.

What is from where: the limits (300 interactions, 3 per frame, an IoU of 0.95) are the study's.
The text of its Algorithms 1 to 4 was not at hand; the rest follows what the authors' published
simulation does (``sam_pt_interactive.py``): points that are wrong are removed before others are
added, a click goes where more pixels are wrong, each click is tracked by itself and never sampled
anew, and offline there is a checkpoint after each pass, whose thresholds are theirs.

Four things are our own reading. The authors' click is drawn at random near the middle of the
largest cluster of errors; here it is the deepest pixel of the largest connected region, so that a
study can be repeated. SAM only stops at the same IoU and within the same budget as the others;
theirs spends all interactions of each frame. What a method gives is the mask as the segmenter
makes it of the points, with its own options: theirs asks SAM without refinement. And the first
point, theirs too a charge on the budget, is an interaction like any other: the study begins with
empty masks.
"""
