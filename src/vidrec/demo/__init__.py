"""A small library of videos made on the spot, and users who watched some of it."""

from vidrec.demo.library import clips, make_library
from vidrec.demo.users import DEMO_USERS, demo_interactions

__all__ = ["DEMO_USERS", "clips", "demo_interactions", "make_library"]
