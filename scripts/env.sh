#!/bin/sh
# Writes the secrets that .env lacks, and keeps every line that is there. Needs a POSIX shell and nothing else: whoever
# runs the containers may have neither Python nor make.
# Usage: scripts/env.sh [FILE]    FILE is .env of the repository by default. Prints the names that it added.
set -eu
unset CDPATH GREP_OPTIONS POSIXLY_CORRECT
LC_ALL=C
export LC_ALL
umask 077
BOM=$(printf '\357\273\277') # what editors of Windows begin a file with

file=${1:-"$(cd -- "$(dirname -- "$0")/.." && pwd)/.env"}
# A link stays a link: what it points to is written.
if [ -L "$file" ]; then file=$(readlink -f -- "$file"); fi
scratch=$file.new.$$
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
trap 'rm -f -- "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Letters and digits only, so that no shell, compose file or URL has to quote a value.
random() { # random BYTES : twice as many hexadecimal digits
    od -An -v -tx1 -N "$1" /dev/urandom | tr -d ' \n'
}

assigned() { # assigned NAME : does the file give it a value
    [ -e "$file" ] || return 1
    grep -Eq "^($BOM)?[[:space:]]*(export[[:space:]]+)?$1[[:space:]]*[=:][[:space:]]*('[^']|\"[^\"]|[^[:space:]'\"])" "$file"
}
names="TARANTKV_JWT_SECRET TARANTKV_ADMIN_USER TARANTKV_ADMIN_PASSWORD TARANTKV_REDIS_PASSWORD \
TARANTKV_REDIS_WORKER_PASSWORD TARANTKV_STORE_PASSWORD"

value() { # value NAME
    case $1 in
        TARANTKV_ADMIN_USER) echo admin ;;
        TARANTKV_JWT_SECRET) random 32 ;;
        TARANTKV_ADMIN_PASSWORD) random 12 ;;
        *) random 24 ;;
    esac
}

write() { # the whole new file, on standard output
    if [ -n "$there" ]; then
        # An empty assignment would win in readers that take the first one.
        pattern="^($BOM)?[[:space:]]*(export[[:space:]]+)?($(echo "$added" | tr ' ' '|'))[[:space:]]*[=:]"
        grep -Ev "$pattern" "$file" || [ $? = 1 ]
    else
        echo "# Secrets and settings of this machine; never committed. Every setting of docs/settings.md may be added here."
    fi
    for name in $added; do printf '%s=%s\n' "$name" "$(value "$name")"; done
}

[ ! -e "$file" ] || [ -f "$file" ] || fail "$file is not a file"
[ ! -e "$file" ] || [ -r "$file" ] || fail "$file cannot be read"
# Decided once: from here on another process may write it.
if [ -e "$file" ]; then there=yes; else there=; fi
added=
for name in $names; do assigned "$name" || added=${added:+$added }$name; done
if [ -z "$added" ]; then
    chmod 600 -- "$file"
    printf '%s: complete, nothing changed\n' "$file"
    exit 0
fi
write >"$scratch" || fail "$file cannot be written"
# A full disk, or a program that is missing, shows here.
for name in $added; do grep -q "^$name=." "$scratch" || fail "$file cannot be written"; done
if [ -n "$there" ]; then
    mv -f -- "$scratch" "$file"
elif ! ln -- "$scratch" "$file" 2>/dev/null; then
    # Of two that start at once one makes the file, and the other finds it there. Some file systems have no links.
    if [ -e "$file" ]; then exec "$0" "$file"; fi
    mv -f -- "$scratch" "$file"
fi
printf '%s: wrote %s\n' "$file" "$added"
