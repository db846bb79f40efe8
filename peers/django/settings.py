"""Settings of the peer. SESSION_ENGINE and CACHE_BACKEND are those of the scenario file."""

import os
from urllib.parse import urlsplit

SECRET_KEY = "keyboard cat"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "urls"
INSTALLED_APPS = ["django.contrib.sessions"]
MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware"]
SESSION_ENGINE = os.environ["SESSION_ENGINE"]

store = urlsplit(os.environ["STORE_URL"])
if store.scheme == "postgres":
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": store.path.removeprefix("/"),
            "USER": store.username,
            "HOST": store.hostname,
            "PORT": store.port,
        }
    }
else:
    CACHES = {
        "default": {
            "BACKEND": os.environ["CACHE_BACKEND"],
            "LOCATION": os.environ["STORE_URL"],
        }
    }
