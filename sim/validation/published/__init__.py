"""The published results: a module each, with one declaration called ``RESULT`` and the name of its module."""

__all__: list[str] = []
