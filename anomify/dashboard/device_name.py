"""Short names of browsers and programs, from their User-Agent header."""

# In this order, because browsers also name the browsers they are derived from.
_BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)
UNKNOWN = "An unnamed client"


def device_of(client: str) -> str:
    """Return a short name for a User-Agent, such as Firefox on Linux, or curl/8.5.0."""
    browser = next((name for mark, name in _BROWSERS if mark in client), None)
    system = next((name for mark, name in _SYSTEMS if mark in client), None)
    if browser and system:
        return f"{browser} on {system}"
    return browser or client.split(" ", maxsplit=1)[0] or UNKNOWN
