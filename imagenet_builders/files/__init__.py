"""Files and directories of this package's own where others may write beside them."""
