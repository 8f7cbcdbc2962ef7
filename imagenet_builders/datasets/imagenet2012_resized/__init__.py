"""ILSVRC2012 with its larger images made smaller: a short side of 256, 320, 384 or 512 pixels."""
