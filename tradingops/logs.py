"""Structured logs with one correlation id from start to broker, and no secret in them."""

from __future__ import annotations

import logging
import logging.config
import re
from collections.abc import MutableMapping
from typing import Any

import structlog

_SECRET_KEYS = re.compile(r"token|secret|password|pin|totp|authorization|credential", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    r"(?i)((?:access-)?token(?:[_-]?id)?|secret|password|totp|pin)([\"']?\s*[:=]\s*[\"']?)[^\s\"',&}]+"
    r"|eyJ[\w-]{8,}\.[\w-]+\.[\w-]*"
)
_HOOK = re.compile(r"(/hooks/)[^/\s'\"]+")
_BOT = re.compile(r"\b(bot)?\d{3,20}:[\w-]{20,}")  # a token of Telegram, in its addresses too
_NAMED = re.compile(r"(\b[a-z][a-z+]*://)[^/\s@'\"]+@")  # name and password in an address


def redact_text(text: str) -> str:
    """The text with tokens, passwords, signed JSON tokens and secret addresses masked."""
    text = _NAMED.sub(r"\1***@", _BOT.sub("***", _HOOK.sub(r"\1***", text)))
    return _SECRET_TEXT.sub(lambda m: f"{m.group(1)}{m.group(2)}***" if m.group(1) else "***", text)


def redact(
    logger: object, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """structlog processor: mask by key name first, then by what the text looks like."""
    for key, value in event.items():
        if _SECRET_KEYS.search(key):
            event[key] = "***"
        elif key == "request":
            event[key] = redact_text(repr(value))
        elif isinstance(value, str):
            event[key] = redact_text(value)
    return event


_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    redact,
]


def logging_config(level: str) -> dict[str, Any]:
    """The logging dictionary: one JSON object a line on standard error."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": _SHARED,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.JSONRenderer(),
                ],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "daphne": {"level": "WARNING"},
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.app.trace": {"level": "WARNING"},
            "axes": {"level": "WARNING"},
            "django.channels.server": {"level": "WARNING"},
            "urllib3": {"level": "WARNING"},  # below it, whole addresses are written
        },
    }


def configure(config: dict[str, Any]) -> None:
    """Set up the standard library's logging and structlog on top of it."""
    logging.config.dictConfig(config)
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
