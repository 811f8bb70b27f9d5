"""All routes there are."""

from witnd.web.api import events, health
from witnd.web.route import ROUTES

__all__ = ["ROUTES", "events", "health"]
