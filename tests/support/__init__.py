"""What the tests share: makers of corpora, builds in processes of their own, clusters."""
