# Reads the task, runs its script with bash, passes its exit code or signal on, and writes
# {"value": null, "files": {…}} to descriptor 3.
import json
import os
import signal
import sys

sys.path[0:0] = ["/task"]
import files  # noqa: E402  (shared with code.python)


def temporary(text):
    fd = os.open("/tmp", os.O_RDWR | os.O_TMPFILE, 0o600)
    os.write(fd, text.encode("utf-8", "surrogatepass"))
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def run_script(code, stdin):
    """bash reads the script as a file, so that its standard input is the task's. A byte order mark
    and the CR of CRLF are the editor's, not the script's."""
    code = code.removeprefix("\ufeff").replace("\r\n", "\n")
    script = os.open("/tmp/script", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    os.write(script, code.encode("utf-8", "surrogatepass"))
    os.close(script)
    source = temporary(stdin)
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(source, 0, inheritable=True)
            os.closerange(3, 64)
            os.execve("/usr/bin/bash", ["bash", "/tmp/script"], os.environ)
        finally:
            os._exit(127)
    os.close(source)
    return os.waitpid(pid, 0)[1]


def main():
    task = json.loads(sys.stdin.buffer.read())
    try:
        files.write_all(task.get("files", {}))
    except files.Refused as refused:
        print(refused, file=sys.stderr)
        return 2
    before = files.listing()
    status = run_script(task["code"], task.get("stdin", ""))
    files.write_result("null", before)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    return os.waitstatus_to_exitcode(status)


sys.exit(main())
