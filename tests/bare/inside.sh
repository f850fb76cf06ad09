#!/bin/bash
# tests/bare/inside.sh - what a person types on a fresh machine; tests/bare/run calls it in the root.
# usage: inside.sh GATEWAY_PORT=… …   (ports that are free on the machine that lends its network)
set -euo pipefail
ports=("$@")

timed() {
    local start=$SECONDS what=$1
    shift
    "$@"
    echo "took $((SECONDS - start)) s: $what"
}

# The lines of make up that are commands, as they were printed.
printed() {
    sed -n "s/^  \(\. .*curl .*\)/\1/p" up.log | sed -n "$1p"
}

git config --global --add safe.directory '*'
cd
git clone -q /source gantry
cd gantry
! command -v gcc >/dev/null || { echo "not a bare root: gcc is here" && exit 1; }
timed "make up" make up "${ports[@]}" 2>&1 | tee up.log
stored=$(sh -c "$(printed 1)")
echo "$stored"
grep -q '"status":"success"' <<<"$stored"
found=$(sh -c "$(printed 2)")
echo "$found"
grep -q 'Alice likes green tea' <<<"$found"

timed "make up, the second time" make up 2>&1 | tee again.log
! grep -qE '(re)?starting ' again.log
make status

# Nothing of the system was started or made.
! pgrep -f /var/lib/postgresql >/dev/null
[ -z "$(ls /etc/postgresql 2>/dev/null)" ]
! grep -rqs trixie /etc/apt/sources.list.d/ || [ "$(. /etc/os-release && echo "$VERSION_CODENAME")" = trixie ]
[ ! -e /usr/sbin/policy-rc.d ]

# No process of ours has root's rights; as root each part has a user of its own.
for file in var/pids/*.pid; do
    uid=$(awk '/^Uid:/ { print $2 }' "/proc/$(cat "$file")/status")
    [ "$uid" != 0 ] || { echo "$file runs as root" && exit 1; }
done

make down
[ -z "$(ls var/pids)" ]
timed "make up, after make down" make up 2>&1 | tee up.log
found=$(sh -c "$(printed 2)")
grep -q 'Alice likes green tea' <<<"$found"
. var/env
ping=$(curl -sS -H "X-API-Key: $GANTRY_API_KEY" -H 'Content-Type: application/json' \
    -d '{"scope":"user:1","task":{"type":"ping","message":"test"}}' "$GANTRY_URL/webhook/executor/run")
echo "$ping"
grep -q '"outcome":"ok"' <<<"$ping"
make down
rm -rf var
