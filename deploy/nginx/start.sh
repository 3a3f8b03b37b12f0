#!/bin/sh
# Runs nginx in its container, and has it look up the servers' addresses again when these change.
set -eu
run="nginx -e stderr -g"
main="daemon off; pid /tmp/nginx.pid; error_log stderr warn;"
addresses() { getent ahosts server | cut -d ' ' -f 1 | sort -u; }

(
  known=$(addresses)
  while sleep 2; do
    found=$(addresses)
    if [ -n "$found" ] && [ "$found" != "$known" ] && $run "$main" -s reload; then
      known=$found
    fi
  done
) &
exec $run "$main"
