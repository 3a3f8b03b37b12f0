#!/bin/sh
# Run every check and test; --full adds the ones that take long.
cd "$(dirname "$0")" || exit 1
for python in python3.13 python3.12 python3.11 python3 python; do
  if "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
    exec "$python" launcher.py test "$@"
  fi
done
echo "Python 3.11, 3.12 or 3.13 is needed and was not found: https://www.python.org/downloads/" >&2
exit 1
