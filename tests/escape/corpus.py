# SPDX-License-Identifier: MIT
"""The escape corpus: small programs that try to get out of the sandbox, or to wear the host down.

Each attempt is a task and what must become of it. A program prints HELD for a way that was shut and
ESCAPED for one that was open; an attempt passes when its outcome is the expected one, every text of
`says` is in its standard output, and ESCAPED is not. What the host looks like afterwards is checked
by the runner for every attempt alike (test_escape.py).
"""
import base64
import dataclasses
import subprocess
import tempfile

PYTHON = """
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def held(name, call, *args):
    try:
        got = call(*args)
    except OSError as error:
        print("HELD", name, errno.errorcode.get(error.errno, error.errno)); return
    except MemoryError:
        print("HELD", name, "memory"); return
    print("ESCAPED", name, repr(got)[:200])
def syscall(name, *args):
    got = libc.syscall(*args)
    e = ctypes.get_errno()
    print("HELD" if got == -1 and e in (errno.EPERM, errno.ENOSYS, errno.EACCES) else "ESCAPED", name, got, e)
"""

# Which limit a task meets first must not depend on how fast the machine is: only an attempt that is
# to meet the processor's has one that can be met, and such an attempt does nothing else.
CPU_UNREACHED = 600000
CPU_SMALL = 1500
# More processes than a task may have. One that is refused waits: they are counted every 20 ms.
SPAWN = """
import os, time
while True:
    try:
        os.posix_spawn("/usr/bin/sleep", ["sleep", "1000"], {})
    except OSError:
        time.sleep(1)
"""

C = """
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
static void held(const char *name, long got)
{
    printf("%s %s %ld %s\\n", got < 0 ? "HELD" : "ESCAPED", name, got, got < 0 ? strerror(errno) : "");
    fflush(stdout);
}
"""


@dataclasses.dataclass
class Attempt:
    name: str
    task: dict
    outcome: str = "ok"
    says: tuple = ("HELD",)
    timeout: int = (
        280  # of waiting: no other limit may be met later than it, on however slow a machine
    )
    cpu_ms: int = CPU_UNREACHED
    check: object = None  # a further function of the answer
    machine: str = ""     # only on this architecture


ATTEMPTS = []


def add(name, task, **more):
    ATTEMPTS.append(Attempt(name, task, **more))


def python(name, code, prelude=True, **more):
    add(name, {"type": "code.python", "code": (PYTHON if prelude else "") + code}, **more)


def shell(name, code, **more):
    add(name, {"type": "code.shell", "code": code}, **more)


def program(name, source, **more):
    """C, compiled when the corpus is read, brought in as a file of the task."""
    add(
        name,
        {"type": "code.shell", "code": "chmod +x attempt && exec ./attempt", "source": C + source},
        **more,
    )


def compiled(task):
    """The task with its C source replaced by the program."""
    if "source" not in task:
        return task
    task = dict(task)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["gcc", "-x", "c", "-O1", "-w", "-s", "-o", folder + "/attempt", "-"],
            check=True,
            input=task.pop("source").encode(),
        )
        with open(folder + "/attempt", "rb") as file:
            task["files"] = {"attempt": {"base64": base64.b64encode(file.read()).decode()}}
    return task


# --- network -----------------------------------------------------------------------------------

for family, number in {
    "inet": 2,
    "inet6": 10,
    "unix": 1,
    "netlink": 16,
    "packet": 17,
    "bluetooth": 31,
    "alg": 38,
    "vsock": 40,
    "xdp": 44,
}.items():
    python("socket_" + family, f"""
import _socket
for kind in (1, 2, 3, 5):
    held("{family}", _socket.socket, {number}, kind)
""")

