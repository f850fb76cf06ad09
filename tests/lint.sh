#!/bin/bash
# tests/lint.sh - what of docs/style.md a machine can check. One line for each breach; exit 1 if any.
#
# usage: tests/lint.sh          everything but clang-tidy
#        tests/lint.sh --tidy   clang-tidy, one file per process (several at once give false reports)
set -u
cd "$(dirname "$0")/.." || exit 1
export LC_ALL=C.UTF-8
found=$(mktemp)
trap 'rm -f "$found"' EXIT

# advise TITLE: each line of standard input is a place to look at, not a breach.
advise() {
    title=$1 awk '{ print "look: " ENVIRON["title"] ": " $0 }'
}

# report TITLE: each line of standard input is a breach.
report() {
    title=$1 awk '{ print ENVIRON["title"] ": " $0 }' | tee -a "$found"
}

finish() {
    echo "$(wc -l <"$found") breaches"
    [ ! -s "$found" ]
    exit
}

mapfile -t files < <(git ls-files -co --exclude-standard | sort -u | while read -r f; do [ ! -f "$f" ] || echo "$f"; done)
mapfile -t sources < <(printf '%s\n' "${files[@]}" | grep '\.[ch]$')
mapfile -t product < <(printf '%s\n' "${sources[@]}" | grep -v '^tests/')
mapfile -t headers < <(printf '%s\n' "${sources[@]}" | grep '\.h$')
flags="$(make -s print-flags) -I."

