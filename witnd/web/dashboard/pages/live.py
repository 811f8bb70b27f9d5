"""The stream that open pages listen to."""

from witnd.web.dashboard.page import Answer, PageRequest, page
from witnd.web.errors import ApiError
from witnd.web.http.route import Stream


@page("/dashboard/live")
async def live(request: PageRequest) -> Answer:
    pulse = request.services.pulse
    if pulse.full:
        raise ApiError("UNAVAILABLE", "too many pages are kept up to date already", headers={"Retry-After": "30"})
    # Proxies that collect answers before they pass them on are asked not to.
    return Stream(pulse.events(), "text/event-stream; charset=utf-8", {"X-Accel-Buffering": "no"})
