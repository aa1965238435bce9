#!/usr/bin/env bash
# A private Neo4j Community on loopback for the tests: `scripts/neo4j.sh start`, `status`, then `stop`.
# `start` prints the variables that the tests read. Needs Java 17 and Maven, which root gets from
# Debian's packages when they are missing; the server's artefacts are kept in .neo4j/.
set -euo pipefail

project="$(cd "$(dirname "$0")/.." && pwd)"
libraries="$project/.neo4j"
folder="${TMPDIR:-/tmp}/agentkit-neo4j"
port="${AGENTKIT_NEO4J_PORT:-37687}"
password=agentkit-neo4j

is_running() { [ -f "$folder/pid" ] && kill -0 "$(cat "$folder/pid")" 2> /dev/null; }

answers() { (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; }

install_tools() {
  if { ! command -v java || ! command -v mvn; } > /dev/null && [ "$(id -u)" = 0 ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq openjdk-17-jre-headless maven >&2
  fi
}

copy_libraries() {
  if ! cmp -s "$project/scripts/neo4j/pom.xml" "$libraries/pom.xml"; then
    rm -rf "$libraries"
    mvn --quiet --batch-mode --file "$project/scripts/neo4j/pom.xml" \
      dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$libraries/lib" >&2
    mkdir -p "$libraries/plugins"
    mv "$libraries"/lib/apoc-*.jar "$libraries/plugins"
    cp "$project/scripts/neo4j/pom.xml" "$libraries/pom.xml" # last: all of it is there
  fi
}

write_settings() {
  mkdir -p "$folder/conf" "$folder/import"
  cat > "$folder/conf/neo4j.conf" << EOF
server.bolt.listen_address=127.0.0.1:$port
server.http.enabled=false
server.https.enabled=false
server.directories.plugins=$libraries/plugins
server.memory.pagecache.size=128m
dbms.usage_report.enabled=false
dbms.security.procedures.unrestricted=apoc.*
EOF
}

case "${1:-}" in
start)
  if ! is_running; then
    install_tools
    copy_libraries
    write_settings
    export NEO4J_HOME="$folder" NEO4J_CONF="$folder/conf"
    java -cp "$libraries/lib/*" org.neo4j.cli.AdminTool \
      dbms set-initial-password "$password" > "$folder/log" 2>&1 || true
    java -Xmx1g -cp "$libraries/plugins/*:$libraries/lib/*" org.neo4j.server.CommunityEntryPoint \
      --home-dir="$folder" --config-dir="$folder/conf" >> "$folder/log" 2>&1 < /dev/null &
    echo $! > "$folder/pid"
    for _ in $(seq 120); do
      answers && break
      is_running || { cat "$folder/log" >&2; exit 1; }
      sleep 0.5
    done
    answers || { cat "$folder/log" >&2; exit 1; }
  fi
  echo "export NEO4J_URI=bolt://127.0.0.1:$port NEO4J_USERNAME=neo4j NEO4J_PASSWORD=$password"
  ;;
stop)
  if is_running; then
    kill "$(cat "$folder/pid")"
    for _ in $(seq 60); do is_running || break; sleep 0.5; done
  fi
  rm -rf "$folder"
  ;;
status)
  if is_running; then echo "running on 127.0.0.1:$port"; else echo "not running"; exit 1; fi
  ;;
*)
  echo "usage: scripts/neo4j.sh start|stop|status" >&2
  exit 2
  ;;
esac
