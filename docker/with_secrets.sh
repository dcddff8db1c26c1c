#!/bin/sh
# Run a command that takes a secret only from its environment: for each NAME_FILE=/run/secrets/... export NAME with the
# file's content. The secret is then in the environment of that one process tree, not in the container's description.
#
#   PGPASSWORD_FILE=/run/secrets/database_password with_secrets mlflow server
set -eu

for name in $(env | sed -n 's|^\([A-Z][A-Z0-9_]*\)_FILE=/run/secrets/.*|\1|p'); do
    file=$(printenv "${name}_FILE")
    if ! [ -r "$file" ] || ! [ -s "$file" ]; then
        echo "${name}_FILE: $file is empty or cannot be read: make the secrets with docker/make_secrets.sh" >&2
        exit 1
    fi
    value=$(cat "$file")
    export "$name=$value"
done
exec "$@"
