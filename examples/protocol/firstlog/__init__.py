"""A log that one replica, the primary, orders, and that a majority holds on disk. Put your protocol in its place."""

from firstlog.messages import Append, Held
from firstlog.node import FirstLogNode
from firstlog.system import FirstLog

__all__ = ["Append", "FirstLog", "FirstLogNode", "Held"]
