"""Protocols: one file a protocol, next to its paper. They know `sim.node` and `sim.system`, never the kernel."""
