"""The simulator: the real services on a simulated broker, store and clock, one thread, one seed, no I/O."""
