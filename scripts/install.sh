#!/usr/bin/env bash
# Installs what this machine lacks, and nothing that it has: Redis and Tarantool from the distribution, a Python that
# can make virtual environments, and the locked packages into .venv. Repeated calls end in milliseconds.
# Usage: scripts/install.sh [lint|bench|audit]    with `lint`, also the checkers that are no Python packages;
# with `bench`, also the load generator and what the systems to compare with import; with `audit`, also pip-audit.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly LOCK=requirements-dev.lock
readonly STAMP=.venv/installed.lock # a copy of the lock that was installed last, written when all of it was
readonly POLICY=/usr/sbin/policy-rc.d
readonly MIN_MINOR=11
readonly MIN_REDIS=6.0
readonly MIN_TARANTOOL=2.6

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif have sudo; then sudo "$@"
    else fail "this needs root or sudo: $*"
    fi
}

missing_packages() { # names of packages whose command is not there
    have redis-server || echo redis-server
    have tarantool || echo tarantool
    have curl || echo curl
    if [ "${1:-}" = lint ]; then
        have luacheck || echo lua-check
        have shellcheck || echo shellcheck
    fi
    if [ "${1:-}" = bench ]; then
        have wrk || echo wrk
    fi
}

recent() { # recent COMMAND : is it a Python that we can use
    have "$1" && "$1" -c "import sys; sys.exit(sys.version_info < (3, $MIN_MINOR))" 2>/dev/null
}

find_python() { # a usable interpreter, one that can make environments if there is any
    local candidate first=
    for candidate in python3.13 python3.12 python3.11 python3; do
        recent "$candidate" || continue
        if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            echo "$candidate"
            return
        fi
        first=${first:-$candidate}
    done
    echo "$first"
}

apt() { # what apt-get says is of interest only when it fails
    local said
    said=$(as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" 2>&1) || { say "$said"; return 1; }
}

UPDATED=
apt_update() {
    [ -n "$UPDATED" ] || apt update
    UPDATED=yes
}

apt_install() {
    say "installing $*"
    apt_update
    # The packages of servers start them at once on their default ports, and nobody asked for that.
    local held=
    if [ ! -e "$POLICY" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$POLICY" >/dev/null
        as_root chmod 755 "$POLICY"
        held=yes
        trap 'as_root rm -f "$POLICY"' EXIT
    fi
    apt --no-install-recommends install "$@"
    if [ -n "$held" ]; then
        as_root rm -f "$POLICY"
        trap - EXIT
    fi
    # Nor at the next boot.
    local package
    for package in "$@"; do
        case $package in
            redis-server | tarantool)
                if [ -d /run/systemd/system ]; then as_root systemctl --quiet disable "$package" 2>/dev/null || true
                else as_root update-rc.d "$package" disable >/dev/null 2>&1 || true; fi
                ;;
        esac
    done
}

apt_python() { # the newest package of an interpreter that the distribution has and that is recent enough
    local minor
    for minor in 13 12 11; do
        if [ -n "$(apt-cache madison "python3.$minor-venv" 2>/dev/null)" ]; then
            echo "python3.$minor"
            return
        fi
    done
}

install_python() { # sets PYTHON to an interpreter that can make environments
    PYTHON=$(find_python)
    if [ -n "$PYTHON" ] && "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then return; fi
    if ! have apt-get; then
        [ -n "$PYTHON" ] && fail "$PYTHON cannot make virtual environments: its modules venv and ensurepip are missing"
        fail "Python 3.$MIN_MINOR or newer is needed, and is not in PATH"
    fi
    apt_update
    if [ -z "$PYTHON" ]; then
        PYTHON=$(apt_python)
        [ -n "$PYTHON" ] || fail "Python 3.$MIN_MINOR or newer is needed, and this distribution has none: install one," \
            "so that python3.$MIN_MINOR (or newer) is in PATH, and run this again"
        apt_install "$PYTHON" "$PYTHON-venv"
    else
        apt_install "$("$PYTHON" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    fi
}

install_packages() {
    local missing
    mapfile -t missing < <(missing_packages "${1:-}")
    [ ${#missing[@]} -gt 0 ] || return 0
    if have apt-get; then
        apt_install "${missing[@]}"
        return
    fi
    local name servers=()
    for name in "${missing[@]}"; do
        case $name in redis-server | tarantool) servers+=("$name") ;; esac
    done
    [ ${#servers[@]} = 0 ] || fail "please install with this system's package manager: ${servers[*]}" \
        "(commands redis-server, $MIN_REDIS or newer, and tarantool, $MIN_TARANTOOL or newer), then run this again"
    say "not installed, going on without: ${missing[*]}"
}

check_version() { # check_version COMMAND VERSION : is the command in PATH of this version, or newer
    local said
    said=$("$1" --version 2>&1) || true
    [[ $said =~ ([0-9]+)\.([0-9]+) ]] || fail "$1 --version tells no version: ${said%%$'\n'*}"
    ((BASH_REMATCH[1] > ${2%.*} || (BASH_REMATCH[1] == ${2%.*} && BASH_REMATCH[2] >= ${2#*.}))) ||
        fail "$(command -v "$1") is version ${BASH_REMATCH[0]}, and $2 or newer is needed"
}

install_environment() {
    if cmp -s "$LOCK" "$STAMP" && .venv/bin/python -c '' 2>/dev/null; then return; fi
    rm -f "$STAMP"
    # An environment that works is only brought up to date: a running system may be using it.
    if ! recent .venv/bin/python || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        install_python
        "$PYTHON" -m venv --clear .venv
    fi
    say "installing Python packages into .venv ($(.venv/bin/python --version))"
    .venv/bin/python -m pip -qq --disable-pip-version-check --no-input install --no-deps --require-hashes -r "$LOCK"
    cp "$LOCK" "$STAMP"
}

install_more() { # install_more bench|audit : never changes a version that another lock names, by which it was constrained
    local lock=requirements-$1.lock stamp=.venv/installed-$1.lock
    if cmp -s "$lock" "$stamp"; then return; fi
    say "installing the Python packages of make $1 into .venv"
    .venv/bin/python -m pip -qq --disable-pip-version-check --no-input install --no-deps --require-hashes -r "$lock"
    cp "$lock" "$stamp"
}

install_packages "${1:-}"
check_version redis-server "$MIN_REDIS"
check_version tarantool "$MIN_TARANTOOL"
install_environment
case ${1:-} in bench | audit) install_more "$1" ;; esac
