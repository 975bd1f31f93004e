"""Every setting of the desk, read from the environment and typed. No secret has a default."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

from tradingops.logs import logging_config

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
ENV_FILE = BASE_DIR / ".env"
environ.Env.read_env(ENV_FILE)


def _time_of_day(text: str) -> dt.time:
    try:
        return dt.datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007 - a time, not a moment
    except ValueError:
        raise ImproperlyConfigured(f"INSTRUMENTS_AT={text}: write hours:minutes, 08:30") from None


# --- the house ---------------------------------------------------------------------------------
SECRET_KEY = env.str("SECRET_KEY")
CREDENTIAL_KEYS = env.list("CREDENTIAL_KEYS")  # Fernet keys, newest first; older ones still read
DEBUG = env.bool("DEBUG", default=False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
BEHIND_TLS = env.bool("BEHIND_TLS", default=False)
SETTINGS_ARE_FOR_TESTS = env.bool("SETTINGS_ARE_FOR_TESTS", default=False)

DATABASES = {"default": env.db_url("DATABASE_URL")}
DATABASES["default"] |= {
    "CONN_MAX_AGE": None,
    "CONN_HEALTH_CHECKS": True,
    "ATOMIC_REQUESTS": False,
}
DATABASES["default"].setdefault("OPTIONS", {})
DATABASES["default"]["OPTIONS"] |= {
    "options": "-c statement_timeout=15000 -c lock_timeout=8000"
    " -c idle_in_transaction_session_timeout=5000",
    # The same two dozen statements carry every order: the server plans each of them once.
    "server_side_binding": True,
    "prepare_threshold": 3,
}
if env.bool("DATABASE_POOL", default=False):  # the web process, with a thread for each request
    DATABASES["default"]["CONN_MAX_AGE"] = 0  # given back to the pool, not closed
    DATABASES["default"]["OPTIONS"]["pool"] = {"min_size": 2, "max_size": 28, "timeout": 2}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.str("REDIS_URL")

# --- trading -----------------------------------------------------------------------------------
LIVE_TRADING = env.bool("LIVE_TRADING", default=False)
SIMEXCHANGE_URL = env.str("SIMEXCHANGE_URL", default="")
# Where the broker's master file is, by kind of broker; empty: where the broker publishes it.
INSTRUMENT_URLS = {"dhan": env.str("DHAN_INSTRUMENTS_URL", default="")}
INSTRUMENTS_AT = _time_of_day(env.str("INSTRUMENTS_AT", default="08:30"))  # Indian time, daily
INSTRUMENTS_WITHIN = env.float("INSTRUMENTS_WITHIN", default=180.0)  # seconds for the download
INSTRUMENTS_LOOK_EVERY = 300.0  # seconds between looks whether the import is due
USER_AGENT = "tradingops-desk/0.1"
CONNECT_TIMEOUT = env.float("CONNECT_TIMEOUT", default=3.0)  # seconds
CALL_TIMEOUT = env.float("CALL_TIMEOUT", default=8.0)  # seconds, first byte out to last byte in
SEND_WITHIN = env.float("SEND_WITHIN", default=3.0)  # seconds from journal row to first byte
SETTLE_TIME = env.float("SETTLE_TIME", default=10.0)  # seconds a broker may hide a new order
# Seconds that the desk looks by itself before people may release an order in doubt, and before
# they may while its books of today cannot be read.
RELEASE_AFTER = env.float("RELEASE_AFTER", default=120.0)
RELEASE_UNREAD_AFTER = env.float("RELEASE_UNREAD_AFTER", default=900.0)
DECISION_LIFETIME = env.float("DECISION_LIFETIME", default=30.0)  # seconds an approval lives
EXIT_DECISION_LIFETIME = env.float("EXIT_DECISION_LIFETIME", default=300.0)
CLAIM_GRACE = env.float("CLAIM_GRACE", default=5.0)  # seconds before a silent claim is handed back
SWEEP_EVERY = env.float("SWEEP_EVERY", default=1.0)
RECONCILE_EVERY = env.float("RECONCILE_EVERY", default=5.0)
IDLE_RECONCILE_EVERY = env.float("IDLE_RECONCILE_EVERY", default=60.0)
REPORTS_EVERY = env.float("REPORTS_EVERY", default=15.0)  # funds and positions of every account
GUARD_AFTER = env.float("GUARD_AFTER", default=4.0)  # seconds of silence before guard sweeps
HEARTBEAT_EVERY = env.float("HEARTBEAT_EVERY", default=2.0)
HEARTBEAT_STALE = env.float("HEARTBEAT_STALE", default=10.0)
FEED_PING_EVERY = env.float("FEED_PING_EVERY", default=5.0)
FEED_PONG_WITHIN = env.float("FEED_PONG_WITHIN", default=5.0)
QUOTE_FLUSH_EVERY = env.float("QUOTE_FLUSH_EVERY", default=0.25)  # seconds between writes
SESSIONS_EVERY = env.float("SESSIONS_EVERY", default=5.0)  # seconds between looks at the tokens
TOKEN_RENEW_BEFORE = env.float("TOKEN_RENEW_BEFORE", default=7200.0)  # seconds before its end
TOKEN_WARN_BEFORE = env.list("TOKEN_WARN_BEFORE", cast=int, default=[60, 15])  # minutes
TOKEN_ENTRY_MARGIN = env.float("TOKEN_ENTRY_MARGIN", default=300.0)  # seconds of life for entries
TOKEN_TRIES_PER_HOUR = env.int("TOKEN_TRIES_PER_HOUR", default=5)  # of each kind, per account
CONSENT_LIFETIME = env.float("CONSENT_LIFETIME", default=600.0)  # seconds for a login in a browser
ADDRESS_RETRY = env.float("ADDRESS_RETRY", default=900.0)  # seconds after a refusal of our address
CLOCK_LIMIT = env.float("CLOCK_LIMIT", default=5.0)  # seconds that a broker's clock may be off
FLATTEN_EVERY = env.float("FLATTEN_EVERY", default=0.5)  # seconds between looks at what closes
FLATTEN_REPRICE_AFTER = env.float("FLATTEN_REPRICE_AFTER", default=5.0)  # seconds an exit may rest
FLATTEN_LOUD_AFTER = env.float("FLATTEN_LOUD_AFTER", default=10.0)  # seconds of waiting, then loud
FLATTEN_RETRY_MOST = env.float("FLATTEN_RETRY_MOST", default=30.0)  # seconds after many denials
FLATTEN_DEADLINE = env.float("FLATTEN_DEADLINE", default=120.0)  # seconds until it is late
# Seconds that a bracket may hold units without a stop at work: then it is told, then it is left.
BRACKET_BROKER_TIME = env.float("BRACKET_BROKER_TIME", default=3.0)  # to act before the guardian
BRACKET_PROTECT_WITHIN = env.float("BRACKET_PROTECT_WITHIN", default=5.0)
BRACKET_LEAVE_AFTER = env.float("BRACKET_LEAVE_AFTER", default=15.0)
BRACKET_GAP_FOR = env.float("BRACKET_GAP_FOR", default=2.0)  # seconds beyond the stop's limit
BRACKET_TRIES = env.int("BRACKET_TRIES", default=3)  # orders of a leg that may fail in a row
BRACKET_QUOTE_AGE = env.float("BRACKET_QUOTE_AGE", default=5.0)  # seconds; older moves no stop
BRACKET_LEAVE_BEFORE = env.float("BRACKET_LEAVE_BEFORE", default=420.0)  # seconds, of an auction
GUARD_ALSO = ["apps.signals.sweep.act_on_exits"]
TRADING_ZONE = "Asia/Kolkata"


def _windows(text: str) -> dict[int, int]:
    """``seconds:calls`` pairs, shortest first; at most four, which the budget counts at once."""
    pairs = re.findall(r"(\d+):(\d+)", text, re.ASCII)
    if ",".join(map(":".join, pairs)) != text.replace(" ", "") or not 1 <= len(pairs) <= 4:
        raise ImproperlyConfigured(f"ORDER_LIMITS={text}: write seconds:calls, as in 1:10,60:250")
    windows = {int(span): int(calls) for span, calls in pairs}
    if min(*windows, *windows.values()) < 1 or [int(span) for span, _ in pairs] != sorted(windows):
        raise ImproperlyConfigured(f"ORDER_LIMITS={text}: the spans must rise, and none may be 0")
    return windows


# Order calls that an account may make, by seconds. DhanHQ's documented limits: never raise them
# for a real account, the broker would only answer 429.
ORDER_LIMITS = _windows(env.str("ORDER_LIMITS", default="1:10,60:250,3600:1000,86400:7000"))
CHANGES_PER_ORDER = env.int("CHANGES_PER_ORDER", default=25)  # the broker's own limit, too

# The rules an order must pass, in order. An empty or broken list refuses everything.
RISK_RULES = [
    "apps.risk.rules.KnownAccount",
    "apps.risk.rules.TestMode",
    "apps.risk.rules.Switch",
    "apps.risk.rules.Ready",
    "apps.risk.rules.Tradable",
    "apps.risk.rules.MarketOpen",
    "apps.risk.rules.QuantityAndLot",
    "apps.risk.rules.PriceAndTick",
    "apps.risk.rules.PriceBand",
    "apps.risk.rules.TriggerSide",
    "apps.risk.rules.KeptExits",
    "apps.risk.rules.AllowedOrderType",
    "apps.risk.rules.OrderValue",
    "apps.risk.rules.OpenOrders",
    "apps.risk.rules.AgeOfData",
    "apps.risk.rules.Margin",
    "apps.risk.rules.ExitCap",
    "apps.risk.delivering.Delivery",
    "apps.risk.rules.SecondPerson",
]
# What must be right of an account before it takes entries. An empty or broken list refuses them.
READINESS_CHECKS = [
    "apps.brokers.conditions.TokenInForce",
    "apps.brokers.conditions.AddressAllowed",
    "apps.brokers.conditions.ClockRight",
    "apps.brokers.conditions.InstrumentsRead",
    "apps.brokers.conditions.CalendarConfirmed",
    "apps.orders.conditions.OrderNewsHeard",
    "apps.orders.conditions.BooksRead",
    "apps.orders.conditions.BreaksExplained",
    "apps.brokers.conditions.PricesHeard",
    "apps.risk.conditions.FundsRead",
    "apps.risk.conditions.MarginTold",
]
# Kinds of break that stop entries from the day after they were seen, until they are explained.
BREAKS_THAT_STOP = env.list(
    "BREAKS_THAT_STOP",
    default=[
        "OURS_ONLY",
        "THEIRS_ONLY",
        "STATUS",
        "QUANTITY",
        "FILL_MISSING",
        "FILL",
        "POSITION",
    ],
)
# Defaults of a new account's policy; afterwards the rows decide.
RISK_MAX_ORDER_VALUE = env.str("RISK_MAX_ORDER_VALUE", default="500000")  # rupees
RISK_MAX_ORDER_QUANTITY = env.int("RISK_MAX_ORDER_QUANTITY", default=5000)
RISK_MAX_OPEN_ORDERS = env.int("RISK_MAX_OPEN_ORDERS", default=200)
RISK_MAX_DATA_AGE = env.int("RISK_MAX_DATA_AGE", default=120)  # seconds
RISK_MAX_QUOTE_AGE = env.int("RISK_MAX_QUOTE_AGE", default=10)  # seconds
RISK_PROTECTION_PERCENT = env.str("RISK_PROTECTION_PERCENT", default="1")
RISK_STOP_PROTECTION_PERCENT = env.str("RISK_STOP_PROTECTION_PERCENT", default="2")
RISK_PRICE_BAND_PERCENT = env.str("RISK_PRICE_BAND_PERCENT", default="20")  # empty: none
RISK_CHECK_MARGIN = env.bool("RISK_CHECK_MARGIN", default=True)
RISK_APPROVAL_ABOVE_VALUE = env.str("RISK_APPROVAL_ABOVE_VALUE", default="")  # empty: never
# What an order that was made outside the desk does besides the alert: ALERT (nothing) or HALT.
RISK_ON_OUTSIDE_TRADE = env.str("RISK_ON_OUTSIDE_TRADE", default="ALERT")
APPROVAL_LIFETIME = env.float("APPROVAL_LIFETIME", default=600.0)  # seconds a request waits

# --- alerts to people outside -------------------------------------------------------------------
ALERTS_EVERY = env.float("ALERTS_EVERY", default=1.0)  # seconds between looks for what is due
ALERT_SEND_TIMEOUT = env.float("ALERT_SEND_TIMEOUT", default=10.0)  # seconds per message, in all
ALERT_FIRST_PAUSE = env.float("ALERT_FIRST_PAUSE", default=5.0)  # seconds; doubles to 300
TELEGRAM_API_URL = env.str("TELEGRAM_API_URL", default="https://api.telegram.org")
TELEGRAM_POLL = env.float("TELEGRAM_POLL", default=25.0)  # seconds one question waits for news
TELEGRAM_COMMAND_MAX_AGE = env.float("TELEGRAM_COMMAND_MAX_AGE", default=120.0)  # seconds
STRATEGY_REPORT_MINUTES = env.int("STRATEGY_REPORT_MINUTES", default=10)  # 0: never
DELIVER_ALSO = ["apps.chat.schedule.post_due"]


def _hours(text: str) -> tuple[dt.time, dt.time]:
    """``09:15-15:30``: the hours of reports on weekdays where the calendar gives none."""
    try:
        opens, closes = (dt.time.fromisoformat(part.strip()) for part in text.split("-"))
    except ValueError:
        opens = closes = dt.time.min
    if opens >= closes:
        raise ImproperlyConfigured(f"REPORT_HOURS={text}: write two times, as in 09:15-15:30")
    return opens, closes


REPORT_HOURS = _hours(env.str("REPORT_HOURS", default="09:15-15:30"))

# --- Django ------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "daphne",
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "axes",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "tradingops.apps.TradingOpsConfig",
    "apps.alerts",
    "apps.brokers",
    "apps.risk",
    "apps.orders",
    "apps.signals",
    "apps.desk",
    "apps.chat",
    "apps.people",  # last: its roles are made of the permissions of all others
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "apps.signals.door.SignalDoor",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "apps.people.middleware.EntryMiddleware",
    "axes.middleware.AxesMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "tradingops.urls"
ASGI_APPLICATION = "tradingops.asgi.application"
STATIC_URL = "static/"
STATIC_ROOT = env.str("STATIC_ROOT", default=str(BASE_DIR / "var" / "static"))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("MinimumLengthValidator", "CommonPasswordValidator", "NumericPasswordValidator")
]
# Ten wrong passwords for one name from one address lock that pair out for a quarter of an hour;
# fifty from anywhere lock the name out, but not at addresses it has signed in from.
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_ENABLE_ACCESS_FAILURE_LOG = True
AXES_ENABLE_ADMIN = False
AXES_HANDLER = "apps.people.lockout.Handler"
AXES_CLIENT_IP_CALLABLE = "apps.people.address.client_address"
AXES_LOCKOUT_CALLABLE = "apps.people.lockout.page"
SIEGE_LIMIT = 50
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", default=0)  # how many stand in front of us
REQUIRE_SECOND_FACTOR = env.bool("REQUIRE_SECOND_FACTOR", default=True)
OTP_TOTP_ISSUER = "Trading operations"
SESSION_IDLE_MINUTES = env.float("SESSION_IDLE_MINUTES", default=30.0)
SESSION_HOURS = env.float("SESSION_HOURS", default=8.0)
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

USE_TZ = True
TIME_ZONE = TRADING_ZONE
LANGUAGE_CODE = "en-in"
USE_I18N = False
FORMAT_MODULE_PATH = ["apps.desk.formats"]  # day first, 24 hours, seconds

SESSION_COOKIE_AGE = int(SESSION_HOURS * 3600)
SESSION_COOKIE_SECURE = BEHIND_TLS
CSRF_COOKIE_SECURE = BEHIND_TLS
SECURE_SSL_REDIRECT = BEHIND_TLS
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
SECURE_HSTS_SECONDS = 31_536_000 if BEHIND_TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = BEHIND_TLS
SECURE_HSTS_PRELOAD = BEHIND_TLS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_TLS else None
X_FRAME_OPTIONS = "DENY"

UNFOLD = {
    "SITE_TITLE": "Trading operations",
    "SITE_HEADER": "Trading operations",
    "SITE_SYMBOL": "candlestick_chart",
    "SITE_URL": None,  # the desk is the site
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "BORDER_RADIUS": "6px",
    "COLORS": {
        "primary": {
            "50": "oklch(97% .014 254.604)",
            "100": "oklch(93.2% .032 255.585)",
            "200": "oklch(88.2% .059 254.128)",
            "300": "oklch(80.9% .105 251.813)",
            "400": "oklch(70.7% .165 254.624)",
            "500": "oklch(68% .17 257)",
            "600": "oklch(50.5% .19 260)",
            "700": "oklch(45% .19 262)",
            "800": "oklch(42.4% .199 265.638)",
            "900": "oklch(37.9% .146 265.522)",
            "950": "oklch(28.2% .091 267.935)",
        }
    },
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "sizes": "any",
            "type": "image/svg+xml",
            "href": "apps.desk.navigation.favicon",
        }
    ],
    "STYLES": ["apps.desk.navigation.style"],
    "GLOBAL_CALLBACK": "apps.desk.navigation.surroundings",
    "SIDEBAR": {"navigation": "apps.desk.navigation.sidebar"},
}

# --- channels and celery -----------------------------------------------------------------------
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": env.str("CHANNEL_PREFIX", default="desk")},
    }
}


def _kombu_url(url: str) -> str:
    """Celery spells a Redis socket differently from redis-py."""
    if not url.startswith("unix://"):
        return url
    path, _, query = url.removeprefix("unix://").partition("?")
    return f"redis+socket://{path}?virtual_host={query.removeprefix('db=') or '0'}"


CELERY_BROKER_URL = _kombu_url(REDIS_URL)
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 3600,
    "socket_connect_timeout": 2,
    "socket_timeout": 5,
    "retry_on_timeout": False,
    # A bell that cannot be rung at once is not rung: the sweep finds the row.
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.1,
    "interval_max": 0.1,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_DEFAULT_QUEUE = "housekeeping"
CELERY_TIMEZONE = TRADING_ZONE

LOGGING = logging_config(env.str("LOG_LEVEL", default="INFO"))
LOGGING_CONFIG = "tradingops.logs.configure"
