# What a container engine needs where there is none: the engine itself and a base image.
# shellcheck shell=bash
#
# engine WORK STORE: finds a running engine (DOCKER_HOST, or the system's), or starts one from the
#   distribution's package, with its images in STORE and all else below WORK; sets engine_pid then.
#   Prints why not, else.
# stop_engine WORK STORE: ends that engine and takes back what it changed on this machine.
# base_image STORE: sets base to an image of Debian 13: one that is there, can be pulled, or is made
#   with debootstrap through the mirror that apt is configured with. Prints why not, else.

answers() {
    timeout 10 docker info >/dev/null 2>&1
}

engine() {
    local work=$1 store=$2
    engine_pid=""
    PATH=$PATH:/usr/sbin:/sbin
    ! answers || return 0
    [ -z "${DOCKER_HOST-}" ] || { echo "no container engine answers at $DOCKER_HOST" && return 1; }
    [ "$(id -u)" = 0 ] || { echo "no container engine answers, and only root can start one" && return 1; }
    if ! { command -v dockerd && command -v iptables; } >/dev/null; then
        deploy/dependencies images >&2 || { echo "the package of a container engine cannot be installed" && return 1; }
        ! answers || return 0
    fi
    mkdir -p "$work/bin" "$store"
    # The client of the same package, whatever else is called docker here.
    [ ! -x /usr/bin/docker ] || ln -sf /usr/bin/docker "$work/bin/docker"
    PATH=$work/bin:$PATH
    firewall=$(iptables-save 2>/dev/null)
    forwarding=$(cat /proc/sys/net/ipv4/ip_forward)
    export DOCKER_HOST=unix://$work/socket
    # Without a default bridge: compose makes the networks, builds use the machine's. In a session of
    # its own, or ^C would end it before what it runs.
    setsid dockerd --data-root "$store/data" --exec-root "$work/exec" --bridge none \
        --storage-driver overlay2 --default-address-pool base=172.16.0.0/12,size=24 \
        --pidfile "$work/pid" -H "$DOCKER_HOST" >"$work/engine.log" 2>&1 9>&- &
    engine_pid=$!
    for _ in $(seq 150); do
        ! answers || { empty_engine && return 0; }
        kill -0 $engine_pid 2>/dev/null || break
        sleep 0.2
    done
    echo "an engine cannot run here: $(grep -E 'level=(error|fatal)|[Ff]ailed' "$work/engine.log" | tail -n 1)"
    return 1
}

# Everything but its images. One that was killed may have left something the last time.
empty_engine() {
    docker ps -aq | xargs -r docker rm -fv >/dev/null
    docker volume ls -q | xargs -r docker volume rm -f >/dev/null
    docker network prune -f >/dev/null
    docker image prune -f >/dev/null
}

stop_engine() {
    local work=$1 store=$2
    [ -n "${engine_pid-}" ] || return 0
    ! kill -0 "$engine_pid" 2>/dev/null || empty_engine
    kill "$engine_pid" 2>/dev/null
    wait "$engine_pid" 2>/dev/null
    awk -v a="$work/" -v b="$store/" 'index($2, a) == 1 || index($2, b) == 1 { print $2 }' /proc/mounts |
        tac | xargs -r umount -l
    # An engine leaves its chains in the firewall, and what is to be forwarded refused.
    if [[ $firewall != *:DOCKER* ]] && ! pgrep -x dockerd >/dev/null; then
        [[ $firewall == *':FORWARD DROP'* ]] || iptables -P FORWARD ACCEPT
        iptables-save | grep -v DOCKER | iptables-restore
        echo "$forwarding" >/proc/sys/net/ipv4/ip_forward
    fi
    engine_pid=""
}

base_image() {
    local store=$1 name mirror
    for name in gantry/base debian:trixie-slim; do
        if docker image inspect $name >/dev/null 2>&1; then
            base=$name
            return 0
        fi
    done
    if timeout 60 docker pull -q debian:trixie-slim >/dev/null 2>&1; then
        base=debian:trixie-slim
        return 0
    fi
    [ "$(id -u)" = 0 ] || { echo "no registry is reachable, and only root can make a base image" && return 1; }
    deploy/dependencies bare >&2 || { echo "debootstrap cannot be installed" && return 1; }
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' | head -n 1)
    [ -n "$mirror" ] || { echo "no registry is reachable and apt knows no mirror" && return 1; }
    mkdir -p "$store"
    for _ in 1 2 3; do
        rm -rf --one-file-system "$store/base"
        ! debootstrap --variant=minbase --include=ca-certificates trixie "$store/base" "$mirror" >"$store/base.log" 2>&1 ||
            break
    done
    [ -e "$store/base/usr/bin/apt-get" ] && [ ! -e "$store/base/debootstrap" ] ||
        { echo "debootstrap: $(tail -n 1 "$store/base.log")" && return 1; }
    # What no image needs, and what this machine's apt needs to reach its mirror.
    rm -rf "$store"/base/var/cache/apt/archives/*.deb "$store"/base/var/lib/apt/lists/* \
        "$store"/base/usr/share/{doc,man,locale}/*
    apt-config dump | grep -iE '^Acquire::(https?|ftp)::Proxy' >"$store/base/etc/apt/apt.conf.d/90proxy"
    tar -C "$store/base" -c . | docker import - gantry/base >/dev/null || { echo "docker import failed" && return 1; }
    rm -rf --one-file-system "$store/base"
    base=gantry/base
}
