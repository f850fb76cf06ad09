# Reads the task, runs its code as __main__ in this interpreter, which was started ahead, and writes
# {"value": …, "files": {…}} to descriptor 3. Everything here runs inside the sandbox: the code may do
# to this program what it likes, it can only spoil its own result.
import atexit
import io
import json
import os
import sys
import traceback
import types

sys.path[0:0] = ["/task"]
import files  # noqa: E402  (shared with code.shell)
import self_pipe  # noqa: E402

RESULT_FD = 3
MEMORY_EXIT = 86  # memory_exit of the manifest: one allocation wanted more than the address space holds


def set_stdin(text):
    """Standard input becomes a file with the text: programs that are started get it as well."""
    fd = os.open("/tmp", os.O_RDWR | os.O_TMPFILE, 0o600)
    os.write(fd, text.encode("utf-8", "surrogatepass"))
    os.lseek(fd, 0, os.SEEK_SET)
    os.dup2(fd, 0, inheritable=True)
    os.close(fd)
    sys.stdin = io.TextIOWrapper(open(0, "rb", closefd=False), encoding="utf-8")


def print_error():
    kind, error, trace = sys.exc_info()
    while trace and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    traceback.print_exception(kind, error, trace)


def run(code):
    """The exit code, as the interpreter would give it, and the names that the code left behind."""
    module = types.ModuleType("__main__")
    names = module.__dict__
    names["__builtins__"] = __builtins__
    sys.modules["__main__"] = module
    try:
        exec(compile(code, "<task>", "exec"), names)
    except SystemExit as leave:
        if leave.code is None or isinstance(leave.code, int):
            return (leave.code or 0) & 0xFF, names
        print(leave.code, file=sys.stderr)
        return 1, names
    except MemoryError:
        print_error()
        return MEMORY_EXIT, names
    except BaseException:
        print_error()
        return 1, names
    return 0, names


def to_json(value):
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        print("result: not JSON, left out", file=sys.stderr)
        return "null"


def write_result(names, before):
    made, left_out = files.read_changed(before)
    text = '{"value":%s,"files":%s}' % (to_json(names.get("result")), json.dumps(made))
    if left_out:
        print("files: %d left out, beyond the bounds" % left_out, file=sys.stderr)
    with open(RESULT_FD, "w", encoding="utf-8") as out:
        out.write(text)


def main():
    task = json.loads(sys.stdin.buffer.read())
    os.environ.clear()
    os.set_inheritable(RESULT_FD, False)
    try:
        files.write_all(task.get("files", {}))
    except files.Refused as refused:
        print(refused, file=sys.stderr)
        return 2
    before = files.listing()
    set_stdin(task.get("stdin", ""))
    sys.path[0:1] = ["/work", "/usr/lib/python3/dist-packages"]
    sys.argv = [""]
    self_pipe.install()
    code, names = run(task["code"])
    try:
        sys.stdout.flush()
        write_result(names, before)
    except BaseException:
        print_error()
        return code or 1
    return code


def leave(code):
    """End as the interpreter would, but without taking it apart object by object."""
    try:
        if "threading" in sys.modules:
            sys.modules["threading"]._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        print_error()
    os._exit(code)


leave(main())
