"""The block as its readers see it: one reading, and the snapshot and the history made of it."""
