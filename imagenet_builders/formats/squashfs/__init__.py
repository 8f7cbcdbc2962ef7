"""SquashFS images: lists their files and reads each where it lies, without mounting anything."""
