#!/bin/sh
# apt-install.sh [--no-start] [--backports] PACKAGE...: installs Debian packages from the host's own
# release.
# Run as root. Where no systemd runs, the packages' services are not started: a policy-rc.d says so
# for the time of the install, unless the machine has one already. --no-start: nowhere.
# --backports takes the packages from the release's backports, added for this one call.
set -eu

mark='triptych: for the time of one install'
policy=/usr/sbin/policy-rc.d
backports_list=/etc/apt/sources.list.d/triptych-backports.list
made_policy='' made_list='' from=''

tidy() {
    if [ -n "$made_policy" ]; then rm -f "$policy"; fi
    if [ -n "$made_list" ]; then rm -f "$backports_list"; fi
}
trap tidy EXIT
trap 'exit 130' INT TERM

no_start=''
if [ "${1:-}" = --no-start ]; then
    shift
    no_start=yes
fi
if [ -n "$no_start" ] || [ ! -d /run/systemd/system ]; then
    # One with our mark was left by a killed run.
    if [ ! -e "$policy" ] || grep -q "$mark" "$policy"; then
        made_policy=yes
        printf '#!/bin/sh\n# %s\nexit 101\n' "$mark" >"$policy"
        chmod 755 "$policy"
    fi
fi

export DEBIAN_FRONTEND=noninteractive
# An install that was killed half-way is ended first.
if [ -n "$(dpkg --audit)" ]; then dpkg --configure -a; fi

if [ "${1:-}" = --backports ]; then
    shift
    # shellcheck source=/dev/null
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    from="$codename-backports"
    # shellcheck disable=SC2016
    if ! apt-get indextargets --format '$(RELEASE) $(SUITE)' | grep -q "$from"; then
        # The same mirror and keys as the release itself.
        apt-get update
        # shellcheck disable=SC2016
        line=$(apt-get indextargets --format '$(REPO_URI) $(SIGNED_BY)' \
            "Identifier: Packages" "Codename: $codename" "Origin: Debian" "Component: main" |
            grep -v security | head -n 1)
        uri=${line%% *}
        keys=${line#* }
        [ -n "$uri" ] || { echo "no Debian mirror for $codename in apt's sources" >&2; exit 1; }
        # Without a key file of its own the source is checked against apt's trusted keys.
        case "$keys" in /*) options="[signed-by=$keys] " ;; *) options='' ;; esac
        made_list=yes
        echo "deb $options$uri $from main" >"$backports_list"
    fi
fi

# A source that can't be read (some third party's) does not stop us; a missing package does.
apt-get -o DPkg::Lock::Timeout=300 update || echo 'some apt sources could not be read' >&2
apt-get -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends \
    ${from:+--target-release "$from"} "$@"
