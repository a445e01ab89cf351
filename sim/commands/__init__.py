"""The subcommands of `sim`, one a file; `sim.cli` imports each only when it is called."""

__all__: list[str] = []
