"""Start the parts in order, keep them up, stop them in reverse."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from supervisor.attention import Attention
from supervisor.child import Child
from supervisor.errors import HouseError
from supervisor.part import Part
from supervisor.say import say

STOP_WITHIN = 9.0  # seconds, all parts together
HEALTH_PATIENCE = 60.0  # seconds
TELL_EVERY = 3.0  # seconds, what the start waits for


class House:
    def __init__(
        self,
        parts: Sequence[Part],
        env: Mapping[str, str],
        cwd: Path,
        log: Path,
        attention: Attention,
    ) -> None:
        self.attention = attention
        self.shown: list[str] = []
        self._children = [Child(part, env, cwd, log) for part in parts]
        self._started: list[Child] = []

    # --- starting ---

    def start(self) -> None:
        for child in self._children:
            self._start(child)

    def _start(self, child: Child) -> None:
        self.attention.pause(0)
        say(f"{child.part.name:<16}", end="")
        self._started.append(child)
        child.start()
        if child.part.once:
            self._wait_for_end(child)
            say(f"done in {child.age:.1f} s")
            return
        self._wait(child.ready, child.part.patience, f"{child.part.name} is not ready")
        timed = f"ready in {child.age:.1f} s" if child.part.ready else "started"
        say(timed)

    def _wait_for_end(self, child: Child) -> None:
        while child.running:
            if child.age > child.part.patience:
                raise HouseError(_obituary(child, f"not done after {child.part.patience:.0f} s"))
            self.attention.pause(0.02)
        if child.code != 0:
            raise HouseError(_obituary(child, child.ending()))
        self.shown += child.shown_text().splitlines()

    def wait_until_healthy(self, ask: Callable[[], Mapping[str, str]]) -> None:
        """`ask` names what is still missing, and why; nothing, when all is well."""
        began = said = time.monotonic()
        while missing := ask():
            self._watch_the_start()
            now = time.monotonic()
            if now - began > HEALTH_PATIENCE:
                why = "\n".join(f"  {name}: {reason}" for name, reason in missing.items())
                raise HouseError(f"not well after {HEALTH_PATIENCE:.0f} s:\n{why}")
            if now - said > TELL_EVERY:
                say(f"waiting for {', '.join(missing)}")
                said = now
            self.attention.pause(0.2)
        while any(child.age < child.part.settle for child in self._started if not child.part.once):
            self._watch_the_start()
            self.attention.pause()

    def _wait(self, done: Callable[[], bool], patience: float, complaint: str) -> None:
        until = time.monotonic() + patience
        while True:
            self._watch_the_start()
            if done():
                return
            if time.monotonic() > until:
                raise HouseError(_obituary(self._started[-1], complaint))
            self.attention.pause(0.02)

    def _watch_the_start(self) -> None:
        """While starting, the death of any part is the end of the attempt."""
        for child in self._started:
            if not child.part.once and not child.running:
                raise HouseError(_obituary(child, child.ending()))

    # --- keeping ---

    def keep(self) -> None:
        while True:
            self.attention.pause(0.1)
            for child in self._children:
                if not child.part.once and not child.running:
                    self._mend(child)

    def _mend(self, child: Child) -> None:
        if child.due is None:
            ending = child.ending()
            child.end()
            say(f"{child.part.name}: {ending}; starts again in {child.postpone():.1f} s")
        elif time.monotonic() >= child.due:
            try:
                child.start()
                say(f"{child.part.name}: started again")
            except (HouseError, OSError) as error:
                say(f"{child.part.name}: {error}; tries again in {child.postpone():.1f} s")

    # --- stopping ---

    def stop(self) -> None:
        until = time.monotonic() + STOP_WITHIN
        for tier in sorted({child.part.tier for child in self._started}, reverse=True):
            self._stop([child for child in self._started if child.part.tier == tier], until)

    def _stop(self, children: Sequence[Child], until: float) -> None:
        running = [child for child in children if child.running]
        for child in running:
            child.ask_to_stop()
        graces = {child: time.monotonic() + child.part.grace for child in running}
        while running and not self.attention.hurried:
            now = time.monotonic()
            running = [c for c in running if c.running and now < min(graces[c], until)]
            time.sleep(0.02)
        for child in children:
            child.end()


def _obituary(child: Child, ending: str) -> str:
    last = child.last_lines()
    return f"\n{child.part.name} failed: {ending}. Its last lines ({child.log}):\n{last}"
