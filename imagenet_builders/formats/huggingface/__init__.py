"""Datasets of images as the files that Hugging Face's library `datasets` writes and reads."""
