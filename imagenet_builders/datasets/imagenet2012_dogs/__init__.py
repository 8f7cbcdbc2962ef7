"""Task 3 of ILSVRC2012: 120 kinds of dogs, with boxes if these are staged."""
