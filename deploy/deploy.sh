#!/bin/bash
# deploy/deploy.sh - brings a machine to this clone's version: synchronises the sources, builds the
# images, migrates, replaces one service after the other without a failed request, and goes back to
# the version before when a new one does not become healthy.
#
# usage: deploy/deploy.sh [--dry-run] [--no-build] [--servers] TARGET
#
# TARGET/.env holds the settings (compose.yaml names them; made from the defaults at the first call),
# TARGET/releases/VERSION the sources, TARGET/version what runs. --servers replaces Caddy, NATS,
# PostgreSQL and Redis too, which costs a moment of waiting each. --dry-run prints what it would do
# and does nothing. What the version before needs (columns, consumers) goes last, when nothing of it
# runs any more. NATS is replaced before the programs when its configuration is another: some seconds
# of 503, in which what was acknowledged waits. VERSION is the commit unless given, PROJECT (gantry) the compose project;
# BUILD_OPTIONS go to docker build.
set -euo pipefail
cd "$(dirname "$0")/.."
source=$PWD
umask 027
dry="" build=yes servers=""
while [[ ${1-} == --* ]]; do
    case $1 in
    --dry-run) dry=yes ;;
    --no-build) build="" ;;
    --servers) servers="caddy postgres redis" ;;
    *) sed -n '6s/^# //p' "$0" >&2 && exit 2 ;;
    esac
    shift