python("socket_every_family", """
import _socket
for family in range(0, 50):
    held(str(family), _socket.socket, family, 3)
""")
# A pair of AF_UNIX is allowed: it reaches nobody outside. It carries bytes, and nothing else.
python(
    "socketpair_of_unix_only",
    """
import _socket
for family in range(0, 50):
    if family != 1:
        held(str(family), _socket.socketpair, family, 1)
for kind in (1, 2, 5):
    one, other = _socket.socketpair(1, kind)
    one.send(b"x")
    print("HELD" if other.recv(1) == b"x" else "ESCAPED", "bytes pass", kind)
libc.socketpair.argtypes = [ctypes.c_ulong, ctypes.c_int, ctypes.c_int, ctypes.c_void_p]
print("HELD" if libc.syscall(53, ctypes.c_long(1 << 32 | 2), 1, 0, (ctypes.c_int * 2)()) == -1 else "ESCAPED", "high bits")
""",
    machine="x86_64",
)
python("socketpair_goes_nowhere_else", """
import _socket, array, socket
one, other = _socket.socketpair(1, 2)
for name in ("/tmp/x", "\\0host", "/run/systemd/journal/socket"):
    held("sendto " + name, one.sendto, b"x", name)
    held("connect " + name, one.connect, name)
    held("bind " + name, one.bind, name)
held("listen", one.listen)
held("accept", one._accept)
held("sendmsg", one.sendmsg, [b"x"])
held("descriptors", socket.send_fds, one, [b"x"], [1])
held("recvmsg", other.recvmsg, 1)
held("larger buffers", one.setsockopt, 1, 7, 1 << 24)
held("credentials", one.setsockopt, 1, 16, 1)
""")
shell("tcp_by_bash", """
(exec 3<>/dev/tcp/127.0.0.1/22) 2>/dev/null && echo ESCAPED tcp || echo HELD tcp
(exec 3<>/dev/udp/8.8.8.8/53) 2>/dev/null && echo ESCAPED udp || echo HELD udp
""")
python("only_loopback", """
names = [line.split(":")[0].strip() for line in open("/proc/net/dev") if ":" in line]
print("HELD" if names in ([], ["lo"]) else "ESCAPED", names)
""")
program("socket_through_io_uring", """
int main(void) { char p[120] = {0}; held("io_uring_setup", syscall(425, 8, p)); return 0; }
""")
program("socketcall_32_bit", """
int main(void)
{
    long got; int args[3] = { 2, 1, 0 };
    __asm__ volatile("int $0x80" : "=a"(got) : "a"(102), "b"(1), "c"(args) : "memory");
    if (got == -38 || got == -14) { puts("HELD no 32-bit calls"); raise(SIGSYS); }
    printf("ESCAPED %ld\\n", got);
    return 0;
}
""", outcome="signaled", says=(), machine="x86_64")
program("x32_calls", """
int main(void)
{
    long got = syscall(0x40000000 | 41, 2, 1, 0);
    if (got < 0 && errno == ENOSYS) { puts("HELD x32"); raise(SIGSYS); }
    printf("ESCAPED %ld\\n", got);
    return 0;
}
""", outcome="signaled", says=(), machine="x86_64")

# --- the host's secrets --------------------------------------------------------------------------

