# Reads the task, runs its code as __main__ in this interpreter, which was started ahead, and writes
# {"value": …, "files": {…}} to descriptor 3. Everything here runs inside the sandbox: the code may
# do to this program what it likes, it can only spoil its own result.
import _sitebuiltins
import atexit
import builtins
import io
import json
import os
import sys
import traceback
import types

sys.path[0:0] = ["/task"]
import files  # noqa: E402  (shared with code.shell)
import no_network  # noqa: E402
import result  # noqa: E402

for ours in ("files", "no_network", "result"):  # the code may have modules of these names
    del sys.modules[ours]

SCRIPT = "/tmp/task.py"
MEMORY_EXIT = (
    86  # memory_exit of the manifest: one allocation wanted more than the address space holds
)
VALUE_MAX = files.RESULT_MAX - files.FRAME_MAX


def write_file(fd, text):
    os.write(fd, text.encode("utf-8", "surrogatepass"))


def set_stdin(fd, text):
    """Standard input becomes a file with the text: programs that are started get it as well."""
    write_file(fd, text)
    os.lseek(fd, 0, os.SEEK_SET)
    os.dup2(fd, 0, inheritable=True)
    os.close(fd)
    sys.stdin = io.TextIOWrapper(open(0, "rb", closefd=False), encoding="utf-8")


def set_main():
    """The module that the code becomes, as the interpreter makes it for a file."""
    module = types.ModuleType("__main__")
    module.__file__ = SCRIPT
    module.__builtins__ = builtins
    module.__annotations__ = {}
    sys.modules["__main__"] = module
    sys.argv = [SCRIPT]
    sys.path[0:1] = ["/work"]
    sys.path.append("/usr/lib/python3/dist-packages")
    builtins.exit = _sitebuiltins.Quitter("exit", "Ctrl-D (i.e. EOF)")
    builtins.quit = _sitebuiltins.Quitter("quit", "Ctrl-D (i.e. EOF)")
    return module.__dict__


def print_error():
    kind, error, trace = sys.exc_info()
    while trace and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    traceback.print_exception(kind, error, trace)


def run(code, names):
    """The exit code, as the interpreter would give it."""
    try:
        exec(compile(code, SCRIPT, "exec", dont_inherit=True), names)
    except SystemExit as leave:
        if leave.code is None or isinstance(leave.code, int):
            return (leave.code or 0) & 0xFF
        print(leave.code, file=sys.stderr)
        return 1
    except MemoryError:
        print_error()
        return MEMORY_EXIT
    except BaseException:
        print_error()
        return 1
    return 0


def write_result(value, before):
    """The value exactly, or why not."""
    refused = None
    try:
        text = result.encode(value)
        size = len(text.encode("utf-8"))
        if size > VALUE_MAX:
            refused = {"bytes": size, "bound": "%d bytes of JSON" % VALUE_MAX}
            raise result.Refused(
                "result: %d bytes of JSON, left out; the bound is %d" % (size, VALUE_MAX)
            )
    except result.Refused as reason:
        files.say(str(reason))
        text = "null"
    files.write_result(text, before, refused)


def main():
    # All that can be done before the task is there. The script is a file for tracebacks, inspect
    # and what multiprocessing spawns.
    script = os.open(SCRIPT, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    source = os.open("/tmp", os.O_RDWR | os.O_TMPFILE, 0o600)
    os.set_inheritable(files.RESULT_FD, False)
    no_network.install()
    names = set_main()
    task = json.loads(sys.stdin.buffer.read())
    try:
        files.write_all(task.get("files", {}))
    except files.Refused as refused:
        print(refused, file=sys.stderr)
        return 2
    before = files.listing()
    code = task["code"].removeprefix("\ufeff")
    set_stdin(source, task.get("stdin", ""))
    write_file(script, code)
    os.close(script)
    status = run(code, names)
    try:
        sys.stdout.flush()
        write_result(names.get("result"), before)
    except BaseException:
        print_error()
        return status or 1
    return status


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
