# What a container engine needs where there is none: the engine itself, docker compose, a base image.
# shellcheck shell=bash
#
# engine WORK: finds a running engine (DOCKER_HOST, or the system's), or starts one from the
#   distribution's package with everything below WORK; sets engine_pid then. Prints why not, else.
# base_image WORK: sets base to an image of Debian 13: one that is there, can be pulled, or is made
#   with debootstrap through the mirror that apt is configured with.

engine() {
    local work=$1
    engine_pid=""
    ! docker info >/dev/null 2>&1 || return 0
    [ "$(id -u)" = 0 ] || { echo "no container engine answers, and only root can start one" && return 1; }
    deploy/dependencies images >&2 || { echo "the engine's package cannot be installed" && return 1; }
    ! docker info >/dev/null 2>&1 || return 0
    mkdir -p "$work/engine"
    export DOCKER_HOST=unix://$work/engine/socket
    # Without a default bridge: compose makes the networks, builds use the machine's.
    setsid dockerd --data-root "$work/engine/data" --exec-root "$work/engine/exec" --bridge none \
        --pidfile "$work/engine/pid" -H "$DOCKER_HOST" >"$work/engine/log" 2>&1 &
    engine_pid=$!
    for _ in $(seq 150); do
        ! docker info >/dev/null 2>&1 || return 0
        kill -0 $engine_pid 2>/dev/null || break
        sleep 0.2
    done
    echo "the engine does not start: $(grep -E 'level=(error|fatal)|failed' "$work/engine/log" | tail -n 1)"
    return 1
}

stop_engine() { # work
    [ -n "$engine_pid" ] || return 0
    kill "$engine_pid" && wait "$engine_pid"
    umount "$1"/engine/data/*/*/merged "$1"/engine/data/overlay2 2>/dev/null
    return 0
}

base_image() {
    local work=$1 name mirror
    for name in gantry/base debian:trixie-slim; do
        if docker image inspect $name >/dev/null 2>&1; then
            base=$name
            return 0
        fi
    done
    if timeout 20 docker pull -q debian:trixie-slim >/dev/null 2>&1; then
        base=debian:trixie-slim
        return 0
    fi
    deploy/dependencies images >&2 || { echo "debootstrap cannot be installed" && return 1; }
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' | head -n 1)
    [ -n "$mirror" ] || { echo "no registry is reachable and apt knows no mirror" && return 1; }
    debootstrap --variant=minbase --include=ca-certificates trixie "$work/base" "$mirror" >"$work/base.log" 2>&1 ||
        { echo "debootstrap: $(tail -n 1 "$work/base.log")" && return 1; }
    apt-config dump 2>/dev/null | grep -iE '^Acquire::(https?|ftp)::Proxy' >"$work/base/etc/apt/apt.conf.d/90proxy"
    tar -C "$work/base" -c . | docker import - gantry/base >/dev/null || { echo "docker import" && return 1; }
    rm -rf --one-file-system "$work/base"
    base=gantry/base
}
