"""The state of a sandbox: snapshot, diff, completion conditions, secrets and masks."""

from sandbox.state.conditions import parse_condition
from sandbox.state.room import StateRoom

__all__ = ["StateRoom", "parse_condition"]
