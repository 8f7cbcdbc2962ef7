"""Facts and functions that the datasets made of ILSVRC2012 share."""
