# SPDX-License-Identifier: MIT
"""Keys that end while a test looks on."""


def short_lived(stack, use, workspace="default"):
    """use(key) of a viewer's key that ends within seconds, and the key. Where the machine is too
    slow to use one before it ends, another is made that lasts longer."""
    words = ("key", "create", "--workspace", workspace, "--role", "viewer", "--expires")
    for seconds in (2, 10, 60):
        key = stack.gantry(*words, f"{seconds}s")["key"]
        if used := use(key):
            return used, key
    raise AssertionError("keys that were just made are refused")