python(
    "host_files",
    """
for path in ("/etc/shadow", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/root", "/home", "/var", "/run",
             "/sys", "/boot", "/opt", "/srv", "/mnt", "/usr/local", "/etc/ssl", "/etc/ssh", "/tmp/../root"):
    held(path, os.stat, path)
held("passwd is ours", lambda: [line for line in open("/etc/passwd") if not line.startswith("task:")][0]
     if len(open("/etc/passwd").readlines()) > 1 else open("/nowhere"))
""",
)
python(
    "environment_of_others",
    """
import glob
seen = b"".join(open(path, "rb").read() for path in glob.glob("/proc/[0-9]*/environ"))
ours = {b"PWD=/work", b"HOME=/work", b"TMPDIR=/tmp", b"PATH=/usr/bin:/bin", b"LANG=C.UTF-8", b"PYTHONUNBUFFERED=1",
        b"PYTHONDONTWRITEBYTECODE=1", b"CURL_HOME=/etc", b"OPENSSL_CONF=/etc/openssl.cnf"}
words = [w for w in seen.split(b"\\0") if w and w not in ours]
print("ESCAPED" if words else "HELD", words)
print("ESCAPED" if b"CANARY" in seen or "CANARY" in str(os.environ) else "HELD")
""",
)
python("command_lines_of_others", """
import glob
lines = [open(path, "rb").read() for path in glob.glob("/proc/[0-9]*/cmdline")]
print("HELD" if len(lines) == 2 and not any(b"/etc" in line or b"canary" in line for line in lines)
      else "ESCAPED", lines)
""")
python("processes_of_the_host", """
pids = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
print("HELD" if pids == [1, os.getpid()] and os.getpid() < 10 else "ESCAPED", pids)
""")
python("memory_of_the_first_process", """
seccomp = [line.split()[1] for line in open("/proc/1/status") if line.startswith("Seccomp:")]
print("HELD" if seccomp == ["2"] else "ESCAPED", "its calls are filtered too", seccomp)
libc.ptrace.argtypes = [ctypes.c_long] * 4
print("HELD" if libc.ptrace(16, 1, 0, 0) == -1 else "ESCAPED", "ptrace")
""")
program("process_vm", """
int main(void)
{
    char c; struct iovec a = { &c, 1 }, b = { (void *)0x400000, 1 };
    held("process_vm_readv", process_vm_readv(1, &a, 1, &b, 1, 0));
    held("process_vm_writev", process_vm_writev(1, &a, 1, &b, 1, 0));
    held("kcmp", syscall(SYS_kcmp, 1, getpid(), 0, 0, 0));
    held("pidfd_getfd", syscall(438, 0, 0, 0));
    held("pidfd_open", syscall(434, 1, 0));
    held("ptrace_traceme", ptrace(PTRACE_TRACEME, 0, 0, 0));
    return 0;
}
""")
python(
    "roots_of_processes",
    """
for pid in ("1", "self"):
    names = set(os.listdir("/proc/%s/root" % pid))
    print("HELD" if names == set(os.listdir("/")) and "root" not in names else "ESCAPED", names)
held("cwd of init", lambda: [n for n in os.listdir("/proc/1/cwd") if n in ("root", "home", "var")][0]
     if set(os.listdir("/proc/1/cwd")) & {"root", "home", "var"} else open("/nowhere"))
""",
)
python("walk_up_from_everywhere", """
for start in ("/work", "/tmp", "/task", "/proc/self/cwd", "/proc/self/root", "/usr/bin"):
    fd = os.open(start, os.O_RDONLY)
    for _ in range(40):
        up = os.open("..", os.O_RDONLY, dir_fd=fd); os.close(fd); fd = up
    names = os.listdir(fd)
    print("ESCAPED" if "root" in names or "var" in names else "HELD", start)
""")
shell("mount_table_tells_no_host_paths", """
grep -E ' (/root|/home|/var|/sys|/run)' /proc/self/mountinfo && echo ESCAPED || echo HELD
""")
python(
    "kernel_interfaces",
    """
for path in ("/proc/kcore", "/proc/kmsg", "/proc/1/mem", "/dev/mem", "/dev/kmem", "/dev/kvm", "/dev/fuse",
             "/dev/net/tun", "/dev/loop0", "/dev/vda", "/dev/sda", "/proc/sysrq-trigger",
             "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/vm/drop_caches"):
    held(path, os.open, path, os.O_WRONLY if path != "/proc/1/mem" else os.O_RDONLY | os.O_DIRECTORY)
""",
)

# --- writing outside, links, descriptors ----------------------------------------------------------

