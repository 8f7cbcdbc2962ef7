"""Writes shards: inspects images, makes records of them, and marks the finished files."""
