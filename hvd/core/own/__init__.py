"""The app's own metrics in the block: what a process counts of them, and what they add up to."""
