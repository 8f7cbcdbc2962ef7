"""From rows to a published dataset: index, plan, shards, and the processes that write them."""
