# What a task finds in its sandbox, as JSON. The executor runs this at its own start as well and
# refuses to work unless every check holds: each tries to break out, and holds when that fails.
import errno
import json
import os
import sys

ENVIRONMENT = {
    "HOME",
    "LANG",
    "PATH",
    "TMPDIR",
    "PWD",
    "PYTHONUNBUFFERED",
    "PYTHONDONTWRITEBYTECODE",
    "CURL_HOME",
    "OPENSSL_CONF",
}


def fails(call, *args):
    try:
        call(*args)
    except OSError as error:
        return error.errno in (errno.EPERM, errno.EACCES, errno.ENOENT, errno.EROFS, errno.ENOSYS,
                               errno.ENETDOWN)
    return False


def no_socket():
    import _socket
    return all(fails(_socket.socket, family, kind) for family in (1, 2, 10, 16, 17, 38, 40)
               for kind in (1, 2, 3))


def pair_works():
    """asyncio, node and the like talk to themselves through one; with an address it does
    nothing."""
    import _socket
    import socket
    one, other = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_DGRAM)
    one.send(b"x")
    return other.recv(1) == b"x" and fails(_socket.socketpair, _socket.AF_INET, 1) \
        and fails(one.sendto, b"x", "/tmp/x") and fails(socket.send_fds, one, [b"x"], [1])


def interfaces():
    with open("/proc/net/dev", encoding="ascii") as file:
        return [line.split(":")[0].strip() for line in file if ":" in line]


def status(name, pid="self"):
    with open("/proc/%s/status" % pid, encoding="ascii") as file:
        return next(line.split()[1] for line in file if line.startswith(name + ":"))


def host_files_hidden():
    hidden = ("/etc/shadow", "/root", "/home", "/var", "/run", "/sys", "/boot", "/opt", "/srv",
              "/usr/local", "/dev/kvm", "/dev/mem", "/dev/tty")
    return not any(os.path.lexists(path) for path in hidden)


def read_only():
    return all(fails(os.open, path, os.O_WRONLY | os.O_CREAT)
               for path in ("/x", "/usr/bin/x", "/etc/x", "/etc/passwd", "/dev/x", "/task/x"))


def no_nesting():
    """Neither through unshare nor through clone with a flag for a new user namespace."""
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x10000000) == 0 or libc.unshare(0x00020000) == 0:
        return False
    return all(fails(os.open, "/proc/self/" + name, os.O_WRONLY) or not written(name)
               for name in ("uid_map", "gid_map"))


def written(name, text="0 0 1\n"):
    try:
        with open("/proc/self/" + name, "w", encoding="ascii") as file:
            file.write(text)
    except OSError:
        return False
    return True


def main():
    sys.stdin.read()  # the task itself: it has no parameters
    checks = {
        "no_socket": no_socket,
        "socketpair_works": pair_works,
        "no_interface_but_lo": lambda: interfaces() in (["lo"], []),
        "host_files_hidden": host_files_hidden,
        "system_read_only": read_only,
        "no_nested_namespace": no_nesting,
        "no_capabilities": lambda: all(int(status(name), 16) == 0 for name in (
            "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")),
        "no_new_privileges": lambda: status("NoNewPrivs") == "1",
        "seccomp_filter": lambda: status("Seccomp") == "2" and status("Seccomp", "1") == "2",
        "own_processes_only": lambda: sum(name.isdigit() for name in os.listdir("/proc")) <= 3,
        "environment_is_ours": lambda: set(os.environ) <= ENVIRONMENT,
        "place_in_oom_order": lambda: not written("oom_score_adj", "0"),
        "unprivileged_user": lambda: os.getuid() == 1000 and os.getgroups() in ([], [1000]),
        "work_writable": lambda: open("/work/probe", "w").close() is None,
    }
    results = {}
    for name, check in checks.items():
        try:
            results[name] = bool(check())
        except Exception:  # a check that cannot be made does not hold
            results[name] = False
    space = os.statvfs("/work")
    print(json.dumps({
        "healthy": all(results.values()), "checks": results,
        "python": sys.version.split()[0], "work_free_bytes": space.f_bavail * space.f_frsize,
    }))


main()
