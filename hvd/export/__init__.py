"""The figures in the formats of others."""
