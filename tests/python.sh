# How the Python tests are run, by tests/run and tests/images/run.
# shellcheck shell=bash

# A test on real servers can lose its deadline on a machine that others load too. What fails is run
# once more by itself, and said to have needed it; what fails twice has failed.
python_tests() { # log, words for pytest...
    local first=$1 again good bad left still
    shift
    pytest "$@" 2>&1 | tee "$first"
    [ "${PIPESTATUS[0]}" != 0 ] || return 0
    mapfile -t again < <(sed -nE 's/^(FAILED|ERROR) (.+::.+)$/\2/p' "$first" | sed 's/ - .*//' | awk '!seen[$0]++')
    [ ${#again[@]} -gt 0 ] && [ ${#again[@]} -le 8 ] || return 1
    read -r good bad left < <(counts_of "$first")
    echo "--- once more: ${again[*]}"
    pytest "${again[@]}" 2>&1 | tee "$first.again"
    if [ "${PIPESTATUS[0]}" = 0 ]; then
        printf 'second try: %s\n' "${again[@]}"
        still=0
    else
        read -r _ still _ < <(counts_of "$first.again")
        [ "$still" != 0 ] || still=$bad
    fi
    echo "$((good + bad - still)) passed, $still failed, $left skipped"
    [ "$still" = 0 ]
}

pytest() {
    timeout --foreground -k 60 3600 /usr/bin/python3 -m pytest -c tests/pytest.ini --rootdir=tests "$@"
}

# The numbers of the last line "N passed, N failed[, N skipped]" of a log.
counts_of() {
    local numbers
    numbers=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$1" | tail -n 1 | tr -cs '0-9\n' ' ')
    # shellcheck disable=SC2086
    set -- $numbers
    echo "${1:-0} ${2:-0} ${3:-0}"
}

# The last but one line of a run in which tests needed their second try; nothing when none did.
second_tries() { # names...
    [ $# = 0 ] || echo "$# on the second try: $*"
}
