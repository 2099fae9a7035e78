"""Where a browser is, for whoever drives one: tests, screenshots, measurements."""

import shutil

_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def find_browser() -> str:
    """Return the path of the system's Chromium.

    Raises:
        FileNotFoundError: there is none.
    """
    for name in _NAMES:
        if found := shutil.which(name):
            return found
    message = "there is no Chromium; `make browser` installs it as root where there is apt-get"
    raise FileNotFoundError(message)
