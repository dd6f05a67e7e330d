"""A small library of videos made on the spot, and users who watched some of it."""

from vidrec.demo.library import make_library
from vidrec.demo.users import DEMO_USERS, demo_interactions

__all__ = ["DEMO_USERS", "demo_interactions", "make_library"]
