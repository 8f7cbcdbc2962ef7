"""ImageNet-12k: 11,821 classes of the fall 2011 release, as timm published them."""
