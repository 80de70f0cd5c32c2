"""The keeper process: owns one sandbox, outlives the server, waits to be adopted."""

from sandbox.keeper.files import KeeperConfig
from sandbox.keeper.keeper import Handler, Keeper, ServerLink
from sandbox.keeper.log import configure_log, log_uncaught

__all__ = ["Handler", "Keeper", "KeeperConfig", "ServerLink", "configure_log", "log_uncaught"]
