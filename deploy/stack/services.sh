# What `make up` writes: users, secrets, configuration, one start script for each process.
# shellcheck shell=bash disable=SC2154
#
# As root no process runs as root: PostgreSQL runs as the package's user postgres, each other part
# under a number of its own that no account of the machine has (nothing is added to /etc/passwd, so
# that removing STACK_DIR removes everything). Where STACK_DIR lies below a folder that they cannot
# enter, such as /root, each process gets a private mount namespace in which the stack is bound to
# /mnt/stack: $root is its path as the processes see it.

declare -A desired=() # name of a service -> its start script
service_names=""

choose_users() {
    root=$stack
    [ "$(id -u)" = 0 ] || return 0
    local base=$stack/state/uid_base first
    if [ ! -s "$base" ]; then
        # Ten numbers for each stack out of those that Debian reserves for dynamic users.
        first=$((61200 + $(printf %s "$stack" | cksum | cut -d' ' -f1) % 400 * 10))
        while getent passwd "$first" >/dev/null || pgrep -U "$first" >/dev/null; do
            first=$((first + 10 > 65180 ? 61200 : first + 10))
        done
        echo "$first" >"$base"
    fi
    uid_base=$(cat "$base")
    if ! setpriv --reuid "$uid_base" --regid "$uid_base" --clear-groups test -x "$stack"; then
        root=/mnt/stack
        unshare --mount --propagation private true 2>/dev/null ||
            fail "$stack is below a folder that unprivileged users cannot enter, and this machine" \
                "permits no mount namespace: give a STACK_DIR elsewhere"
    fi
}

# The user of a part, as UID or UID:GID text for chown.
user_of() {
    case $1 in
    postgres) echo "$(id -u postgres):$(id -g postgres)" ;;
    nats) echo "$uid_base:$uid_base" ;;
    redis) echo "$((uid_base + 1)):$((uid_base + 1))" ;;
    gateway) echo "$((uid_base + 2)):$((uid_base + 2))" ;;
    ingest) echo "$((uid_base + 3)):$((uid_base + 3))" ;;
    search) echo "$((uid_base + 4)):$((uid_base + 4))" ;;
    audit) echo "$((uid_base + 5)):$((uid_base + 5))" ;;
    # Its group is the one that may enter the folder of Redis's socket: one of its own beside that would
    # be a second group in every task's sandbox.
    executor) echo "$((uid_base + 6)):$((uid_base + 8))" ;;
    connector) echo "$((uid_base + 9)):$((uid_base + 9))" ;;
    esac
}

# The groups that may enter the folder of a server's socket, and who is in them (as root; otherwise
# everything is one user's).
socket_group() {
    case $1 in
    postgres) echo $((uid_base + 7)) ;;
    redis) echo $((uid_base + 8)) ;;
    esac
}
groups_of() {
    case $1 in
    gateway | search | connector) echo "$((uid_base + 7)),$((uid_base + 8))" ;;
    ingest | audit) echo "$((uid_base + 7))" ;;
    esac
}

own() { # part, path...
    local part=$1
    shift
    [ "$(id -u)" != 0 ] || chown "$(user_of "$part")" "$@"
}

# Sets prefix: the words before a command that make it run as the user of a part.
prefix_of() {
    local user groups
    prefix=()
    [ "$(id -u)" = 0 ] || return 0
    user=$(user_of "$1")
    if [ "$root" != "$stack" ]; then
        prefix=(unshare --mount --propagation private /bin/sh -c
            'mount -t tmpfs -o size=64k,mode=755 tmpfs /mnt && mkdir /mnt/stack && mount --bind "$0" /mnt/stack && cd /mnt/stack && exec "$@"'
            "$stack")
    fi
    groups=$(groups_of "$1")
    prefix+=(setpriv --reuid "${user%:*}" --regid "${user#*:}" "${groups:+--groups=}${groups:---clear-groups}"
        --no-new-privs)
}

# --- secrets ---------------------------------------------------------------------------------

random_hex() {
    od -An -N32 -tx1 /dev/urandom | tr -d ' \n'
}

