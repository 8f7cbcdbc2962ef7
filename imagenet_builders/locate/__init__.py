"""What is staged under `manual_dir`, and what is known of the official archives."""
