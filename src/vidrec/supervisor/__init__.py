"""The whole system on one machine: four processes that are started, watched, restarted and ended together."""

from vidrec.supervisor.system import System

__all__ = ["System"]