# Prints a secret; made at the first call. Begins with a letter where NATS reads it as a password.
secret() {
    local file=$stack/secrets/$1 value
    [ -s "$file" ] || { printf '%s%s\n' "${2-}" "$(random_hex)" >"$file.new" && mv "$file.new" "$file"; }
    read -r value <"$file"
    printf '%s' "$value"
}

make_secrets() {
    local name
    for name in DATA_KEY JETSTREAM_KEY AUDIT_SIGNING_KEY SECRET_KEY; do # the user's own, if given
        [ -n "${!name-}" ] || declare -g "$name=$(secret "$name")"
    done
    ACTOR_SIGNING_KEY=$(secret ACTOR_SIGNING_KEY)
    ACTOR_SIGNING_KEY_PREVIOUS=$(cat "$stack/secrets/ACTOR_SIGNING_KEY_PREVIOUS" 2>/dev/null) || true
    # Made by a version whose gateway signed claims, some of which may wait in the streams.
    ACTOR_PUBLIC_KEY=$(cat "$stack/secrets/ACTOR_PUBLIC_KEY" 2>/dev/null) || true
    CALLOUT_ISSUER_KEY=$(secret CALLOUT_ISSUER_KEY)
    for name in $programs operator callout kick; do secret "nats_$name" p >/dev/null; done
    for name in $redis_users; do secret "redis_$name" >/dev/null; done
}

# The public key of a seed (hexadecimal digits or base64), as hexadecimal digits.
ed25519_public() {
    local seed=$1 der
    [[ $seed =~ ^[0-9a-fA-F]{64}$ ]] || seed=$(base64 -d <<<"$seed" | od -An -v -tx1 | tr -d ' \n')
    der=302e020100300506032b657004220420$seed
    # shellcheck disable=SC2001
    printf '%b' "$(sed 's/../\\x&/g' <<<"$der")" | openssl pkey -inform DER -pubout -outform DER |
        tail -c 32 | od -An -tx1 | tr -d ' \n'
}

# --- start scripts -----------------------------------------------------------------------------

