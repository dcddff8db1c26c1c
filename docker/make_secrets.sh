#!/bin/sh
# Make the secrets of docker/compose.yaml as files in docker/secrets, or in the folder given; those that exist stay.
#
# Only their owner can enter the folder. The files themselves may be read by any user id, because Docker hands them to
# its containers as they are, and these run under ids that do not exist on this machine.
set -eu
umask 077
folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder"
chmod 700 "$folder"
cd "$folder"

# keep NAME: what comes in becomes the file, whole or not at all, unless it is there.
keep() {
    if [ -s "$1" ]; then
        cat > /dev/null
        return
    fi
    cat > "$1.new"
    chmod 444 "$1.new"
    mv "$1.new" "$1"
}

# random BYTES: as hexadecimal digits, which need no quoting anywhere.
random() {
    od -An -v -tx1 -N "$1" /dev/urandom | tr -d ' \n'
}

random 32 | keep ray_token
random 32 | keep database_password
random 16 | keep mlflow_admin_password
random 32 | keep mlflow_flask_key
random 10 | keep store_access_key
random 32 | keep store_secret_key
printf '[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n' \
    "$(cat store_access_key)" "$(cat store_secret_key)" | keep aws_credentials
printf '[mlflow]\nmlflow_tracking_username = admin\nmlflow_tracking_password = %s\n' \
    "$(cat mlflow_admin_password)" | keep mlflow_credentials
echo "The secrets are in $folder; MLflow's admin password is in mlflow_admin_password"
