"""Pages in a real browser: a page that collects faults, signing in, and what a chart shows."""

from urllib.parse import parse_qs, quote, urlsplit

from playwright.sync_api import ConsoleMessage, Page, expect

from tests.kit.server import Server

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


DESKTOP = {"width": 1440, "height": 900}


PHONE = {"width": 390, "height": 844}


SMALLEST = {"width": 360, "height": 740}


PASSWORD = "quiet harbour at five"


EMAIL = "alice@acme.example"


STRUCK = "checkout.orders"


HOSTILE = '"><svg onload=alert(1)>'


NAMES = [STRUCK, HOSTILE, 'cpu{host="a",mode="idle"}']


POINTS = 900


# Logged to the page's console, where it counts as an error.
LOG_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) => {
  console.error(`refused by the policy: ${event.violatedDirective} ${event.blockedURI}`);
});
"""


class Watched:
    """A page of which every fault is kept: errors, violations, dialogs and foreign requests."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.faults: list[str] = []
        page.add_init_script(LOG_VIOLATIONS)
        page.on("console", self._keep_error)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("dialog", lambda dialog: self.faults.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: self._keep_foreign(request.url, url))

    def _keep_error(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.faults.append(message.text)

    def _keep_foreign(self, address: str, url: str) -> None:
        if not address.startswith((url, "data:")):
            self.faults.append(f"request to another host: {address}")


def history(name: str, until: int) -> list[dict[str, object]]:
    """A wave with a little noise; the first metric leaps for ten minutes, an hour ago."""
    rows = []
    for place in range(POINTS):
        timestamp = until - (POINTS - place) * 60
        value = 100 + 10 * ((place % 60) / 60) + (place * 7919 % 13) / 4
        is_struck = name == STRUCK and POINTS - 60 <= place < POINTS - 50
        rows.append(
            {"metric": name, "timestamp": timestamp, "value": value + (300 if is_struck else 0)}
        )
    return rows


def is_judged(server: Server, token: str) -> bool:
    path = f"/metric/{quote(HOSTILE, safe='')}"
    data = server.data("/anomalies", token)
    return bool(data["total"] > 0 and server.data(path, token)["metric"]["state"] == "judged")


def sign_in(page: Page, url: str) -> None:
    page.goto(f"{url}/ui/")
    page.get_by_label("E-mail").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Anomalies", level=1)).to_be_visible()


def open_metric(
    page: Page, url: str, name: str = STRUCK, *, is_empty: bool = False, **query: object
) -> None:
    more = "".join(f"&{key}={value}" for key, value in query.items())
    with page.expect_response(lambda reply: "/bundle" in reply.url):
        page.goto(f"{url}/ui/metric?name={quote(name, safe='')}{more}")
    if not is_empty:
        expect(page.locator("[data-part=value]")).not_to_be_empty()


def pixels(page: Page, colour: tuple[int, int, int]) -> int:
    """How many pixels of the chart have this colour, or nearly."""
    count: int = page.evaluate(
        """([red, green, blue]) => {
          const canvas = document.querySelector("#chart canvas");
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          let count = 0;
          for (let at = 0; at < data.length; at += 4) {
            const far = Math.abs(data[at] - red) + Math.abs(data[at + 1] - green)
              + Math.abs(data[at + 2] - blue);
            count += data[at + 3] > 200 && far < 24 ? 1 : 0;
          }
          return count;
        }""",
        list(colour),
    )
    return count


def query_of(page: Page) -> dict[str, str]:
    return {key: found[0] for key, found in parse_qs(urlsplit(page.url).query).items()}