# service NAME PART COMMAND...: with the variables that the array env holds.
service() {
    local name=$1 part=$2 word text
    shift 2
    prefix_of "$part"
    text="#!/bin/sh"$'\n'"# Written by make up; holds secrets. ${stamp-}"$'\n'
    for word in "${env[@]}"; do
        text+="export ${word%%=*}=$(quote "${word#*=}")"$'\n'
    done
    [ -z "${slack_ns-}" ] || text+="echo $slack_ns >/proc/self/timerslack_ns"$'\n'
    text+="cd $(quote "$stack")"$'\n'
    if [ -n "${beside-}" ]; then # begins with each start, next to the process, whose pid is its $1
        text+="setsid -f"
        for word in "${prefix[@]}" /bin/sh -c "$beside" beside; do text+=" $(quote "$word")"; done
        text+=" \$\$ >log/$name.beside.log 2>&1"$'\n'
    fi
    text+="exec"
    for word in "${prefix[@]}" "$@"; do text+=" $(quote "$word")"; done
    desired[$name]=$text$'\n'
    service_names+=" $name"
}

quote() {
    printf "'%s'" "${1//\'/\'\\\'\'}"
}

# Write what changed, end what runs with an old script, and have the supervisor look.
# The gateway comes last: what it writes is read by workers of its own version.
apply_services() {
    local name file names=" ${!desired[*]} "
    [ -z "${desired[gateway]+there}" ] || names="${names/ gateway / } gateway"
    for name in $names; do
        file=$stack/services/$name
        if ! cmp -s "$file" - <<<"${desired[$name]%$'\n'}"; then
            printf '%s' "${desired[$name]}" >"$stack/state/$name.script"
            chmod 700 "$stack/state/$name.script"
            mv "$stack/state/$name.script" "$file"
            if pid=$(running "$name"); then
                say "restarting $name: its program or its settings changed"
                restart_gently "$name" "$pid"
            fi
        fi
        running "$name" >/dev/null || {
            say "starting $name"
            rm -f "$stack/state/$name.status" # it gets a new chance
        }
    done
    supervise
}

restart_gently() {
    kill -"$([ "$1" = postgres ] && echo INT || echo TERM)" "$2"
    wait_for 60 eval "[ \"\$(running $1)\" != $2 ]" || fail "$1 does not stop"
}

# Copies of the programs (PROGRAMS_FROM=build/asan for those of a MODE): unprivileged users may not enter the clone, and a build does not change
# what runs.
install_programs() {
    local file name
    for file in "${PROGRAMS_FROM:-build}"/gantry "${PROGRAMS_FROM:-build}"/gantry-* "$(deploy/dependencies --nats-server)"; do
        name=${file##*/}
        [ -x "$file" ] || continue
        if ! cmp -s "$file" "$stack/bin/$name"; then
            cp "$file" "$stack/bin/.new" && chmod 755 "$stack/bin/.new"
            mv "$stack/bin/.new" "$stack/bin/$name"
        fi
    done
    # redis-server is a name of this binary (package redis-tools, which brings no service).
    ln -sfn "$(command -v redis-check-rdb)" "$stack/bin/redis-server"
    local from to
    for from in workers/executor/tasks workers/connector/actions; do
        to=$stack/share/gantry/$from
        if [ -d $from ] && ! diff -rq $from "$to" >/dev/null 2>&1; then
            rm -rf "$to" && mkdir -p "${to%/*}" && cp -R $from "$to"
            chmod -R u=rwX,go=rX "$stack/share"
        fi
    done
}

stamp_of() { # file or folder...: changes when they do
    find -L "$@" -type f -printf '%s %T@\n' 2>/dev/null | cksum | cut -d' ' -f1
}

nats_url() { # user
    echo "nats://$1:$(secret "nats_$1")@127.0.0.1:$NATS_PORT"
}

# --- servers -----------------------------------------------------------------------------------

# Where the programs find the servers' UNIX sockets, or nothing: a socket's path has 107 bytes, and one
# with other characters would have to be written differently in each place.
socket_folder() { # server
    local path=$root/sockets/$1
    [[ $path =~ ^[A-Za-z0-9/._-]+$ ]] && [ $((${#path} + ${#longest_socket})) -le 107 ] || return 0
    echo "$path"
}
longest_socket=/.s.PGSQL.65535

make_socket_folders() {
    local name
    mkdir -p "$stack/sockets" && chmod 711 "$stack/sockets"
    for name in postgres redis; do
        mkdir -p "$stack/sockets/$name"
        chmod 710 "$stack/sockets/$name"
        [ "$(id -u)" != 0 ] || chown "$(user_of "$name" | cut -d: -f1):$(socket_group "$name")" "$stack/sockets/$name"
    done
}

configure_servers() {
    local name stamp env=() folder
    make_socket_folders
    mkdir -p "$stack"/data/{nats,redis}
    chmod 700 "$stack"/data/{nats,redis}
    own nats "$stack/data/nats"
    own redis "$stack/data/redis"

    mkdir -p "$stack/etc/nats" && chmod 711 "$stack/etc/nats"
    install -m 644 nats/*.conf "$stack/etc/nats/"
    env=("NATS_LISTEN=\"127.0.0.1:$NATS_PORT\"" "NATS_HTTP=\"127.0.0.1:$NATS_MONITOR_PORT\""
        "NATS_STORE_DIR=\"$root/data/nats\"" "JETSTREAM_KEY=\"$JETSTREAM_KEY\"")
    env+=("CALLOUT_ISSUER=$(CALLOUT_ISSUER_KEY=$CALLOUT_ISSUER_KEY "$stack/bin/gantry-gateway" --print-callout-issuer)") ||
        fail "the gateway cannot derive the callout's issuer"
    for name in $programs operator callout kick; do
        env+=("NATS_PASSWORD_${name^^}=$(secret "nats_$name")")
    done
    stamp=$(stamp_of "$stack/bin/nats-server")-$(cat nats/*.conf | cksum | cut -d' ' -f1)
    # A server that was killed needs it (cli/repair.h).
    env+=("GANTRY_NATS_OPERATOR_URL=$(nats_url operator)")
    # docs/performance.md: less garbage collection, and fewer looks of Go's monitoring thread
    env+=("GOGC=400" "GOMEMLIMIT=700MiB")
    local slack_ns=1000000
    # At once, and then now and then: some of what it looks for shows later.
    local provision beside
    provision="$(quote "$root/bin/gantry") provision"
    beside="lives() { kill -0 \$server 2>/dev/null; }; server=\$1; i=0
until $provision --no-workspaces || ! lives; do sleep 0.2; done
while sleep 1 && lives; do [ \$((i = (i + 1) % 20)) != 0 ] || $provision --repair-only >/dev/null; done"
    service nats nats "$root/bin/nats-server" -c "$root/etc/nats/server.conf"
    beside= slack_ns=

    sed "s|@PORT@|$REDIS_PORT|; s|@ROOT@|$root|" deploy/stack/redis.conf >"$stack/etc/redis.conf"
    folder=$(socket_folder redis)
    [ -z "$folder" ] ||
        printf 'unixsocket %s\nunixsocketperm 777\n' "$folder/redis.sock" >>"$stack/etc/redis.conf"
    chmod 644 "$stack/etc/redis.conf"
    local acl
    acl=$(cat deploy/stack/redis.acl)
    for name in $redis_users; do
        acl=${acl//@PASSWORD_${name^^}@/$(secret "redis_$name" | sha256sum | cut -d' ' -f1)}
    done
    printf '%s\n' "$acl" >"$stack/etc/redis.acl"
    own redis "$stack/etc/redis.acl"
    env=()
    stamp=$(cksum <"$stack/etc/redis.conf" | cut -d' ' -f1)-$(cksum <<<"$acl" | cut -d' ' -f1)
    service redis redis "$root/bin/redis-server" "$root/etc/redis.conf"

    [ -d "$stack/data/postgres" ] || create_cluster
    postgres_bin=/usr/lib/postgresql/$(cat "$stack/data/postgres/PG_VERSION")/bin
    stamp=""
    service postgres postgres "$postgres_bin/postgres" -D "$root/data/postgres" \
        -c listen_addresses=127.0.0.1 -c "port=$POSTGRES_PORT" \
        -c "unix_socket_directories=$(socket_folder postgres)" \
        -c password_encryption=scram-sha-256 -c log_min_error_statement=panic \
        -c log_statement=none -c cluster_name=gantry
}

create_cluster() {
    local work=$stack/data/postgres.new
    postgres_bin=$(find /usr/lib/postgresql/*/bin/postgres | sort -t/ -k5n | tail -n 1)
    postgres_bin=${postgres_bin%/postgres}
    rm -rf "$work" && mkdir -m 700 "$work"
    secret postgres_superuser >/dev/null
    install -m 600 "$stack/secrets/postgres_superuser" "$stack/data/password"
    own postgres "$work" "$stack/data/password"
    prefix_of postgres
    (cd / && "${prefix[@]}" "$postgres_bin/initdb" -D "$root/data/postgres.new" -U postgres \
        --pwfile="$root/data/password" --auth=scram-sha-256 --encoding=UTF8 --lc-collate=C \
        --lc-ctype=C.UTF-8 --lc-messages=C --no-instructions) >"$stack/log/initdb.log" 2>&1 ||
        fail "initdb: $(tail -n 5 "$stack/log/initdb.log")"
    rm -f "$stack/data/password"
    mv "$work" "$stack/data/postgres"
}

wait_server() { # name, name of its port
    wait_for 30 eval "(exec 3<>/dev/tcp/127.0.0.1/${!2}) 2>/dev/null" || fail "$(explain "$1" 10)"
}

superuser_sql() {
    PGPASSWORD=$(secret postgres_superuser) psql -qAtX -v ON_ERROR_STOP=1 -h 127.0.0.1 \
        -p "$POSTGRES_PORT" -U postgres "$@"
}

prepare_database() {
    [ ! -e "$stack/state/database" ] || return 0
    superuser_sql postgres >/dev/null <<SQL || fail "the database cannot be created"
SELECT 'CREATE ROLE gantry_owner LOGIN' WHERE NOT EXISTS
    (SELECT FROM pg_roles WHERE rolname = 'gantry_owner') \gexec
ALTER ROLE gantry_owner LOGIN PASSWORD '$(secret postgres_gantry_owner)';
SELECT 'CREATE DATABASE gantry OWNER gantry_owner' WHERE NOT EXISTS
    (SELECT FROM pg_database WHERE datname = 'gantry') \gexec
SQL
    touch "$stack/state/database"
}

# The audit log's verifier key as a C2SP vkey: name+hash+key. The log's name holds the deployment's
# id, which the first migration makes.
audit_vkey() {
    local name key cache=$stack/secrets/audit_vkey seed vkey
    if { read -r seed && read -r vkey; } 2>/dev/null <"$cache" && [ "$seed" = "$AUDIT_SIGNING_KEY" ]; then
        printf '%s' "$vkey"
        return
    fi
    name=gantry/$(superuser_sql gantry -c 'SELECT id FROM deployment')
    key='\x01'$(ed25519_public "$AUDIT_SIGNING_KEY" | sed 's/../\\x&/g')
    vkey=$name+$(printf '%s\n%b' "$name" "$key" | sha256sum | cut -c1-8)+$(printf '%b' "$key" | base64 -w0)
    printf '%s\n%s\n' "$AUDIT_SIGNING_KEY" "$vkey" >"$cache"
    printf '%s' "$vkey"
}

# gantry with the variables of the stack's env file and, for migrate, the passwords of the roles.
gantry() {
    (
        # shellcheck disable=SC1091
        . "$stack/env"
        if [ "$1" = migrate ]; then
            for name in GATEWAY INGEST SEARCH AUDIT PRUNER CONNECTOR; do
                export "DB_PASSWORD_$name=$(secret "postgres_gantry_${name,,}")"
            done
        fi
        exec "$stack/bin/gantry" "$@"
    )
}

# --- what people and programs get to see ---------------------------------------------------------

# What tools and people reach: TCP.
postgres_url() { # role
    echo "postgresql://$1:$(secret "postgres_$1")@127.0.0.1:$POSTGRES_PORT/gantry"
}

# What the programs reach: a UNIX socket costs less processor time, if its path fits.
program_postgres_url() { # role
    local folder
    folder=$(socket_folder postgres)
    [ -n "$folder" ] || { postgres_url "$1" && return; }
    echo "postgresql://$1:$(secret "postgres_$1")@/gantry?host=$folder&port=$POSTGRES_PORT"
}

program_redis_url() { # user
    local folder login
    folder=$(socket_folder redis)
    login=$1:$(secret "redis_$1")
    [ -n "$folder" ] || { echo "redis://$login@127.0.0.1:$REDIS_PORT/0" && return; }
    echo "unix://$login@$folder/redis.sock?db=0"
}

write_env() {
    local file=$stack/env.new
    cat >"$file" <<ENV
GANTRY_URL=http://127.0.0.1:$GATEWAY_PORT
GANTRY_ADMIN_URL=http://127.0.0.1:$ADMIN_PORT
GANTRY_API_KEY=$(cat "$stack/secrets/api_key" 2>/dev/null || true)
NATS_URL=nats://127.0.0.1:$NATS_PORT
GANTRY_NATS_OPERATOR_URL=nats://operator:$(secret nats_operator)@127.0.0.1:$NATS_PORT
NATS_MONITOR_URL=http://127.0.0.1:$NATS_MONITOR_PORT
DATABASE_URL=$(postgres_url gantry_owner)
DATABASE_SUPERUSER_URL=postgresql://postgres:$(secret postgres_superuser)@127.0.0.1:$POSTGRES_PORT/gantry
REDIS_URL=redis://admin:$(secret redis_admin)@127.0.0.1:$REDIS_PORT/0
GANTRY_AUDIT_VKEY=$(quote "${GANTRY_AUDIT_VKEY-}")
GANTRY_PIDS_DIR=$(quote "$stack/pids")
ENV
    echo "export $(sed 's/=.*//' "$file" | tr '\n' ' ')" >>"$file" # so that ". env; gantry status" works
    mv "$file" "$stack/env"
}

# --- programs ------------------------------------------------------------------------------------

# Which secrets a program is given; everything else of .env.example goes to all.
secrets_of() {
    case $1 in
    gateway) echo DATA_KEY ACTOR_SIGNING_KEY CALLOUT_ISSUER_KEY ;;
    ingest) echo ACTOR_PUBLIC_KEY EMBED_API_KEY ;;
    search) echo ACTOR_PUBLIC_KEY EMBED_API_KEY ;;
    audit) echo ACTOR_PUBLIC_KEY AUDIT_SIGNING_KEY ;;
    executor) echo ACTOR_PUBLIC_KEY DATA_KEY ;;
    connector) echo ACTOR_PUBLIC_KEY DATA_KEY SECRET_KEY SECRET_KEY_PREVIOUS ;;
    esac
}
secret_names="SECRET_KEY SECRET_KEY_PREVIOUS DATA_KEY JETSTREAM_KEY AUDIT_SIGNING_KEY ACTOR_SIGNING_KEY ACTOR_KEY ACTOR_KEY_PREVIOUS ACTOR_PUBLIC_KEY EMBED_API_KEY CALLOUT_ISSUER_KEY"

