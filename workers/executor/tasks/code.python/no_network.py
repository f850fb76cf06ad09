# A name cannot be looked up in a sandbox. Say so in the error of the lookup, when and if the code
# imports the module socket. Nor can a descriptor be sent to another process: without the name of
# that request multiprocessing does not offer the start method forkserver, which could not work, and
# chooses spawn where forkserver would be its own choice (from 3.14 on).
import sys
from importlib.machinery import PathFinder

LOOKUPS = ("getaddrinfo", "gethostbyname", "gethostbyname_ex")


def explain(socket, name):
    lookup = getattr(socket, name)

    def explained(host, *rest, **named):
        try:
            return lookup(host, *rest, **named)
        except socket.gaierror as error:
            host = host.decode("ascii", "replace") if isinstance(host, bytes) else host
            raise socket.gaierror(error.errno, "there is no network in a sandbox: cannot look up %s"
                                  % host) from None

    setattr(socket, name, explained)


class Finder:
    """Finds only the module socket, and changes it once it is loaded."""

    def find_spec(self, name, path=None, target=None):
        if name != "socket":
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name, path)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            for lookup in LOOKUPS:
                explain(module, lookup)
            vars(module).pop("SCM_RIGHTS", None)

        spec.loader.exec_module = exec_module
        return spec


def install():
    sys.meta_path.insert(0, Finder())
