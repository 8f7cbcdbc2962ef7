"""`check`: lists what a `manual_dir` has for each dataset, and what is missing, odd or damaged.

`targets` surveys each dataset. `gather` inspects each file and makes rows and problems. `explain`
finds reasons for what is missing. `hash_verdicts`, `deep`, `needs` and `speed` go further where the
user asks for it. `rendering` writes the report.
"""