# own FILE: the folder that its program's includes start from (OWN_INCLUDE in the Makefile).
own() {
    case $1 in
    gateway/*) echo -Igateway ;;
    workers/executor/* | workers/search/* | workers/connector/*) echo "-I$(cut -d/ -f1-2 <<<"$1")" ;;
    esac
}

if [ "${1-}" = --tidy ]; then
    make -s generated
    command -v clang-tidy >/dev/null || { echo "no clang-tidy: deploy/dependencies tidy" && exit 1; }
    printf '%s\n' "${product[@]}" | grep '\.c$' | while read -r file; do own=$(own "$file") && echo "$file${own:+ $own}"; done |
        xargs -P "${TIDY_PROCESSES:-2}" -L 1 sh -c 'file=$1; shift; clang-tidy --quiet "$file" -- '"$flags"' "$@" 2>/dev/null' tidy |
        grep -E 'warning:|error:' | report tidy
    finish
fi

# --- layers: who may include whom ---------------------------------------------------------------
# Each folder of common/ includes itself and what its row names; the table is the picture of the house
# (docs/overview.md). A program includes common/ and itself, never another program.
layer() { # folder, folders that it may include
    grep -HoE '#include "[a-z]+/' common/"$1"/*.[ch] | sort -u |
        grep -vE "\"($1${2:+|$2})/\$" | sed 's|/$|/" is not below it|' | report "layer $1"
}
layer base ''
layer crypto 'base'
layer json 'base'
layer analysis 'base'
layer process 'base|json|crypto'
layer validate 'base|json'
layer policy 'base|json|validate'
layer db 'base|json|crypto'
layer kv 'base|json|crypto'
layer fetch 'base|json|crypto'
layer bus 'base|json|process'
layer protocol 'base|crypto|json|validate|db|kv'
layer embed 'base|json|process|fetch|analysis'
layer trace 'base|crypto|json|process|fetch|protocol'
layer worker 'base|crypto|json|analysis|process|validate|db|kv|fetch|bus|protocol|embed|trace'
layer tasking '.*'
for folder in common/*/; do
    grep -qE "^layer $(basename "$folder") " tests/lint.sh || report 'no layer for' <<<"$folder"
done
git ls-files -co --exclude-standard 'common/*.[ch]' | grep -E '^common/[^/]+$' | report 'outside the folders of common/'

# The folders of gateway/ likewise; what lies in gateway/ itself is for all of them. Three circles are left:
# a request and its effect, a request and its audit event, an effect and the policy about it call each other.
within() { # folder, others of gateway/ that it may include
    grep -HoE '#include "[a-z]+/[a-z_]+\.h"' gateway/"$1"/*.[ch] | while IFS=: read -r file include; do
        path=${include#*\"} path=${path%\"}
        [[ ! -f gateway/$path || ${path%%/*} =~ ^($1${2:+|$2})$ ]] || echo "$file: \"$path\" is not below it"
    done | report "gateway/$1"
}
within http ''
within metrics ''
within keys ''
within requests 'http|metrics|keys|effects|audit'
within audit 'requests'
within effects 'http|keys|events|policy|requests'
within policy 'keys|events|effects|audit|requests'
within events 'keys|requests'
within keyroutes 'keys|requests'
within logins 'keys|audit'
within console 'http|metrics|requests'
within hooks 'audit|requests'
within letters 'effects|requests'
within mcp 'keys|events|requests'
for folder in $(printf '%s\n' "${sources[@]}" | grep -oE '^gateway/[a-z]+/' | sort -u); do
    grep -qE "^within $(basename "$folder") " tests/lint.sh || report 'no layer for' <<<"$folder"
done

# The headers of a folder that end in _own.h are for that folder; of programs, for that program.
for file in "${product[@]}"; do
    grep -HoE '#include "[a-z_/]*_own\.h"' "$file" | while IFS=: read -r _ include; do
        name=${include#*\"} name=${name%\"}
        [ -f "$(dirname "$file")/${name##*/}" ] || echo "$file: $name"
    done
done | report 'private header of another folder'

# A foreign header in the folder of its door only.
door() { # header, files that may include it
    grep -HnE "^#include <($1)" "${product[@]}" | grep -vE "^($2):" | report "door of <$1>"
}
door 'nats\.h|nats/' 'common/bus/[a-z_]+\.[ch]'
door 'libpq' 'common/db/[a-z_]+\.[ch]'
door 'hiredis' 'common/kv/[a-z_]+\.[ch]'
door 'curl/' 'common/fetch/[a-z_]+\.[ch]'
door 'sodium|argon2' 'common/crypto/crypto[a-z_]*\.c'
door 'openssl/' 'common/(crypto/hash|kv/kv_tls)\.c'
door '(cjson/)?cJSON' 'common/json/[a-z_]+\.[ch]'
door 'seccomp' '(common/process/confine|workers/executor/sandbox/filter)\.c'
door 'utf8proc|libstemmer' 'common/analysis/[a-z_]+\.c'
grep -HnE '#include "\.\./' "${sources[@]}" | report 'include of a parent folder'
for program in gateway cli workers/ingest workers/search workers/audit workers/executor workers/connector; do
    find "$program" -name '*.[ch]' -exec grep -HnE '#include "(gateway|cli|workers)/' {} + |
        report 'include of a program by its path'
done

# --- what C must not contain -----------------------------------------------------------------------
# Comments and the contents of string literals do not count.
code=$(for file in "${product[@]}"; do
    awk -v file="$file" '{
        line = $0
        gsub(/\\./, "", line); gsub(/"[^"]*"/, "\"\"", line)
        if (comment) { if (sub(/.*\*\//, "", line)) comment = 0; else next }
        gsub(/\/\*[^*]*\*+([^\/*][^*]*\*+)*\//, "", line)
        if (sub(/\/\*.*/, "", line)) comment = 1
        print file ":" NR ":" line
    }' "$file"
done)
banned='strcpy|strcat|sprintf|vsprintf|strncpy|strncat|strtok|gets|atoi|atol|atof|system|popen|alloca|rand|srand|tmpnam|mktemp|sleep|usleep|strerror_l|gmtime|localtime|ctime|asctime'
grep -E ":.*(^|[^a-zA-Z0-9_.>])($banned)\(" <<<"$code" | report 'banned function'
grep -E ':.*AUTO\([a-z]+\) [^=]*;' <<<"$code" | report 'AUTO without a first value'
grep -E ':.*[^a-zA-Z0-9_](secure_)?getenv\(' <<<"$code" | grep -v '^common/process/conf' | report 'environment read outside conf'
# Out of memory has two ways only (docs/style.md): RC_TEMP to the caller, or log_no_memory().
grep -E ':.*exit\(EXIT_TEMP\)' <<<"$code" | grep -vE '^(common/base/log|gateway/watchdog)\.c:' | report 'end without log_no_memory()'
grep -HnE 'err_set\(.*"(no|out of) memory' "${product[@]}" | grep -vE '(RC_TEMP|rc), "no memory' | report 'out of memory is RC_TEMP, "no memory for ..."'
strings=$(grep -HnE '"' "${product[@]}" | grep -v '^deploy/')
grep -E '"[^"]*\b(SELECT [a-z*(].* FROM|INSERT INTO|UPDATE [a-z_]+ SET|DELETE FROM|CREATE TABLE)\b' <<<"$strings" | report 'SQL in C'
grep -F '"{\"' <<<"$strings" | grep '%' |
    grep -vE '^(common/base/log|gateway/logins/jwt|workers/audit/read)[a-z_]*\.c:' | report 'JSON formatted in C'

# --- shape -------------------------------------------------------------------------------------
grep -HnE '\b(TODO|FIXME|XXX|HACK)\b' "${files[@]}" | grep -vE '^(tests/lint\.sh|docs/style\.md):' | report 'left open'
for file in "${headers[@]}"; do
    sed -n 1p "$file" | grep -q '^/\* SPDX-License-Identifier: MIT \*/$' || report 'SPDX line' <<<"$file"
    name=$(basename "$file" .h)
    sed -n 3p "$file" | grep -qE "^ \* $name - ." || report "line 3 is not \" * $name - summary\"" <<<"$file"
done
for file in $(printf '%s\n' "${headers[@]}" | grep -v '^tests/'); do # the guard is the path
    guard=${file#common/} guard=${guard#workers/} guard=${guard%.h} guard=GANTRY_${guard//[\/-]/_}_H
    grep -qx "#ifndef ${guard^^}" "$file" || report "include guard is not ${guard^^}" <<<"$file"
done
for file in "${product[@]}"; do
    [[ $file == *.h ]] || awk -v file="$file" '
        /^(static |const )*struct( [a-z_]+)? \{/ { inside = 1 }
        /^}/ { inside = 0 }
        !inside && /^ +struct err [a-z_]+(;| = \{ \.rc = RC_OK \};)/ { print file ":" FNR ":" $0 }
    ' "$file"
done | report 'struct err begins as { 0 }'
grep -HnE '^ *\{ *"[A-Z0-9_]+", *CONF_' "${sources[@]}" | report 'a setting names its members (.name = ...)'
git ls-files -co --exclude-standard 'tests/unit/*.c' | grep -v '/test_[a-z0-9_]*\.c$' | report 'a unit test is test_MODULE.c'
for file in "${sources[@]}"; do
    limit=500
    [[ $file != *.h ]] || limit=150
    [[ $file != tests/* ]] || limit=800
    lines=$(wc -l <"$file")
    [ "$lines" -le $limit ] || advise "longer than $limit lines" <<<"$file: $lines"
    [[ ${file##*/} != util* ]] || report 'a name that says nothing' <<<"$file"
done
for file in "${product[@]}"; do
    awk -v file="$file" '
        /^[a-z_][a-zA-Z0-9_]*\(/ { name = $0; sub(/\(.*/, "", name) }
        /^{/ { start = NR }
        /^}/ { if (start && NR - start - 1 > 70) print file ": " name ": " NR - start - 1; start = 0 }
    ' "$file"
done | advise 'function longer than 70 lines'

# --- secrets and addresses -----------------------------------------------------------------------
printf '%s\n' "${files[@]}" | /usr/bin/python3 tests/scan-secrets.py | report 'secret'
hosts=$(apt-get indextargets --format '$(SITE)' 2>/dev/null | sed -E 's|^[a-z+]+://||; s|/.*||' | sort -u)
for host in $hosts; do
    grep -HnF "$host" "${files[@]}" | report 'name of a package mirror'
done

# --- configuration: the page and .env.example say what the programs' tables say ------------------
if make -s all >/dev/null 2>&1; then
    deploy/document --check 2>&1 | report 'configuration'
else
    echo 'the programs do not build' | report 'configuration'
fi

# --- compilers and formatters ------------------------------------------------------------------------
make -s generated >/dev/null 2>&1
for file in "${headers[@]}"; do
    echo "#include \"$file\"" | gcc $flags -Itests/unit -Igateway -Icli -Iworkers/executor -Iworkers/search -Iworkers/connector -fsyntax-only -x c - 2>&1 |
        grep -m1 error | sed "s|^|$file: |"
done | report 'header does not compile alone'
if clang-format --version 2>/dev/null | grep -q 'version 14\.'; then # others format differently
    printf '%s\n' "${sources[@]}" | xargs clang-format --dry-run 2>&1 | grep -E '^[^ ]+\.[ch]:[0-9]+:' | cut -d: -f1 | sort -u | report 'clang-format'
else
    echo "no clang-format 14: formatting not checked"
fi
# ruff is not in Debian 12: it comes from the Python package index, into build/ruff.
ruff=$(command -v ruff || echo build/ruff/bin/ruff)
mkdir -p build
[ -x "$ruff" ] || { /usr/bin/python3 -m venv --clear build/ruff &&
    build/ruff/bin/pip install -q --retries 1 --timeout 20 'ruff~=0.17.0'; } >build/ruff.log 2>&1
if [ -x "$ruff" ]; then
    "$ruff" check --no-cache --config tests/ruff.toml --output-format concise . 2>&1 | grep -vE '^(Found|All checks|\[\*\]) ?' | report 'ruff'
else
    echo "no ruff: Python not checked ($(tail -n 1 build/ruff.log))"
fi
for file in "${files[@]}"; do
    if head -c 20 "$file" | grep -qE '^#!/bin/(ba)?sh'; then bash -n "$file" 2>&1; fi
done | report 'shell syntax'

finish
