"""The stream that open pages listen to."""

from witnd.web.dashboard.page import Answer, PageRequest, page
from witnd.web.errors import ApiError
from witnd.web.http.route import Stream


@page("/dashboard/live")
async def live(request: PageRequest) -> Answer:
    pulse = request.services.pulse
    if pulse.full:
        raise ApiError("UNAVAILABLE", "too many open pages are receiving updates", headers={"Retry-After": "30"})
    # The header keeps proxies from buffering the stream.
    return Stream(pulse.events(), "text/event-stream; charset=utf-8", {"X-Accel-Buffering": "no"})
