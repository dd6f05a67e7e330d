"""vidrec: recommends videos by what is in their scenes."""

__version__ = "0.1.0"
