# SPDX-License-Identifier: MIT
"""What the Python tests share: real stacks, an HTTP client, a NATS client of its own."""
from .http import Client, Response
from .nats import Nats, NatsError
from .stack import Stack, free_ports
from .wait import wait_until

__all__ = ["Client", "Nats", "NatsError", "Response", "Stack", "free_ports", "wait_until"]