actor_key() { # program, ACTOR_SIGNING_KEY
    ACTOR_SIGNING_KEY=$2 "$stack/bin/gantry-gateway" --print-actor-key "$1"
}

configure_programs() {
    local program name count i env stamp
    for program in $programs; do
        [ -x "$stack/bin/gantry-$program" ] || continue
        env=("NATS_URL=$(nats_url "$program")")
        [[ " $redis_users " != *" $program "* ]] ||
            env+=("REDIS_URL=$(program_redis_url "$program")")
        [ "$program" = executor ] || env+=("DATABASE_URL=$(program_postgres_url "gantry_$program")")
        [ "$program" != audit ] || env+=("PRUNER_DATABASE_URL=$(program_postgres_url gantry_pruner)")
        [ "$program" != gateway ] || env+=("LISTEN_ADDR=127.0.0.1:$GATEWAY_PORT"
            "ADMIN_LISTEN_ADDR=127.0.0.1:$ADMIN_PORT"
            "CALLOUT_NATS_URL=$(nats_url callout)" "KICK_NATS_URL=$(nats_url kick)")
        [ "$program" != gateway ] || [ "$CONNECTOR" = 0 ] || env+=("CONNECTOR_ENABLED=1")
        if [ "$program" != gateway ]; then
            env+=("ACTOR_KEY=$(actor_key "$program" "$ACTOR_SIGNING_KEY")")
            [ -z "$ACTOR_SIGNING_KEY_PREVIOUS" ] ||
                env+=("ACTOR_KEY_PREVIOUS=$(actor_key "$program" "$ACTOR_SIGNING_KEY_PREVIOUS")")
        fi
        for name in $setting_names; do
            [[ " $secret_names " == *" $name "* ]] || [ -z "${!name+given}" ] || env+=("$name=${!name}")
        done
        for name in $(secrets_of "$program"); do
            [ -z "${!name-}" ] || env+=("$name=${!name}")
        done
        # A program of MODE=fault (PROGRAMS_FROM) dies there (docs/states.md).
        [ -z "${FAULT_POINT-}" ] || [ "$program" != "${FAULT_PROGRAM:-gateway}" ] ||
            env+=("FAULT_POINT=$FAULT_POINT")
        stamp=$(stamp_of "$stack/bin/gantry-$program")
        case $program in
        executor | connector) stamp+=-$(stamp_of "$stack/share/gantry/workers/$program") ;;
        gateway) [ "$CONNECTOR" = 0 ] || stamp+=-$(stamp_of "$stack/share/gantry/workers/connector") ;;
        esac
        count=${program^^}
        for ((i = 1; i <= ${!count:-1}; i++)); do
            name=$program
            [ $i = 1 ] || name+=-$i
            service "$name" "$program" "$root/bin/gantry-$program"
        done
    done
    # What is no longer wanted (fewer replicas than the last time).
    for name in "$stack"/services/*; do
        [[ " $service_names " == *" ${name##*/} "* ]] || rm -f "$name"
    done
}
