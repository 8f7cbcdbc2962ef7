"""Building: TensorFlow Datasets' interface, and the steps from an index to written shards."""
