"""Run the rules. An empty, unknown or broken list of rules refuses everything."""

from __future__ import annotations

from functools import lru_cache

import structlog
from django.conf import settings
from django.utils.module_loading import import_string

from apps.risk.rules import Rule, Snapshot

log = structlog.get_logger(__name__)


class NoRules(Exception):
    """The list of rules in the settings is empty or names something that is no rule."""


@lru_cache(maxsize=4)
def _load(paths: tuple[str, ...]) -> tuple[Rule, ...]:
    if not paths:
        raise NoRules("RISK_RULES is empty")
    try:
        rules = tuple(import_string(path)() for path in paths)
    except (ImportError, TypeError) as error:
        raise NoRules(f"RISK_RULES cannot be loaded: {error}") from error
    for path, rule in zip(paths, rules, strict=True):
        if not getattr(rule, "name", "") or not callable(getattr(rule, "refusal", None)):
            raise NoRules(f"RISK_RULES: {path} is not a rule")
    return rules


def rules_in_force() -> tuple[Rule, ...]:
    """The rules of the settings, in order. Raises ``NoRules``."""
    return _load(tuple(settings.RISK_RULES))


def judge(snapshot: Snapshot) -> list[dict[str, str]]:
    """Every refusal, as {rule, reason}; an empty list is a yes."""
    try:
        rules = rules_in_force()
    except NoRules as error:
        return [{"rule": "rules", "reason": str(error)}]
    refusals = []
    for rule in rules:
        reason = _ask(rule, snapshot)
        if reason is not None:
            refusals.append({"rule": rule.name, "reason": reason})
    return refusals


def _ask(rule: Rule, snapshot: Snapshot) -> str | None:
    """A rule that breaks says no, whatever broke it: refusing is the only safe answer."""
    try:
        reason: object = rule.refusal(snapshot)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        log.exception("rule broke", rule=rule.name)
        return f"the rule could not be applied ({type(error).__name__})"
    if reason is None or isinstance(reason, str):
        return reason
    return "the rule gave no readable answer"