python(
    "write_outside",
    """
for path in ("/x", "/usr/bin/x", "/usr/lib/x", "/etc/x", "/task/x", "/dev/x", "/proc/x", "/bin/x"):
    held(path, os.open, path, os.O_WRONLY | os.O_CREAT)
for path in ("/usr/bin/python3", "/usr/bin/bwrap", "/etc/passwd", "/task/main.py", "/etc/ld.so.cache"):
    held(path, os.open, path, os.O_WRONLY)
    held(path, os.chmod, path, 0o777)
    held(path, os.unlink, path)
    held(path, os.rename, path, path + ".x")
""",
)
python("symbolic_links", """
os.symlink("/etc/shadow", "/work/link"); held("shadow", open, "/work/link")
os.symlink("../../../../../../root", "/work/up"); held("up", os.listdir, "/work/up")
os.symlink("/proc/1/root/root", "/work/magic"); held("magic", os.listdir, "/work/magic")
""", check=lambda answer: answer["output"]["result"]["files"] == {})
python("links_are_not_collected", """
os.symlink("/etc/passwd", "/work/passwd")
os.mkfifo("/work/fifo")
os.symlink("/", "/work/root")
print("HELD")
""", check=lambda answer: answer["output"]["result"]["files"] == {})
python(
    "hard_links",
    """
for path in ("/usr/bin/su", "/usr/bin/python3", "/etc/passwd", "/task/main.py", "/proc/self/exe"):
    held(path, os.link, path, "/work/hard", follow_symlinks=True) if False else held(path, lambda: os.link(path, "/work/hard"))
""",
)
python("overwrite_running_programs", """
for path in ("/proc/1/exe", "/proc/self/exe"):
    held(path, os.open, path, os.O_WRONLY)
    held(path, os.open, path, os.O_RDWR | os.O_TRUNC)
""")
shell("inherited_descriptors", """
fds=$(ls /proc/self/fd | tr '\\n' ' ') # 3 is the folder that ls reads
[ "$fds" = "0 1 2 3 " ] && echo "HELD $fds" || echo "ESCAPED $fds"
""")
python(
    "inherited_descriptors_of_python",
    """
bad = []
for fd in os.listdir("/proc/self/fd"):
    try: target = os.readlink("/proc/self/fd/" + fd)
    except OSError: continue
    if int(fd) > 3 and not target.startswith("/proc/") or target.startswith(("socket:", "anon_inode:")) or "memfd" in target:
        bad.append((fd, target))
print("ESCAPED" if bad else "HELD", bad)
""",
)
python(
    "descriptors_of_the_first_process",
    """
for fd in os.listdir("/proc/1/fd"):
    target = os.readlink("/proc/1/fd/" + fd)
    print("HELD" if target.startswith("pipe:") or target in ("anon_inode:[eventfd]",) else "ESCAPED", target)
""",
)
program(
    "rights_of_the_owner",
    """
int main(void)
{
    /* The user of the task owns them; they are mounted read-only, and the next task has them too. */
    const char *paths[] = { "/", "/etc", "/etc/passwd", "/etc/nsswitch.conf", "/task" };
    unsigned long long hint = 2, high = 1ULL << 32;
    for (int i = 0; i < 5; i++) {
        int fd = open(paths[i], O_RDONLY);
        if (fd < 0)
            return 1;
        held("write lease", fcntl(fd, 1024, F_WRLCK)); held("read lease", fcntl(fd, 1024, F_RDLCK));
        held("lease with high bits", syscall(SYS_fcntl, fd, 1024 | high, F_WRLCK));
        held("whose lease", fcntl(fd, 1025)); held("notify", fcntl(fd, 1026, 0x8000003f));
        held("hint", fcntl(fd, 1036, &hint)); held("hint of file", fcntl(fd, 1038, &hint));
        held("hint with high bits", syscall(SYS_fcntl, fd, 1036 | high, &hint));
        hint = 0;
        held("hint of another task", fcntl(fd, 1035, &hint));
        held("signal", fcntl(fd, 10, SIGUSR1)); held("unknown", fcntl(fd, 4095, 0));
    }
    return 0;
}
""",
)
program("handles", """
int main(void)
{
    char h[256] = {0}; int m;
    ((int *)h)[0] = 128;
    held("name_to_handle_at", syscall(SYS_name_to_handle_at, AT_FDCWD, "/usr", h, &m, 0));
    held("open_by_handle_at", syscall(SYS_open_by_handle_at, AT_FDCWD, h, 0));
    held("open_tree", syscall(428, AT_FDCWD, "/", 1));
    held("fsopen", syscall(430, "tmpfs", 0));
    held("fanotify", syscall(SYS_fanotify_init, 0, 0));
    return 0;
}
""")
add(
    "files_with_path_escape",
    {"type": "code.python", "code": "print('ran')", "files": {"../../etc/x": "1"}},
    outcome="nonzero_exit",
    says=(),
    check=lambda answer: "ran" not in answer["output"]["stdout"],
)
add(
    "files_with_absolute_path",
    {"type": "code.shell", "code": "echo ran", "files": {"/etc/x": "1"}},
    outcome="nonzero_exit",
    says=(),
    check=lambda answer: "ran" not in answer["output"]["stdout"],
)

