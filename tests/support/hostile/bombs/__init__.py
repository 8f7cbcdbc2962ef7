"""Small files that claim to be huge, and huge ones that are mostly holes: the bombs, by name."""

from support.hostile.bombs import archives, images, shards_and_lists, zips
from support.hostile.bombs.registry import BOMBS, GB, MB

__all__ = ["BOMBS", "GB", "MB", "archives", "images", "shards_and_lists", "zips"]
