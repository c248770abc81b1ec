"""Where the threads of workers stand in their code: how a master takes their stacks, and logs slow requests."""
