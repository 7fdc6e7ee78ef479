#!/bin/bash -p
# Installs what this machine lacks: Redis and Tarantool from the distribution, a Python that can make virtual
# environments, and the locked packages into .venv. If nothing is missing it ends within milliseconds.
# Bash's option -p keeps functions, BASH_ENV and CDPATH of the environment out.
# Usage: scripts/install.sh [test|lint|docs|bench|audit|browser]    The argument adds: `test` the proxies of the tests;
# `lint` the checkers that are not Python packages; `docs` what builds the site; `bench` the load generator and the
# packages of the systems to compare with; `audit` pip-audit; `browser` Chromium and the packages that drive it.
set -euo pipefail

# The shell's environment must not influence what is installed, except by variables that say where packages come from.
readonly KEPT=" HOME LOGNAME PATH TERM TMPDIR USER DEBIAN_FRONTEND SSL_CERT_DIR SSL_CERT_FILE REQUESTS_CA_BUNDLE CURL_CA_BUNDLE \
PYENV_ROOT PIP_CACHE_DIR PIP_CERT PIP_CLIENT_CERT PIP_CONFIG_FILE PIP_DEFAULT_TIMEOUT PIP_EXTRA_INDEX_URL PIP_FIND_LINKS \
PIP_INDEX_URL PIP_NO_INDEX PIP_PROXY PIP_RETRIES PIP_TIMEOUT PIP_TRUSTED_HOST \
all_proxy http_proxy https_proxy no_proxy ALL_PROXY HTTP_PROXY HTTPS_PROXY NO_PROXY "
while IFS= read -r name; do
    [[ $KEPT == *" $name "* ]] || unset "$name" 2>/dev/null || true
done < <(compgen -e)
export LC_ALL=C.UTF-8
umask 022
[ -z "${TMPDIR:-}" ] || [ -d "$TMPDIR" ] || unset TMPDIR

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

readonly LOCK=requirements-dev.lock
# A copy of the lock file, written after all its packages were installed. Before 0.2 it had another name: that
# installation left out packages that it found on PYTHONPATH, so it must be repeated.
readonly STAMP=.venv/installed-dev.lock
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

missing_packages() { # prints the packages whose command is missing
    have redis-server || echo redis-server
    have tarantool || echo tarantool
    have curl || echo curl
    if [ "${1:-}" = test ]; then
        have nginx || [ -x /usr/sbin/nginx ] || echo nginx
        have haproxy || [ -x /usr/sbin/haproxy ] || echo haproxy
    fi
    if [ "${1:-}" = lint ]; then
        have luacheck || echo lua-check
        have shellcheck || echo shellcheck
    fi
    if [ "${1:-}" = bench ]; then
        have wrk || echo wrk
    fi
    if [ "${1:-}" = browser ]; then
        # Chromium shows no text without a font.
        have chromium || have chromium-browser || have google-chrome || printf '%s\n' chromium fonts-noto-core
    fi
}

recent() { # recent COMMAND : succeeds if it is a Python that is new enough
    have "$1" && "$1" -I -c "import sys; sys.exit(sys.version_info < (3, $MIN_MINOR))" 2>/dev/null
}

makes_environments() { "$1" -I -c 'import ensurepip, venv' 2>/dev/null; }

# Succeeds if an interpreter was built with optimizations: those of distributions are, others say so in CONFIG_ARGS.
# A build without them takes 7 to 11 % more processor time a request (measured: 3.11 of pyenv and of Debian 12).
optimized() {
    "$1" -I -c 'import sys, sysconfig
sys.exit(sys.base_prefix != "/usr" and "--enable-optimizations" not in (sysconfig.get_config_var("CONFIG_ARGS") or ""))'
}

pythons() { # prints every usable interpreter in PATH, the newest first
    local name
    for name in python3.13 python3.12 python3.11 python3; do
        # Each directory of PATH may hold one. The distribution's is tried even if PATH does not contain it.
        { type -aP "$name" || true; echo "/usr/bin/$name"; } | awk '!seen[$0]++' | while IFS= read -r found; do
            if recent "$found"; then printf '%s\n' "$found"; fi
        done
    done
}

