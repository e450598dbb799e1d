#!/usr/bin/env bash
# bootstrap.sh [GOAL]...: what `python3 -m toolchain` itself needs, on a Debian with nothing but apt:
# Python 3.11 or newer with venv, make, Go 1.21 or newer, certificates. Then runs it with the goals.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# What ends by itself after a while counts from here.
export TRIPTYCH_STARTED_S="${TRIPTYCH_STARTED_S:-$(date +%s)}"

die() {
    echo "triptych: $*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "packages are missing and this is neither root nor a user with sudo: apt-get install ${packages[*]}"
    fi
}

python_will_do() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    local candidate
    for candidate in python3 /usr/bin/python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null && python_will_do "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

find_go() {
    local candidate version
    for candidate in go /usr/local/go/bin/go /usr/lib/go/bin/go /usr/lib/go-*/bin/go; do
        command -v "$candidate" >/dev/null || continue
        version=$(GOTOOLCHAIN=local "$candidate" version 2>/dev/null) || continue
        version=${version#*go version go}
        version=${version%% *}
        if [ "$(printf '%s\n' 1.21 "$version" | sort --version-sort | head -n 1)" = 1.21 ]; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

install_packages() {
    echo "triptych: installing ${packages[*]}"
    local log
    log=$(mktemp)
    if ! as_root sh toolchain/apt-install.sh "$@" >"$log" 2>&1; then
        tail -n 15 "$log" >&2
        die "apt could not install ${packages[*]} (whole log: $log)"
    fi
    rm -f "$log"
}

# Goals that only look or remove need no Go, nor do the unit tests.
needs_go=yes
case "${1:-}" in doctor | env | stop | unit | clean | clean-cache | '' | -*) needs_go= ;; esac

# The birth of this folder is when everything began: `make bench` tells from it how long a bare
# machine needed to the first row.
[ -z "$needs_go" ] || mkdir -p "${TRIPTYCH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/triptych}/logs"

packages=()
find_python >/dev/null || packages+=(python3 python3-venv)
command -v make >/dev/null || packages+=(make)
[ -e /etc/ssl/certs/ca-certificates.crt ] || packages+=(ca-certificates)
if [ ${#packages[@]} -gt 0 ]; then
    command -v apt-get >/dev/null || die "this is no Debian: install ${packages[*]} yourself"
    install_packages "${packages[@]}"
fi
python=$(find_python) || die "this Debian's Python is older than 3.11: bookworm or newer is needed"

if [ -n "$needs_go" ] && ! find_go >/dev/null; then
    command -v apt-get >/dev/null || die "this is no Debian: install Go 1.21 or newer yourself"
    packages=(golang-go)
    # The release's own Go if it will do, else its backports.
    candidate=$(apt-cache policy golang-go | sed -n 's/ *Candidate: *2:\([0-9.]*\).*/\1/p')
    if [ -z "$candidate" ]; then
        as_root apt-get update >/dev/null 2>&1 || true
        candidate=$(apt-cache policy golang-go | sed -n 's/ *Candidate: *2:\([0-9.]*\).*/\1/p')
    fi
    if [ "$(printf '%s\n' 1.21 "${candidate:-0}" | sort --version-sort | head -n 1)" = 1.21 ]; then
        install_packages golang-go
    else
        # Its dependencies are named so that they come from backports with it.
        install_packages --backports golang-go golang-src
    fi
    find_go >/dev/null || die "no Go 1.21 or newer in this Debian or its backports: install one"
fi

exec "$python" -m toolchain "$@"
