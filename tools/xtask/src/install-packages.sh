# Installs the Debian packages named as arguments. Run as root.
set -eu

# The tests start servers of their own, on ports of their own: keep the packages from starting
# theirs, and leave a policy that is already there alone.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update -q -o DPkg::Lock::Timeout=300
apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
