#!/usr/bin/env bash
# A private PostgreSQL on loopback for the tests: `scripts/postgresql.sh start`, then `stop`.
# `start` prints the variable that the tests read; root installs Debian's package when it is missing.
set -euo pipefail

folder="${TMPDIR:-/tmp}/agentkit-postgresql"
port="${AGENTKIT_POSTGRESQL_PORT:-54329}"

find_programs() { ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1; }

programs="$(find_programs)"
if [ -z "$programs" ] && [ "$(id -u)" = 0 ]; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql >&2
  programs="$(find_programs)"
fi
programs="${programs:-$(dirname "$(command -v pg_ctl)")}"

# PostgreSQL refuses to run as root
as_server() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }

case "${1:-}" in
start)
  if [ ! -d "$folder" ]; then
    mkdir -p "$folder"
    [ "$(id -u)" = 0 ] && chown postgres "$folder"
    printf agentkit > "$folder.password" && chmod 644 "$folder.password"
    as_server "$programs/initdb" --pgdata="$folder/data" --username=agentkit --encoding=UTF8 \
      --locale=C.UTF-8 --auth=scram-sha-256 --pwfile="$folder.password" > /dev/null
  fi
  as_server "$programs/pg_ctl" status --pgdata="$folder/data" > /dev/null ||
    as_server "$programs/pg_ctl" start --wait --pgdata="$folder/data" --log="$folder/log" \
      --options="-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$folder -c fsync=off -c max_connections=200" > /dev/null
  echo "export AGENTKIT_TEST_POSTGRESQL=postgresql+psycopg://agentkit:agentkit@127.0.0.1:$port/postgres"
  ;;
stop)
  as_server "$programs/pg_ctl" stop --mode=immediate --pgdata="$folder/data" > /dev/null || true
  rm -rf "$folder" "$folder.password"
  ;;
*)
  echo "usage: scripts/postgresql.sh start|stop" >&2
  exit 2
  ;;
esac
