# Shared by up, down, status and logs: where a stack lies, its settings, its processes.
# shellcheck shell=bash
set -euo pipefail
export LC_ALL=C.UTF-8
invoked_in=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
clone=$PWD
umask 077

STACK_DIR=${STACK_DIR:-var}
[[ $STACK_DIR = /* ]] || STACK_DIR=$invoked_in/$STACK_DIR
stack=$(realpath -m "$STACK_DIR")
settings=$stack/settings
programs="gateway ingest search audit executor connector"
servers="nats postgres redis"
redis_users="gateway search executor connector admin"

say() {
    echo "  $*" >&2
}

fail() {
    echo "make ${0##*/}: $*" >&2
    exit 1
}

# Variables that the user may give: ports, replicas, and all of .env.example but those that this
# stack must set itself.
port_names="GATEWAY_PORT NATS_PORT POSTGRES_PORT REDIS_PORT ADMIN_PORT NATS_MONITOR_PORT"
replica_names="INGEST SEARCH AUDIT EXECUTOR CONNECTOR"
setting_names=$(sed -nE 's/^#? ?([A-Z][A-Z0-9_]*)=.*/\1/p' .env.example |
    grep -vxE '(ADMIN_)?LISTEN_ADDR|CONNECTOR_ENABLED|([A-Z]+_)?(NATS|DATABASE|REDIS)(_[A-Z]+)?_URL|(GANTRY|DB_PASSWORD)_.*')

# The value that a file of the stack records for a name.
saved() {
    [ ! -r "$settings" ] || (
        unset "$1"
        # shellcheck disable=SC1090
        . "$settings"
        printf '%s' "${!1-}"
    )
}

# The pid of a process of this stack, if it runs. (No other program is started for it: make up asks
# often.)
read -r boot_id </proc/sys/kernel/random/boot_id
running() {
    local pid started boot line
    { read -r pid started boot <"$stack/state/$1.start"; } 2>/dev/null || return 1
    [ "$boot" = "$boot_id" ] || return 1
    { read -r line <"/proc/$pid/stat"; } 2>/dev/null || return 1
    line=${line##*)}
    # shellcheck disable=SC2086
    set -- $line
    [ "${20}" = "$started" ] && [[ $1 != [ZX] ]] && echo "$pid"
}

supervisor_pid() {
    local pid
    pid=$(cat "$stack/supervisor.pid" 2>/dev/null) || return 1
    [ "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "$stack" ] &&
        [ "$(tr -d '\0' <"/proc/$pid/comm")" = gantry-supervis ] && echo "$pid"
}

# Have a supervisor that has read services/.
supervise() {
    local pid
    if pid=$(supervisor_pid); then
        kill -HUP "$pid"
    else
        rm -f "$stack/supervisor.pid"
        (cd / && env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/ \
            "$stack/bin/gantry-supervisor" "$stack" 9>&-) || fail "the supervisor does not start"
        wait_for 5 supervisor_pid >/dev/null || fail "the supervisor ended: see $stack/log/supervisor.log"
    fi
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}

# What became of a process, in words.
explain() {
    local state pid since restarts last
    IFS=$'\t' read -r state pid since restarts last <"$stack/state/$1.status" 2>/dev/null || return 0
    echo "$1: $state, last end: $last, restarts: $restarts"
    tail -n "${2-5}" "$stack/log/$1.log" 2>/dev/null | sed 's/^/    /'
}