# --- privileges -----------------------------------------------------------------------------------

program(
    "namespaces",
    """
static int child(void *arg) { return 0; }
int main(void)
{
    static char stack[65536];
    int flags[] = { CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP, 0x80 };
    for (unsigned i = 0; i < 8; i++) {
        char name[32];
        sprintf(name, "unshare %x", flags[i]);
        held(name, unshare(flags[i]));
        if (flags[i] != 0x80) { sprintf(name, "clone %x", flags[i]); held(name, clone(child, stack + 65536, flags[i] | SIGCHLD, 0)); }
    }
    unsigned long long args[11] = { CLONE_NEWUSER };
    held("clone3", syscall(435, args, sizeof(args)));
    held("setns", setns(open("/proc/1/ns/net", O_RDONLY), 0));
    return 0;
}
""",
)
shell(
    "namespaces_by_tools",
    """
for how in "unshare -U" "unshare -r" "unshare -n" "bwrap --unshare-all --ro-bind / /" "nsenter -t 1 -m"; do
    $how true 2>/dev/null && echo "ESCAPED $how" || echo "HELD $how"
done
""",
)
program("mounts", """
#include <sys/mount.h>
int main(void)
{
    held("mount tmpfs", mount("x", "/work", "tmpfs", 0, ""));
    held("remount", mount(0, "/", 0, MS_REMOUNT | MS_BIND, 0));
    held("bind", mount("/usr", "/work", 0, MS_BIND, 0));
    held("umount", umount2("/proc", MNT_DETACH));
    held("pivot_root", syscall(SYS_pivot_root, "/work", "/work"));
    held("chroot", chroot("/work"));
    held("move_mount", syscall(429, -1, "", -1, "", 0));
    held("mount_setattr", syscall(442, -1, "", 0, 0, 0));
    return 0;
}
""")
program(
    "become_root",
    """
#include <grp.h>
int main(void)
{
    gid_t g = 0;
    held("setuid", syscall(SYS_setuid, 0)); held("setresuid", syscall(SYS_setresuid, 0, 0, 0));
    held("setresuid real", syscall(SYS_setresuid, 0, 1000, -1)); held("setresuid saved", syscall(SYS_setresuid, -1, 1000, 0));
    held("setresgid", syscall(SYS_setresgid, -1, 0, -1)); held("setreuid", syscall(SYS_setreuid, 1000, 1000));
    held("setgid", syscall(SYS_setgid, 0)); held("setgroups", syscall(SYS_setgroups, 1, &g));
    held("capset", syscall(SYS_capset, "\\x22\\x05\\x08\\x20\\0\\0\\0\\0", "\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0"));
    held("keepcaps", prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
    held("ambient", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 21, 0, 0));
    held("securebits", prctl(PR_SET_SECUREBITS, 0, 0, 0, 0));
    return 0;
}
""",
)
shell(
    "setuid_programs",
    """
for p in su mount passwd newgrp chsh sudo ping fusermount3 pkexec; do
    got=$(command -v $p >/dev/null && $p -c 'id -u' </dev/null 2>/dev/null)
    [ "$got" = 0 ] && echo "ESCAPED $p" || echo "HELD $p"
done
cp /usr/bin/id /work/id && chmod 6755 /work/id && [ "$(/work/id -u)" = 1000 ] && echo HELD || echo ESCAPED
""",
)
program(
    "kernel_calls",
    """
int main(void)
{
    char b[256] = {0};
    held("bpf", syscall(SYS_bpf, 0, b, 48)); held("perf", syscall(SYS_perf_event_open, b, 0, -1, -1, 0));
    held("userfaultfd", syscall(SYS_userfaultfd, 0)); held("keyctl", syscall(SYS_keyctl, 0, -3, 0));
    held("add_key", syscall(SYS_add_key, "user", "x", "y", 1, -2)); held("request_key", syscall(SYS_request_key, "user", "x", 0, 0));
    held("kexec", syscall(SYS_kexec_load, 0, 0, 0, 0)); held("init_module", syscall(SYS_init_module, b, 1, ""));
    held("reboot", syscall(SYS_reboot, 0xfee1dead, 672274793, 0x89abcdef, 0)); held("swapon", syscall(SYS_swapon, "/work/x", 0));
    held("settime", syscall(SYS_clock_settime, 0, b)); held("sethostname", syscall(SYS_sethostname, "x", 1));
    held("syslog", syscall(SYS_syslog, 3, b, 100)); held("acct", syscall(SYS_acct, 0)); held("quotactl", syscall(SYS_quotactl, 0, 0, 0, 0));
    held("personality", syscall(SYS_personality, 0x0400000)); held("seccomp", syscall(SYS_seccomp, 1, 0, b));
    held("memfd", syscall(SYS_memfd_create, "x", 0)); held("memfd_secret", syscall(447, 0)); held("landlock", syscall(444, 0, 0, 1));
    held("sync", syscall(SYS_sync)); held("vmsplice", syscall(SYS_vmsplice, 1, 0, 0, 0)); held("unknown", syscall(4095));
    return 0;
}
""",
)
program("devices", """
#include <sys/stat.h>
#include <sys/sysmacros.h>
int main(void)
{
    held("block", mknod("/work/disk", S_IFBLK | 0600, makedev(254, 0)));
    held("mem", mknod("/tmp/mem", S_IFCHR | 0600, makedev(1, 1)));
    held("console", open("/dev/console", O_RDWR)); held("tty", open("/dev/tty", O_RDWR));
    held("ptmx", open("/dev/ptmx", O_RDWR)); held("pts", open("/dev/pts/0", O_RDWR));
    return 0;
}
""")
program(
    "terminal_injection",
    """
int main(void)
{
    for (int fd = 0; fd < 3; fd++) {
        held("TIOCSTI", syscall(SYS_ioctl, fd, (unsigned long)TIOCSTI, "x"));
        held("TIOCSTI with high bits", syscall(SYS_ioctl, fd, (unsigned long)TIOCSTI | (1UL << 32), "x"));
        held("TIOCLINUX", syscall(SYS_ioctl, fd, 0x541CUL, "\\x03"));
        held("TIOCSCTTY", syscall(SYS_ioctl, fd, 0x540EUL, 1));
    }
    return 0;
}
""",
)
python("system_v_memory", """
for name, number in (("shmget", 29), ("semget", 64), ("msgget", 68), ("mq_open", 240)):
    syscall(name, number, 0, 4096, 0o1600)
""", machine="x86_64")

