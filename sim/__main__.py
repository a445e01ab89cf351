"""``python -m sim`` is the `sim` command."""

from sim.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
