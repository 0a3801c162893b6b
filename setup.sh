#!/bin/sh
# Installs what the runbook needs: programs from Debian where they are missing, Python packages into .venv.
# Usage: setup.sh VENV    (PYTHON names the interpreter, python3 unless set)
#        setup.sh chromium    the browser, which only the tests need
set -eu
cd "$(dirname "$0")"
venv=${1:-.venv}
python=${PYTHON:-python3}

by_hand() {
    echo "setup: $1; install these by hand, then run make again:$missing" >&2
    exit 1
}
right_version() {
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "setup: Python 3.11 or newer is needed; name it: make PYTHON=python3.11" >&2
        exit 1
    }
}

install_missing() {
    command -v apt-get >/dev/null 2>&1 || by_hand "no apt-get here"
    sudo=""
    if [ "$(id -u)" -ne 0 ]; then
        sudo=sudo
        command -v sudo >/dev/null 2>&1 || by_hand "not root, and no sudo here"
        echo "setup: installing with sudo from Debian:$missing"
    else
        echo "setup: installing from Debian:$missing"
    fi
    # shellcheck disable=SC2086
    { $sudo apt-get update -qq &&
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
    } || by_hand "apt-get could not install them (why is above)"
}

missing=""
need() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || missing="$missing $2"; }

if [ "${1:-}" = chromium ]; then
    need chromium chromium
    [ -z "$missing" ] || install_missing
    exit
fi

need docker-registry docker-registry
need haproxy haproxy
need bwrap bubblewrap
need skopeo skopeo
need redis-server redis-server
need "$python" python3
if command -v "$python" >/dev/null 2>&1; then
    right_version
    "$python" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
else
    missing="$missing python3-venv"
fi

if [ -n "$missing" ]; then
    install_missing
    # Debian starts the services of these packages; only the programs are wanted, on addresses of our own.
    if [ -d /run/systemd/system ]; then
        for service in docker-registry haproxy redis-server; do
            case "$missing " in *" $service "*) $sudo systemctl disable --now --quiet "$service" ;; esac
        done
    fi
    right_version
fi

# A venv without pip is one whose making was interrupted.
"$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear "$venv"
echo "setup: installing the Python packages into $venv"
# Of the lock's packages exactly its versions, each file with a hash that it names; wheels only, so that nothing is built
# with what the lock does not name. Then this package itself, built with the setuptools that has just come.
pip_install() { "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "$@"; }
{ pip_install --require-hashes --only-binary :all: --requirement requirements.lock &&
    pip_install --no-build-isolation --editable .
} || {
    echo "setup: pip could not install the Python packages (why is above); run make again when it can" >&2
    exit 1
}
# JupyterLab asks whether it may fetch news; it may not, and it need not ask.
settings="$venv/share/jupyter/lab/settings"
mkdir -p "$settings"
echo '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}' >"$settings/overrides.json"
touch "$venv/.ready"