# --- signals to others ----------------------------------------------------------------------------

python("signals_by_number", """
for pid in list(range(2, 5000)) + list(range(5000, 4000000, 997)):
    if pid != os.getpid():
        try: os.kill(pid, 9); print("ESCAPED", pid)
        except ProcessLookupError: pass
os.kill(1, 9); os.kill(1, 19); os.kill(1, 15)
print("HELD")
""")
shell("kill_everybody", "kill -9 -1; echo still here", outcome="signaled", says=())
program(
    "limits_of_the_first_process",
    """
int main(void)
{
    struct rlimit none = { 0, 0 }, high = { RLIM_INFINITY, RLIM_INFINITY };
    held("its cpu time", syscall(SYS_prlimit64, 1, RLIMIT_CPU, &none, 0));
    for (int what = 0; what < 16; what++)
        if (what != RLIMIT_DATA && what != RLIMIT_RSS && what != RLIMIT_LOCKS && what != 15) held("raise", setrlimit(what, &high));
    return 0;
}
""",
)
python(
    "stay_alive_in_low_memory",
    """
def write(path, text):
    with open(path, "w") as file: file.write(text)
for pid in ("self", "1", "thread-self", "self/task/%d" % os.getpid()):
    for text in ("0", "-1000", "999"):
        held("oom_score_adj of %s %s" % (pid, text), write, "/proc/%s/oom_score_adj" % pid, text)
held("oom_adj", write, "/proc/self/oom_adj", "-17")
held("nice", os.setpriority, os.PRIO_PROCESS, 0, -20)
print("HELD" if open("/proc/self/oom_score_adj").read() == "1000\\n" else "ESCAPED", "still the first to go")
if os.fork() == 0:
    held("a child's", write, "/proc/self/oom_score_adj", "0"); os._exit(0)
os.wait()
""",
)
shell(
    "first_to_go_by_shell",
    """
echo 0 2>/dev/null >/proc/self/oom_score_adj && echo ESCAPED; echo 0 2>/dev/null >/proc/1/oom_score_adj && echo ESCAPED
(cd /proc/1/root/proc/self && echo 0 2>/dev/null >oom_score_adj) && echo ESCAPED
[ "$(cat /proc/self/oom_score_adj)" = 1000 ] && echo HELD
""",
)
python(
    "proc_cannot_be_written",
    """
for name in ("comm", "coredump_filter", "clear_refs", "timerslack_ns", "uid_map", "gid_map", "setgroups", "attr/exec",
             "autogroup", "timens_offsets"):
    held(name, os.open, "/proc/self/" + name, os.O_WRONLY)
held("remount", lambda: os.mkdir("/proc/x"))
""",
)

