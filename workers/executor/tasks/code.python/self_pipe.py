# There is no socket in a sandbox, not even a pair of them. asyncio wants a pair only to wake itself
# up: give it a pipe, when and if the code imports the module socket.
import os
import sys
from importlib.machinery import PathFinder


class End:
    def __init__(self, fd):
        self.fd = fd

    def fileno(self):
        return self.fd

    def setblocking(self, flag):
        os.set_blocking(self.fd, flag)

    def recv(self, size):
        return os.read(self.fd, size)

    def send(self, data):
        return os.write(self.fd, data)

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


def pair(*_):
    source, target = os.pipe()
    return End(source), End(target)


class Finder:
    """Finds only the module socket, and exchanges its socketpair once it is loaded."""

    def find_spec(self, name, path=None, target=None):
        if name != "socket":
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name, path)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            module.socketpair = pair

        spec.loader.exec_module = exec_module
        return spec


def install():
    sys.meta_path.insert(0, Finder())