find_python() { # sets PYTHON to the best usable interpreter and WHY to the reason; both are empty if there is none
    local candidate first='' fast=() slow=()
    PYTHON='' WHY=''
    while IFS= read -r candidate; do
        first=${first:-$candidate}
        if optimized "$candidate"; then fast+=("$candidate"); else slow+=("$candidate"); fi
    done < <(pythons)
    # The distribution's interpreter may need one more package to make environments, which apt-get can install.
    for candidate in "${fast[@]}"; do
        if makes_environments "$candidate" ||
            { [[ $candidate == /usr/bin/* ]] && have apt-get && [ "$(id -u)" = 0 ]; }; then
            PYTHON=$candidate
            if [ "$first" = "${slow[0]:-}" ]; then WHY="$first was built without optimizations"; fi
            return
        fi
    done
    for candidate in "${slow[@]}"; do
        if makes_environments "$candidate"; then
            PYTHON=$candidate WHY="built without optimizations: a build with them is about a tenth faster"
            return
        fi
    done
    PYTHON=${fast[0]:-${slow[0]:-}}
}

apt() { # calls apt-get, and prints its output only if it fails
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
    # The servers' packages would start them at once, on their default ports. This policy prevents that.
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
    # The servers must not start at the next boot either.
    local package
    for package in "$@"; do
        case $package in
            redis-server | tarantool | nginx | haproxy)
                if [ -d /run/systemd/system ]; then as_root systemctl --quiet disable "$package" 2>/dev/null || true
                else as_root update-rc.d "$package" disable >/dev/null 2>&1 || true; fi
                ;;
        esac
    done
}

apt_python() { # prints the newest usable interpreter that the distribution has a package of
    local minor
    for minor in 13 12 11; do
        if [ -n "$(apt-cache madison "python3.$minor-venv" 2>/dev/null)" ]; then
            echo "python3.$minor"
            return
        fi
    done
}

install_python() { # sets PYTHON to an interpreter that can make environments
    find_python
    if [ -n "$PYTHON" ] && makes_environments "$PYTHON"; then return; fi
    if ! have apt-get; then
        [ -n "$PYTHON" ] && fail "$PYTHON cannot make virtual environments: its modules venv and ensurepip are missing"
        fail "Python 3.$MIN_MINOR or newer is needed, but is not in PATH"
    fi
    apt_update
    if [ -z "$PYTHON" ]; then
        PYTHON=$(apt_python)
        [ -n "$PYTHON" ] || fail "Python 3.$MIN_MINOR or newer is needed, but this distribution has none: install one," \
            "so that python3.$MIN_MINOR (or newer) is in PATH, then run this again"
        apt_install "$PYTHON" "$PYTHON-venv"
    else
        apt_install "$("$PYTHON" -I -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
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
    say "these programs are missing and were not installed: ${missing[*]}"
}

check_version() { # check_version COMMAND VERSION : fails if the command is older than that
    local said
    said=$("$1" --version 2>&1) || true
    [[ $said =~ ([0-9]+)\.([0-9]+) ]] || fail "$1 --version does not print a version: ${said%%$'\n'*}"
    ((BASH_REMATCH[1] > ${2%.*} || (BASH_REMATCH[1] == ${2%.*} && BASH_REMATCH[2] >= ${2#*.}))) ||
        fail "$(command -v "$1") is version ${BASH_REMATCH[0]}, and $2 or newer is needed"
}

make_environment() {
    install_python
    say "making .venv with $PYTHON ($("$PYTHON" -I -c 'import platform; print(platform.python_version())')${WHY:+; $WHY})"
    # The directory that a link points to is not ours to clear: only the link is removed.
    if [ -L .venv ]; then rm -f .venv; fi
    local here=$PWD alias=
    # Python makes no environment in a path with a colon, because such a path cannot be in PATH. It is not needed there.
    if [[ $PWD == *:* ]]; then
        alias=$(mktemp -d)
        ln -s "$PWD" "$alias/clone"
        here=$alias/clone
    fi
    "$PYTHON" -I -m venv --clear "$here/.venv"
    if [ -n "$alias" ]; then rm -rf "$alias"; fi
}

pip() { .venv/bin/python -I -m pip --disable-pip-version-check --no-input --no-color "$@"; }

pip_install() { # pip_install LOCK
    local said; said=$(mktemp)
    if ! pip install --progress-bar off --no-user --no-deps --require-hashes -r "$1" 2>&1 |
        tee "$said" | progress "$(grep -c '^[a-z0-9].*==' "$1")"; then
        say "$(grep -v '^\(Collecting\|  *Downloading\|  *Using cached\|Looking in\|Requirement already\)' "$said" | tail -n 15)"
        rm -f "$said"
        fail "could not install the packages of $1"
    fi
    rm -f "$said"
    # A pip.conf may have sent the packages elsewhere. The installation only counts if they are in .venv.
    pip -qq install --dry-run --no-index --no-user --no-deps --require-hashes -r "$1" >/dev/null 2>&1 ||
        fail "pip has not put the packages into .venv: see '.venv/bin/python -m pip config list'"
}

progress() { # progress TOTAL : reads pip's output, and prints a line every 25 packages
    local line done=0
    while IFS= read -r line; do
        case $line in
            Collecting* | "Requirement already"*)
                done=$((done + 1))
                if ((done % 25 == 0)); then say "  $done of at most $1 packages"; fi
                ;;
            "Installing collected"*) say "  unpacking" ;;
        esac
    done
}

take_lock() { # if two installations start at once, the second waits for the first
    # This process may hold a lock on the same file. It must be released first, or the process waits for itself.
    if [ -n "${lock:-}" ]; then exec {lock}<&-; fi
    exec {lock}<"$LOCK"
    if ! have flock || flock -n "$lock"; then return; fi
    say "another installation is under way, waiting for it"
    flock -w 900 "$lock" || fail "another installation has not ended within 15 minutes: end what has $LOCK open"
}

install_environment() {
    if cmp -s "$LOCK" "$STAMP" && .venv/bin/python -I -c '' 2>/dev/null; then return; fi
    take_lock
    if cmp -s "$LOCK" "$STAMP" && .venv/bin/python -I -c '' 2>/dev/null; then return; fi
    rm -f "$STAMP"
    # A working environment is updated, not made again: a running system may be using it.
    if ! recent .venv/bin/python || ! .venv/bin/python -I -m pip --version >/dev/null 2>&1; then make_environment; fi
    say "installing Python packages into .venv, about half a minute ($(.venv/bin/python -I --version))"
    pip_install "$LOCK"
    cp "$LOCK" "$STAMP"
}

install_more() { # install_more docs|bench|audit|browser : their locks name the same versions as requirements-dev.lock
    local lock=requirements-$1.lock stamp=.venv/installed-$1.lock
    if cmp -s "$lock" "$stamp"; then return; fi
    say "installing the Python packages of make $1 into .venv"
    pip_install "$lock"
    cp "$lock" "$stamp"
}

install_client() { # installs the client of this clone; builds it from a copy, so that client/ stays clean
    [ -d client ] || return 0
    local stamp=.venv/installed-client.sum copy sum said
    sum=$(find client -type f \( -name '*.py' -o -name '*.toml' -o -name 'py.typed' \) -exec cksum {} + | sort)
    if [ "$sum" = "$(cat "$stamp" 2>/dev/null)" ]; then return; fi
    take_lock
    if [ "$sum" = "$(cat "$stamp" 2>/dev/null)" ]; then return; fi
    copy=$(mktemp -d)
    cp -R client/pyproject.toml client/README.md client/src "$copy"
    said=$(pip install --no-user --no-deps --no-index --no-build-isolation --force-reinstall "$copy" 2>&1) ||
        { rm -rf "$copy"; say "$said"; fail "could not install the client (client/)"; }
    rm -rf "$copy"
    printf '%s\n' "$sum" >"$stamp"
}

install_packages "${1:-}"
check_version redis-server "$MIN_REDIS"
check_version tarantool "$MIN_TARANTOOL"
install_environment
install_client
case ${1:-} in docs | bench | audit | browser) install_more "$1" ;; esac
