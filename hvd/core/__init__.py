"""The block: its layout, its catalogue, its slots and rows, and their totals."""
