"""A browser as far as a login needs one: cookies, redirects, forms. No JavaScript.

The public origin has no listener in these tests: what goes to its `/auth` is sent to Keycloak's
own port, as haproxy would.
"""

import html
import http.client
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlencode, urlsplit

FORM = re.compile(r'<form[^>]*?\baction="([^"]+)"', re.DOTALL)
FIELD = re.compile(r'<(?:input|button)[^>]*?\bname="([^"]+)"')


@dataclass
class Answer:
    status: int
    location: str
    text: str

    @property
    def fields(self) -> set[str]:
        """Return the names of what the page asks for."""
        return set(FIELD.findall(self.text))

    @property
    def action(self) -> str:
        found = FORM.search(self.text)
        assert found, self.text[:2000]
        return html.unescape(found[1])


@dataclass
class Browser:
    origin: str
    port: int  # of Keycloak
    cookies: dict[str, str] = field(default_factory=dict)

    def ask(self, url: str, form: Mapping[str, str] | None = None) -> Answer:
        """Send one request to Keycloak; follow nothing."""
        parts = urlsplit(url)
        assert f"{parts.scheme}://{parts.netloc}" == self.origin, url
        headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items())}
        body = None
        if form is not None:
            body = urlencode(form)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            path = f"{parts.path}?{parts.query}"
            connection.request("POST" if body else "GET", path, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
            for line in answer.headers.get_all("Set-Cookie", []):
                for name, morsel in SimpleCookie(line).items():
                    self.cookies[name] = morsel.value
            return Answer(answer.status, answer.headers.get("Location", ""), text)
        finally:
            connection.close()

    def login(self, url: str, username: str, password: str, otp: str = "") -> dict[str, str]:
        """Sign in and return the query with which Keycloak sends the browser back."""
        answer = self.ask(url)
        for _ in range(5):
            if answer.location:
                if not urlsplit(answer.location).path.startswith("/auth/"):
                    return query_of(answer.location)
                answer = self.ask(answer.location)
            elif "password" in answer.fields:
                answer = self.ask(answer.action, {"username": username, "password": password})
                password = "" if "password" in answer.fields else password
                assert password, "wrong password"
            elif "otp" in answer.fields and otp:
                answer = self.ask(answer.action, {"otp": otp})
                otp = ""
            else:
                break
        raise AssertionError(f"{answer.status} {sorted(answer.fields)} {answer.text[:3000]}")


def query_of(url: str) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}
