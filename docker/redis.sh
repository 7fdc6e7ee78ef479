#!/bin/sh
# Starts Redis with two users, one for the api and one for the workers. The .acl files beside this script name the keys
# and commands of each. Their passwords come from the environment; Redis gets only the digests.
# Redis reads the configuration from standard input, so that neither a file nor the process list holds a secret.
# Redis listens on all interfaces, which is its default. `bind * -::*` would say so, but Redis 6.0 does not accept it.
# Arguments are further options of Redis, such as --port 6380.
set -eu

here=$(dirname "$0")
digest() { printf '%s' "$1" | sha256sum | cut -d ' ' -f 1; }
# Prints its argument as one word of the configuration, quoted if necessary.
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

# The user `default` is switched off on the command line too, so that no broken configuration allows logins without one
# of the passwords.
exec redis-server - --user default off "$@" <<CONFIGURATION
port 6379
save ""
appendonly no
maxmemory $memory
maxmemory-policy noeviction
$api
$worker
CONFIGURATION
