"""The admin server: a companion that answers hvd's own paths on an address of its own, whatever the workers do."""
