"""The side of a companion that all companions share: what it is told, how it logs, lives, is reloaded and ends."""
