#!/bin/sh
# Adds the secrets that .env lacks, and keeps every line that it has. Needs only a POSIX shell: a machine that runs the
# containers may have neither Python nor make.
# Usage: scripts/env.sh [FILE]    FILE is the repository's .env by default. Prints the names that it added.
set -eu
unset CDPATH GREP_OPTIONS POSIXLY_CORRECT
LC_ALL=C
export LC_ALL
umask 077
BOM=$(printf '\357\273\277') # some editors on Windows write this at the start of a file

file=${1:-"$(cd -- "$(dirname -- "$0")/.." && pwd)/.env"}
# If FILE is a symbolic link, this script writes the file that it points to, and keeps the link.
if [ -L "$file" ]; then file=$(readlink -f -- "$file"); fi
scratch=$file.new.$$
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
trap 'rm -f -- "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Hexadecimal digits only, so that no shell, compose file or URL has to quote a value.
random() { # random BYTES : prints twice as many hexadecimal digits
    od -An -v -tx1 -N "$1" /dev/urandom | tr -d ' \n'
}

assigned() { # assigned NAME : succeeds if the file gives it a value
    [ -e "$file" ] || return 1
    grep -Eq "^($BOM)?[[:space:]]*(export[[:space:]]+)?$1[[:space:]]*[=:][[:space:]]*('[^']|\"[^\"]|[^[:space:]'\"])" "$file"
}
names="TARANTKV_JWT_SECRET TARANTKV_ADMIN_USER TARANTKV_ADMIN_PASSWORD TARANTKV_REDIS_PASSWORD \
TARANTKV_REDIS_WORKER_PASSWORD TARANTKV_STORE_PASSWORD"

value() { # value NAME : prints a new value for it
    case $1 in
        TARANTKV_ADMIN_USER) echo admin ;;
        TARANTKV_JWT_SECRET) random 32 ;;
        TARANTKV_ADMIN_PASSWORD) random 12 ;;
        *) random 24 ;;
    esac
}

write() { # prints the whole new file
    if [ -n "$there" ]; then
        # Leaves out empty assignments of these names: a reader may take the first assignment of a name.
        pattern="^($BOM)?[[:space:]]*(export[[:space:]]+)?($(echo "$added" | tr ' ' '|'))[[:space:]]*[=:]"
        grep -Ev "$pattern" "$file" || [ $? = 1 ]
    else
        echo "# Secrets and settings of this machine; never committed. Every setting of docs/settings.md may be added here."
    fi
    for name in $added; do printf '%s=%s\n' "$name" "$(value "$name")"; done
}

[ ! -e "$file" ] || [ -f "$file" ] || fail "$file is not a file"
[ ! -e "$file" ] || [ -r "$file" ] || fail "$file cannot be read"
# Looks at this once only: from here on another process may create the file.
if [ -e "$file" ]; then there=yes; else there=; fi
added=
for name in $names; do assigned "$name" || added=${added:+$added }$name; done
if [ -z "$added" ]; then
    chmod 600 -- "$file"
    printf '%s: complete, nothing changed\n' "$file"
    exit 0
fi
write >"$scratch" || fail "$file cannot be written"
# This check fails if the disk is full or a program is missing.
for name in $added; do grep -q "^$name=." "$scratch" || fail "$file cannot be written"; done
if [ -n "$there" ]; then
    mv -f -- "$scratch" "$file"
elif ! ln -- "$scratch" "$file" 2>/dev/null; then
    # If two processes start at once, one creates the file and the other finds it. Some file systems have no hard links.
    if [ -e "$file" ]; then exec "$0" "$file"; fi
    mv -f -- "$scratch" "$file"
fi
printf '%s: wrote %s\n' "$file" "$added"
