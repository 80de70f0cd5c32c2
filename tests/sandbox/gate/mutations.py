"""Every check that keeps an agent out while it does not hold control, and what it looks like taken out.

Each of these mutants must turn tests of `TESTS` red: a check whose absence nobody notices is no check.
"""

from __future__ import annotations

MUTATIONS: list[tuple[str, str, str, str]] = [
    (
        "sandbox/gate/client.py",
        "        shared.fence.check_agent(epoch)\n        pipe_id",
        "        pipe_id",
        "the last step before the pipe asks the fence",
    ),
    (
        "sandbox/fence.py",
        (
            "        if epoch != self._epoch:\n            self._refused += 1\n"
            '            raise StaleEpoch("control changed'
        ),
        '        if False:\n            self._refused += 1\n            raise StaleEpoch("control changed',
        "the fence compares the epoch a command was received under",
    ),
    (
        "sandbox/fence.py",
        "        if self.holder.side is not Side.AGENT:",
        "        if False:",
        "the fence knows whose turn it is, also where the epoch is the same",
    ),
    (
        "sandbox/gate/client.py",
        "            shared.fence.check_epoch(command.epoch)",
        "            pass",
        "a client's own batonEpoch is compared",
    ),
    (
        "sandbox/fence.py",
        "        if epoch != self._epoch:\n            self._refused += 1\n            raise StaleEpoch(\n",
        "        if False:\n            self._refused += 1\n            raise StaleEpoch(\n",
        "the comparison of batonEpoch itself",
    ),
    (
        "sandbox/gate/client.py",
        "            shared.fence.check_agent(waiting.epoch)",
        "            pass",
        "what waited and would act is stale at the return",
    ),
    (
        "sandbox/gate/client.py",
        "        if not shared.flowing:\n            if self._while_held",
        "        if False:\n            if self._while_held",
        "the switch stops commands before anything else is asked",
    ),
    (
        "sandbox/gate/shared.py",
        "return self.opened and self.fence.holder.side is Side.AGENT",
        "return self.fence.holder.side is Side.AGENT",
        "the gate has to be opened, a new holder is not enough",
    ),
    (
        "sandbox/gate/client.py",
        "        passed = shared.flowing or shared.draining",
        "        passed = True",
        "replies are dropped while a human has control",
    ),
    (
        "sandbox/gate/client.py",
        (
            "        if not self._shared.flowing:\n            self._shared.dropped += 1\n"
            "            return\n        if node.handles"
        ),
        "        if node.handles",
        "events are dropped while a human has control",
    ),
    (
        "sandbox/gate/approvals.py",
        "        self._shared.fence.check_agent(epoch)",
        "        pass",
        "an approval is not spent while a human has control",
    ),
]
"""(module, its text, what is put in its place, what the check is for)."""

TESTS = ("tests/sandbox/gate/test_race.py",)
"""What must notice; the deterministic part takes seconds: `-m "not full"`."""
