"""Planning: the index of a split, its rows in order, and their cut into shards."""
