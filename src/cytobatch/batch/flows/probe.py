"""One question to Prefect's server before its client is used: whether it is up."""

import ssl

import certifi
import httpx
from prefect.settings import PREFECT_API_SSL_CERT_FILE, PREFECT_API_TLS_INSECURE_SKIP_VERIFY, PREFECT_API_URL

_SECONDS = 30.0
"""The longest wait for an answer, so that the report of a longer run can have the warning. The plate does not wait."""


def probe(seconds: float = _SECONDS) -> None:
    """Ask the server whether it is up, once, and wait `seconds` at most.

    Raises an error of httpx if it does not answer, or answers with 5xx.

    Prefect's client asks again for half a minute, and settings that keep it from that take 0.2 s to make. An answer
    that refuses the question, such as 401, counts as one.
    """
    response = httpx.get(f"{PREFECT_API_URL.value()}/health", timeout=seconds, verify=_verify())
    if response.is_server_error:
        response.raise_for_status()


def _verify() -> ssl.SSLContext | bool:
    """Return how to verify a server by Prefect's settings. Certificates take 15 ms to load, so HTTP does without."""
    if not str(PREFECT_API_URL.value()).startswith("https:") or PREFECT_API_TLS_INSECURE_SKIP_VERIFY.value():
        return False
    return ssl.create_default_context(cafile=PREFECT_API_SSL_CERT_FILE.value() or certifi.where())
