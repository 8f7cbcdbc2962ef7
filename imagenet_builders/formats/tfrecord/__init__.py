"""TFRecord files: the frames of their records, and the `tf.train.Example` protos in them."""