done
[ $# = 1 ] || { sed -n '6s/^# //p' "$0" >&2 && exit 2; }
target=$(realpath -m "$1")
project=${PROJECT:-gantry}
programs="audit ingest search executor gateway"
images="gateway ingest search audit executor connector cli nats postgres redis caddy"
read -ra docker_compose <<<"${GANTRY_COMPOSE:-docker compose}"

say() { echo "deploy: $*" >&2; }
fail() { say "$*" && exit 1; }
run() { # prints the command, and does it unless this is a dry run
    say "+ $*"
    [ -n "$dry" ] || "$@" >&2
}

# --- what must be right before anything is touched -----------------------------------------------
settings=$target/.env
if [ -e "$settings" ]; then
    ! grep -nE '^[^#]*CHANGE_ME' "$settings" >&2 || fail "$settings still says CHANGE_ME"
    [ "$(stat -c %a "$settings")" = 600 ] || fail "$settings must have mode 600"
fi
version=${VERSION:-$(git rev-parse --short=12 HEAD 2>/dev/null || echo none)}
if [ -n "${VERSION-}" ]; then
    :
elif [ "$version" = none ] || [ -n "$(git status --porcelain 2>/dev/null)" ]; then
    version+=-$(date -u +%Y%m%d%H%M%S)
fi
before=$(cat "$target/version" 2>/dev/null || true)
release=$target/releases/$version
docker info >/dev/null 2>&1 || fail "no container engine answers"

compose() { # version, words...
    local which=$1
    shift
    VERSION=$which "${docker_compose[@]}" -p "$project" --env-file "$settings" \
        -f "$target/releases/$which/compose.yaml" "$@"
}

# --- folders and sources ---------------------------------------------------------------------------
say "from ${before:-nothing} to $version in $target"
run install -d -m 750 "$target" "$target/releases"
run install -d -m 700 "$target/backups"
if [ ! -e "$settings" ]; then
    say "+ settings with the defaults: $settings"
    [ -n "$dry" ] || (umask 077 && printf '# Settings of compose.yaml, for example SITE=gantry.example.com\n' >"$settings")
fi
# What git does not know (build/, var/, .env, keys) stays here.
sync_sources() {
    rm -rf "$release.new" && mkdir -p -m 750 "$release.new"
    if git rev-parse HEAD >/dev/null 2>&1; then
        git ls-files -z --cached --others --exclude-standard
    else
        find . -type f -not -path './build/*' -not -path './var/*' -print0
    fi | grep -zvE '(^|/)(\.env|\.git/.*|.*\.(key|pem|p12))$' |
        tar -c --null --files-from=- | tar -x -C "$release.new"
    rm -rf "$release" && mv "$release.new" "$release"
}
run sync_sources

# --- images, schema ----------------------------------------------------------------------------------
build_images() {
    local image
    for image in $images; do
        # shellcheck disable=SC2086
        docker build ${BUILD_OPTIONS-} --target "$image" -t "gantry/$image:$version" \
            -f "$release/deploy/Dockerfile" "$release" || return 1
    done
}
[ -z "$build" ] || run build_images || fail "the images do not build; what runs is untouched"

if [ -z "$before" ]; then
    run compose "$version" up -d --no-build --wait --wait-timeout 180 gateway caddy keeper $programs
    [ -n "$dry" ] || echo "$version" >"$target/version"
    say "up: $version"
    exit 0
fi
once() { # service, words instead of its own...
    run compose "$version" run --rm --no-deps -T "$@"
}
# Only where it was started (its profile): otherwise the end of the migration would leave the version before
# running, which can then neither store secrets nor open them.
if [ -n "$(compose "$before" ps -q connector 2>/dev/null)" ]; then
    programs=${programs/gateway/connector gateway}
fi
# New programs need the rights that the new file gives; the old ones have all that they had.
nats_differs() {
    local running
    running=$(compose "$before" ps -q nats) && [ -n "$running" ] || return 0
    ! cmp -s <(docker exec "$running" sh -c 'cd /etc/nats && sha256sum *.conf' | sort) \
        <(sha256sum "$source"/nats/*.conf "$source/deploy/container/nats.conf" | sed -E 's| .*/|  |' | sort)
}
once init
once migrate migrate --additions || fail "the migration failed; the programs are untouched"
if [ -n "$servers" ] || nats_differs; then
    run compose "$version" up -d --no-deps --no-build --wait nats || fail "nats does not become healthy"
fi
once provision 'gantry provision --no-workspaces' || fail "provisioning failed; the programs are untouched"
run compose "$version" up -d --no-deps --no-build keeper

# --- one service after the other ---------------------------------------------------------------------
healthy() { # container...: all of them, within a minute and a half; none that dies again and again
    local end=$((SECONDS + 90)) one state starts
    for one in "$@"; do
        while read -r state starts < <(docker inspect -f '{{.State.Health.Status}} {{.RestartCount}}' "$one"); do
            [ "$state" != healthy ] || continue 2
            [ $SECONDS -lt $end ] && [ "$starts" -lt 5 ] || return 1
            sleep 0.5
        done
        return 1
    done
}

# The new containers start beside the old ones; only when they are healthy do those end, with all
# that they have begun. So there is always one that answers.
replace() { # version, service
    local old new count
    mapfile -t old < <(compose "$1" ps -q "$2")
    count=${#old[@]}
    compose "$1" up -d --no-deps --no-build --no-recreate --scale "$2=$((count * 2))" "$2" || true
    mapfile -t new < <(compose "$1" ps -aq "$2" | grep -vxF "$(printf '%s\n' "${old[@]}")")
    if [ "${#new[@]}" != "$count" ] || ! healthy "${new[@]}"; then
        say "$2 of $1 does not become healthy:"
        [ "${#new[@]}" = 0 ] || docker logs --tail 20 "${new[0]}" >&2
        [ "${#new[@]}" = 0 ] || docker rm -f "${new[@]}" >/dev/null
        return 1
    fi
    docker stop -t 90 "${old[@]}" >/dev/null && docker rm "${old[@]}" >/dev/null
}

changed=""
for service in $programs; do
    if ! run replace "$version" "$service"; then
        say "back to $before"
        for service in $changed; do replace "$before" "$service"; done
        fail "$version was taken back; $before runs"
    fi
    changed="$service $changed"
done
for service in $servers; do
    run compose "$version" up -d --no-deps --no-build --wait "$service" || fail "$service does not become healthy"
done
[ -n "$dry" ] || echo "$version" >"$target/version"

# --- what only the version before needed ---------------------------------------------------------------
once migrate || fail "$version runs, but the end of the migration failed: deploy again"
once provision || fail "$version runs, but the end of provisioning failed: deploy again"
say "up: $version"
