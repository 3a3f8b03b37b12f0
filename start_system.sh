#!/bin/sh
# Start the system, in Docker if there is an engine, else (or with --local) in a virtual environment.
cd "$(dirname "$0")" || exit 1
for python in python3.13 python3.12 python3.11 python3 python; do
  if "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
    exec "$python" launcher.py start "$@"
  fi
done
echo "Python 3.11, 3.12 or 3.13 is needed and was not found: https://www.python.org/downloads/" >&2
echo "With Docker you need no Python: run docker compose up --build and open the sign-in links in its output." >&2
exit 1
