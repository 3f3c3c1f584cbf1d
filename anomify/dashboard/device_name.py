"""What a browser or program calls itself, in words that its owner knows it by."""

# The first that is found decides; browsers name those they descend from too.
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
UNKNOWN = "A client that did not say what it is"


def device_of(client: str) -> str:
    """Return a few words for what a client says of itself: Firefox on Linux, or curl/8.5.0."""
    browser = next((name for mark, name in _BROWSERS if mark in client), None)
    system = next((name for mark, name in _SYSTEMS if mark in client), None)
    if browser and system:
        return f"{browser} on {system}"
    return browser or client.split(" ", maxsplit=1)[0] or UNKNOWN
