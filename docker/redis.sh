#!/bin/sh
# Starts Redis with two users, one of the api and one of the workers, each with its own keys and commands (the .acl files
# beside this one). Their passwords come from the environment, and Redis learns only the digests.
# The configuration goes in through standard input: neither the file system nor the process list ever holds a secret.
# It listens on every address there is, which is the default: `bind * -::*` would say so, but not to Redis 6.0.
# Arguments are further options of Redis, as --port 6380.
set -eu

here=$(dirname "$0")
digest() { printf '%s' "$1" | sha256sum | cut -d ' ' -f 1; }
# A word of the configuration, whatever characters it has.
word() {
    case $1 in
        *[!A-Za-z0-9._@:-]*) printf '"%s"' "$(printf '%s' "$1" | od -An -v -tx1 | tr -d '\n' | sed 's/ /\\x/g')" ;;
        *) printf '%s' "$1" ;;
    esac
}
api="user $(word "$TARANTKV_REDIS_USER") on #$(digest "$TARANTKV_REDIS_PASSWORD") $(cat "$here/redis_api.acl")"
worker="user $(word "$TARANTKV_REDIS_WORKER_USER") on #$(digest "$TARANTKV_REDIS_WORKER_PASSWORD") $(cat "$here/redis_worker.acl")"
memory=$REDIS_MAXMEMORY
unset TARANTKV_REDIS_PASSWORD TARANTKV_REDIS_WORKER_PASSWORD

# Whatever becomes of the configuration, nobody gets in without a password.
exec redis-server - --user default off "$@" <<CONFIGURATION
port 6379
save ""
appendonly no
maxmemory $memory
maxmemory-policy noeviction
$api
$worker
CONFIGURATION
