"""The jobs' database: its tables, and what clients and job runners do with them."""
