#!/usr/bin/env bash
# A private MariaDB on loopback for the tests: `scripts/mariadb.sh start`, then `stop`.
# `start` prints the variable that the tests read; root installs Debian's package when it is missing.
set -euo pipefail

folder="${TMPDIR:-/tmp}/agentkit-mariadb"
port="${AGENTKIT_MARIADB_PORT:-33069}"
user="$(id -un)"

if ! command -v mariadbd > /dev/null && [ "$(id -u)" = 0 ]; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq mariadb-server >&2
fi

case "${1:-}" in
start)
  if [ ! -d "$folder" ]; then
    mkdir -p "$folder/data"
    mariadb-install-db --no-defaults --user="$user" --datadir="$folder/data" \
      --auth-root-authentication-method=normal --skip-test-db > /dev/null
  fi
  if ! mariadb-admin --no-defaults --socket="$folder/socket" --user=root ping > /dev/null 2>&1; then
    mariadbd --no-defaults --user="$user" --datadir="$folder/data" --socket="$folder/socket" \
      --pid-file="$folder/pid" --bind-address=127.0.0.1 --port="$port" --skip-log-bin \
      --character-set-server=utf8mb4 --innodb-flush-log-at-trx-commit=0 > "$folder/log" 2>&1 &
    for _ in $(seq 60); do
      mariadb-admin --no-defaults --socket="$folder/socket" --user=root ping > /dev/null 2>&1 && break
      sleep 0.5
    done
    mariadb --no-defaults --socket="$folder/socket" --user=root --execute="
      CREATE USER IF NOT EXISTS agentkit@127.0.0.1 IDENTIFIED BY 'agentkit';
      GRANT ALL ON *.* TO agentkit@127.0.0.1 WITH GRANT OPTION;"
  fi
  echo "export AGENTKIT_TEST_MARIADB=mariadb+pymysql://agentkit:agentkit@127.0.0.1:$port/mysql"
  ;;
stop)
  mariadb-admin --no-defaults --socket="$folder/socket" --user=root shutdown > /dev/null 2>&1 || true
  rm -rf "$folder"
  ;;
*)
  echo "usage: scripts/mariadb.sh start|stop" >&2
  exit 2
  ;;
esac