# --- wearing the host down ------------------------------------------------------------------------

shell("fork_bomb", ":(){ :|:& };:; wait; sleep 1000", outcome="process_limit", says=())
program("fork_bomb_in_c", "int main(void) { for (;;) fork(); }", outcome="process_limit", says=())
program("zombies", """
int main(void) { for (int i = 0; i < 2000; i++) if (fork() == 0) _exit(0); sleep(1000); return 0; }
""", outcome="process_limit", says=())
program(
    "threads",
    """
static int spin(void *arg) { sleep(1000); return 0; }
int main(void)
{
    int made = 0;
    for (int i = 0; i < 5000; i++) {
        char *stack = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (clone(spin, stack + 65536, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM, 0) < 0) break;
        made++;
    }
    printf("%s %d threads\\n", made < 200 ? "HELD" : "ESCAPED", made); fflush(stdout);
    syscall(SYS_exit_group, 0);
}
""",
)
python(
    "memory_bomb",
    "x = []\nwhile True: x.append(bytearray(1 << 20))",
    outcome="memory_limit",
    says=(),
)
python("memory_bomb_shared", """
import mmap
x = []
while True:
    m = mmap.mmap(-1, 1 << 24); x.append(m)
    for at in range(0, 1 << 24, 4096): m[at] = 1
""", outcome="memory_limit", says=())
python("memory_bomb_of_many", """
import time
for _ in range(12):
    if os.fork() == 0:
        x = bytearray(40 << 20); time.sleep(1000)
time.sleep(1000)
""", outcome="memory_limit", says=())
program("memory_bomb_hidden", """
int main(void)
{
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    for (;;) { char *p = malloc(1 << 20); if (!p) sleep(1000); memset(p, 1, 1 << 20); }
}
""", outcome="memory_limit", says=())
program("memory_bomb_in_socketpairs", """
#include <sys/socket.h>
int main(void)
{
    static char piece[65536];
    for (int child = 0; child < 30; child++)
        if (fork() == 0) {
            int ends[2];
            while (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0)
                for (int end = 0; end < 2; end++)
                    while (write(ends[end], piece, sizeof(piece)) > 0) ;
            sleep(1000);
        }
    sleep(1000); return 0;
}
""", outcome="memory_limit", says=())
program("memory_bomb_in_orphans", """
int main(void)
{
    for (int i = 0; i < 8; i++)
        if (fork() == 0) {
            setsid();
            if (fork()) _exit(0);
            char *p = mmap(0, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            memset(p, 1, 64 << 20); sleep(1000); _exit(0);
        }
    sleep(1000); return 0;
}
""", outcome="memory_limit", says=())
shell("tmpfs_flood", """
head -c 200M /dev/zero > /tmp/a 2>/dev/null; head -c 200M /dev/zero > /work/b 2>/dev/null
head -c 200M /dev/zero > /dev/shm/c 2>/dev/null
total=$(du -smc /tmp/ /work/ | tail -n 1 | cut -f 1)
[ "$total" -le 70 ] && echo "HELD $total" || echo "ESCAPED $total"
rm /work/b /tmp/a
""")
program(
    "inode_flood",
    """
int main(void)
{
    char name[32];
    for (int i = 0; i < 3000000; i++) { sprintf(name, i & 1 ? "/tmp/%d" : "/work/%d", i); int fd = open(name, O_CREAT | O_WRONLY, 0600); if (fd < 0) break; close(fd); }
    puts("done"); sleep(1000); return 0;
}
""",
    outcome="memory_limit",
    says=(),
)
shell("output_flood", "exec yes", outcome="output_limit", says=("y\ny\n",))
shell("error_flood", "exec yes >&2", outcome="output_limit", says=())
python("result_flood", """
sys.stdout.flush()
try:
    while True: os.write(3, b"x" * 65536)
except OSError as error:
    print("HELD")
""", timeout=1, outcome="timeout", says=(), check=lambda answer: answer["output"]["result"] is None)
python(
    "result_too_large",
    "result = 'x' * 400000; print('HELD')",
    check=lambda answer: (
        answer["output"]["result"]["value"] is None and answer["output"]["truncated"]
    ),
)
shell("sleeper", "sleep 1000", outcome="timeout", says=(), timeout=1)
shell(
    "sleeper_that_ignores",
    "trap '' TERM INT HUP; while :; do sleep 1; done",
    outcome="timeout",
    says=(),
    timeout=1,
)
shell("stopped", "kill -STOP $$", outcome="timeout", says=(), timeout=1)
python(
    "streams_closed_early",
    "for fd in (0, 1, 2, 3): os.close(fd)\nwhile True: pass",
    outcome="timeout",
    says=(),
    timeout=1,
)
python("processor_bomb", "while True: pass", outcome="cpu_limit", says=(), cpu_ms=CPU_SMALL)
shell(
    "processor_bomb_of_many",
    "for i in 1 2 3; do (while :; do :; done) & done; wait",
    outcome="cpu_limit",
    says=(),
    cpu_ms=CPU_SMALL,
)
shell("survivors", """
(sleep 1000 &) ; setsid sleep 1000 & nohup sleep 1000 >/dev/null 2>&1 &
( ( setsid bash -c 'trap "" TERM; exec sleep 1000' & ) & )
disown -a; echo HELD
""")
program(
    "double_forked",
    """
int main(void)
{
    for (int i = 0; i < 5; i++)
        if (fork() == 0) { setsid(); if (fork() == 0) { signal(SIGTERM, SIG_IGN); for (;;) pause(); } _exit(0); }
    puts("HELD"); return 0;
}
""",
)
python("dead_man", "os.kill(os.getpid(), 11)", outcome="signaled", says=())
shell(
    "exit_code",
    "exit 3",
    outcome="nonzero_exit",
    says=(),
    check=lambda answer: answer["output"]["exit_code"] == 3,
)
shell("control_characters", r"printf '\033[31mred\007\000\n\377'; echo HELD",
      check=lambda answer: answer["output"]["stdout"].startswith("\x1b[31mred\x07\x00\n\ufffd"))
shell(
    "core_dump",
    "ulimit -c unlimited 2>/dev/null && echo ESCAPED; bash -c 'kill -SEGV $$'; ls core* "
    "2>/dev/null && echo ESCAPED; echo HELD",
)
