"""The catalog: a site of static pages on the datasets under a directory, all from what they say."""
