#!/bin/sh
# Starts Redis with one user, whose password comes from the environment and of which Redis learns only the digest.
# The configuration goes in through standard input: neither the file system nor the process list ever holds a secret.
set -eu

digest=$(printf '%s' "$TARANTKV_REDIS_PASSWORD" | sha256sum | cut -d ' ' -f 1)
user=$TARANTKV_REDIS_USER
memory=$REDIS_MAXMEMORY
unset TARANTKV_REDIS_PASSWORD

exec redis-server - <<CONFIGURATION
bind * -::*
port 6379
dir /data
save ""
appendonly no
maxmemory $memory
maxmemory-policy noeviction
user default off
user $user on #$digest ~* +@all -@admin +client|setname
CONFIGURATION
